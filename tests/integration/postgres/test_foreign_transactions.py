"""Programs that hold their transactions open while devices and hubs work: forced interleavings, real locks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.edge.local import LocalTransport
from holdfast.hub.drain import Drain
from holdfast.hub.hub import Hub
from holdfast.stores.postgres import PostgresStore
from tests.postgres import connect, database


class Crew(hf.Table, space="all"):
    name: str
    size: hf.Counter = 0


class Visit(hf.Table, space="all"):
    crew: str = hf.column(references=Crew)
    place: str = ""


class Note(hf.Table, space="all"):
    text: str = ""


SCHEMA = hf.Schema(Crew, Visit, Note, version=1)

WAITING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


class World:
    """A database, hubs, devices, and programs with transactions of their own."""

    def __init__(self, folder: Path, things: ExitStack) -> None:
        self.folder = folder
        self.things = things
        self.dsn = things.enter_context(database())

    def hub(self) -> hf.Server:
        return self.things.enter_context(hf.Server(self.dsn, SCHEMA))

    def device(self, name: str, server: hf.Server) -> hf.Replica:
        transport = LocalTransport(server, hf.Identity(name, {"all": "rw"}))
        return self.things.enter_context(hf.Replica(self.folder / f"{name}.db", SCHEMA, transport=transport))

    def program(self, *statements: str) -> Any:
        """A program in the middle of its transaction."""
        program = self.things.enter_context(connect(self.dsn))
        for statement in ("begin", *statements):
            program.execute(statement.encode())
        return program

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with connect(self.dsn) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as things:
        yield World(tmp_path, things)


def crews(replica: hf.Replica) -> dict[str, str]:
    return dict(tuple(row) for row in replica.execute("select id, name from crew order by id"))


def test_a_transaction_that_commits_late_is_sequenced_late_and_not_skipped(world: World) -> None:
    """Traps 3 and 4: its note has a lower mark than others that were drained, and cursors have passed since."""
    server = world.hub()
    anna = world.device("anna", server)
    late = world.program("insert into crew (id, name) values ('late', 'late')")
    later = world.program("insert into crew (id, name) values ('later', 'later')")
    for number in range(5):
        world.sql(f"insert into crew (id, name) values ('{number}', 'quick')")
        anna.sync()
    assert "late" not in crews(anna)
    assert len(crews(anna)) == 5
    later.execute("commit")
    anna.sync()
    assert len(crews(anna)) == 6
    late.execute("commit")
    anna.sync()
    assert len(crews(anna)) == 7
    rolled = world.program("insert into crew (id, name) values ('never', 'never')")
    rolled.execute("rollback")
    anna.sync()
    assert "never" not in crews(anna)
    assert world.sql("select * from holdfast.dirty") == []


def test_a_long_transaction_delays_nobody_who_does_not_touch_its_rows(world: World) -> None:
    server = world.hub()
    anna, bert = world.device("anna", server), world.device("bert", server)
    for key in ("a", "b"):
        anna.execute("insert into crew (id, name) values (?, ?)", (key, key))
    anna.sync()
    bert.sync()
    program = world.program("update crew set name = 'held' where id = 'a'")
    anna.execute("update crew set name = 'wanted' where id = 'a'")
    waiting = threading.Thread(target=anna.sync)
    waiting.start()
    took = []
    while waiting.is_alive():
        started = time.monotonic()
        bert.execute("update crew set name = name || '.' where id = 'b'")
        bert.sync()
        took.append(time.monotonic() - started)
        assert len(took) < 1_000
    waiting.join()
    assert anna.status.pending_count == 1
    assert bert.status.pending_count == 0
    program.execute("commit")
    anna.sync()
    bert.sync()
    assert anna.status.pending_count == anna.status.refused_count == 0
    # Both wrote without having seen the other; the hub stamps what the program wrote when it becomes visible: later.
    assert crews(anna)["a"] == crews(bert)["a"] == world.sql("select name from crew where id = 'a'")[0][0] == "held"
    assert crews(bert)["b"].count(".") == len(took)


def test_programs_that_never_stop_writing_hold_up_no_round(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round waits for what was written before it, not for what is written meanwhile."""
    with world.hub() as server:
        server.migrate()
    hub = Hub(PostgresStore(world.dsn), SCHEMA, listens=False)
    world.things.callback(hub.close)
    anna = world.things.enter_context(
        hf.Replica(world.folder / "anna.db", SCHEMA, transport=LocalTransport(hub, hf.Identity("anna", {"all": "rw"})))
    )
    anna.sync()
    world.sql("insert into crew (id, name) values ('before', 'x')")
    written: list[int] = []
    real = Drain.run

    def run(*given: Any) -> Any:
        if len(written) < 50:  # as somebody does who writes all the time
            written.append(len(written))
            world.sql(f"insert into crew (id, name) values ('{len(written)}', 'x')")
        return real(*given)

    monkeypatch.setattr(Drain, "run", run)
    anna.sync()
    assert crews(anna)["before"] == "x"
    assert len(written) < 10  # once for each look of the round


def test_one_held_row_delays_its_own_transaction_and_those_of_its_device_that_follow(world: World) -> None:
    server = world.hub()
    anna, bert = world.device("anna", server), world.device("bert", server)
    for number in range(50):
        anna.execute("insert into crew (id, name) values (?, 'x')", (f"{number:02}",))
    anna.sync()
    bert.sync()
    program = world.program("select * from crew where id = '30' for update")
    for number in range(50):
        with anna.transaction():
            anna.execute("update crew set name = 'y' where id = ?", (f"{number:02}",))
        with bert.transaction():
            bert.execute("update crew set size = size + 1 where id = ?", (f"{number:02}",))
    threads = [threading.Thread(target=device.sync) for device in (anna, bert)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown = world.sql("select name, size from crew order by id")
    assert shown == [("y", 1)] * 30 + [("x", 0)] * 20
    assert anna.status.pending_count == bert.status.pending_count == 20
    program.execute("commit")
    anna.sync()
    bert.sync()
    assert world.sql("select name, size from crew order by id") == [("y", 1)] * 50
    assert anna.status.refused_count == bert.status.refused_count == 0


@pytest.mark.parametrize(
    "held",
    [
        "select * from crew where id = 'p' for update",  # the parent: no row of ours, so it is found by halves
        "lock table crew in share row exclusive mode",
        "insert into crew (id, name) values ('q', 'the same key')",
    ],
)
def test_what_is_held_may_be_a_parent_a_table_or_a_key(world: World, held: str) -> None:
    server = world.hub()
    anna, bert = world.device("anna", server), world.device("bert", server)
    bert.execute("insert into crew (id, name) values ('other', 'x')")
    anna.execute("insert into crew (id, name) values ('p', 'parent')")
    anna.sync()
    bert.sync()
    program = world.program(held)
    for statement in (
        "insert into crew (id, name) values ('q', 'q')",
        "insert into visit (id, crew, place) values ('v', 'p', '')",
        "insert into visit (id, crew, place) values ('w', 'q', '')",
    ):
        with anna.transaction():
            anna.execute(statement)
    bert.execute("insert into visit (id, crew, place) values ('bert', 'other', 'not held')")
    anna.sync()
    bert.sync()
    assert anna.status.pending_count > 0
    assert bert.status.pending_count == 0
    program.execute("rollback")
    anna.sync()
    bert.sync()
    assert (anna.status.pending_count, anna.status.refused_count) == (0, 0)
    assert (bert.status.pending_count, bert.status.refused_count) == (0, 0)
    assert world.sql("select id from visit order by id") == [("bert",), ("v",), ("w",)]
    assert world.sql("select id from crew order by id") == [("other",), ("p",), ("q",)]


def test_a_deadlock_with_a_program_ends_at_once_and_no_device_hears_of_it(world: World) -> None:
    server = world.hub()
    anna = world.device("anna", server)
    for key in "ab":
        anna.execute("insert into crew (id, name) values (?, 'x')", (key,))
    anna.sync()
    program = world.program("update crew set size = size where id = 'b'")
    with anna.transaction():
        for key in "ab":
            anna.execute("update crew set name = 'y' where id = ?", (key,))
    syncing = threading.Thread(target=anna.sync)
    syncing.start()
    while world.sql(WAITING) == [(0,)]:
        assert syncing.is_alive()
    program.execute("update crew set size = 7 where id = 'a'")  # would be a deadlock if the hub kept waiting
    program.execute("commit")
    syncing.join()
    anna.sync()
    assert world.sql("select id, name, size from crew order by id") == [("a", "y", 7), ("b", "y", 0)]
    assert (anna.status.pending_count, anna.status.refused_count) == (0, 0)


def test_what_cannot_be_taken_waits_aside_and_is_told(world: World) -> None:
    server = world.hub()
    anna = world.device("anna", server)
    anna.execute("insert into crew (id, name) values ('a', 'anna')")
    anna.sync()
    world.sql("alter table crew drop constraint crew_size_check")
    world.sql(
        "update crew set size = 9223372036854775807 where id = 'a'; insert into crew (id, name) values ('b', 'b')"
    )
    anna.sync()
    assert crews(anna) == {"a": "anna", "b": "b"}
    (waiting,) = server.aside()
    assert waiting[:2] == ("crew", "a")
    assert "size" in waiting.reason
    assert server.health()["aside"] == 1
    world.sql("update crew set size = 5 where id = 'a'")
    anna.sync()
    assert anna.execute("select size from crew where id = 'a'")[0][0] == 5
    assert server.aside() == []
    world.sql("update crew set size = 9223372036854775807 where id = 'a'")
    anna.execute("update crew set name = 'written over' where id = 'a'")
    anna.sync()
    assert anna.status.pending_count == 0
    assert world.sql("select name, size from crew where id = 'a'") == [("written over", 5)]
    assert (server.aside(), server.health()["aside"]) == ([], 0)


def test_a_value_that_no_space_name_can_be_made_of(tmp_path: Path) -> None:
    class Spot(hf.Table, space="project:{project}"):
        project: str

    with database() as dsn, connect(dsn) as program, hf.Server(dsn, hf.Schema(Spot, version=1)) as server:
        program.execute("insert into spot (id, project) values ('a', repeat('x', 500)), ('b', 'fine')")
        server.sequence_foreign_writes()
        assert [(row.table, row.key) for row in server.aside()] == [("spot", "a")]
        assert server.space_names() == ["project:fine"]
        program.execute("delete from spot where id = 'a'")
        server.sequence_foreign_writes()
        assert server.aside() == []


ALTER = "alter table crew add column colour text"


@pytest.mark.parametrize("waits", [False, True], ids=["holds", "waits for"])
def test_a_table_that_is_altered_delays_its_own_rows_only(world: World, waits: bool) -> None:
    """ALTER TABLE locks out every reader, and does so while it waits for its own turn."""
    server = world.hub()
    anna = world.device("anna", server)
    anna.execute("insert into crew (id, name) values ('c', 'crew')")
    anna.sync()
    reader = world.program("select count(*) from crew")
    with connect(world.dsn) as altering:
        altering.execute("begin")
        if waits:
            thread = threading.Thread(target=altering.execute, args=(ALTER,))
            thread.start()
            until_somebody_waits(world)
        else:
            reader.execute("commit")
            altering.execute(ALTER)
        noted = [{"tbl": "crew", "key": f"late{number}"} for number in range(3)]
        with connect(world.dsn) as notes:
            for note in noted:  # as the triggers of a transaction do that has committed before
                notes.execute("insert into holdfast.dirty (tbl, key) values (%(tbl)s, %(key)s)", note)
        for number in range(3):
            world.sql(f"insert into note (id) values ('p{number}')")
            anna.execute("insert into note (id, text) values (?, 'device')", (f"d{number}",))
            began = time.monotonic()
            report = anna.sync()
            assert time.monotonic() - began < 10  # the patience of a hub is 30 seconds
            assert report.pushed == 1
        assert anna.execute("select count(*) from note")[0][0] == 6
        anna.execute("update crew set name = 'changed' where id = 'c'")
        assert anna.sync().pushed == 0  # it waits, and nothing else does
        reader.execute("commit" if waits else "select 1")
        if waits:
            thread.join()
        altering.execute("commit")
    world.sql("update crew set size = size + 1 where id = 'c'")
    world.sql("insert into crew (id, name) values ('late0', 'was noted')")
    until(lambda: anna.sync() is not None and crews(anna) == {"c": "changed", "late0": "was noted"})
    assert world.sql("select name, size from crew where id = 'c'") == [("changed", 1)]


def until_somebody_waits(world: World) -> None:
    until(lambda: world.sql(WAITING) != [(0,)])


def until(holds: Any) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
