"""What a compiled schema must satisfy, wherever it comes from (a declaration or JSON).

Every function raises `HoldfastError` `schema_invalid`; the message names table, column and remedy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from holdfast.errors import HoldfastError
from holdfast.kernel import values
from holdfast.schema import stored
from holdfast.schema.directions import check_directions

if TYPE_CHECKING:
    from holdfast.schema.model import Column, ForeignKey, Table

KEY_TYPES: Final = ("text", "int", "bigint", "bool", "date", "datetime", "decimal", "uuid")
TYPES: Final = (*KEY_TYPES, "float", "bytes", "json", "set")
ELEMENT_TYPES: Final = values.SCALAR_TYPES
EXTREMUM_TYPES: Final = ("date", "datetime", "int", "bigint", "float", "decimal")
CHOICE_TYPES: Final = tuple(name for name in KEY_TYPES if name != "bool")
DECIDED_MERGES: Final = ("server_wins", "review", "custom")
WHOLE_MERGES: Final = ("register", *DECIDED_MERGES)
DOCUMENT_MERGES: Final = ("text", "json", "merge_text")
MERGES: Final = (*WHOLE_MERGES, "counter", "set", "grow_set", "earliest", "latest", *DOCUMENT_MERGES)
UNIQUE_POLICIES: Final = ("refuse", "rename", "review")
PARENT_POLICIES: Final = ("refuse", "revive", "null", "cascade")
CONFLICT_TABLE: Final = "holdfast_conflict"
ROW_DELETES: Final = ("keep_edits", "delete")
CHILD_DELETES: Final = ("restrict", "cascade", "set_null")
GENERATES: Final = ("uuid7", "now", "block")
BLOCK_LIMIT: Final = 100_000

NAME_FORM: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
RESERVED_PREFIXES: Final = ("holdfast_", "sqlite_", "pg_")
# Names that SQLite, PostgreSQL or JavaScript give to things of their own in every table or object.
RESERVED_COLUMNS: Final = frozenset(
    ("rowid", "oid", "_rowid_", "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "__proto__")
)
COLUMN_LIMIT: Final = 500
KEY_COLUMN_LIMIT: Final = 16
VERSION_LIMIT: Final = 2**31 - 1


def check_schema(version: int, tables: Sequence[Table]) -> None:
    """Rules that concern several tables: the version, the names, the foreign keys."""
    if type(version) is not int or not 1 <= version <= VERSION_LIMIT:
        raise HoldfastError("schema_invalid", f"version={version!r}: the version of a schema is an int from 1 on")
    if not tables:
        raise HoldfastError("schema_invalid", "the schema has no table; pass at least one Table class")
    by_name: dict[str, Table] = {}
    for table in tables:
        if table.name == CONFLICT_TABLE:
            _fail(table, None, "the name is that of a built-in table; choose another")
        if table.name in by_name:
            _fail(table, None, f"two tables are named {table.name}; give one of them another name with name=")
        by_name[table.name] = table
    for table in tables:
        for foreign_key in table.foreign_keys:
            _check_foreign_key(table, foreign_key, by_name)
            _check_leaving(table, foreign_key, by_name[foreign_key.parent])
    for table in tables:
        _check_via_cycle(table, by_name)
    check_directions(tables)


def check_table(table: Table) -> None:
    """Rules that concern one table."""
    _check_name(table, None, table.name)
    if not table.columns:
        _fail(table, None, "the table has no column; declare at least one")
    if len(table.columns) > COLUMN_LIMIT:
        _fail(table, None, f"the table has {len(table.columns)} columns, {COLUMN_LIMIT} are allowed; split it")
    by_name: dict[str, Column] = {}
    for column in table.columns:
        if column.name in by_name:
            _fail(table, column.name, "the column is declared twice; remove one")
        by_name[column.name] = column
        _check_column(table, column)
    _check_key(table, by_name)
    _check_space(table, by_name)
    _check_via(table, by_name)
    if table.on_delete not in ROW_DELETES:
        _fail(table, None, f"on_delete={table.on_delete!r}: use one of {_list(ROW_DELETES)}")
    if type(table.priority) is not int or abs(table.priority) > 1_000_000:
        _fail(table, None, f"priority={table.priority!r}: use an int within ±1,000,000")
    _check_groups(table, "indexes", table.indexes, by_name)
    _check_groups(table, "unique", table.unique, by_name)
    for foreign_key in table.foreign_keys:
        _check_group(table, "foreign_keys", foreign_key.columns, by_name)
    for name in table.exclude:
        if name in by_name:
            _fail(table, name, "the column is declared and excluded; remove one of the two")
    _check_policies(table, by_name)


def _check_policies(table: Table, by_name: Mapping[str, Column]) -> None:
    """What the hub does with broken unique and foreign keys must be possible with the columns there are."""
    if table.on_unique not in UNIQUE_POLICIES:
        _fail(table, None, f"on_unique={table.on_unique!r}: use one of {_list(UNIQUE_POLICIES)}")
    if table.on_parent_deleted not in PARENT_POLICIES:
        _fail(table, None, f"on_parent_deleted={table.on_parent_deleted!r}: use one of {_list(PARENT_POLICIES)}")
    if type(table.history) is not int or table.history < 0:
        _fail(table, None, f"history={table.history!r}: write a number of days, such as '365 days'")
    for group in table.unique if table.on_unique != "refuse" else ():
        if renamed_column(table, group) is None:
            names = ", ".join(group)
            remedy = "a plain text column that is no key and has no choices"
            _fail(
                table, None, f"on_unique={table.on_unique!r}: unique ({names}) has nothing to rename; it needs {remedy}"
            )
    for foreign_key in table.foreign_keys if table.on_parent_deleted == "null" else ():
        for name in foreign_key.columns:
            if not by_name[name].nullable:
                _fail(table, name, "on_parent_deleted='null' needs an optional column; add '| None'")


def renamed_column(table: Table, group: Sequence[str]) -> str | None:
    """The column of a unique group that the hub changes to keep both rows: its last plain text; None without one."""
    named = {column.name: column for column in table.columns}
    fitting = [
        name
        for name in group
        if name not in table.key_names
        and name not in table.space.columns
        and named[name].type == "text"
        and named[name].choices is None
        and named[name].merge in WHOLE_MERGES
    ]
    return fitting[-1] if fitting else None


def _check_name(table: Table, column: str | None, name: object) -> None:
    if not isinstance(name, str) or not NAME_FORM.fullmatch(name):
        _fail(table, column, f"{name!r} is not a name: use a-z, 0-9 and _, not a digit first, at most 63 characters")
    if name.startswith(RESERVED_PREFIXES) and name != CONFLICT_TABLE:
        _fail(table, column, f"the name {name} is reserved, as all with {_list(RESERVED_PREFIXES)}; choose another")
    if column is not None and name in RESERVED_COLUMNS:
        _fail(table, column, "the name is reserved by a database or by JavaScript; choose another")


def _check_column(table: Table, column: Column) -> None:
    _check_name(table, column.name, column.name)
    name = column.name
    if column.type not in TYPES:
        _fail(table, name, f"type {column.type!r} is unknown; use one of {_list(TYPES)}")
    if column.merge not in MERGES:
        _fail(table, name, f"merge {column.merge!r} is unknown; use one of {_list(MERGES)}")
    if type(column.nullable) is not bool:
        _fail(table, name, f"nullable={column.nullable!r} must be true or false")
    is_set = column.merge in ("set", "grow_set")
    if is_set != (column.type == "set"):
        _fail(
            table, name, f"type {column.type} does not go with merge {column.merge}; use hf.Set[...] or hf.GrowSet[...]"
        )
    if is_set and column.element not in ELEMENT_TYPES:
        _fail(table, name, f"a set cannot hold {column.element or 'this'}; elements are one of {_list(ELEMENT_TYPES)}")
    if column.element and not is_set:
        _fail(table, name, "only a set has an element type; remove it")
    if is_set and column.nullable:
        _fail(table, name, "a set is never NULL, it may be empty; remove '| None'")
    if (column.merge == "custom") != bool(column.function):
        _fail(table, name, "a custom merge has the name of its function: hf.Custom[str, 'join_lines']")
    if column.merge == "counter" and column.type != "int":
        _fail(table, name, f"a counter is an int, not {column.type}")
    if column.merge == "counter" and column.nullable:
        _fail(table, name, "a counter is never NULL; remove '| None', it starts at 0")
    if column.merge in ("earliest", "latest") and column.type not in EXTREMUM_TYPES:
        _fail(table, name, f"{column.merge} needs an ordered type: one of {_list(EXTREMUM_TYPES)}, not {column.type}")
    _check_stored(table, column)
    _check_document(table, column)
    _check_choices(table, column)
    _check_default(table, column)


def _check_stored(table: Table, column: Column) -> None:
    if column.stored:
        found = stored.complaint(
            column.database_type, column.type, column.element, has_choices=column.choices is not None
        )
        if found:
            _fail(table, column.name, f"stored={column.stored!r}: {found}")
        if column.database_type.text() != column.stored:
            _fail(table, column.name, f"stored={column.stored!r}: write {column.database_type.text()!r}")
    if column.read_only:
        if not column.nullable or column.merge != "register" or column.generate:
            _fail(table, column.name, "a read-only column is a plain optional one: the hub makes it; add '| None'")
        naming = table.naming.columns if table.naming is not None else ()
        if column.name in (*table.key_names, *table.space.columns, *naming):
            _fail(table, column.name, "a read-only column can neither be a key nor name the space")
    if type(column.block) is not int or not 0 <= column.block <= BLOCK_LIMIT:
        _fail(table, column.name, f"block={column.block!r}: use an int from 1 to {BLOCK_LIMIT:,}")
    if bool(column.block) != (column.generate == "block"):
        _fail(table, column.name, "block= goes with hf.BlockKey, and is at least 1; change one of the two")
    if column.generate == "block" and (table.key_names != (column.name,) or column.type != "int"):
        _fail(table, column.name, "an hf.BlockKey is the only key column of its table; use int")


def _check_document(table: Table, column: Column) -> None:
    wanted = {"text": "text", "merge_text": "text", "json": "json"}.get(column.merge)
    if wanted is None:
        return
    if column.type != wanted:
        _fail(table, column.name, f"merge {column.merge} needs the type {wanted}, not {column.type}")
    if column.nullable:
        _fail(table, column.name, "a document is never NULL, it may be empty; remove '| None'")


def _check_choices(table: Table, column: Column) -> None:
    if column.choices is None:
        return
    if column.type not in CHOICE_TYPES or column.merge not in WHOLE_MERGES:
        _fail(table, column.name, f"choices go with a plain value of {_list(CHOICE_TYPES)}; remove choices")
    if not column.choices:
        _fail(table, column.name, "choices is empty; name at least one value")
    for choice in column.choices:
        try:
            canonical = values.check(column.type, choice)
        except values.InvalidValue as error:
            _fail(table, column.name, f"choice {choice!r}: {error}; correct or remove it")
        if canonical != choice or type(canonical) is not type(choice):
            _fail(table, column.name, f"choice {choice!r} is not in its canonical form, {canonical!r}; write that")
    if len(set(column.choices)) != len(column.choices):
        _fail(table, column.name, "a choice is named twice; remove one")


def _check_default(table: Table, column: Column) -> None:
    if column.generate:
        _check_generate(table, column)
        if column.default is not None and not _is_missing(column.default):
            _fail(table, column.name, "a generated column has no other default; remove one of the two")
        return
    if _is_missing(column.default):
        return
    try:
        canonical = column.accept(column.default)
    except values.InvalidValue as error:
        _fail(table, column.name, f"the default {column.default!r} does not fit: {error}; correct or remove it")
    if values.canonical_json(canonical) != values.canonical_json(column.default):
        _fail(table, column.name, f"the default {column.default!r} is not in canonical form; write {canonical!r}")


def _check_generate(table: Table, column: Column) -> None:
    moment = column.type in ("date", "datetime") or column.stored.startswith("time")
    if column.generate == "uuid7" and (column.type not in ("text", "uuid") or moment):
        _fail(table, column.name, "only a text or uuid column can be filled by hf.new_id; remove the default")
    if column.generate == "now" and not moment:
        _fail(table, column.name, "only a date, a time or a datetime can be filled by hf.now; remove the default")
    if column.generate not in GENERATES or column.choices is not None or column.merge != "register":
        _fail(table, column.name, f"generate={column.generate!r}: a plain column can be filled by {_list(GENERATES)}")


def _is_missing(default: object) -> bool:
    return getattr(default, "name", None) == "MISSING"


def _check_key(table: Table, by_name: Mapping[str, Column]) -> None:
    if len(table.key_names) > KEY_COLUMN_LIMIT:
        _fail(table, None, f"the key has {len(table.key_names)} columns, {KEY_COLUMN_LIMIT} are allowed")
    _check_group(table, "key", table.key_names, by_name)
    for name in table.key_names:
        _check_plain(table, by_name[name], "a key column")


def _check_space(table: Table, by_name: Mapping[str, Column]) -> None:
    naming = table.naming
    if naming is None:
        return
    for name in naming.columns:
        if name not in by_name:
            remedy = "declare it or correct the template"
            _fail(table, name, f"space template {naming.template!r} names a column that does not exist; {remedy}")
        _check_plain(table, by_name[name], "a column of the space template")


def _check_via(table: Table, by_name: Mapping[str, Column]) -> None:
    """`via` names one foreign key of the table; there is a root exactly where the foreign key may be NULL."""
    if table.naming is table.space:
        return
    columns = table.space.columns
    where = ", ".join(columns)
    _check_group(table, "via", columns, by_name)
    found = [key for key in table.foreign_keys if key.columns == columns]
    if len(found) != 1:
        remedy = "declare one, such as column(references=Parent)" if not found else "only one may be on these columns"
        _fail(table, where, f"via({where}) needs a foreign key on exactly these columns; {remedy}")
    optional = [name for name in columns if by_name[name].nullable]
    if optional and table.naming is None:
        remedy = "add root=\"...\", the space of rows without a parent, or remove '| None'"
        _fail(table, where, f"{', '.join(optional)} may be NULL, then via({where}) says nothing; {remedy}")
    if not optional and table.naming is not None:
        _fail(table, where, f"via({where}) has a root, but is never NULL; remove root=, or add '| None'")


def _check_via_cycle(table: Table, tables: Mapping[str, Table]) -> None:
    """The parents of a row must lead to one whose space has a name: no cycle of tables, but a tree in one table."""
    if table.via is None:
        return
    parent = tables[table.via.parent]
    where = ", ".join(table.via.columns)
    if frozenset(table.via.parent_columns) != frozenset(parent.key_names):
        _fail(table, where, f"via({where}) must refer to the key of {parent.name}, ({', '.join(parent.key_names)})")
    seen = [table.name]
    while parent.via is not None and parent.name != seen[-1]:
        if parent.name in seen:
            path = " -> ".join([*seen[seen.index(parent.name) :], parent.name])
            _fail(table, where, f"the spaces go round in a circle, {path}; give one of the tables a template")
        seen.append(parent.name)
        parent = tables[parent.via.parent]


def _check_plain(table: Table, column: Column, what: str) -> None:
    """Columns that identify: always there, decided as a whole, with an exact text."""
    if column.nullable:
        _fail(table, column.name, f"{what} cannot be optional; remove '| None'")
    if column.merge != "register":
        _fail(table, column.name, f"{what} cannot be a {column.merge}; use a plain type")
    if column.type not in KEY_TYPES:
        _fail(table, column.name, f"{what} cannot be {column.type}; use one of {_list(KEY_TYPES)}")


def _check_groups(table: Table, option: str, groups: Iterable[Sequence[str]], by_name: Mapping[str, Column]) -> None:
    seen = set()
    for group in groups:
        _check_group(table, option, group, by_name)
        if tuple(group) in seen:
            _fail(table, None, f"{option} names ({', '.join(group)}) twice; remove one")
        seen.add(tuple(group))


def _check_group(table: Table, option: str, group: Sequence[str], by_name: Mapping[str, Column]) -> None:
    if not group:
        _fail(table, None, f"{option} names no column; name at least one")
    for name in group:
        if name not in by_name:
            _fail(table, str(name), f"{option} names a column that does not exist; the table has {_list(by_name)}")
    if len(set(group)) != len(group):
        _fail(table, None, f"{option} names a column twice in ({', '.join(group)}); remove one")


def _check_leaving(table: Table, foreign_key: ForeignKey, parent: Table) -> None:
    """Of a row that has left a device only the key is known there: nobody may refer to it by something else."""
    if parent.retention.evicts and set(foreign_key.parent_columns) != set(parent.key_names):
        where, names = ", ".join(foreign_key.columns), ", ".join(foreign_key.parent_columns)
        message = (
            f"refers to {parent.name} by ({names}), and rows of {parent.name} may leave a device; refer to its key"
        )
        _fail(table, where, f"{message}, or remove keep=, keep_last= and evictable= there")


def _check_foreign_key(table: Table, foreign_key: ForeignKey, tables: Mapping[str, Table]) -> None:
    where = ", ".join(foreign_key.columns)
    parent = tables.get(foreign_key.parent)
    if parent is None:
        _fail(table, where, f"references {foreign_key.parent}, which is not a table of the schema; add it")
    if foreign_key.on_delete not in CHILD_DELETES:
        _fail(table, where, f"on_delete={foreign_key.on_delete!r} of a foreign key: use one of {_list(CHILD_DELETES)}")
    if len(foreign_key.columns) != len(foreign_key.parent_columns):
        count = len(foreign_key.parent_columns)
        _fail(table, where, f"refers to {count} columns of {parent.name}; name as many columns as the parent's key has")
    for name, parent_name in zip(foreign_key.columns, foreign_key.parent_columns, strict=True):
        _check_reference(table, table.column(name), parent, parent_name)
    unique = {frozenset(parent.key_names), *(frozenset(group) for group in parent.unique)}
    if frozenset(foreign_key.parent_columns) not in unique:
        names = ", ".join(foreign_key.parent_columns)
        _fail(table, where, f"refers to {parent.name} ({names}), neither its key nor unique; declare it unique there")
    if foreign_key.on_delete == "set_null":
        for name in foreign_key.columns:
            if not table.column(name).nullable:
                _fail(table, name, "on_delete='set_null' needs an optional column; add '| None'")


def _check_reference(table: Table, column: Column, parent: Table, parent_name: str) -> None:
    if parent_name not in parent.position:
        known = _list(parent.position)
        _fail(table, column.name, f"refers to {parent.name}.{parent_name}, which does not exist; it has {known}")
    target = parent.column(parent_name)
    if column.merge != "register" or target.merge != "register":
        _fail(table, column.name, f"refers to {parent.name}.{parent_name}: use a plain type on both sides")
    if column.type != target.type:
        _fail(table, column.name, f"is {column.type}, {parent.name}.{parent_name} is {target.type}; declare both alike")


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _fail(table: Table, column: str | None, message: str) -> NoReturn:
    where = f"table {table.name}" if column is None else f"table {table.name}, column {column}"
    details = {"table": table.name} if column is None else {"table": table.name, "column": column}
    raise HoldfastError("schema_invalid", f"{where}: {message}", **details)
