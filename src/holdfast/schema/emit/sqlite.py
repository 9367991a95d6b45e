"""User tables in SQLite: STRICT, with every rule of the schema as a constraint. Works from SQLite 3.38 on."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from holdfast.schema.emit.sqlite_blocks import PROVISIONAL, provisional
from holdfast.schema.emit.sqlite_checks import condition
from holdfast.schema.emit.sqlite_text import STORAGE, literal, names, quote
from holdfast.schema.key import KEY_LIMIT
from holdfast.schema.model import MISSING, Column, ForeignKey, Schema, Table

_MILLISECONDS = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
UUID7 = (
    f"printf('%08x-%04x-7%03x-%04x-%s', {_MILLISECONDS} >> 16, {_MILLISECONDS} & 65535, random() & 4095, "
    "32768 | (random() & 16383), lower(hex(randomblob(6))))"
)
"""An expression that makes a UUIDv7 (RFC 9562 section 5.7); 'now' stands still inside one step of a statement."""

_CHILD_DELETES = {"restrict": "", "cascade": " ON DELETE CASCADE", "set_null": " ON DELETE SET NULL"}


def ddl(schema: Schema, *, if_not_exists: bool = False) -> list[str]:
    """All statements that create the tables and indexes of a schema, parents first."""
    statements = []
    for table in schema.tables:
        statements.append(create_table(table, if_not_exists=if_not_exists, parents=schema.by_name))
        statements += create_indexes(table, if_not_exists=if_not_exists)
    return statements


def create_table(table: Table, *, if_not_exists: bool = False, parents: Collection[str] | None = None) -> str:
    """CREATE TABLE. Foreign keys are written for the named `parents` only, None for all of them."""
    lines = [column_definition(table, column) for column in table.columns]
    lines.append(f"PRIMARY KEY ({names(table.key_names)})")
    lines += [f"UNIQUE ({names(columns)})" for columns in table.unique]
    lines += [_foreign_key(key) for key in table.foreign_keys if parents is None or key.parent in parents]
    if len(table.key) > 1:
        members = ", ".join(
            f"CAST({quote(c.name)} AS TEXT)" if c.type == "bigint" else quote(c.name) for c in table.key
        )
        # A bool is counted as one digit here; at most 4 characters a column are missed and found when the key is made.
        lines.append(f"CHECK (length(json_array({members})) <= {KEY_LIMIT})")
    exists = "IF NOT EXISTS " if if_not_exists else ""
    body = ",\n  ".join(lines)
    return f"CREATE TABLE {exists}{quote(table.name)} (\n  {body}\n) STRICT"


def column_definition(table: Table, column: Column) -> str:
    """One column as it stands in CREATE TABLE, and after ALTER TABLE ... ADD COLUMN."""
    key = column.name in table.key_names
    # INT, not INTEGER: an INTEGER PRIMARY KEY is an alias of rowid and numbers rows silently, each device the same.
    storage = "INT" if key and STORAGE[column.type] == "INTEGER" else STORAGE[column.type]
    parts = [quote(column.name), storage]
    if not column.nullable:
        # Who writes NULL for a key means the next one.
        parts.append("NOT NULL ON CONFLICT REPLACE" if column.generate == "block" else "NOT NULL")
    if column.generate == "uuid7":
        parts.append(f"DEFAULT ({UUID7})")
    elif column.generate == "block":
        parts.append(f"DEFAULT {PROVISIONAL}")
    elif column.generate == "now":
        parts.append(f"DEFAULT ({now_expression(column)})")
    elif column.default is not MISSING and column.default is not None:
        parts.append(f"DEFAULT {literal(column.type, column.default)}")
    check = condition(column, key=key)
    if check and column.generate == "block":
        check = f"{check} OR {provisional(quote(column.name))}"
    if check:
        parts.append(f"CHECK ({check})")
    return " ".join(parts)


def now_expression(column: Column) -> str:
    """The moment in the canonical form of the column; 'now' stands still inside one step of a statement."""
    kind = column.database_type
    digits = kind.limits[0] if kind.limits else 3
    if column.type == "date":
        return "date('now')"
    if column.type == "text":
        return "strftime('%H:%M:%S', 'now')"
    return "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')" if digits >= 3 else "strftime('%Y-%m-%dT%H:%M:%S.000000Z', 'now')"


def create_indexes(table: Table, *, if_not_exists: bool = False) -> list[str]:
    """The declared indexes, and one for each foreign key that has none.

    Without it each delete of a parent would read all children.
    """
    exists = "IF NOT EXISTS " if if_not_exists else ""
    groups = list(table.indexes)
    for foreign_key in table.foreign_keys:
        if not _covered(foreign_key.columns, [table.key_names, *table.unique, *groups]):
            groups.append(foreign_key.columns)
    return [
        f"CREATE INDEX {exists}{quote(index_name(table, columns))} ON {quote(table.name)} ({names(columns)})"
        for columns in groups
    ]


def index_name(table: Table, columns: Iterable[str]) -> str:
    """Such as `submission(project_id, status)`: names what it holds, and is never the name of a table."""
    return f"{table.name}({', '.join(columns)})"


def _covered(columns: tuple[str, ...], groups: Iterable[tuple[str, ...]]) -> bool:
    return any(group[: len(columns)] == columns for group in groups)


def _foreign_key(key: ForeignKey) -> str:
    return (
        f"FOREIGN KEY ({names(key.columns)}) REFERENCES {quote(key.parent)} ({names(key.parent_columns)})"
        f"{_CHILD_DELETES[key.on_delete]} DEFERRABLE INITIALLY DEFERRED"
    )
