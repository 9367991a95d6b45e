"""Every type of PostgreSQL that Holdfast takes, both ways through a device, and the values that it cannot take."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest

import holdfast as hf
from holdfast.errors import HoldfastError
from holdfast.stores.postgres import PostgresStore
from tests.postgres import connect, database

TABLE = """
create type mood as enum ('glad', 'sad');
create table thing (
  id integer primary key,
  small smallint, whole integer, large bigint,
  price numeric(10,2), loose numeric, round numeric(6,0),
  ratio real, exact double precision, yes boolean,
  note text, code varchar(5), pad char(4), mail citext,
  gid uuid, day date, at time, at_ms time(3), seen timestamptz, made timestamp, made_s timestamp(0), span interval,
  raw bytea, doc json, docb jsonb, feeling mood,
  tags text[], counts integer[], huge bigint[], prices numeric(8,3)[], codes varchar(3)[], pads char(2)[],
  moments timestamptz[], days date[], raws bytea[], gids uuid[], flags boolean[], ratios real[], spans interval[],
  double_price numeric generated always as (price * 2) stored
)
"""

CITEXT = """
create type citext;
create function citextin(cstring) returns citext language internal immutable strict as 'textin';
create function citextout(citext) returns cstring language internal immutable strict as 'textout';
create type citext (input = citextin, output = citextout, like = text, category = 'S', collatable = true);
create cast (citext as text) without function as implicit;
create cast (text as citext) without function as assignment
"""


class Thing(hf.Table, key="id", space="all"):
    id: int = hf.column(stored="integer")
    small: int | None = hf.column(stored="smallint")
    whole: int | None = hf.column(stored="integer")
    large: hf.BigInt | None = None
    price: Decimal | None = hf.column(stored="numeric(10,2)")
    loose: Decimal | None = None
    round: Decimal | None = hf.column(stored="numeric(6)")
    ratio: float | None = hf.column(stored="real")
    exact: float | None = None
    yes: bool | None = None
    note: str | None = None
    code: str | None = hf.column(stored="varchar(5)")
    pad: str | None = hf.column(stored="char(4)")
    mail: str | None = hf.column(stored="citext")
    gid: uuid.UUID | None = None
    day: datetime.date | None = None
    at: datetime.time | None = None
    at_ms: datetime.time | None = hf.column(stored="time(3)")
    seen: datetime.datetime | None = None
    made: datetime.datetime | None = hf.column(stored="timestamp")
    made_s: datetime.datetime | None = hf.column(stored="timestamp(0)")
    span: datetime.timedelta | None = None
    raw: bytes | None = None
    doc: hf.JsonValue | None = hf.column(stored="json")
    docb: hf.JsonValue | None = None
    feeling: Literal["glad", "sad"] | None = hf.column(stored="mood")
    tags: list[str] | None = None
    counts: list[int] | None = hf.column(stored="integer[]")
    huge: list[hf.BigInt] | None = None
    prices: list[Decimal] | None = hf.column(stored="numeric(8,3)[]")
    codes: list[str] | None = hf.column(stored="varchar(3)[]")
    pads: list[str] | None = hf.column(stored="char(2)[]")
    moments: list[datetime.datetime] | None = None
    days: list[datetime.date] | None = None
    raws: list[bytes] | None = None
    gids: list[str] | None = hf.column(stored="uuid[]")
    flags: list[bool] | None = None
    ratios: list[float] | None = hf.column(stored="real[]")
    spans: list[datetime.timedelta] | None = None
    double_price: Decimal | None = hf.column(read_only=True)


SCHEMA = hf.Schema(Thing, version=1)
COLUMNS = [column.name for column in SCHEMA.table("thing").columns]
WRITTEN = [name for name in COLUMNS if name not in ("id", "double_price")]
ROWS = [
    """small = -32768, whole = 2147483647, large = 9223372036854775807, price = -12345678.9, loose = 1.500, round = 42,
       ratio = 0.1, exact = 0.1, yes = true, note = 'häß 🙂', code = 'ab', pad = 'x ', mail = 'Anna@Example.org',
       gid = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', day = '2024-02-29', at = '12:34:56.5', at_ms = '23:59:59.123',
       seen = '2024-05-06 07:08:09.123456+02', made = '2024-05-06 07:08:09.1', made_s = '2024-05-06 07:08:09',
       span = '1 year -2 mons 3 days -04:05:06.007', raw = '\\x00ff', doc = '{"b": [1, 2.5, null], "a": {}}',
       docb = '"text"', feeling = 'sad', tags = '{a,NULL,"c,d"}', counts = '{3,1,NULL}', huge = '{9007199254740993}',
       prices = '{1.5,-2}', codes = '{abc,d}', pads = '{"a ",bc}', moments = '{2024-05-06 07:08:09+02}',
       days = '{2024-01-01}', raws = '{"\\\\x01ff"}', gids = '{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}',
       flags = '{t,f}',
       ratios = '{0.1,16777217}', spans = '{01:00:00}'""",
    """small = 0, whole = -2147483648, large = -9223372036854775808, price = 0, loose = 12345678901234567890123456789.5,
       round = 0, ratio = 3.4028235e38, exact = 5e-324, yes = false, note = '', code = '', pad = '', mail = '',
       gid = '00000000-0000-0000-0000-000000000000', day = '0001-01-01', at = '24:00:00', at_ms = '00:00:00',
       seen = '9999-12-31 23:59:59.999999+00', made = '0001-01-01 00:00:00', made_s = '9999-12-31 23:59:59',
       span = '0', raw = '', doc = '[]', docb = '{}', feeling = 'glad', tags = '{}', counts = '{}', huge = '{}',
       prices = '{}', codes = '{}', pads = '{}', moments = '{}', days = '{}', raws = '{}', gids = '{}', flags = '{}',
       ratios = '{}', spans = '{}'""",
    "small = NULL",
]


class Place:
    """A database with the table, and a server."""

    def __init__(self, dsn: str, things: ExitStack) -> None:
        self.dsn = dsn
        # The server of the wheel comes without extensions: a type made as theirs is stands in there.
        known = self.sql("select 1 from pg_available_extensions where name = 'citext'")
        self.sql("create extension citext" if known else CITEXT)
        self.sql(TABLE)
        self.store = PostgresStore(dsn, install=True)
        self.server = things.enter_context(hf.Server(self.store, SCHEMA))

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with connect(self.dsn) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


class World:
    """The place, with no row in it, and devices of one test."""

    def __init__(self, place: Place, folder: Path, things: ExitStack) -> None:
        self.sql, self.server = place.sql, place.server
        self._folder, self._things = folder, things
        self.sql("truncate thing")
        self.server.sequence_foreign_writes()

    def device(self, name: str) -> hf.Replica:
        way = hf.testing.LocalTransport(self.server, hf.Identity(name, {"all": "rw"}))
        return self._things.enter_context(hf.Replica(self._folder / f"{name}.db", SCHEMA, transport=way))


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with ExitStack() as things:
        yield Place(things.enter_context(database()), things)


@pytest.fixture
def world(place: Place, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as things:
        yield World(place, tmp_path, things)


def shown(device: hf.Replica, key: int) -> dict[str, Any]:
    (row,) = device.execute("select * from thing where id = ?", (key,))
    return dict(row)


@pytest.mark.parametrize("values", ROWS, ids=["usual", "extreme", "null"])
def test_every_type_goes_to_a_device_and_back_unchanged(world: World, values: str) -> None:
    world.sql(f"insert into thing (id) values (1); update thing set {values} where id = 1")
    writer, reader = world.device("writer"), world.device("reader")
    writer.sync()
    listed = ", ".join(WRITTEN)
    writer.execute(f"insert into thing (id, {listed}) select 2, {listed} from thing where id = 1")
    report = writer.sync()
    assert (report.pushed, report.refused) == (1, [])
    for name in COLUMNS[1:]:
        cells = [f"{row}.{name}::text" if name in ("doc", "pads") else f"{row}.{name}" for row in "ab"]
        if name == "doc":
            cells = [f"{row}.{name}::jsonb" for row in "ab"]
        equal = f"select {cells[0]} is not distinct from {cells[1]} from thing a, thing b where a.id = 1 and b.id = 2"
        assert world.sql(equal) == [(True,)], name
    reader.sync()
    first, second = shown(reader, 1), shown(reader, 2)
    assert {**first, "id": 2} == second == shown(writer, 2)
    assert reader.execute("select count(*) from thing") == [(2,)]


def test_a_row_that_is_only_looked_at_again_has_no_news(world: World) -> None:
    world.sql(f"insert into thing (id) values (1); update thing set {ROWS[0]} where id = 1")
    device = world.device("device")
    device.sync()
    listed = ", ".join(WRITTEN)
    device.execute(f"insert into thing (id, {listed}) select 2, {listed} from thing where id = 1")
    device.sync()
    before = world.sql("select name, head from holdfast.space")
    world.sql("update thing set note = note")
    device.sync()
    assert world.sql("select name, head from holdfast.space") == before


def test_what_a_device_shows(world: World) -> None:
    world.sql(f"insert into thing (id) values (1); update thing set {ROWS[0]} where id = 1")
    device = world.device("device")
    device.sync()
    row = shown(device, 1)
    expected = {
        "large": 2**63 - 1, "price": "-12345678.90", "loose": "1.500", "round": "42", "ratio": 0.10000000149011612,
        "pad": "x", "at": "12:34:56.5", "at_ms": "23:59:59.123", "made": "2024-05-06T07:08:09.100000Z",
        "span": "P10M3DT-4H-5M-6.007S", "feeling": "sad", "tags": '["a",null,"c,d"]', "counts": "[3,1,null]",
        "huge": '["9007199254740993"]', "prices": '["1.500","-2.000"]', "pads": '["a","bc"]',
        "moments": '["2024-05-06T05:08:09.000000Z"]', "raws": '["Af8="]', "flags": "[true,false]",
        "ratios": "[0.10000000149011612,16777216]", "spans": '["PT1H"]', "double_price": "-24691357.80",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected


LOCAL_REFUSALS = {
    "smallint": "small = 32768",
    "integer": "whole = 2147483648",
    "varchar": "code = 'abcdef'",
    "char": "pad = 'abcde'",
    "scale": "price = '1.555'",
    "precision": "price = '123456789.00'",
    "scale 0": "round = '1.5'",
    "real": "ratio = 1e39",
    "time": "at = '25:00'",
    "time precision": "at_ms = '12:00:00.1234'",
    "interval": "span = '1 day'",
    "enum": "feeling = 'angry'",
    "array": "tags = '{}'",
    "no json": "tags = '['",
    "read only": "double_price = '1'",
}


@pytest.mark.parametrize("change", LOCAL_REFUSALS.values(), ids=LOCAL_REFUSALS.keys())
def test_a_device_refuses_at_once_what_the_database_could_not_store(world: World, change: str) -> None:
    device = world.device("device")
    device.execute("insert into thing (id) values (1)")
    with pytest.raises(HoldfastError) as caught:
        device.execute(f"update thing set {change}")
    assert caught.value.code in ("sql", "column_read_only")


SEALED_REFUSALS = {
    "array element": ("counts = '[2147483648]'", "value_range", "counts"),
    "array of text": ("counts = '[\"1\"]'", "value_type", "counts"),
    "two dimensions": ("counts = '[[1]]'", "value_type", "counts"),
    "interval parts": ("span = 'P1S'", "value_format", "span"),
    "interval range": ("span = 'P9999999999M'", "value_range", "span"),
    "exponent": ("price = '1e-3'", "value_range", "price"),
    "moment": ("made_s = '2024-01-01T00:00:00.5Z'", "value_range", "made_s"),
}


@pytest.mark.parametrize(("change", "code", "column"), SEALED_REFUSALS.values(), ids=SEALED_REFUSALS.keys())
def test_what_no_check_can_judge_is_a_stored_refusal(world: World, change: str, code: str, column: str) -> None:
    device = world.device("device")
    device.execute("insert into thing (id, note) values (1, 'kept')")
    device.sync()
    device.execute(f"update thing set {change}")
    device.sync()
    (refused,) = device.refused()
    assert (refused.code, refused.column) == (code, column)
    assert shown(device, 1)[column] is None


ACCEPTED = {
    "price = 9.5": ("price", "9.50"),
    "price = '1.5e1'": ("price", "15.00"),
    "price = '-0.000'": ("price", "0.00"),
    "pad = 'ab  '": ("pad", "ab"),
    "ratio = 0.1": ("ratio", 0.10000000149011612),
    "at = '7:05'": None,
    "at = '07:05'": ("at", "07:05:00"),
    "at = '07:05:01.500'": ("at", "07:05:01.5"),
    "span = 'P1W'": ("span", "P7D"),
    "span = 'PT90M'": ("span", "PT1H30M"),
    "counts = '[1.0, 2]'": ("counts", "[1,2]"),
    "prices = '[\"1.5\"]'": ("prices", '["1.500"]'),
}


@pytest.mark.parametrize(("change", "canonical"), ACCEPTED.items(), ids=ACCEPTED.keys())
def test_other_forms_are_rewritten_as_the_database_would(
    world: World, change: str, canonical: tuple[str, Any] | None
) -> None:
    device, other = world.device("device"), world.device("other")
    device.execute("insert into thing (id) values (1)")
    if canonical is None:
        with pytest.raises(HoldfastError):
            device.execute(f"update thing set {change}")
        return
    device.execute(f"update thing set {change}")
    device.sync()
    other.sync()
    name, value = canonical
    assert shown(device, 1)[name] == shown(other, 1)[name] == value
    assert device.refused() == []


UNREADABLE = {
    "infinite date": ("day = 'infinity'", "day"),
    "date BC": ("day = '0044-03-15 BC'", "day"),
    "late date": ("day = '10000-01-01'", "day"),
    "infinite moment": ("seen = '-infinity'", "seen"),
    "moment BC": ("made = '0044-03-15 BC'", "made"),
    "late moment": ("seen = '294276-12-31 23:59:59+00'", "seen"),
    "late by its zone": ("seen = '9999-12-31 23:59:59-05'", "seen"),
    "numeric NaN": ("loose = 'NaN'", "loose"),
    "double NaN": ("exact = 'NaN'", "exact"),
    "real infinity": ("ratio = 'infinity'", "ratio"),
    "huge numeric": ("loose = 1e1001::numeric", "loose"),
    "two dimensions": ("counts = '{{1,2},{3,4}}'", "counts"),
    "NaN in an array": ("ratios = '{NaN}'", "ratios"),
    "number beyond double": ("docb = '1e400'", "docb"),
    "integer beyond double": ("docb = '[9007199254740993]'", "docb"),
    "more digits than a double": ("docb = '0.12345678901234567890123'", "docb"),
    "escaped NUL": ("doc = '\"\\u0000\"'", "doc"),
}


@pytest.mark.parametrize(("change", "column"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_value_without_a_wire_form_is_named_and_other_rows_go_on(world: World, change: str, column: str) -> None:
    world.sql("insert into thing (id, note) values (1, 'stays'), (2, 'goes on')")
    device = world.device("device")
    device.sync()
    world.sql(f"update thing set {change} where id = 1; update thing set note = 'went on' where id = 2")
    device.sync()
    (aside,) = world.server.aside()
    assert (aside.table, aside.key) == ("thing", "1")
    assert column in aside.reason
    assert (shown(device, 1)[column], shown(device, 2)["note"]) == (None, "went on")
    world.sql(f"update thing set {column} = NULL, note = 'mended' where id = 1")
    device.sync()
    assert world.server.aside() == []
    assert shown(device, 1)["note"] == "mended"


def test_a_generated_column_comes_from_the_hub_and_is_never_sent(world: World) -> None:
    device, other = world.device("device"), world.device("other")
    device.execute("insert into thing (id, price) values (1, 4)")
    assert shown(device, 1)["double_price"] is None
    device.sync()
    assert shown(device, 1)["double_price"] == "8.00"
    device.execute("update thing set price = 5")
    device.sync()
    other.sync()
    assert shown(device, 1)["double_price"] == shown(other, 1)["double_price"] == "10.00"
    with pytest.raises(HoldfastError, match="made by the hub's database"):
        device.execute("insert into thing (id, double_price) values (2, 1)")
