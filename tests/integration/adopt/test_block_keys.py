"""Keys from leased blocks: devices and the server number rows of one table, and no two get one number."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import apsw
import pytest

import holdfast as hf
from holdfast.errors import HoldfastError
from holdfast.protocol.transport import Exchange
from tests.postgres import connect, database

BLOCK = 8


class Ticket(hf.Table, space="all"):
    id: hf.BlockKey = hf.column(block=BLOCK)
    title: str = ""


class Note(hf.Table, space="all"):
    ticket: int = hf.column(references=Ticket)
    text: str = ""


SCHEMA = hf.Schema(Ticket, Note, version=1)


class World:
    """A hub on SQLite or PostgreSQL, the application's own writer, and devices."""

    def __init__(self, kind: str, folder: Path, things: ExitStack) -> None:
        self.kind, self._folder, self._things = kind, folder, things
        self.url = things.enter_context(database()) if kind == "postgres" else f"sqlite:///{folder}/hub.db"
        if kind == "serial":
            self.url = things.enter_context(database())
            self.sql("create table ticket (id serial primary key, title text not null default '')")
        self.schema = SERIAL if kind == "serial" else SCHEMA
        options = {} if kind == "sqlite" else {"install": True}
        self.server = things.enter_context(hf.Server(self.url, self.schema, **options))  # type: ignore[arg-type]

    def device(self, name: str, way: Any = None) -> hf.Replica:
        local = hf.testing.LocalTransport(self.server, hf.Identity(name, {"all": "rw"}))
        transport = local if way is None else way(local)
        return self._things.enter_context(hf.Replica(self._folder / f"{name}.db", self.schema, transport=transport))

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        if self.url.startswith("sqlite"):
            db = apsw.Connection(str(self._folder / "hub.db"))
            db.set_busy_timeout(10_000)
            try:
                return db.execute(statement).fetchall()
            finally:
                db.close()
        with connect(self.url) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


class Serial(hf.Table, name="ticket", space="all"):
    id: hf.BlockKey = hf.column(block=BLOCK, stored="integer")
    title: str = ""


SERIAL = hf.Schema(Serial, version=1)


@pytest.fixture(params=["sqlite", "postgres", "serial"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as things:
        yield World(request.param, tmp_path, things)


def titles(device: hf.Replica) -> dict[int, str]:
    rows = device.execute("select id, title from ticket order by id")
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: row[1] for row in rows}


def test_devices_and_server_number_rows_at_once(world: World) -> None:
    anna, ben = world.device("anna"), world.device("ben")
    for device in (anna, ben):
        device.sync()
    for turn in range(12):
        for device, name in ((anna, "anna"), (ben, "ben")):
            device.execute("insert into ticket (title) values (?)", (f"{name} {turn}",))
        world.sql(f"insert into ticket (title) values ('server {turn}')")
        if turn % 3 == 2:
            for device in (anna, ben):
                device.sync()
    for device in (anna, ben, anna):
        device.sync()
    expected = {f"{who} {turn}" for who in ("anna", "ben", "server") for turn in range(12)}
    found = titles(anna)
    assert set(found.values()) == expected
    assert found == titles(ben) == dict(world.sql("select id, title from ticket"))
    assert all(0 < key < 2**31 for key in found)
    assert (anna.refused(), ben.refused()) == ([], [])


def test_a_used_up_block_is_a_clear_error_and_a_sync_leases_more(world: World) -> None:
    device = world.device("anna")
    with pytest.raises(HoldfastError) as caught:
        device.execute("insert into ticket (title) values ('too early')")
    assert caught.value.code == "block_used_up"
    device.sync()
    for number in range(BLOCK):
        device.execute("insert into ticket (title) values (?)", (str(number),))
    with pytest.raises(HoldfastError, match="sync to lease more, or declare a larger block="):
        device.execute("insert into ticket (title) values ('one more')")
    assert len(titles(device)) == BLOCK
    device.sync()
    device.execute("insert into ticket (title) values ('one more')")
    assert device.sync().refused == []
    assert len(world.sql("select * from ticket")) == BLOCK + 1


def test_keys_are_requested_ahead(world: World) -> None:
    device = world.device("anna")
    device.sync()
    for number in range(BLOCK // 2):
        device.execute("insert into ticket (title) values (?)", (str(number),))
    device.sync()
    for number in range(BLOCK + BLOCK // 2):
        device.execute("insert into ticket (title) values (?)", (str(number),))
    assert len(titles(device)) == 2 * BLOCK


class LosesAnswers:
    """A transport that hands requests over and loses the answers while `lost` is true."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.lost = False
        self.requests: list[dict[str, Any]] = []

    def exchange(self, request: bytes) -> Exchange:
        self.requests.append(json.loads(request))
        answer: Exchange = self._inner.exchange(request)
        if self.lost:
            answer.close()
            raise HoldfastError("network", "the answer is lost")
        return answer

    def close(self) -> None:
        self._inner.close()


def free(device: hf.Replica) -> list[int]:
    rows = device.execute("select next, last from holdfast_block order by next")
    return [number for first, last in rows for number in range(first, last + 1)]


def test_a_lost_answer_is_given_again(world: World) -> None:
    ways: list[LosesAnswers] = []

    def losing(inner: Any) -> LosesAnswers:
        ways.append(LosesAnswers(inner))
        return ways[0]

    device = world.device("anna", losing)
    ways[0].lost = True
    for _ in range(3):
        with pytest.raises(HoldfastError):
            device.sync()
    assert free(device) == []
    ways[0].lost = False
    device.sync()
    assert len({request["blocks"]["ticket"] for request in ways[0].requests}) == 1
    assert free(device) == list(range(1, BLOCK + 1))


def test_a_device_that_stops_before_it_hears_the_answer_gets_other_keys(world: World) -> None:
    device = world.device("anna", LosesAnswers)
    device._transport.lost = True  # type: ignore[union-attr]
    with pytest.raises(HoldfastError):
        device.sync()
    device.close()
    again = world.device("anna")
    again.sync()
    other = world.device("ben")
    other.sync()
    assert free(again) == list(range(BLOCK + 1, 2 * BLOCK + 1))
    assert not set(free(again)) & set(free(other))


def test_keys_survive_a_restart_and_a_rollback_gives_them_back(world: World) -> None:
    device = world.device("anna")
    device.sync()
    device.execute("insert into ticket (title) values ('first')")
    with pytest.raises(LookupError), device.transaction():
        device.execute("insert into ticket (title) values ('undone')")
        raise LookupError
    device.close()
    again = world.device("anna")
    again.execute("insert into ticket (title) values ('second')")
    assert titles(again) == {1: "first", 2: "second"}


OTHER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("insert into ticket (title) values ('omitted')")
key = db.execute("select id from ticket where rowid = last_insert_rowid()").fetchone()[0]
db.execute("insert into ticket (id, title) values (null, 'null')")
db.execute("insert into ticket (title) values ('a'), ('b')")
db.execute("insert or ignore into ticket (title) values ('ignore')")
db.execute("insert or replace into ticket (title) values ('replace')")
db.commit()
print(key)
"""


def test_another_program_on_the_device_gets_keys_too(world: World, tmp_path: Path) -> None:
    assert sqlite3.sqlite_version_info >= (3, 38)
    device = world.device("anna")
    device.sync()
    device.close()
    told = subprocess.run([sys.executable, "-c", OTHER, str(tmp_path / "anna.db")], check=True, capture_output=True)
    again = world.device("anna")
    found = titles(again)
    assert int(told.stdout) == 1
    assert found == dict(enumerate(("omitted", "null", "a", "b", "ignore", "replace"), 1))
    # Nothing of the provisional keys goes over the wire.
    (waiting,) = again.pending()
    assert [(op["op"], op["key"]) for op in waiting.operations] == [("insert", str(key)) for key in found]
    again.sync()
    assert dict(world.sql("select id, title from ticket")) == found


def test_a_row_and_what_refers_to_it_in_one_transaction(tmp_path: Path) -> None:
    with ExitStack() as things:
        world = World("postgres", tmp_path, things)
        device = world.device("anna")
        device.sync()
        with device.transaction():
            device.execute("insert into ticket (title) values ('parent')")
            device.execute(
                "insert into note (ticket, text) select id, 'x' from ticket where rowid = last_insert_rowid()"
            )
        device.execute("insert into ticket (id, title) values ((select min(next) from holdfast_block), 'named')")
        assert titles(device) == {1: "parent", 2: "named"}
        device.execute("insert into ticket (title) values ('next')")
        assert device.sync().refused == []
        assert world.sql("select ticket from note") == [(1,)]
        assert max(titles(device)) == 3


def test_a_key_that_somebody_took_past_the_sequence_is_refused_and_nothing_is_overwritten(world: World) -> None:
    device = world.device("anna")
    device.sync()
    world.sql("insert into ticket (id, title) values (1, 'taken by hand'), (2, 'and this')")
    device.execute("insert into ticket (title) values ('mine')")
    report = device.sync()
    assert [refused.code for refused in report.refused] == ["key_taken"]
    assert titles(device)[1] == "taken by hand"
    (kept,) = device.refused()
    assert "mine" in str(kept.operations)
    # The next round leaves out the key under which a row has come.
    device.execute("insert into ticket (title) values ('again')") if 2 not in titles(device) else device.sync()
    device.execute("insert into ticket (title) values ('goes on')")
    assert titles(device)[3] == "goes on"
    assert device.sync().refused == []


def test_a_sequence_that_lags_behind_its_rows(tmp_path: Path) -> None:
    with ExitStack() as things:
        world = World("serial", tmp_path, things)
        world.sql("insert into ticket (id, title) select n, 'loaded' from generate_series(1, 20) n")
        device = world.device("anna")
        device.sync()
        assert min(free(device)) > 20


def test_a_sequence_that_is_used_up_stops_no_round(tmp_path: Path) -> None:
    with ExitStack() as things:
        world = World("serial", tmp_path, things)
        world.sql("alter sequence ticket_id_seq maxvalue 10")
        device = world.device("anna")
        device.sync()
        for number in range(BLOCK):
            device.execute("insert into ticket (title) values (?)", (str(number),))
        assert device.sync().pushed == BLOCK
        with pytest.raises(HoldfastError) as caught:
            device.execute("insert into ticket (title) values ('no key')")
        assert caught.value.code == "block_used_up"


def test_a_reader_leases_nothing(tmp_path: Path) -> None:
    with ExitStack() as things:
        world = World("sqlite", tmp_path, things)
        way = hf.testing.LocalTransport(world.server, hf.Identity("guest", {"all": "r"}))
        guest = things.enter_context(hf.Replica(tmp_path / "guest.db", SCHEMA, transport=way))
        guest.sync()
        assert free(guest) == []
