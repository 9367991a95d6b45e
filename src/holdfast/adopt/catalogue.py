"""What a PostgreSQL database says of its tables. Nothing is judged here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Any, NamedTuple

import psycopg

from holdfast.errors import HoldfastError
from holdfast.stores.postgres.queries import read

Connection = psycopg.Connection[tuple[Any, ...]]
QUERIES = read((files(__package__) / "catalogue.sql").read_text(encoding="utf-8"))


class Column(NamedTuple):
    """A column. `type` as `format_type` writes it; `kind` is "b" (base), "e" (enum), "d" (domain) or another letter of
    `pg_type.typtype`, for an array that of its elements. `sequence` is the sequence that belongs to it, `domain` the
    domain whose base type this is.
    """

    name: str
    type: str
    kind: str
    not_null: bool
    default: str | None
    identity: str
    generated: str
    sequence: str | None
    labels: Sequence[str]
    comment: str | None
    domain: str | None


class Index(NamedTuple):
    """An index. `columns` is empty when it is over expressions; `whole`: over all rows; `method` such as btree."""

    name: str
    primary: bool
    unique: bool
    columns: tuple[str, ...]
    immediate: bool
    whole: bool
    equal_nulls: bool
    method: str
    definition: str


class Constraint(NamedTuple):
    """A foreign key ("f"), CHECK ("c") or exclusion ("x"); actions as in `pg_constraint`: a, r, c, n or d."""

    name: str
    kind: str
    columns: tuple[str, ...]
    parent_schema: str | None
    parent: str | None
    parent_columns: tuple[str, ...]
    on_delete: str
    on_update: str
    definition: str


class Table(NamedTuple):
    """A table, view or the like; `kind` as in `pg_class.relkind`."""

    name: str
    kind: str
    row_security: bool
    persistence: str
    comment: str | None
    inherits: bool
    columns: list[Column]
    indexes: list[Index]
    constraints: list[Constraint]


class Catalogue(NamedTuple):
    """The chosen tables of one PostgreSQL schema, in order of name, and the names of those that were not chosen."""

    schema: str
    tables: list[Table]
    others: frozenset[str]


def read_catalogue(db: Connection, schema: str, chosen: Collection[str], excluded: Collection[str]) -> Catalogue:
    """The tables of `schema` (empty: the first of the search path). `chosen` (empty: all) and `excluded` are names or
    patterns such as `audit_*`.

    Raises `HoldfastError` `adopt_nothing` when there is no such schema, no such table, or none at all.
    """
    current, exists = db.execute(QUERIES["schemas"], (schema,)).fetchall()[0]
    if schema and not exists:
        raise HoldfastError("adopt_nothing", f"the database has no schema {schema}", schema=schema)
    name = schema or current or "public"
    rows = db.execute(QUERIES["tables"], (name,)).fetchall()
    names = [row[1] for row in rows]
    for pattern in [*chosen, *excluded]:
        if not any(fnmatchcase(table, pattern) for table in names):
            raise HoldfastError("adopt_nothing", f"the schema {name} has no table {pattern}", schema=name)
    wanted = {table for table in names if _matches(table, chosen or ["*"]) and not _matches(table, excluded)}
    if not wanted:
        raise HoldfastError("adopt_nothing", f"the schema {name} has no tables to adopt", schema=name)
    kept = [row for row in rows if row[1] in wanted]
    return Catalogue(name, _tables(db, kept), frozenset(set(names) - wanted))


def _matches(name: str, patterns: Collection[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _tables(db: Connection, rows: Sequence[tuple[Any, ...]]) -> list[Table]:
    parts: dict[int, tuple[list[Column], list[Index], list[Constraint]]] = {row[0]: ([], [], []) for row in rows}
    oids = list(parts)
    for oid, *members in db.execute(QUERIES["columns"], (oids,)):
        parts[oid][0].append(Column(*members))
    for oid, name, primary, unique, columns, *members in db.execute(QUERIES["indexes"], (oids,)):
        parts[oid][1].append(Index(name, primary, unique, tuple(columns), *members))
    for oid, name, kind, columns, schema, parent, parents, *members in db.execute(QUERIES["constraints"], (oids,)):
        parts[oid][2].append(Constraint(name, kind, tuple(columns), schema, parent, tuple(parents), *members))
    return [
        Table(name, kind, row_security, persistence, comment, inherits, *parts[oid])
        for oid, name, kind, row_security, persistence, comment, inherits in rows
    ]
