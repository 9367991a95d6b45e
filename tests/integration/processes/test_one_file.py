"""Several processes and threads on one device file: each write is captured once, syncers take turns, nothing blocks."""

from __future__ import annotations

import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.edge.local import LocalTransport
from holdfast.protocol.transport import Exchange
from tests.integration.hostile.stranger import Stranger, StrangerError
from tests.integration.hostile.tables import ANNA, SCHEMA

ROOT = Path(__file__).resolve().parents[3]
BEN = hf.Identity("ben", ANNA.spaces)


class Companion:
    """A process that uses Holdfast on the same file (`companion.py`); speaks in pickles over pipes."""

    def __init__(self, device: Path, hub: Path) -> None:
        command = [sys.executable, "-m", "tests.integration.processes.companion", str(device), str(hub)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._to, self._from = self.process.stdin, self.process.stdout

    def start(self, *command: Any) -> None:
        """Begin something; `answer` waits for its end."""
        body = pickle.dumps(command)
        self._to.write(struct.pack(">I", len(body)) + body)
        self._to.flush()

    def answer(self) -> Any:
        """The next thing that it says."""
        (size,) = struct.unpack(">I", self._from.read(4))
        return pickle.loads(self._from.read(size))

    def do(self, *command: Any) -> Any:
        self.start(*command)
        return self.answer()

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.close()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._to.close()
        self._from.close()


class Desk:
    """A hub, a device, and whoever else is started beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = hf.Server(f"sqlite:///{folder / 'hub.db'}", SCHEMA)
        self.anna = hf.Replica(folder / "anna.db", SCHEMA, transport=LocalTransport(self.server, ANNA))
        self.anna.execute("insert into every (id, project_id) values ('first', '1')")
        self.anna.sync()
        self.open: list[Any] = []

    def companion(self) -> Companion:
        self.open.append(Companion(self.folder / "anna.db", self.folder / "hub.db"))
        return self.open[-1]  # type: ignore[no-any-return]

    def stranger(self) -> Stranger:
        self.open.append(Stranger())
        return self.open[-1]  # type: ignore[no-any-return]

    def tally(self) -> int:
        return int(self.anna.execute("select tally from every where id = 'first'")[0][0])

    def agrees(self, tally: int, rows: int) -> None:
        """Everything that was written arrived once, at the hub and at another device."""
        self.anna.sync()
        assert self.anna.pending() == []
        assert self.anna.refused() == []
        with hf.Replica(self.folder / "ben.db", SCHEMA, transport=LocalTransport(self.server, BEN)) as ben:
            ben.sync()
            sql = "select id, text, tally from every order by id"
            assert ben.execute(sql) == self.anna.execute(sql)
            assert ben.execute("select count(*) from every") == [(rows,)]
            assert self.tally() == tally
            assert ben.digest("project:1") == self.anna.digest("project:1")

    def close(self) -> None:
        for one in self.open:
            one.close()
        self.anna.close()
        self.server.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


ADD = "update every set tally = tally + 1 where id = 'first'"


def test_two_processes_write_and_sync_at_once(desk: Desk) -> None:
    other = desk.companion()
    other.do("execute", ADD)
    other.start("busy", 40)
    for number in range(40):
        with desk.anna.transaction():
            desk.anna.execute(ADD)
            desk.anna.execute("insert into every (id, project_id) values (?, '1')", (f"here{number}",))
        if number % 10 == 0:
            desk.anna.sync()
    assert other.answer() == ("ok", 40)
    other.do("sync")
    desk.agrees(81, 81)


def test_a_write_during_a_sync_is_neither_lost_nor_overwritten(desk: Desk) -> None:
    """The other process writes between the request and its answer, also to a row that the answer brings."""
    other, stranger = desk.companion(), desk.stranger()
    inner = desk.anna._transport
    with hf.Replica(desk.folder / "ben.db", SCHEMA, transport=LocalTransport(desk.server, BEN)) as ben:
        ben.sync()
        ben.execute("update every set text = 'ben', tally = tally + 10 where id = 'first'")
        ben.sync()
    path = desk.folder / "anna.db"

    class Between:
        def exchange(self, body: bytes) -> Exchange:
            exchange = inner.exchange(body)
            assert other.do("execute", ADD)[0] == "ok"
            stranger.write(path, ADD, "insert into every (id, project_id) values ('stranger', '1')")
            return exchange

        def close(self) -> None:
            pass

    desk.anna._transport = Between()
    desk.anna.execute(ADD)
    desk.anna.sync()
    desk.anna._transport = inner
    assert desk.anna.execute("select text, tally from every where id = 'first'") == [("ben", 13)]
    desk.agrees(13, 2)


def test_a_second_syncer_waits_for_the_first_or_reports_busy(desk: Desk) -> None:
    other = desk.companion()
    desk.anna.execute(ADD)
    other.start("sync and stop in the middle")
    assert other.answer() == ("in the middle", None)
    with pytest.raises(hf.HoldfastError) as caught:
        desk.anna.sync(timeout=0.05)
    assert caught.value.code == "busy"
    desk.anna.execute(ADD)
    assert desk.tally() == 2, "writes and reads do not wait for the syncer"
    waiting = threading.Thread(target=desk.anna.sync)
    waiting.start()
    other.start("go on")
    assert other.answer()[0] == "ok"
    waiting.join(30)
    assert not waiting.is_alive()
    desk.agrees(2, 1)


def test_a_syncer_that_is_killed_leaves_no_lock(desk: Desk) -> None:
    for _ in range(3):
        other = desk.companion()
        desk.anna.execute(ADD)
        other.start("sync and stop in the middle")
        assert other.answer() == ("in the middle", None)
        other.kill()
        desk.anna.sync(timeout=5)
    desk.agrees(3, 1)


def test_a_writer_that_is_killed_in_its_transaction_leaves_nothing(desk: Desk) -> None:
    other = desk.companion()
    other.start("write and stop in the middle")
    assert other.answer() == ("in the middle", None)
    other.kill()
    desk.anna.execute(ADD)
    desk.agrees(1, 1)


def test_threads_that_write_read_and_sync_disturb_nobody(desk: Desk) -> None:
    """Reads inside a transaction see one state: the two rows of each pair always agree."""
    errors: list[BaseException] = []

    def guarded(act: Callable[[int], None], times: int) -> threading.Thread:
        def run() -> None:
            try:
                for number in range(times):
                    act(number)
            except BaseException as error:  # noqa: BLE001 - shown by the test
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def write(name: str) -> Callable[[int], None]:
        def act(number: int) -> None:
            with desk.anna.transaction(name):
                desk.anna.execute(ADD)
                with desk.anna.transaction():
                    desk.anna.execute("insert into every (id, project_id) values (?, '1')", (f"{name}{number}",))

        return act

    def give_up(number: int) -> None:
        with pytest.raises(ZeroDivisionError), desk.anna.transaction():
            desk.anna.execute("update every set tally = tally + 1000")
            raise ZeroDivisionError

    def read(number: int) -> None:
        tally, rows = desk.anna.execute(
            "select (select tally from every where id = 'first'), (select count(*) from every)"
        )[0]
        assert tally == rows - 1

    threads = [
        *(guarded(write(f"t{number}"), 25) for number in range(4)),
        guarded(give_up, 25),
        *(guarded(read, 100) for _ in range(2)),
        *(guarded(lambda number: desk.anna.sync() and None, 8) for _ in range(2)),
        guarded(lambda number: desk.anna.status and None, 50),
        guarded(lambda number: desk.anna.pending() and None, 10),
    ]
    for thread in threads:
        thread.join(60)
    assert not errors, errors
    desk.agrees(100, 101)


def test_a_long_read_of_another_program_holds_nothing_up(desk: Desk) -> None:
    stranger, path = desk.stranger(), desk.folder / "anna.db"
    stranger.execute(path, "begin")
    assert stranger.execute(path, "select tally from every") == [(0,)]
    for _ in range(3):
        desk.anna.execute(ADD)
        desk.anna.sync()
    assert stranger.execute(path, "select tally from every") == [(0,)], "its snapshot"
    stranger.execute(path, "commit")
    desk.agrees(3, 1)


def test_a_write_lock_of_another_program_is_reported_as_busy_and_loses_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from holdfast.replica import file

    monkeypatch.setattr(file, "BUSY_TIMEOUT_MS", 50)
    stranger, path = desk.stranger(), desk.folder / "anna.db"
    with hf.Replica(path, SCHEMA, transport=LocalTransport(desk.server, ANNA)) as impatient:
        impatient.execute(ADD)
        stranger.execute(path, "begin immediate")
        for act in (lambda: impatient.execute(ADD), impatient.sync, impatient.pending):
            with pytest.raises(hf.HoldfastError) as caught:
                act()
            assert caught.value.code == "busy"
        assert impatient.execute("select tally from every") == [(1,)]
        stranger.execute(path, "rollback")
        impatient.execute(ADD)
        impatient.sync()
    desk.agrees(2, 1)


def test_a_lock_taken_in_the_middle_of_a_sync_loses_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer has arrived and cannot be written: the next sync applies it."""
    from holdfast.replica import file

    monkeypatch.setattr(file, "BUSY_TIMEOUT_MS", 50)
    stranger, path = desk.stranger(), desk.folder / "anna.db"
    inner = LocalTransport(desk.server, ANNA)
    with hf.Replica(desk.folder / "ben.db", SCHEMA, transport=LocalTransport(desk.server, BEN)) as ben:
        ben.sync()
        ben.execute("update every set text = 'ben' where id = 'first'")
        ben.sync()

    class Locking:
        def exchange(self, body: bytes) -> Exchange:
            exchange = inner.exchange(body)
            stranger.execute(path, "begin immediate")
            return exchange

        def close(self) -> None:
            pass

    with hf.Replica(path, SCHEMA, transport=Locking()) as replica:
        for _ in range(2):
            replica.execute(ADD)
            with pytest.raises(hf.HoldfastError) as caught:
                replica.sync()
            assert caught.value.code == "busy"
            stranger.execute(path, "rollback")
        replica._transport = inner
        replica.sync()
        assert replica.execute("select text, tally from every") == [("ben", 2)]
    desk.agrees(2, 1)


def test_vacuum_and_new_tables_of_another_program_between_captures(desk: Desk) -> None:
    stranger, path = desk.stranger(), desk.folder / "anna.db"
    for number in range(3):
        desk.anna.execute(ADD)
        stranger.execute(path, "vacuum")
        stranger.write(path, f"create table mine{number} (x)", f"insert into mine{number} values (1)", ADD)
        stranger.execute(path, "reindex")
        stranger.execute(path, "analyze")
        desk.anna.execute("insert into every (id, project_id) values (?, '1')", (f"row{number}",))
        stranger.execute(path, "pragma wal_checkpoint(truncate)")
    desk.agrees(6, 4)


def test_an_open_replica_survives_deletion_of_its_log_files_by_checkpoint(desk: Desk) -> None:
    """Another program that is the last to close checkpoints; the open replica goes on."""
    stranger, path = desk.stranger(), desk.folder / "anna.db"
    for _ in range(3):
        stranger.write(path, ADD)
        stranger.leave(path)
        desk.anna.execute(ADD)
        desk.anna.sync()
    desk.agrees(6, 1)


def test_strange_settings_of_another_program_do_not_stop_capture(desk: Desk) -> None:
    """recursive_triggers, foreign_keys, count_changes, journal modes: whatever it likes for its own connection."""
    stranger, path = desk.stranger(), desk.folder / "anna.db"
    for setting in ("recursive_triggers = on", "foreign_keys = on", "synchronous = off", "case_sensitive_like = on"):
        stranger.execute(path, f"pragma {setting}")
        stranger.write(path, ADD)
        stranger.write(
            path, "insert or replace into every (id, project_id, tally) select id, project_id, tally + 1 from every"
        )
    with pytest.raises(StrangerError):
        stranger.execute(path, "pragma journal_mode = delete")  # not while the replica has it open
    desk.agrees(8, 1)
