"""The schema as a Python file that people read and go on with."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.adopt.columns import Adopted, Left, is_builtin
from holdfast.adopt.suggestions import Suggestion
from holdfast.adopt.tables import AdoptedTable, ForeignKey, Plan
from holdfast.schema import stored
from holdfast.schema.declare import snake_case

WIDTH = 110

_HEAD = '''"""The tables of {place}, as Holdfast syncs them.

Written by `holdfast adopt`; it is yours now. The schema fits the database as it stands, with every table in one space:
whoever may read the space gets all rows. Lines that begin with `# Space:` and `# Merge:` are suggestions, with their
reasons: take those that are right. At the end stands what was left out.
"""

from __future__ import annotations
'''
_IMPORTS = (
    ("datetime", "import datetime", "datetime."),
    ("uuid", "import uuid", "uuid.UUID"),
    ("Decimal", "from decimal import Decimal", "Decimal"),
    ("Literal", "from typing import Literal", "Literal["),
)


def module(
    plan: Plan,
    place: str,
    spaces: Mapping[str, Suggestion],
    merges: Mapping[str, Sequence[Suggestion]],
    constants: Mapping[tuple[str, str], Any],
) -> str:
    """The text of the file. `constants` are the defaults (table, column) -> Python value or wire value."""
    names = class_names(plan.tables)
    classes = [_class(table, names, spaces[table.name], merges[table.name], constants) for table in plan.tables]
    body = "\n\n\n".join(classes)
    used = [line for _, line, mark in _IMPORTS if mark in body]
    listed = ", ".join(names.values())
    call = f"schema = hf.Schema({listed}, version=1)"
    if len(call) > WIDTH:
        lines = "".join(f"    {name},\n" for name in names.values())
        call = f"schema = hf.Schema(\n{lines}    version=1,\n)"
    imports = "\n".join([*used, "", "import holdfast as hf"] if used else ["import holdfast as hf"])
    parts = [_HEAD.format(place=place) + "\n" + imports, body, "# Raise the version whenever a table changes.\n" + call]
    if plan.left:
        parts.append(_left(plan.left))
    return "\n\n\n".join(parts) + "\n"


def class_names(tables: Sequence[AdoptedTable]) -> dict[str, str]:
    """A class name for each table, each once."""
    names: dict[str, str] = {}
    for table in tables:
        name = "".join(part.capitalize() for part in table.name.split("_")) or "Table"
        if not name.isidentifier() or is_builtin(name) or name in ("Decimal", "Literal"):
            name = f"Table{name}"
        while name in names.values():
            name += "_"
        names[table.name] = name
    return names


def _class(
    table: AdoptedTable,
    names: Mapping[str, str],
    space: Suggestion,
    merges: Sequence[Suggestion],
    constants: Mapping[tuple[str, str], Any],
) -> str:
    lines = [*_comment(table.comment), *(line for note in table.notes for line in _comment(note))]
    lines += _comment(f"Space: {space.code}: {space.reason}.")
    single = {key.columns[0]: key for key in table.foreign_keys if len(key.columns) == 1}
    options = _options(table, names[table.name], single)
    head = f"class {names[table.name]}(hf.Table, {', '.join(options)}):"
    if len(head) > WIDTH:
        head = f"class {names[table.name]}(\n    hf.Table,\n" + "".join(f"    {option},\n" for option in options) + "):"
    lines.append(head)
    suggested = {suggestion.column: suggestion for suggestion in merges}
    for column in table.columns.values():
        if column.name in suggested:
            found = suggested[column.name]
            lines += _comment(f"Merge: {column.name}: {found.code}: {found.reason}.", indent="    ")
        lines += [f"    {line}" for line in _column(table, column, single.get(column.name), constants)]
    return "\n".join(lines)


def _options(table: AdoptedTable, name: str, single: Mapping[str, ForeignKey]) -> list[str]:
    options = [f'name="{table.name}"'] if snake_case(name) != table.name else []
    options.append(f'key="{table.key[0]}"' if len(table.key) == 1 else f"key={_names(table.key)}")
    options.append('space="all"')
    for word, groups in (("unique", table.unique), ("indexes", table.indexes)):
        several = [_names(group) for group in groups if len(group) > 1]
        if several:
            options.append(f"{word}=[{', '.join(several)}]")
    keys = [key for key in table.foreign_keys if single.get(key.columns[0]) != key]
    if keys:
        options.append(f"foreign_keys=[{', '.join(_foreign_key(key) for key in keys)}]")
    if table.excluded:
        options.append(f"exclude={_names(tuple(table.excluded))}")
    return options


def _names(group: Sequence[str]) -> str:
    inner = ", ".join(f'"{name}"' for name in group)
    return f"({inner},)" if len(group) == 1 else f"({inner})"


def _foreign_key(key: ForeignKey) -> str:
    columns, parents = _names(key.columns), _names(key.parent_columns)
    action = "" if key.on_delete == "restrict" else f', on_delete="{key.on_delete}"'
    return f'hf.ForeignKey({columns}, "{key.parent}", {parents}{action})'


def _column(
    table: AdoptedTable,
    column: Adopted,
    key: ForeignKey | None,
    constants: Mapping[tuple[str, str], Any],
) -> list[str]:
    is_block = column.sequence and table.key == (column.name,) and column.type == "int"
    annotation = "hf.BlockKey" if is_block else column.annotation
    options, note = _column_options(table, column, key)
    default = constants.get((table.name, column.name))
    if (table.name, column.name) in constants:
        options.insert(0, f"default={default!r}")
    text = f"{column.name}: {annotation}" + (" | None" if column.nullable else "")
    if len(options) == 1 and options[0].startswith("default="):
        text += f" = {options[0].removeprefix('default=')}"
    elif options:
        text += f" = hf.column({', '.join(options)})"
    lines = _comment(column.comment)
    remarks = [note] if note else []
    if is_block:
        remarks.append("Devices take keys from leased blocks of the sequence; block= says how many at once (1,000)")
    elif table.key == (column.name,) and column.type in ("int", "bigint") and key is None:
        remarks.append("No sequence: whoever inserts names the key, and devices need keys that nobody else uses")
    lines += [line for remark in remarks for line in _comment(remark)]
    return [*lines, text]


def _column_options(table: AdoptedTable, column: Adopted, key: ForeignKey | None) -> tuple[list[str], str]:
    """The arguments of `hf.column`, and a remark."""
    options, note = [], ""
    if column.default == "now":
        options.append("default=hf.now")
    elif column.default == "uuid7" and column.type == "uuid":
        options.append("default=hf.new_id")
        note = f"The server's default is {column.source.default}; devices make a UUID of version 7, which sorts by time"
    elif column.default == "server":
        gives = "devices write NULL unless they give a value" if column.nullable else "devices have to give a value"
        note = f"The server's default {column.source.default} is not known to devices: {gives}"
    if key is not None:
        options.append(f'references="{key.parent}.{key.parent_columns[0]}"')
        if key.on_delete != "restrict":
            options.append(f'on_delete="{key.on_delete}"')
    if (column.name,) in table.unique:
        options.append("unique=True")
    if (column.name,) in table.indexes:
        options.append("index=True")
    if column.stored and not _says_all(column):
        options.append(f'stored="{_short(column.stored)}"')
    if column.read_only:
        options.append("read_only=True")
        note = "Generated by the server." if column.source.generated else "Given by the server's sequence."
    return options, note


def _short(kind: str) -> str:
    """The type in the words that people use."""
    for long, short in (("character varying", "varchar"), ("character", "char")):
        kind = short + kind.removeprefix(long) if kind.startswith(long) else kind
    parts = re.fullmatch(r"(time|timestamp)(\([0-9]+\))? (with|without) time zone(\[\])?", kind)
    if parts is None:
        return kind
    return parts[1] + ("tz" if parts[3] == "with" else "") + (parts[2] or "") + (parts[4] or "")


def _says_all(column: Adopted) -> bool:
    """Whether the annotation alone means this type of the database."""
    kind = stored.parse(column.stored)
    own = kind.base in (stored.TIME, "interval")
    return not kind.limits and (own or (kind.array and kind.base == stored.NATURAL.get(stored.WIRE_TYPE[kind.base])))


def _comment(text: str | None, indent: str = "") -> list[str]:
    lines = [line for part in (text or "").splitlines() for line in textwrap.wrap(part, WIDTH - 2 - len(indent))]
    return [f"{indent}# {line}" for line in lines]


def _left(left: Sequence[Left]) -> str:
    lines = ["# Left out. Where a remedy is named, apply it and run `holdfast adopt` again, if devices need it.", "#"]
    for found in left:
        remedy = f" Remedy: {found.remedy}." if found.remedy else ""
        text = " ".join(f"{found.what}: {found.why}.{remedy}".split())
        lines += textwrap.wrap(text, WIDTH, initial_indent="# * ", subsequent_indent="#   ", break_long_words=False)
    return "\n".join(lines)
