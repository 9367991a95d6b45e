"""Whether a table that the database already has can hold what the schema declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import apsw

from holdfast.errors import HoldfastError
from holdfast.schema.model import Column, Table

_TEXT = frozenset({"TEXT", "BLOB"})
_NUMBER = frozenset({"INTEGER", "NUMERIC", "BLOB"})
_AFFINITIES = {
    "text": _TEXT,
    "decimal": _TEXT,  # NUMERIC would turn 1.50 into 1.5
    "uuid": _TEXT,
    "json": _TEXT,
    "set": _TEXT,
    "date": _TEXT | {"NUMERIC"},  # a date never looks like a number, so NUMERIC leaves it alone
    "datetime": _TEXT | {"NUMERIC"},
    "int": _NUMBER,
    "bigint": _NUMBER,
    "bool": _NUMBER,
    "float": frozenset({"REAL", "NUMERIC", "BLOB"}),
    "bytes": frozenset({"BLOB"}),
}
_NAMES = {"text": "TEXT", "float": "REAL", "bytes": "BLOB", "int": "INTEGER", "bigint": "INTEGER", "bool": "INTEGER"}


class Found(NamedTuple):
    """A column of the database; `hidden` is not 0 for a generated one, `pk` its place in the primary key or 0."""

    name: str
    type: str
    not_null: bool
    default: str | None
    pk: int
    hidden: int


def columns_of(connection: apsw.Connection, table: str) -> list[Found]:
    """Columns of a table; empty when there is no such table."""
    sql = 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)'
    return [Found(*row) for row in connection.execute(sql, (table,))]


def affinity(declared: str) -> str:
    """The affinity that SQLite gives to a declared type (https://sqlite.org/datatype3.html section 3.1)."""
    upper = declared.upper()
    if "INT" in upper:
        return "INTEGER"
    if any(part in upper for part in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    if "BLOB" in upper or not upper or upper == "ANY":
        return "BLOB"
    if any(part in upper for part in ("REAL", "FLOA", "DOUB")):
        return "REAL"
    return "NUMERIC"


def check(connection: apsw.Connection, table: Table, found: Sequence[Found]) -> list[str]:
    """The names of the columns that the schema does not know. Raises `HoldfastError` `schema_mismatch_table`."""
    by_name = {column.name: column for column in found}
    for column in table.columns:
        present = by_name.get(column.name)
        if present is None:
            _refuse(table, column.name, f"a column of type {_wanted(column)}", "no such column", "Add the column")
        elif present.hidden:
            _refuse(table, column.name, "a plain column", "a generated column", "Make it a plain column")
        elif column.generate == "block" and present.type.upper() == "INTEGER" and present.pk:
            remedy = "Declare the column INT, or another kind of key: SQLite numbers such rows past the leased keys"
            _refuse(table, column.name, "INT PRIMARY KEY", "INTEGER PRIMARY KEY", remedy)
        elif affinity(present.type) not in _AFFINITIES[column.type]:
            _refuse(table, column.name, _wanted(column), present.type or "no type", "Change the type of the column")
        elif present.not_null and column.nullable and not column.former:
            _refuse(
                table, column.name, "a column that takes NULL", "NOT NULL", "Allow NULL, or declare it not optional"
            )
    _check_key(connection, table, found)
    extras = [column for column in found if column.name not in table.position and not column.hidden]
    for extra in extras:
        if extra.not_null and extra.default is None:
            remedy = "Declare the column, give it a default, or allow NULL"
            _refuse(
                table, extra.name, "a column that a row can be inserted without", "NOT NULL without default", remedy
            )
    return [extra.name for extra in extras]


def _check_key(connection: apsw.Connection, table: Table, found: Sequence[Found]) -> None:
    key = [column.name for column in table.key]
    primary = {column.name for column in found if column.pk}
    if primary == set(key) or any(set(key) == columns for columns in _unique_indexes(connection, table.name)):
        return
    names = ", ".join(sorted(primary)) or "none"
    remedy = "Declare that key, or make a unique index on these columns"
    _refuse(table, ", ".join(key), "primary key or unique", f"primary key {names}", remedy)


def _unique_indexes(connection: apsw.Connection, table: str) -> list[set[str]]:
    sql = 'SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial'
    names = [name for (name,) in connection.execute(sql, (table,))]
    return [
        {column for (column,) in connection.execute("SELECT name FROM pragma_index_info(?)", (name,))} for name in names
    ]


def _wanted(column: Column) -> str:
    return _NAMES.get(column.type, "TEXT")


def _refuse(table: Table, column: str, expected: str, found: str, remedy: str) -> None:
    message = (
        f"The table {table.name} of the database does not fit the schema: column {column}: expected {expected}, "
        f"found {found}. {remedy}, then open the store again; nothing was changed."
    )
    raise HoldfastError(
        "schema_mismatch_table", message, table=table.name, column=column, expected=expected, found=found
    )
