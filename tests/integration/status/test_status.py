"""How a replica says that it stands: counts, errors, "in sync", the states of rows, the log of rounds."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

import holdfast as hf
from holdfast.replica.status import look, looking
from holdfast.replica.sync_log import LogLine, SyncLog, log_path, read_log
from tests.integration.status.desk import SCHEMA, Desk, cut_after


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def states(device: hf.Replica, table: str = "project") -> dict[str, str]:
    keys = "code" if table == "project" else "number"
    return dict(map(tuple, device.execute(f"select {keys}, state from holdfast_state_of_{table}")))


def test_a_row_is_pending_until_the_hub_has_answered(desk: Desk) -> None:
    anna = desk.device("anna")
    anna.execute("insert into project (code) values ('a'), ('b')")
    assert states(anna) == {"a": "pending", "b": "pending"}
    assert len(anna.pending()) == 1  # sealed now: the state is another table's, and the same
    assert states(anna) == {"a": "pending", "b": "pending"}
    anna.sync()
    assert states(anna) == {"a": "synced", "b": "synced"}
    anna.execute("update project set title = 'x' where code = 'b'")
    assert states(anna) == {"a": "synced", "b": "pending"}


def test_refused_and_conflicting_rows_are_named(desk: Desk) -> None:
    anna, ben = desk.device("anna"), desk.device("ben")
    anna.execute("insert into project (code) values ('a'), ('b')")
    anna.execute("insert into entry values ('a', 1, 'roof')")
    anna.sync()
    ben.sync()
    ben.execute("insert into entry values ('a', 2, 'door')")
    anna.execute("insert into entry values ('a', 3, 'door')")
    for device, title in ((ben, "of ben"), (anna, "of anna")):
        device.execute("update project set title = ? where code = 'a'", (title,))
        device.sync()
    ben.sync()
    assert states(anna, "entry") == {1: "synced", 2: "synced"}  # the refused insert is not in the table
    assert anna.status.refused_count == 1
    assert {code for code, state in [*states(anna).items(), *states(ben).items()] if state == "conflict"} == {"a"}
    assert anna.status.conflict_count + ben.status.conflict_count == 1


def test_a_refused_update_marks_the_row_that_is_shown_again(desk: Desk) -> None:
    anna = desk.device("anna")

    @desk.server.before_write("entry")
    def refuse(change: hf.Change, context: hf.Context) -> None:
        if change.new is not None and change.new.get("title") == "bad":
            raise hf.Refuse("no such title")

    anna.execute("insert into entry values ('a', 1, 'good')")
    anna.sync()
    anna.execute("update entry set title = 'bad'")
    anna.sync()
    rows = anna.execute("select title, state from entry join holdfast_state_of_entry using (project, number)")
    assert list(map(tuple, rows)) == [("good", "refused")]


def test_the_states_of_100_000_rows_are_cheap(desk: Desk) -> None:
    """Beside the plain table: a scan costs a few times as much, one row next to nothing."""
    anna = desk.device("anna")
    rows = [(f"{number:06}",) for number in range(100_000)]
    anna.executemany("insert into project (code) values (?)", rows)
    anna.sync()
    anna.executemany("update project set title = 'x' where code = ?", rows[:2_000])
    anna.pending()
    anna.executemany("update project set title = 'y' where code = ?", rows[2_000:4_000])
    began = time.perf_counter()
    assert anna.execute("select count(*), sum(length(title || code)) from project")[0][0] == 100_000
    plain = time.perf_counter() - began
    sql = "select state, count(*) from project join holdfast_state_of_project using (code) group by 1"
    began = time.perf_counter()
    assert dict(map(tuple, anna.execute(sql))) == {"pending": 4_000, "synced": 96_000}
    whole = time.perf_counter() - began
    began = time.perf_counter()
    for (code,) in rows[::1000]:
        anna.execute("select state from holdfast_state_of_project where code = ?", (code,))
    one = (time.perf_counter() - began) / 100
    print(
        f"100,000 rows: plain scan {plain * 1000:.0f} ms, with states {whole * 1000:.0f} ms, one row {one * 1e6:.0f} us"
    )
    assert one < whole / 20, (one, whole)
    plan = anna.execute("explain query plan select state from holdfast_state_of_project where code = 'a'")
    details = [row["detail"] for row in plan]
    assert not [line for line in details if line.startswith("SCAN") and "holdfast_capture" not in line], details


def test_a_file_of_an_earlier_version_gets_views_and_versions(desk: Desk) -> None:
    anna = desk.device("anna")
    anna.execute("insert into project (code) values ('a')")
    anna.close()
    with apsw.Connection(anna.path) as db:
        for (view,) in db.execute("select name from sqlite_schema where type = 'view'").fetchall():
            db.execute(f"drop view {view}")
        db.execute("alter table holdfast_table drop column version")
    db.close()
    again = desk.device("anna")
    assert states(again) == {"a": "pending"}
    again.sync()
    assert states(again) == {"a": "synced"}


def test_in_sync_is_more_than_an_empty_queue(desk: Desk) -> None:
    anna, ben = desk.device("anna"), desk.device("ben")
    assert not anna.status.in_sync and not anna.status.has_synced
    anna.sync()
    assert anna.status.in_sync
    anna.execute("insert into project (code) values ('a')")
    assert not anna.status.in_sync
    anna.sync()
    ben.sync()
    anna.execute("update project set title = 'x'")
    anna.sync()
    desk.networks["ben"].faults.append(cut_after(2))  # the page comes, the footer does not
    with pytest.raises(hf.HoldfastError):
        ben.sync()
    status = ben.status
    assert (status.pending_count, status.downloading, status.uploading, status.in_sync) == (0, False, False, False)
    assert status.download_error is not None and "network" in status.download_error
    assert status.upload_error is None  # nothing waits to go up
    ben.close()
    with looking(ben.path, SCHEMA) as db:
        assert not look(db, lines=1).status.in_sync  # known from the file, too
    ben = desk.device("ben")
    assert not ben.status.in_sync
    ben.sync()
    assert ben.status.in_sync and ben.status.download_error is None
    with looking(ben.path, SCHEMA) as db:
        assert look(db, lines=1).status.in_sync


def test_each_direction_says_what_holds_it_up(desk: Desk) -> None:
    anna = desk.device("anna")
    anna.sync()
    desk.networks["anna"].faults.append(cut_after(0))
    with pytest.raises(hf.HoldfastError):
        anna.sync()
    assert anna.status.download_error is not None and anna.status.upload_error is None
    anna.execute("insert into project (code) values ('a')")
    assert anna.status.upload_error == anna.status.download_error  # written since: the same holds it up
    with looking(anna.path, SCHEMA) as db:
        found = look(db, lines=1).status
        assert found.upload_error == found.download_error is not None
    anna.sync()
    assert (anna.status.upload_error, anna.status.download_error) == (None, None)


def test_the_log_has_one_line_for_each_round(desk: Desk) -> None:
    anna = desk.device("anna")
    anna.executemany("insert into project (code, title) values (?, 'x')", [(str(n),) for n in range(50)])
    anna.sync()
    desk.networks["anna"].faults += [cut_after(0), cut_after(0)]
    for _ in range(2):
        with pytest.raises(hf.HoldfastError):
            anna.sync()
    anna.sync()
    latest, *failed, first = anna.log()
    assert (first.trigger, first.transactions, first.accepted, first.complete) == ("sync", 1, 1, True)
    assert first.plain_sent > 50 * 20 and first.milliseconds >= 0 and first.error == ""
    assert [(line.error, line.complete, line.retries) for line in failed] == [
        ("network", False, 1),
        ("network", False, 0),
    ]
    assert (latest.error, latest.complete, latest.retries) == ("", True, 2)
    anna.close()
    assert read_log(anna.path, 2) == [latest, failed[0]]


def test_the_log_is_kept_within_its_limit_and_begins_anew_when_it_is_damaged(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    log = SyncLog(path, "0" * 16, limit=10)
    for number in range(25):
        log.add(LogLine(number, "timer", 1))
    assert [line.began for line in read_log(path, 100)] == list(range(24, 14, -1))
    log.close()
    Path(log_path(path)).write_bytes(b"no database at all" * 300)
    assert read_log(path, 5) == []
    log = SyncLog(path, "0" * 16, limit=10)
    log.add(LogLine(100, "timer", 1))
    log.add(LogLine(101, "timer", 1))
    assert [line.began for line in read_log(path, 5)] == [101, 100]
    log.close()


def test_a_line_that_cannot_be_written_comes_with_the_next_one(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    log = SyncLog(path, "0" * 16)
    log.add(LogLine(1, "timer", 1))
    reader = apsw.Connection(log_path(path))
    reader.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    log.add(LogLine(2, "timer", 1))
    assert time.monotonic() - began < 2.0
    reader.execute("ROLLBACK")
    reader.close()
    log.add(LogLine(3, "timer", 1))
    assert [line.began for line in read_log(path, 5)] == [3, 2, 1]
    log.close()


HOLDS_THE_FILE = """
import sys, apsw
db = apsw.Connection(sys.argv[1])
db.execute("BEGIN IMMEDIATE")
db.execute("update holdfast_state set hlc = hlc")
print("held", flush=True)
sys.stdin.read()
"""


def test_status_waits_for_no_writer(desk: Desk) -> None:
    """Another process is in the middle of a long write: `status` and `holdfast status` answer at once all the same."""
    anna = desk.device("anna")
    anna.execute("insert into project (code) values ('a')")
    anna.close()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS_THE_FILE, anna.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        began = time.monotonic()
        with looking(anna.path, SCHEMA) as db:
            assert look(db, lines=1).status.pending_count == 1
        again = desk.device("anna")
        assert again.status.pending_count == 1
        assert time.monotonic() - began < 5.0  # a writer would wait for 10 seconds
        other.communicate(b"")


def test_status_inside_a_transaction_sees_what_it_wrote(desk: Desk) -> None:
    anna = desk.device("anna")
    with anna.transaction():
        anna.execute("insert into project (code) values ('a')")
        assert anna.status.pending_count == 1
    assert anna.status.pending_count == 1


def test_a_first_load_foretells_its_rows(desk: Desk) -> None:
    anna, ben = desk.device("anna"), desk.device("ben")
    anna.executemany("insert into project (code, title) values (?, 'x')", [(f"{n:05}",) for n in range(5_000)])
    anna.sync()
    for _ in range(3):  # numbers of the feed are sparse now: three times as many as rows
        anna.execute("update project set title = title || 'y'")
        anna.sync()
    seen: list[hf.Progress] = []
    assert ben.status.progress is None
    ben._rounds.transfer.changed = lambda: seen.extend(filter(None, [ben.status.progress]))
    ben.sync()
    assert ben.status.progress is None
    assert {progress.download.rows_total for progress in seen} - {None} == {5_000}  # None before the header is read
    assert max(progress.download.rows for progress in seen) == 5_000
    assert min(progress.download.rows for progress in seen) < 5_000
