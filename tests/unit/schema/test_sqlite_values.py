"""Wire -> SQLite -> wire over the whole domain, what SQLite refuses, and what is read from foreign hands."""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import math
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.kernel import values
from holdfast.schema.emit import sqlite
from holdfast.schema.model import Column, SpaceRule, Table
from holdfast.schema.sqlite_values import from_sql, from_sql_row, row_to_sql, to_parameter, to_sql
from tests.unit.schema.sample import LIBRARIES, Execute, Refused, database

PLAIN = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXT = st.text(PLAIN) | st.sampled_from(
    ["", "é", "e\u0301", "👩‍👩‍👧", "\ufeff", "\uffff\U0010ffff", "x" * 5000, "'; \\ \""]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.sampled_from(["\\u0000", "\\", "\\\\u0000"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [5e-324, 2.2250738585072014e-308, 1e22, 2.0**63, 0.1 + 0.2]
)
DECIMALS = st.from_regex(re.compile(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?"), fullmatch=True) | st.just("9" * 1000)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXT,
    "int": st.integers(-(2**53) + 1, 2**53 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1).map(str),
    "float": FLOATS,
    "bool": st.booleans(),
    "bytes": st.binary().map(lambda raw: base64.b64encode(raw).decode()),
    "date": st.dates().map(datetime.date.isoformat),
    "datetime": st.datetimes().map(lambda at: at.isoformat(timespec="microseconds") + "Z"),
    "decimal": DECIMALS,
    "uuid": st.uuids().map(str),
}
KEYS = ("text", "int", "bigint", "bool", "date", "datetime", "decimal", "uuid")


def column_of(type_name: str, *, element: str = "", nullable: bool = False) -> Column:
    return Column("c", type_name, element, nullable, merge="set" if type_name == "set" else "register")


def table_of(column: Column, *, key: bool = False) -> Table:
    if key:
        return Table("t", (column,), ("c",), SpaceRule("s"))
    return Table("t", (Column("id", "text"), column), ("id",), SpaceRule("s"))


@st.composite
def column_and_wire(draw: st.DrawFn) -> tuple[Column, Any]:
    type_name = draw(st.sampled_from([*SCALARS, "json", "set"]))
    element = draw(st.sampled_from(sorted(SCALARS))) if type_name == "set" else ""
    strategy = {"json": JSON, "set": st.lists(SCALARS[element], max_size=5) if element else st.nothing()}.get(type_name)
    column = column_of(type_name, element=element, nullable=type_name != "set")
    wire = draw(strategy if strategy is not None else SCALARS[type_name])
    return column, None if wire is None else values.check(type_name, wire, element)


@pytest.mark.parametrize("library", LIBRARIES)
@given(drawn=st.lists(column_and_wire(), min_size=1, max_size=6))
def test_wire_to_file_and_back_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, library: str, drawn: list[tuple[Column, Any]]
) -> None:
    columns = [Column(f"c{i}", c.type, c.element, c.nullable, merge=c.merge) for i, (c, _) in enumerate(drawn)]
    table = Table("t", (*columns, Column("id", "text")), ("id",), SpaceRule("s"))
    wire = ["key", *(value for _, value in drawn)]
    convert = row_to_sql(table)
    stored = wire if convert is None else convert(wire)
    path: Path = tmp_path_factory.mktemp("file") / "t.db"
    names = ", ".join(column.name for column in table.row_columns)
    with database(library, str(path)) as execute:
        execute(sqlite.create_table(table))
        execute(f"insert into t ({names}) values ({', '.join('?' * len(wire))})", list(stored))
    with database(library, str(path)) as execute:
        (row,) = execute("select * from t")
    keys, cells = from_sql_row(table, row)
    assert values.canonical_json(keys + cells) == values.canonical_json(wire)
    again = wire if convert is None else convert(keys + cells)
    assert list(again[1:]) == list(row[:-1])


@pytest.mark.parametrize("type_name", sorted(SCALARS))
@given(data=st.data())
def test_every_double_and_integer_keeps_its_bits(type_name: str, data: st.DataObject) -> None:
    wire = values.check(type_name, data.draw(SCALARS[type_name]))
    column = column_of(type_name)
    convert = to_sql(column)
    back = from_sql(column, wire if convert is None else convert(wire))
    assert back == wire
    if type_name == "float":
        assert math.copysign(1, back) == math.copysign(1, wire)


SHAPED = {
    "date": r"[0-9]{4}-[0-9]{2}-[0-3][0-9]( |x)?",
    "datetime": r"[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]"
    r"((\.[0-9]{0,7}){0,2}|[0-9])[ ]?(Z|z|[-+][01][0-9](:?[0-5][0-9])?|\+1|\+01:0)?",
    "decimal": r"[-+]{0,2}[0-9]{0,4}(\.[0-9]{0,3}){0,2}([eE][-+]?[0-9]{0,3})?[ x]?",
    "uuid": r"\{?[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{11,13}\}?",
    "json": r'("(\\{1,4}(u0000|n|x)|a)*"|\[1(,1)*\]|\{"a":1\}|nul?l|NaN|01|1\.|-0|1e5)[ ]?',
    "set": r'("a"|null|\[\]|\["a"(,"[ab]")*\]|\{\}|\[)[ ]?',
}
EDGES = {
    "date": ["0000-01-01", "9999-12-31", "2023-02-29", "2024-02-29", "-001-01-01", "now", "2024-01-01\0"],
    "datetime": [
        "9999-12-31T23:59:59.999999Z", "2026-11-21 11:16:36.000000", "2026-11-21 11:16:36", "2026-11-21T24:00:00",
        "2026-11-21T11:16:36.1234567", "2026-11-21T11:16:36+0530", "2026-11-21T11:16:36-08", "2026-11-21T11:16",
        "2026-02-30T00:00:00Z", "2026-11-21 11:16:36+05:30\0", "2026-11-21T11:16:36.", "2026-11-21T11:16:36e5",
    ],
    "decimal": ["", "-", "-0", "-0.0", "+007.50", "1E+3", "1e3", ".5", "5.", "9" * 1000, "9" * 1001, "1\0", "NaN"],
    "uuid": ["", "{}", "{0123456789abcdef0123456789abcdef}", "0123456789ABCDEF0123456789ABCDEF", "{" * 32],
    "json": ["", "null", " null", '"\\u0000"', '"\\\\u0000"', '"\\\\\\u0000"', "[1,]", "{a:1}", "'a'", "\0", "1\0"],
    "set": ["", "{}", "null", "[", "[]", '["b","a","a"]', '["\\u0000"]'],
}  # fmt: skip


def _accepted(execute: Execute, text: str) -> bool:
    try:
        execute("insert into t (id, c) values ('k', ?)", (text,))
    except Refused:
        return False
    execute("delete from t")
    return True


def _readable(column: Column, text: str) -> bool:
    try:
        from_sql(column, text)
    except values.InvalidValue:
        return False
    return True


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("type_name", sorted(SHAPED))
@given(data=st.data())
def test_sqlite_refuses_exactly_what_the_kernel_refuses(library: str, type_name: str, data: st.DataObject) -> None:
    column = column_of(type_name, element="text" if type_name == "set" else "")
    shaped = st.from_regex(re.compile(SHAPED[type_name]), fullmatch=True) | st.sampled_from(EDGES[type_name])
    texts = data.draw(st.lists(shaped, min_size=1, max_size=20))
    with database(library) as execute:
        execute(sqlite.create_table(table_of(column)))
        for text in texts:
            accepted, readable = _accepted(execute, text), _readable(column, text)
            too_many_digits = type_name == "decimal" and accepted and "e" in text.lower()
            assert (text, accepted) == (text, readable or too_many_digits)


@pytest.mark.parametrize("type_name", sorted(SHAPED))
@pytest.mark.parametrize("library", LIBRARIES)
def test_edges_of_each_form(library: str, type_name: str) -> None:
    column = column_of(type_name, element="text" if type_name == "set" else "")
    with database(library) as execute:
        execute(sqlite.create_table(table_of(column)))
        for text in EDGES[type_name]:
            assert (text, _accepted(execute, text)) == (text, _readable(column, text))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("type_name", KEYS)
@given(data=st.data())
def test_keys_hold_the_canonical_form_only(library: str, type_name: str, data: st.DataObject) -> None:
    column = column_of(type_name)
    table = table_of(column, key=True)
    wire = data.draw(SCALARS[type_name].filter(lambda value: not isinstance(value, str) or len(value) <= 1024))
    wire = values.check(type_name, wire)
    convert = to_sql(column)
    stored = wire if convert is None else convert(wire)
    texts = st.from_regex(re.compile(SHAPED[type_name]), fullmatch=True) if type_name in SHAPED else st.nothing()
    other = data.draw(texts | st.sampled_from(EDGES.get(type_name, [""])))
    with database(library) as execute:
        execute(sqlite.create_table(table))
        execute("insert into t values (?)", (stored,))
        assert execute("select c from t") == [(stored,)]
        execute("delete from t")
        if type_name in EDGES:
            canonical = _readable(column, other) and from_sql(column, other) == other
            try:
                execute("insert into t values (?)", (other,))
                assert canonical
            except Refused:
                assert not canonical


WRONG: list[tuple[str, Any, str]] = [
    ("text", 1, "value_type"),
    ("text", b"a", "value_type"),
    ("text", "a\0b", "value_nul"),
    ("int", 2**53, "value_range"),
    ("int", -(2**53), "value_range"),
    ("int", "1", "value_type"),
    ("int", 1.5, "value_type"),
    ("bigint", 1.0, "value_type"),
    ("bigint", "1", "value_type"),
    ("float", float("nan"), "value_range"),
    ("float", float("inf"), "value_range"),
    ("float", "1.0", "value_type"),
    ("bool", 2, "value_type"),
    ("bool", 1.0, "value_type"),
    ("bool", "true", "value_type"),
    ("bytes", "AA==", "value_type"),
    ("date", "2023-02-29", "value_format"),
    ("date", 20230229, "value_type"),
    ("datetime", "2026-11-21", "value_format"),
    ("decimal", 1.5, "value_type"),
    ("decimal", "1e2000", "value_range"),
    ("uuid", b"0" * 16, "value_type"),
    ("json", 1, "value_type"),
    ("json", b"{}", "value_type"),
    ("json", "{", "value_format"),
    ("json", "NaN", "value_format"),
    ("json", "1e400", "value_range"),
    ("json", "9007199254740992", "value_range"),
    ("json", "1" * 5000, "value_range"),
    ("json", '"\\u0000"', "value_nul"),
    ("json", '"\\ud800"', "value_format"),
    ("json", "[" * 101 + "]" * 101, "value_range"),
    ("json", "[" * 100_000 + "]" * 100_000, "value_range"),
    ("json", "null", "value_null"),
    ("set", '{"a":1}', "value_type"),
    ("set", "[1]", "value_type"),
    ("set", None, "value_null"),
    ("text", None, "value_null"),
]


@pytest.mark.parametrize(("type_name", "stored", "code"), WRONG)
def test_foreign_values_are_refused_with_a_code(type_name: str, stored: Any, code: str) -> None:
    with pytest.raises(values.InvalidValue) as caught:
        from_sql(column_of(type_name, element="text" if type_name == "set" else ""), stored)
    assert caught.value.code == code
    assert "column c" in caught.value.message


@pytest.mark.parametrize("library", LIBRARIES)
def test_sqlite_refuses_wrong_numbers(library: str) -> None:
    cases = [
        ("int", 2**53),
        ("int", -(2**53)),
        ("int", 1.5),
        ("float", 9e999),
        ("float", -9e999),
        ("bool", 2),
        ("bytes", "x"),
    ]
    for type_name, value in cases:
        with database(library) as execute:
            execute(sqlite.create_table(table_of(column_of(type_name))))
            with pytest.raises(Refused):
                execute("insert into t (id, c) values ('k', ?)", (value,))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("type_name", [*SCALARS, "json"])
def test_null_only_where_it_is_declared(library: str, type_name: str) -> None:
    for nullable in (True, False):
        column = column_of(type_name, nullable=nullable)
        with database(library) as execute:
            execute(sqlite.create_table(table_of(column)))
            if nullable:
                execute("insert into t (id, c) values ('k', null)")
                assert from_sql(column, None) is None
            else:
                with pytest.raises(Refused, match="NOT NULL"):
                    execute("insert into t (id, c) values ('k', null)")


@pytest.mark.parametrize("library", LIBRARIES)
def test_key_length(library: str) -> None:
    one = table_of(Column("c", "text"), key=True)
    two = Table("t", (Column("c", "text"), Column("d", "text")), ("c", "d"), SpaceRule("s"))
    with database(library) as execute:
        execute(sqlite.create_table(one))
        execute("insert into t values (?)", ("🙂" * 1024,))
        with pytest.raises(Refused):
            execute("insert into t values (?)", ("a" * 1025,))
    with database(library) as execute:
        execute(sqlite.create_table(two))
        execute("insert into t values (?, ?)", ("a" * 1017, ""))
        with pytest.raises(Refused):
            execute("insert into t values (?, ?)", ("a" * 1018, ""))


def test_canonical_form_shows_in_the_difference() -> None:
    column = column_of("datetime")
    assert from_sql(column, "2026-11-21 12:16:36+01:00") == "2026-11-21T11:16:36.000000Z"
    tags = column_of("set", element="text")
    convert = to_sql(tags)
    assert convert is not None
    assert convert(from_sql(tags, '["b", "a", "a"]')) == '["a","b"]'
    assert from_sql(column_of("json", nullable=True), " null ") is None


class Trade(enum.Enum):
    STEEL = "steel"


UTC_PLUS_2 = datetime.timezone(datetime.timedelta(hours=2))
PARAMETERS: list[tuple[Any, Any]] = [
    (None, None),
    (True, 1),
    (5, 5),
    (1.5, 1.5),
    ("a", "a"),
    (b"a", b"a"),
    (bytearray(b"a"), b"a"),
    (Trade.STEEL, "steel"),
    (datetime.date(2026, 1, 2), "2026-01-02"),
    (datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC_PLUS_2), "2026-01-02T01:04:05.000000Z"),
    (datetime.datetime(2026, 1, 2), "2026-01-02T00:00:00.000000Z"),  # noqa: DTZ001 - without a zone it is UTC
    (decimal.Decimal("1.50"), "1.50"),
    (decimal.Decimal("1E+3"), "1000"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ({"b": [1.0, Trade.STEEL], "a": None}, '{"a":null,"b":[1,"steel"]}'),
    (("x", datetime.date(2026, 1, 2)), '["x","2026-01-02"]'),
    ({"b", "a"}, '["a","b"]'),
    (frozenset({2, 1}), "[1,2]"),
]


@pytest.mark.parametrize(("given_value", "stored"), PARAMETERS)
def test_parameters(given_value: Any, stored: Any) -> None:
    found = to_parameter(given_value)
    assert found == stored
    assert type(found) is type(stored)


@pytest.mark.parametrize(
    "wrong", [float("nan"), float("inf"), 2**63, -(2**63) - 1, decimal.Decimal("NaN"), [float("nan")], {"a": object()}]
)
def test_wrong_parameters(wrong: Any) -> None:
    with pytest.raises(values.InvalidValue):
        to_parameter(wrong)


@given(value=JSON)
@example(value=[1e16, 5e-324, 1.0])
def test_json_parameters_are_canonical(value: Any) -> None:
    if isinstance(value, (list, dict)):
        text = to_parameter(value)
        column = column_of("json")
        convert = to_sql(column)
        assert convert is not None
        assert convert(from_sql(column, text)) == text


def test_row_of_identical_forms_needs_no_conversion() -> None:
    assert row_to_sql(table_of(column_of("text"))) is None
