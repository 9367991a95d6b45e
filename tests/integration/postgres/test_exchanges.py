"""How often a hub waits for PostgreSQL: the same number for every push, however many rows it brings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.edge.local import LocalTransport
from holdfast.hub.hub import Hub
from holdfast.hub.response import Response
from holdfast.stores.postgres import PostgresStore
from tests.integration.postgres.exchanges import Counter, counted
from tests.postgres import connect, database


class Crew(hf.Table, space="all"):
    name: str
    size: hf.Counter = 0


class Note(hf.Table, space="all"):
    text: str


SCHEMA = hf.Schema(Crew, Note, version=1)
WRITE, NEW, ANSWER = 2, 1, 1
"""Begin with all that is read, everything with the commit, and the answer is one statement behind it. New rows of plain
tables are decided over what the hub remembers of its last write. An answer alone is one statement."""
LOOK, DRAIN = 1, 3
"""Whether a row waits to be sequenced; begin with the notes, the rows of the program and of the feed, the rest with the
commit."""
STEP_BY_STEP = 3
"""The same write after something stood in its way: begin, user tables with the counters, the rest with the commit."""


class Heard:
    """A hub, and the headers of its answers."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.headers: list[Any] = []

    def handle(self, body: bytes, identity: hf.Identity) -> Response:
        response = self._hub.handle(body, identity)
        lines = [*response]
        self.headers += [one["header"] for one in map(json.loads, lines[0].splitlines()[:1]) if "header" in one]
        return Response(response.status, response.content_type, iter(lines), response.close)


class World:
    """A hub whose exchanges are counted, and devices."""

    def __init__(self, folder: Path, things: ExitStack) -> None:
        self.dsn = things.enter_context(database())
        self._url, self.counter = things.enter_context(counted(self.dsn))
        self._folder = folder
        self._things = things
        # It does not listen: that thread asks when it likes. One connection: each has to learn the statements.
        self.hub = Hub(PostgresStore(self._url, readers=1), SCHEMA, listens=False)
        things.callback(self.hub.close)

    def device(self, name: str, hub: Heard | None = None) -> hf.Replica:
        way = LocalTransport(hub or self.hub, hf.Identity(name, {"all": "rw"}))
        return self._things.enter_context(hf.Replica(self._folder / f"{name}.db", SCHEMA, transport=way))

    def round(self, device: hf.Replica) -> int:
        """The exchanges of one sync."""
        before = self.counter.count
        device.sync()
        return self.counter.count - before


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # What another hub has written is summed up once a second: on a slow machine in the middle of what is counted.
    monkeypatch.setattr("holdfast.hub.totals.AGAIN_SECONDS", 3_600.0)
    with ExitStack() as things:
        yield World(tmp_path, things)


def test_the_counter_counts_each_wait(tmp_path: Path) -> None:
    with database() as dsn, counted(dsn) as (url, counter):
        assert isinstance(counter, Counter)
        with connect(url) as db:
            before, statements, rows = counter.count, counter.statements, counter.rows
            for _ in range(3):
                db.execute("select 1")
            assert counter.count - before == 3
            with db.pipeline():
                for _ in range(3):
                    db.execute("select generate_series(1, 5000)")
            assert counter.count - before == 4
            assert (counter.statements - statements, counter.rows - rows) == (6, 15_003)


def test_a_single_push_costs_few_exchanges_and_always_as_many(world: World) -> None:
    anna, ben = world.device("anna"), world.device("ben")
    for device in (anna, ben):
        device.sync()
    anna.execute("insert into crew (id, name) values ('first', '')")
    anna.sync()  # makes the counter of the space
    costs = []
    for number in range(12):
        anna.execute("insert into crew (id, name) values (?, 'x')", (f"c{number}",))
        costs.append(world.round(anna))
        anna.execute("update crew set size = size + 1, name = 'y' where id = 'first'")
        costs.append(world.round(anna))
        anna.execute("delete from crew where id = ?", (f"c{number}",))
        costs.append(world.round(anna))
    assert set(costs) == {WRITE}, costs
    for rows in (10, 1_000):
        with anna.transaction():
            for number in range(rows):
                anna.execute("insert into crew (id, name) values (?, 'x')", (f"{rows} {number}",))
        assert world.round(anna) == WRITE
    ben.sync()
    anna.execute("update crew set name = 'z' where id = 'first'")
    anna.sync()
    assert world.round(ben) == ANSWER
    assert world.round(ben) == ANSWER
    assert ben.execute("select name from crew where id = 'first'")[0][0] == "z"


def test_what_stands_in_the_way_of_a_push_is_found_step_by_step(world: World) -> None:
    anna = world.device("anna")
    anna.execute("insert into crew (id, name) values ('a', 'a'), ('b', 'b')")
    anna.sync()
    with connect(world.dsn) as program:
        program.execute("alter table crew add constraint named check (name <> 'nobody')")
    anna.execute("update crew set name = 'c' where id = 'b'")
    anna.execute("update crew set name = 'nobody' where id = 'a'")
    before = world.counter.count
    report = anna.sync()
    assert [refusal.code for refusal in report.refused] == ["check"]
    assert report.pushed == 1
    assert world.counter.count - before > WRITE + STEP_BY_STEP
    assert dict(anna.execute("select id, name from crew")) == {"a": "a", "b": "c"}
    anna.execute("update crew set name = 'd' where id = 'b'")
    anna.sync()
    anna.execute("update crew set name = 'e' where id = 'b'")
    assert world.round(anna) == WRITE


def test_new_rows_of_plain_tables_cost_one_exchange(world: World) -> None:
    anna = world.device("anna")
    anna.execute("insert into note (id, text) values ('first', '')")
    anna.sync()
    anna.sync()
    costs = []
    for number in range(9):
        anna.execute("insert into note (id, text) values (?, 'x')", (f"n{number}",))
        costs.append(world.round(anna))
    assert costs == [WRITE, *[NEW] * 8]
    with connect(world.dsn) as program:
        program.execute("insert into note (id, text) values ('p', 'program')")
    anna.execute("insert into note (id, text) values ('late', 'x')")
    assert world.round(anna) == NEW + DRAIN + ANSWER
    assert anna.execute("select count(*) from note")[0][0] == 12


def test_an_answer_says_the_name_that_is_counted_under_now(world: World) -> None:
    """It goes with the place of the database: another one after a failover, of which no write from memory has heard."""
    heard = Heard(world.hub)
    anna = world.device("anna", heard)
    costs = []
    for number in range(4):
        if number == 3:
            with connect(world.dsn) as program:
                program.execute("alter table holdfast.hub rename to gone")
                program.execute("create table holdfast.hub as table holdfast.gone")
                program.execute("drop table holdfast.gone")
        anna.execute("insert into note (id, text) values (?, 'x')", (f"n{number}",))
        costs.append(world.round(anna))
        with world.hub.reading() as tx:
            assert heard.headers[-1]["counts"] == tx.hub().counts
    assert costs[1:] == [WRITE, NEW, NEW]
    anna.execute("insert into crew (id, name, size) values ('c', 'x', 5)")
    anna.sync()
    anna.execute("update crew set size = size + 1")
    anna.sync()
    assert world.device("ben").sync().pulled == 5
    assert anna.verify().ok


def test_new_rows_that_another_hub_comes_before_are_written_again(world: World, tmp_path: Path) -> None:
    anna, costs = world.device("anna"), []
    for number in range(3):
        anna.execute("insert into note (id, text) values (?, 'x')", (f"n{number}",))
        anna.sync()
    with closing(Hub(PostgresStore(world.dsn), SCHEMA, listens=False)) as other:
        way = LocalTransport(other, hf.Identity("ben", {"all": "rw"}))
        with hf.Replica(tmp_path / "elsewhere.db", SCHEMA, transport=way) as ben:
            ben.execute("insert into note (id, text) values ('ben', 'x')")
            ben.sync()
            for number in range(3, 6):
                anna.execute("insert into note (id, text) values (?, 'x')", (f"n{number}",))
                costs.append(world.round(anna))
            ben.sync()
            assert ben.execute("select count(*) from note") == anna.execute("select count(*) from note") == [(7,)]
    roll_back = 1
    assert costs == [NEW + roll_back + WRITE, WRITE, NEW]


def test_a_device_that_is_behind_costs_no_more(world: World) -> None:
    devices = {name: world.device(name) for name in ("anna", "ben")}
    for number in range(3):
        for name, device in devices.items():
            device.execute("insert into note (id, text) values (?, 'x')", (f"{name} {number}",))
            device.sync()
    costs = []
    for number in range(3, 6):
        for name, device in devices.items():
            device.execute("insert into note (id, text) values (?, 'x')", (f"{name} {number}",))
            costs.append(world.round(device))
    assert costs == [NEW] * 6
    devices["anna"].execute("insert into crew (id, name) values ('c', '')")
    assert world.round(devices["anna"]) == WRITE


def test_what_another_program_writes_costs_as_many(world: World) -> None:
    anna = world.device("anna")
    anna.execute("insert into crew (id, name) values ('a', '')")
    anna.sync()
    anna.sync()
    costs = []
    for number in range(5):
        with connect(world.dsn) as program:
            program.execute("update crew set name = %s where id = 'a'", (str(number),))
        costs.append(world.round(anna))
        assert anna.execute("select name from crew")[0][0] == str(number)
    short = ANSWER  # the first time the device asks shortly whether there is nothing new
    assert costs == [short + LOOK + DRAIN + ANSWER, *[LOOK + DRAIN + ANSWER] * 4]
