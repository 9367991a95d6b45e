"""The PostgreSQL store keeps the contract of stores; the other program is a plain connection that knows only SQL."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from holdfast.schema.key import key_text
from holdfast.schema.model import Column, Table
from holdfast.schema.wire import wire_of
from holdfast.stores.postgres import PostgresStore
from holdfast.testing.stores import StoreContract, contract_schema
from tests.postgres import connect, database


class TestPostgresStore(StoreContract):
    persistent = True

    def setup_method(self) -> None:
        self.things = ExitStack()
        self.dsn = self.things.enter_context(database())

    def teardown_method(self) -> None:
        super().teardown_method()
        self.things.close()

    def make_store(self, tmp_path: Path) -> PostgresStore:
        return PostgresStore(self.dsn, readers=8)

    def foreign_write(self, store: Any, table: str, key_values: Sequence[Any], values: Sequence[Any] | None) -> None:
        model = contract_schema().table(table)
        key = [stored(column, value) for column, value in zip(model.key, key_values, strict=True)]
        names = [column.name for column in model.key]
        with connect(self.dsn) as connection:
            if values is None:
                where = " AND ".join(f"{name} = %s" for name in names)
                connection.execute(f"DELETE FROM {table} WHERE {where}".encode(), key)
                return
            cells = [stored(column, value) for column, value in zip(model.cells, values, strict=True)]
            found = [*names, *(column.name for column in model.cells)]
            marks = ", ".join(["%s"] * len(found))
            sets = ", ".join(f"{name} = excluded.{name}" for name in found[len(names) :])
            connection.execute(
                f"INSERT INTO {table} ({', '.join(found)}) VALUES ({marks}) ON CONFLICT ({', '.join(names)}) "
                f"DO {f'UPDATE SET {sets}' if sets else 'NOTHING'}".encode(),
                [*key, *cells],
            )

    def user_rows(self, store: Any, table: str) -> dict[str, tuple[Sequence[Any], Sequence[Any]]]:
        with connect(self.dsn) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            names = [name for (name,) in connection.execute(COLUMNS, (table,))]
            model = contract_schema().by_name.get(table) or as_texts(table, names)
            columns = [*model.key, *model.cells]
            shown = ", ".join(f"{column.name}{'::text' if column.type in TEXTS else ''}" for column in columns)
            rows = connection.execute(f"SELECT {shown} FROM {table}".encode()).fetchall()
        width = len(model.key)
        wires = [[wire(column, value) for column, value in zip(columns, row, strict=True)] for row in rows]
        return {key_text(model, found[:width]): (found[:width], found[width:]) for found in wires}


COLUMNS = "SELECT column_name::text FROM information_schema.columns WHERE table_name = %s AND table_schema = 'public'"
TEXTS = ("json", "set")


def stored(column: Column, value: Any) -> Any:
    """A wire form as a program that uses psycopg would pass it."""
    if value is None:
        return None
    if column.type in TEXTS:
        return json.dumps(value)
    convert = {
        "bigint": int,
        "bytes": base64.b64decode,
        "date": datetime.date.fromisoformat,
        "datetime": datetime.datetime.fromisoformat,
        "decimal": decimal.Decimal,
    }.get(column.type)
    return value if convert is None else convert(value)


def wire(column: Column, value: Any) -> Any:
    """The wire form of what psycopg gives."""
    if value is None:
        return None
    if column.type in TEXTS:
        return wire_of(column.type, json.loads(value, parse_int=number), column.element)
    if isinstance(value, datetime.datetime):
        value = value.astimezone(datetime.UTC)
    return wire_of(column.type, value, column.element)


def number(digits: str) -> int | float:
    """jsonb writes 1e22 with all its zeros."""
    return int(digits) if len(digits) < 18 else float(digits)


def as_texts(table: str, names: Sequence[str]) -> Table:
    """A table that one test declares by itself: all columns are texts."""
    columns = tuple(Column(name, "text", nullable=name != "id") for name in names)
    return Table(table, columns, ("id",), contract_schema().tables[0].space)
