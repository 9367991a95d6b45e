"""The SQLite store keeps the contract of stores; the other program is a plain SQLite connection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from holdfast.schema.key import key_text
from holdfast.schema.model import Column, Table
from holdfast.schema.sqlite_values import from_sql, to_sql
from holdfast.stores.sqlite import SqliteStore
from holdfast.testing.stores import StoreContract, contract_schema


class TestSqliteStore(StoreContract):
    persistent = True

    def make_store(self, tmp_path: Path) -> SqliteStore:
        self.path = str(tmp_path / "hub.db")
        return SqliteStore(self.path)

    def foreign_write(self, store: Any, table: str, key_values: Sequence[Any], values: Sequence[Any] | None) -> None:
        model = contract_schema().table(table)
        key = [stored(column, value) for column, value in zip(model.key, key_values, strict=True)]
        where = " AND ".join(f"{column.name} = ?" for column in model.key)
        connection = apsw.Connection(self.path)
        try:
            connection.execute("PRAGMA busy_timeout = 10000")
            if values is None:
                connection.execute(f"DELETE FROM {table} WHERE {where}", key)
                return
            cells = [stored(column, value) for column, value in zip(model.cells, values, strict=True)]
            names = ", ".join(column.name for column in (*model.key, *model.cells))
            marks = ", ".join("?" * (len(key) + len(cells)))
            connection.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", (*key, *cells))
        finally:
            connection.close()

    def user_rows(self, store: Any, table: str) -> dict[str, tuple[Sequence[Any], Sequence[Any]]]:
        connection = apsw.Connection(self.path)
        try:
            model = contract_schema().by_name.get(table) or as_texts(connection, table)
            columns = [*model.key, *model.cells]
            names = ", ".join(column.name for column in columns)
            rows = connection.execute(f"SELECT {names} FROM {table}").fetchall()
        finally:
            connection.close()
        width = len(model.key)
        wires = [[from_sql(column, value) for column, value in zip(columns, row, strict=True)] for row in rows]
        return {key_text(model, wire[:width]): (wire[:width], wire[width:]) for wire in wires}


def stored(column: Column, wire: Any) -> Any:
    convert = to_sql(column)
    return wire if convert is None or wire is None else convert(wire)


def as_texts(connection: apsw.Connection, table: str) -> Table:
    """A table that one test declares by itself: all columns are texts."""
    names = [str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})").fetchall()]
    columns = tuple(Column(name, "text", nullable=name != "id") for name in names)
    return Table(table, columns, ("id",), contract_schema().tables[0].space)
