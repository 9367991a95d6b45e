"""Any value of any type goes into a table and comes back as it was, bit for bit."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel import values
from holdfast.schema.emit.postgres import create_table
from holdfast.schema.emit.postgres_text import key_expression
from holdfast.schema.key import key_text
from holdfast.schema.model import Column, SpaceRule, Table
from holdfast.schema.postgres_values import from_sql
from holdfast.stores.contract.samples import READING, TYPES, row
from holdfast.stores.postgres.user_tables import UserTable, as_json
from tests.postgres import connect, database

SPACE = SpaceRule("all")
KEYS = ("text", "int", "bool", "bigint", "date", "datetime", "uuid")
KEYED = Table("keyed", tuple(Column(name, name) for name in KEYS), KEYS, SPACE)

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with database() as dsn, connect(dsn) as connection:
        connection.execute(create_table(READING).encode())
        connection.execute(create_table(KEYED).encode())
        yield connection


def any_double() -> st.SearchStrategy[float]:
    """From the bits, so that subnormal numbers come as often as others."""
    bits = st.integers(0, 2**64 - 1).map(lambda number: struct.unpack("<d", struct.pack("<Q", number))[0])
    return (bits | st.floats()).filter(lambda number: number - number == 0)


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | any_double() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
decimals = st.from_regex(r"\A-?[0-9]{1,30}(\.[0-9]{1,40})?\Z")
WIRES: dict[str, st.SearchStrategy[Any]] = {
    "text": texts,
    "int": st.integers(-(2**53) + 1, 2**53 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1).map(str),
    "float": any_double(),
    "bool": st.booleans(),
    "bytes": st.binary(max_size=200).map(lambda raw: base64.b64encode(raw).decode()),
    "date": st.dates().map(str),
    "datetime": st.datetimes().map(lambda moment: moment.isoformat(timespec="microseconds") + "Z"),
    "decimal": decimals,
    "uuid": st.uuids().map(str),
    "json": json_values,
    "set": st.lists(texts, max_size=5),
}


def wires(name: str, element: str = "") -> st.SearchStrategy[Any]:
    return WIRES[name].map(lambda wire: None if wire is None else values.check(name, wire, element))


rows = st.tuples(*(st.none() | wires(name) for name in TYPES[:-1]), wires("set", "text")).map(list)


@given(st.lists(rows, min_size=1, max_size=5))
def test_rows_come_back_as_they_were(connection: Connection, written: list[list[Any]]) -> None:
    table = UserTable(READING, "public", [f"a_{name}" for name in TYPES], [])
    with connection.transaction(force_rollback=True):
        records = [table.to_record(row(READING, [number], cells)) for number, cells in enumerate(written)]
        connection.execute(table.upsert, (as_json(records),))
        keys = as_json([table.to_key([number], number) for number in range(len(written))])
        found = {number: table.from_row(rest) for number, *rest in connection.execute(table.read, (keys,), binary=True)}
    for number, cells in enumerate(written):
        assert values.canonical_json([*found[number][1]]) == values.canonical_json(cells)
        assert list(map(type, found[number][1])) == list(map(type, cells))


@given(st.tuples(*(wires(name) for name in KEYS)).map(list))
def test_a_key_in_sql_is_the_key_of_the_hub(connection: Connection, key: list[Any]) -> None:
    table = UserTable(KEYED, "public", [], [])
    with connection.transaction(force_rollback=True):
        connection.execute(table.upsert, (as_json([table.to_record(row(KEYED, key, []))]),))
        found = connection.execute(f"SELECT {key_expression(KEYED, 'k')} FROM keyed k".encode()).fetchall()
    assert found == [(key_text(KEYED, key),)]


@given(st.integers() | st.integers(2**52, 2**54), st.booleans())
def test_an_integer_in_jsonb_is_that_integer_or_that_double_or_nothing(number: int, negative: bool) -> None:
    number = -number if negative else number
    column = Column("c", "json")
    try:
        wire = from_sql(column, str(number))
    except values.InvalidValue as error:
        assert error.code == "value_range"
        assert abs(number) >= 2**53
        return
    assert wire == number or float(wire) == float(number)
    assert abs(number) < 2**53 or isinstance(wire, float)
