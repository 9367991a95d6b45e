"""A full disk: a clear error, rows leave as far as they may, and everything goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

import holdfast as hf
from tests.integration.storage.forms import Clock, agree, opened

ROOT = Path(__file__).resolve().parents[3]
CHILD = Path(__file__).with_name("small_disk.py")
MOUNT = 'mount -t tmpfs -o size=8m none "$1" 2>/dev/null || exit 75; exec "$2" "$3" "$4" "$1" 0'
NOT_ALLOWED = (1, 75)
PAGES = 1_900


@pytest.fixture
def small() -> Iterator[Callable[[int], None]]:
    """`small(pages)`: no connection to anna.db may make its file longer than that."""
    connections: list[apsw.Connection] = []
    most = [2**30]

    def watch(db: apsw.Connection) -> None:
        if db.filename.endswith("anna.db"):
            connections.append(db)
            db.execute(f"pragma max_page_count = {most[0]}").fetchall()

    def limit(pages: int) -> None:
        most[0] = pages
        for db in connections:
            try:
                db.execute(f"pragma max_page_count = {pages}").fetchall()
            except apsw.ConnectionClosedError:
                continue

    apsw.connection_hooks.append(watch)
    yield limit
    apsw.connection_hooks.remove(watch)


def photos(replica: hf.Replica, name: str, count: int, size: int = 20_000) -> None:
    rows = ((f"{name}{number:03}", bytes([number]) * size) for number in range(count))
    replica.executemany("insert into photo (id, body) values (?, ?)", rows)


def pages(path: Path) -> int:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found = int(db.execute("pragma page_count").get)
    db.close()
    return found


@pytest.mark.parametrize("room", [0, 1, 3, 8, 20, 60])
def test_a_write_makes_room_for_itself(
    tmp_path: Path, server: hf.Server, clock: Clock, small: Callable[[int], None], room: int
) -> None:
    with opened(tmp_path / "anna.db", server, clock) as anna:
        photos(anna, "a", 30)
        anna.execute("insert into log (id, line) values ('l', 'stays')")
        anna.sync()
        anna.compact(5)
        small(pages(tmp_path / "anna.db") + room)
        for number in range(2):
            anna.execute("insert into photo (id, body) values (?, ?)", (f"b{number}", b"b" * 100_000))
        assert anna.execute("select count(*), sum(length(body)) from photo where id like 'b%'") == [(2, 200_000)]
        assert anna.execute("select line from log") == [("stays",)]
        assert anna.storage.tables["photo"].evicted > 0
        anna.sync()
        assert anna.pending() == []
        small(2**30)
        assert agree(anna, server)
        assert [bytes(row["body"]) for row in anna.fetch("photo", "a000", "b1")] == [bytes(20_000), b"b" * 100_000]


@pytest.mark.parametrize("room", [0, 5, 40])
def test_a_transaction_says_what_was_freed_and_can_be_tried_again(
    tmp_path: Path, server: hf.Server, clock: Clock, small: Callable[[int], None], room: int
) -> None:
    with opened(tmp_path / "anna.db", server, clock) as anna:
        photos(anna, "a", 30)
        anna.sync()
        anna.compact(5)
        small(pages(tmp_path / "anna.db") + room)

        def write() -> None:
            with anna.transaction("both"):
                anna.execute("insert into log (id, line) values ('l', 'first')")
                anna.execute("insert into photo (id, body) values ('b', ?)", (b"b" * 200_000,))

        with pytest.raises(hf.HoldfastError) as caught:
            write()
        assert caught.value.code == "disk_full"
        assert caught.value.details["freed"] > 100_000
        assert anna.execute("select count(*) from log") == [(0,)]
        write()
        anna.sync()
        small(2**30)
        assert agree(anna, server)


def test_what_may_not_leave_stays_and_the_error_says_so(
    tmp_path: Path, server: hf.Server, clock: Clock, small: Callable[[int], None]
) -> None:
    with opened(tmp_path / "anna.db", server, clock) as anna:
        photos(anna, "a", 5)
        small(pages(tmp_path / "anna.db") + 2)
        with pytest.raises(hf.HoldfastError) as caught:
            anna.execute("insert into log (id, line) values ('l', ?)", ("x" * 400_000,))
        assert (caught.value.code, caught.value.details["freed"]) == ("disk_full", 0)
        assert anna.execute("select count(*) from holdfast_done") == [(0,)], (
            "the copies for undo went, and were not enough"
        )
        assert anna.execute("select count(*) from photo") == [(5,)]
        small(2**30)
        anna.sync()
        assert agree(anna, server)


@pytest.mark.parametrize("room", [0, 1, 4, 16, 64, 200])
def test_a_sync_makes_room_for_what_comes(
    tmp_path: Path, server: hf.Server, clock: Clock, small: Callable[[int], None], room: int
) -> None:
    with opened(tmp_path / "anna.db", server, clock) as anna, opened(tmp_path / "ben.db", server, clock) as ben:
        photos(anna, "a", 60)
        anna.sync()
        anna.compact(5)
        ben.sync()
        photos(ben, "b", 30, 30_000)
        ben.sync()
        anna.execute("insert into log (id, line) values ('mine', 'unsent')")
        small(pages(tmp_path / "anna.db") + room)
        anna.sync()
        assert anna.pending() == []
        assert anna.execute("select count(*) from photo where id like 'b%'")[0][0] > 0
        small(2**30)
        assert agree(anna, server)
        ben.sync()
        assert anna.digest("site") == ben.digest("site")


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, timeout=240
    )


def test_photos_pass_through_a_disk_that_is_too_small_for_them(tmp_path: Path) -> None:
    """On a real file system of 8 MB where one can be mounted; else with a quota of pages."""
    hub, disk = tmp_path / "hub", tmp_path / "disk"
    hub.mkdir()
    disk.mkdir()
    python, child = sys.executable, str(CHILD)
    mounting = ["/usr/bin/unshare", "-rm", "/bin/sh", "-c", MOUNT, "sh", str(disk), python, child, str(hub)]
    done = run(mounting) if Path(mounting[0]).exists() else None
    if done is None or (done.returncode in NOT_ALLOWED and not done.stdout):
        done = run([python, child, str(hub), str(disk), str(PAGES)])
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert set(told["failures"]) <= {"disk_full"}
    assert told["here"] < 120, "the disk has no room for all"
    assert (told["pending"], told["there"], told["verified"], told["oldest"], told["sound"]) == (
        0,
        120,
        True,
        True,
        "ok",
    )
