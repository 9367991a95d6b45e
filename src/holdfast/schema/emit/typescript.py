"""A schema as TypeScript: what rows, inserts and updates look like, and the schema itself for `@holdfast/client`.

An application reads and writes bigint for 64-bit integers and `Uint8Array` for bytes; moments, dates, decimals and
UUIDs are their canonical text (`spec/encoding.md`, section 1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from holdfast.schema.model import MISSING, Column, Schema, Table
from holdfast.schema.space import SpaceRule, Via
from holdfast.schema.stored import WIRE_TYPE

PACKAGE: Final = "@holdfast/client"
_TYPES: Final = {
    "text": "string",
    "int": "number",
    "bigint": "bigint",
    "float": "number",
    "bool": "boolean",
    "bytes": "Uint8Array",
    "date": "string",
    "datetime": "string",
    "decimal": "string",
    "uuid": "string",
    "json": "Json",
}
_HELD: Final = {
    "date": "a date, YYYY-MM-DD",
    "datetime": "a moment, UTC with six digits",
    "decimal": "a decimal number, exact",
    "uuid": "a UUID",
}
_MERGES: Final = {
    "counter": "a counter",
    "set": "a set",
    "grow_set": "a set that only grows",
    "earliest": "the earliest wins",
    "latest": "the latest wins",
    "text": "a document of text",
    "json": "a document of JSON",
    "merge_text": "a merged text",
    "server_wins": "what stands wins",
    "review": "conflicts wait for a person",
    "custom": "merged by the application",
}
_BARE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WIDTH: Final = 120


def module(schema: Schema, source: str) -> str:
    """The text of a module that describes `schema`. `source` is the file that it was made of, for the first line."""
    tables = schema.declared
    parts = [
        f"// Made by `holdfast codegen ts {source}`; do not edit. Schema version {schema.version}, {schema.hash}.",
        _import("\n".join(_members(column, role) for table in tables for role in _ROLES for column in table.columns)),
        "\n".join(part for table in tables for part in _interfaces(table)),
        _tables(tables),
        _spaces(tables),
        _value(schema),
    ]
    return "\n".join(part for part in parts if part)


def class_name(table: str) -> str:
    """`form_entry` as `FormEntry`. Underscores stay where two names would become one: `entry_1`, `a__b`."""
    first, *rest = table.split("_")
    words = (word[0].upper() + word[1:] if word[:1].isalpha() else f"_{word}" for word in rest)
    return first[0].upper() + first[1:] + "".join(words)


_ROLES: Final = ("row", "insert", "update")


def _import(used: str) -> str:
    names = [name for name in ("Increment", "Json", "SetChange", "SetGrowth") if re.search(rf"\b{name}\b", used)]
    return f'import type {{ {", ".join([*names, "SchemaForm"])} }} from "{PACKAGE}";\n'


def _interfaces(table: Table) -> Iterable[str]:
    name = class_name(table.name)
    heads = {
        "row": f"/** A row of {table.name}. {_lives(table)} */\nexport interface {name}Row",
        "insert": f"/** What a new row of {table.name} needs; the rest has defaults. */\nexport interface {name}Insert",
        "update": f"/** What may be changed in a row of {table.name}. */\nexport interface {name}Update",
    }
    for role, head in heads.items():
        members = [text for column in table.columns if (text := _member(table, column, role))]
        yield f"{head} {{\n" + "".join(members) + "}\n" if members else f"{head} {{}}\n"
    yield f"/** The key of a row of {table.name}. */\nexport type {name}Key = {_key(table)};\n"


def _lives(table: Table) -> str:
    if isinstance(table.space, Via):
        parent = table.via.parent if table.via is not None else ""
        return f"It lives where its {parent} lives."
    return f"It lives in {table.space.template}."


def _member(table: Table, column: Column, role: str) -> str:
    """One line of an interface, with a comment where the type alone does not tell; empty when it has no place there."""
    if role != "row" and (column.read_only or (role == "update" and column.name in table.key_names)):
        return ""
    optional = role == "update" or (role == "insert" and _has_default(column))
    note = _note(column) if role == "row" else ""
    comment = f"  /** {note} */\n" if note else ""
    return f"{comment}  readonly {_name(column.name)}{'?' if optional else ''}: {_members(column, role)};\n"


def _has_default(column: Column) -> bool:
    empty = column.merge in ("counter", "set", "grow_set", "text", "json", "merge_text")
    return column.default is not MISSING or bool(column.generate) or column.nullable or empty


def _note(column: Column) -> str:
    held = _HELD.get(column.element or column.type, "")
    at_hub = f"{column.stored} at the hub" if column.stored else ""
    made = "made by the hub" if column.read_only else ""
    said = [part for part in (_MERGES.get(column.merge, ""), held, at_hub, made) if part]
    text = ", ".join(said).replace("*/", "* /")
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _members(column: Column, role: str) -> str:
    """The TypeScript type of a column in a row, an insert or an update."""
    if column.type == "set":
        item = _scalar(column.element, None, column)
        whole = f"readonly {item}[]" if re.fullmatch(r"\w+", item) else f"readonly ({item})[]"
        change = "SetGrowth" if column.merge == "grow_set" else "SetChange"
        return whole if role != "update" or column.merge == "register" else f"{whole} | {change}<{item}>"
    text = _scalar(column.type, column.choices, column)
    if column.merge == "counter" and role == "update":
        text += " | Increment"
    return f"{text} | null" if column.nullable or (column.read_only and role == "row") else text


def _scalar(type_name: str, choices: tuple[Any, ...] | None, column: Column) -> str:
    if choices is not None:
        suffix = "n" if type_name == "bigint" else ""
        return " | ".join(f"{choice}{suffix}" if suffix else _literal(choice) for choice in choices)
    if column.stored and column.type == "json" and column.database_type.array:
        item = _TYPES[WIRE_TYPE[column.database_type.base]]
        # Inside of JSON nothing is exchanged: 64-bit integers and bytes are their text there.
        return f"readonly ({'string' if item in ('bigint', 'Uint8Array') else item} | null)[]"
    return _TYPES[type_name]


def _key(table: Table) -> str:
    types = [_scalar(column.type, column.choices, column) for column in table.key]
    named = ", ".join(f"{column.name}: {text}" for column, text in zip(table.key, types, strict=True))
    return types[0] if len(types) == 1 else f"readonly [{named}]"


def _tables(tables: tuple[Table, ...]) -> str:
    lines = [
        f"  readonly {table.name}: {{ row: {name}Row; insert: {name}Insert; update: {name}Update; key: {name}Key }};\n"
        for table in tables
        for name in (class_name(table.name),)
    ]
    head = "/** Every table by name. */\nexport interface Tables {\n"
    return f"{head}{''.join(lines)}}}\n\nexport type TableName = keyof Tables;\n"


def _spaces(tables: tuple[Table, ...]) -> str:
    names = dict.fromkeys(_space(table.naming) for table in tables if table.naming is not None)
    return f"/** The names that spaces can have. */\nexport type Space = {' | '.join(names)};\n"


def _space(rule: SpaceRule) -> str:
    parts = list(rule.parts)
    if len(parts) == 1:
        return _literal(parts[0])
    literals = [part.replace("\\", "\\\\").replace("`", "\\`").replace("$", "\\$") for part in parts[::2]]
    return "`" + "${string}".join(literals) + "`"


def _value(schema: Schema) -> str:
    form = {"version": schema.version, "hash": schema.hash, "tables": schema.to_json()["tables"]}
    return f"export const schema: SchemaForm<Tables> = {literal(form)};\n"


def literal(value: Any, depth: int = 0) -> str:
    """A JSON value as a formatter would lay it out at `depth` levels of indentation: what fits on a line stands on
    one.
    """
    flat = _flat(value)
    if not isinstance(value, (dict, list)) or (len(flat) + 2 * depth + 20 <= _WIDTH and not _is_matrix(value)):
        return flat
    inner, outer = "  " * (depth + 1), "  " * depth
    if isinstance(value, list):
        return "[\n" + "".join(f"{inner}{literal(item, depth + 1)},\n" for item in value) + f"{outer}]"
    lines = (f"{inner}{_name(key)}: {literal(item, depth + 1)},\n" for key, item in value.items())
    return "{\n" + "".join(lines) + f"{outer}}}"


def _is_matrix(value: Any) -> bool:
    """Whether formatters break it however short it is: several arrays, or several objects, of several members each; and
    what holds such a one.
    """
    items = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    alike = any(all(isinstance(item, kind) and len(item) > 1 for item in items) for kind in (dict, list))
    return (isinstance(value, list) and len(items) > 1 and alike) or any(map(_is_matrix, items))


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        members = ", ".join(f"{_name(key)}: {_flat(item)}" for key, item in value.items())
        return f"{{ {members} }}" if members else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flat, value))}]"
    return _literal(value)


def _name(text: str) -> str:
    return text if _BARE.fullmatch(text) else _literal(text)


def _literal(value: Any) -> str:
    """JSON is TypeScript, but for two separators of lines, which JSON may hold bare."""
    return json.dumps(value, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
