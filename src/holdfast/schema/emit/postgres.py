"""User tables in PostgreSQL (13 and later), with every rule of the schema as a constraint."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence

from holdfast.schema.emit.postgres_text import TYPES, key_expression, literal, names, qualified, quote
from holdfast.schema.key import KEY_LIMIT
from holdfast.schema.model import MISSING, Column, ForeignKey, Schema, Table

UUID7 = (
    "encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING "
    "substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), "
    "'hex')::uuid"
)
"""An expression that makes a UUIDv7 (RFC 9562 section 5.7); PostgreSQL itself has `uuidv7()` only from 18 on.

A random UUID of version 4 (0100) becomes version 7 (0111) by two bits and carries milliseconds in its first 48.
"""

NAME_LIMIT = 63
"""Longest name in PostgreSQL, in bytes; a longer one would be cut off, and might then be that of another."""

_CHILD_DELETES = {"restrict": "", "cascade": " ON DELETE CASCADE", "set_null": " ON DELETE SET NULL"}


def ddl(schema: Schema, *, within: str = "public") -> list[str]:
    """All statements that create the tables and indexes of a schema, parents first, in the PostgreSQL schema
    `within`.
    """
    statements, made, later = [], set[str](), []
    for table in schema.tables:
        statements.append(create_table(table, within=within, parents=made))
        statements += create_indexes(table, within=within)
        made.add(table.name)
        later += [(table, key) for key in table.foreign_keys if key.parent not in made]
    # Parents come first, so these are the tables in a circle.
    return statements + [add_foreign_key(table, key, within=within) for table, key in later]


def create_table(table: Table, *, within: str = "public", parents: Collection[str] | None = None) -> str:
    """CREATE TABLE. Foreign keys are written for the named `parents` and the table itself, None: for all of them."""
    lines = [column_definition(table, column) for column in table.columns]
    lines.append(f"PRIMARY KEY ({names(table.key_names)})")
    lines += [f"UNIQUE ({names(columns)})" for columns in table.unique]
    wanted = [key for key in table.foreign_keys if parents is None or key.parent in {*parents, table.name}]
    lines += [_foreign_key(key, within) for key in wanted]
    if len(table.key) > 1:
        key = key_expression(table, quote(table.name))
        lines.append(f"CHECK (length({key}) <= {KEY_LIMIT})")
    body = ",\n  ".join(lines)
    return f"CREATE TABLE {qualified(within, table.name)} (\n  {body}\n)"


def add_foreign_key(table: Table, key: ForeignKey, *, within: str = "public") -> str:
    """ALTER TABLE for a foreign key whose parent did not exist yet when the table was created."""
    return f"ALTER TABLE {qualified(within, table.name)} ADD {_foreign_key(key, within)}"


def column_definition(table: Table, column: Column) -> str:
    """One column as it stands in CREATE TABLE, and after ALTER TABLE ... ADD COLUMN."""
    key = column.name in table.key_names
    parts = [quote(column.name), TYPES[column.type]]
    if key and column.type == "text":
        parts.append('COLLATE "C"')  # the hub locks rows in this order, whatever the locale of the database
    if not column.nullable:
        parts.append("NOT NULL")
    if column.generate:
        parts.append(f"DEFAULT ({UUID7})" if column.type == "uuid" else f"DEFAULT (({UUID7})::text)")
    elif column.default is not MISSING and column.default is not None:
        parts.append(f"DEFAULT {literal(column.type, column.default)}")
    check = condition(column, key=key)
    if check:
        parts.append(f"CHECK ({check})")
    return " ".join(parts)


def condition(column: Column, *, key: bool) -> str:
    """The CHECK condition of a column, empty if its type says everything. It is true or NULL for NULL."""
    name = quote(column.name)
    if column.choices is not None:
        return f"{name} IN ({', '.join(literal(column.type, choice) for choice in column.choices)})"
    if column.type == "text":
        return f"length({name}) <= {KEY_LIMIT}" if key else ""
    if column.type == "json":
        return "" if column.nullable else f"jsonb_typeof({name}) <> 'null'"
    plain = {
        "int": f"{name} BETWEEN -9007199254740991 AND 9007199254740991",
        # NaN is greater than everything.
        "float": f"{name} > '-infinity' AND {name} < 'infinity'",
        "date": f"{name} BETWEEN '0001-01-01' AND '9999-12-31'",
        "datetime": f"{name} >= '0001-01-01 00:00:00+00' AND {name} < '10000-01-01 00:00:00+00'",
        # scale() of NaN and of infinity is NULL.
        "decimal": (
            f"coalesce(scale({name}) >= 0 AND length(translate({name}::text, '-.', '')) <= 1000, {name} IS NULL)"
        ),
        "set": f"jsonb_typeof({name}) = 'array'",
    }
    return plain.get(column.type, "")


def create_indexes(table: Table, *, within: str = "public") -> list[str]:
    """The declared indexes, and one for each foreign key that has none.

    Without it each delete of a parent would read all children.
    """
    groups = list(table.indexes)
    for foreign_key in table.foreign_keys:
        if not _covered(foreign_key.columns, [table.key_names, *table.unique, *groups]):
            groups.append(foreign_key.columns)
    return [
        f"CREATE INDEX {quote(index_name(table, columns))} ON {qualified(within, table.name)} ({names(columns)})"
        for columns in groups
    ]


def index_name(table: Table, columns: Sequence[str]) -> str:
    """Such as `submission(project_id, status)`: names what it holds, and is never the name of a table.

    A name that would be too long ends in a hash of the whole.
    """
    name = f"{table.name}({', '.join(columns)})"
    if len(name) <= NAME_LIMIT:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: NAME_LIMIT - 9]}~{digest}"


def _covered(columns: tuple[str, ...], groups: Iterable[tuple[str, ...]]) -> bool:
    return any(group[: len(columns)] == columns for group in groups)


def _foreign_key(key: ForeignKey, within: str) -> str:
    return (
        f"FOREIGN KEY ({names(key.columns)}) REFERENCES {qualified(within, key.parent)} ({names(key.parent_columns)})"
        f"{_CHILD_DELETES[key.on_delete]} DEFERRABLE INITIALLY DEFERRED"
    )
