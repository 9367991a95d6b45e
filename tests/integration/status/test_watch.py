"""Watched queries and status callbacks: who is told, when, in which thread, and who is not."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import apsw
import pytest

import holdfast as hf
from tests.integration.status.desk import Desk

SECONDS = 20.0


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def values(rows: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in rows]


class Told:
    """What a callback was given, and in which thread."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[Any] = SimpleQueue()
        self.threads: set[str] = set()

    def __call__(self, what: Any) -> None:
        self.threads.add(threading.current_thread().name)
        self.calls.put(what)

    def next(self) -> Any:
        return self.calls.get(timeout=SECONDS)

    def until(self, wanted: Any) -> Any:
        while True:
            found = self.next()
            if wanted(found):
                return found

    def nothing_more(self) -> bool:
        try:
            self.calls.get_nowait()
        except Empty:
            return True
        return False


def settled(device: hf.Replica) -> None:
    """The observer has seen everything up to here: another watch, added now, has been told."""
    with device.watch("select count(*), max(rowid) from entry") as other:
        assert other.next(SECONDS) is not None


def test_rows_come_at_first_and_after_each_change(desk: Desk) -> None:
    anna, told = desk.device("anna"), Told()
    watch = anna.watch("select code from project where code > ? order by code", ("a",), told)
    assert values(told.next()) == []
    anna.execute("insert into project (code) values ('b')")
    assert values(told.next()) == [("b",)]
    anna.execute("insert into project (code) values ('A')")  # not among the rows: nothing is told
    anna.execute("delete from project where code = 'b'")
    assert values(told.next()) == []
    assert told.threads == {"holdfast-observer"}
    watch.cancel()
    anna.execute("insert into project (code) values ('c')")
    settled(anna)
    assert told.nothing_more()


def test_a_query_runs_again_only_when_one_of_its_tables_has_changed(desk: Desk) -> None:
    anna, ben = desk.device("anna"), desk.device("ben")
    projects = anna.watch("select code, title from project")
    both = anna.watch("with e as (select project from entry) select count(*) from project join e on project = code")
    assert (projects.tables, both.tables) == ({"project"}, {"project", "entry"})
    assert projects.next(SECONDS) == [] and values(both.next(SECONDS)) == [(0,)]
    settled(anna)
    runs = projects.runs
    for number in range(5):
        anna.execute("insert into entry values ('p', ?, ?)", (number, str(number)))
        settled(anna)
    anna.pending()  # sealing moves what was captured
    anna.sync()
    settled(anna)
    assert projects.runs == runs
    assert both.runs > runs
    ben.sync()
    ben.execute("update entry set title = title || 'x'")
    ben.sync()
    anna.sync()  # pages for one table only
    settled(anna)
    assert projects.runs == runs
    ben.execute("insert into project (code) values ('p')")
    ben.sync()
    anna.sync()
    assert values(projects.next(SECONDS)) == [("p", "")]
    assert values(both.next(SECONDS)) == [(5,)]


OTHER = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute(sys.argv[2]); db.commit()"


def other_process(device: hf.Replica, sql: str) -> None:
    subprocess.run([sys.executable, "-c", OTHER, device.path, sql], check=True)


def test_writes_of_another_process_are_seen_by_their_tables(desk: Desk) -> None:
    anna = desk.device("anna")
    projects, entries = anna.watch("select code from project"), anna.watch("select title from entry")
    assert projects.next(SECONDS) == [] and entries.next(SECONDS) == []
    settled(anna)
    runs = projects.runs
    other_process(anna, "insert into entry values ('p', 1, 'roof')")
    assert values(entries.next(SECONDS)) == [("roof",)]
    assert projects.runs == runs
    other_process(anna, "insert into project (code) values ('q')")
    assert values(projects.next(SECONDS)) == [("q",)]


def test_tables_of_the_application_and_views_of_states_are_watched_too(desk: Desk) -> None:
    anna = desk.device("anna")
    other_process(anna, "select 1") if Path(anna.path).exists() else anna.execute("select 1")
    other_process(anna, "create table settings (name text, value text)")
    settings = anna.watch("select value from settings")
    states = anna.watch("select state, count(*) from holdfast_state_of_project group by 1")
    assert settings.reads_others and states.reads_others
    assert settings.next(SECONDS) == [] and states.next(SECONDS) == []
    anna.execute("insert into settings values ('a', 'b')")
    assert values(settings.next(SECONDS)) == [("b",)]
    anna.execute("insert into project (code) values ('p')")
    assert values(states.next(SECONDS)) == [("pending", 1)]
    anna.sync()
    assert values(states.next(SECONDS)) == [("synced", 1)]
    assert settings.next(0.0) is None


def test_changes_that_come_quickly_are_told_as_one(desk: Desk) -> None:
    anna = desk.device("anna")
    watch = anna.watch("select count(*) from project")
    with anna.transaction():
        for number in range(10):
            anna.execute("insert into project (code) values (?)", (str(number),))
    for number in range(10, 200):
        anna.execute("insert into project (code) values (?)", (str(number),))
    seen = []
    for rows in watch:
        seen.append(rows[0][0])
        if seen[-1] == 200:
            break
    assert seen == sorted(seen)
    assert watch.runs < 150, watch.runs


def test_nothing_is_told_inside_the_writers_transaction(desk: Desk) -> None:
    anna, told = desk.device("anna"), Told()
    anna.watch("select code from project", callback=told)
    assert values(told.next()) == []
    with anna.transaction():
        anna.execute("insert into project (code) values ('a')")
        settled(anna)
        assert told.nothing_more()
    assert values(told.next()) == [("a",)]


def test_a_callback_may_write_and_cancel_and_fail(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    anna, told = desk.device("anna"), Told()

    def fails(rows: Any) -> None:
        raise RuntimeError("planted")

    def writes(rows: Any) -> None:
        if len(rows) < 3:
            anna.execute("insert into project (code) values (?)", (str(len(rows)),))
        told(len(rows))

    anna.watch("select code from project", callback=fails)
    anna.watch("select code from project", callback=writes)
    assert told.until(lambda count: count == 3) == 3
    assert "planted" in caplog.text


@pytest.mark.parametrize(
    "sql",
    [
        "insert into project (code) values ('a')",
        "select 1; select 2",
        "explain select 1",
        "select nothing",
        "",
        "pragma user_version = 3",
    ],
)
def test_only_one_reading_statement_is_watched(desk: Desk, sql: str) -> None:
    with pytest.raises(hf.HoldfastError) as raised:
        desk.device("anna").watch(sql)
    assert raised.value.code == "sql"


def test_a_query_that_cannot_run_any_more_says_so(desk: Desk) -> None:
    anna = desk.device("anna")
    anna.execute("create table settings (name text)")
    watch = anna.watch("select name from settings")
    assert watch.next(SECONDS) == []
    anna.execute("drop table settings")
    with pytest.raises(hf.HoldfastError, match="settings"):
        watch.next(SECONDS)


def test_closing_ends_iteration(desk: Desk) -> None:
    anna = desk.device("anna")
    watch = anna.watch("select code from project")
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.extend(len(rows) for rows in watch))
    reader.start()
    anna.close()
    reader.join(SECONDS)
    assert not reader.is_alive()
    with pytest.raises(hf.HoldfastError):
        anna.watch("select 1")


def test_status_is_told_at_once_and_at_every_change_in_order(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    anna, first, second = desk.device("anna"), Told(), Told()
    order: list[str] = []

    def fails(status: hf.Status) -> None:
        order.append("fails")
        raise RuntimeError("planted")

    stop = [anna.on_status(fails), anna.on_status(lambda status: (order.append("first"), first(status))[1])]  # type: ignore[func-returns-value]
    stop.append(anna.on_status(second))
    assert first.next().pending_count == 0
    anna.execute("insert into project (code) values ('a')")
    assert first.until(lambda status: status.pending_count == 1)
    anna.sync()
    synced = anna.status  # while the round ends, others may be told that are in sync, too
    assert synced.in_sync and synced.pending_count == 0 and synced.has_synced
    assert first.until(lambda status: status == synced) == second.until(lambda status: status == synced)
    assert order[-2:] == ["fails", "first"] and "planted" in caplog.text
    assert first.threads == second.threads == {"holdfast-observer"}
    for end in stop:
        end()
        end()
    anna.execute("insert into project (code) values ('b')")
    settled(anna)
    assert first.nothing_more()


def test_status_of_a_connected_replica(desk: Desk) -> None:
    anna, told = desk.device("anna"), Told()
    anna.on_status(told)
    anna.connect()
    assert told.until(lambda status: status.connected and status.in_sync)
    anna.execute("insert into project (code) values ('a')")
    assert told.until(lambda status: status.connected and status.in_sync and status.pending_count == 0)
    anna.disconnect()
    assert told.until(lambda status: not status.connected).state == "stopped"


def test_status_callbacks_hear_of_other_processes(desk: Desk) -> None:
    anna, told = desk.device("anna"), Told()
    anna.on_status(told)
    assert told.next().pending_count == 0
    other_process(anna, "insert into project (code) values ('a')")
    assert told.until(lambda status: status.pending_count == 1)


def test_counters_survive_sealing_that_leaves_nothing(desk: Desk) -> None:
    """A change and its opposite: sealed away, the numbers of captured changes begin anew, and the next one counts."""
    anna = desk.device("anna")
    watch = anna.watch("select title from project")
    assert watch.next(SECONDS) == []
    anna.execute("insert into project (code) values ('a')")
    anna.sync()
    assert values(watch.next(SECONDS)) == [("",)]
    for title in ("x", ""):
        anna.execute("update project set title = ?", (title,))
    anna.pending()
    settled(anna)
    watch.next(0.0)
    anna.execute("update project set title = 'y'")
    assert values(watch.next(SECONDS)) == [("y",)]


def test_apsw_connections_of_the_application_count_as_other_processes(desk: Desk) -> None:
    anna = desk.device("anna")
    watch = anna.watch("select code from project")
    assert watch.next(SECONDS) == []
    db = apsw.Connection(anna.path)
    db.set_busy_timeout(5_000)
    db.execute("insert into project (code) values ('z')")
    db.close()
    assert values(watch.next(SECONDS)) == [("z",)]
