"""A damaged device file: noticed, and everything unsent that can be read is saved; nothing comes twice."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

import holdfast as hf
from holdfast.cli.application import run
from holdfast.cli.failures import Exit
from holdfast.replica.salvage import salvage as module
from holdfast.testing import LocalTransport
from tests.integration.salvage.ruin import ANNA, ENTRIES, SCHEMA, flip, prepare, queue_places

FLIPS = int(os.environ.get("HOLDFAST_FLIPS", "6"))
"""Damages of each kind; `make soak` makes more."""


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evening")
    prepare(folder)
    return folder


class Case:
    """A copy of the hub and of one of the device's files."""

    def __init__(self, evening: Path, folder: Path, name: str) -> None:
        self.path = folder / "device.db"
        self.hub = folder / "hub.db"
        shutil.copy(evening / "hub.db", self.hub)
        for part in ("", "-wal", "-log"):
            source = evening / f"{name}.db{part}"
            if source.exists():
                shutil.copy(source, f"{self.path}{part}")

    def sync(self, *, retry: bool = False) -> set[str]:
        """Sync what was saved; gives the entries that came to the hub. Each counts once, and both copies are equal.
        `retry`: send what waits for a decision, too."""
        with hf.Server(f"sqlite:///{self.hub}", SCHEMA) as server:
            way = LocalTransport(server, ANNA)
            with hf.Replica(self.path, SCHEMA, transport=way, check=True) as replica:
                for waiting in replica.pending() if retry else ():
                    if waiting.state == "parked":
                        replica.retry(waiting.txn)
                replica.sync()
                report = replica.verify()
                assert report.ok
                assert report.repaired == []
                assert replica.status.parked_count or not replica.status.pending_count
                with hf.Replica(self.path.with_name("other.db"), SCHEMA, transport=way) as other:
                    other.sync()
                    found = other.execute("select name from entry where name not glob 'old*'")
                    count = other.execute("select entries from site where code = 's0'")[0][0]
                    assert other.digest("project:1") == replica.digest("project:1")
                    if not replica.status.parked_count:
                        shown = "select name, text from entry order by name"
                        assert replica.execute(shown) == other.execute(shown)
        names = {row["name"] for row in found}
        assert count == len(found) == len(names)
        return names


@pytest.fixture
def case(evening: Path, tmp_path: Path) -> Iterator[Case]:
    yield Case(evening, tmp_path, "device")


@pytest.mark.parametrize("name", ["device", "closed"])
def test_a_file_that_is_whole_loses_nothing(evening: Path, tmp_path: Path, name: str) -> None:
    case = Case(evening, tmp_path, name)
    before = case.path.read_bytes()
    saved = hf.salvage(case.path, SCHEMA)
    assert (saved.transactions, saved.refused, saved.parked, saved.captured) == (62, 1, 0, 60)
    assert (saved.lost, saved.problems, saved.device) == ([], [], True)
    assert Path(saved.damaged).read_bytes() == before
    assert case.sync() == set(ENTRIES)


@pytest.mark.parametrize("seed", range(FLIPS))
def test_damage_beside_the_queue_loses_nothing(evening: Path, tmp_path: Path, seed: int) -> None:
    case, dice = Case(evening, tmp_path, "closed"), random.Random(seed)
    queue = list(queue_places(evening / "closed.db"))
    size = case.path.stat().st_size
    for _ in range(1 + seed % 4):
        place = dice.randrange(4096) if seed % 3 == 0 else dice.randrange(size)
        while any(place in pages for pages in queue):
            place = dice.randrange(size)
        flip(case.path, place, dice.randrange(1, 256))
    saved = hf.salvage(case.path, SCHEMA)
    assert (saved.lost, saved.problems) == ([], [])
    assert case.sync(retry=saved.parked > 0) == set(ENTRIES)


@pytest.mark.parametrize("seed", range(FLIPS))
@pytest.mark.parametrize("where", ["queue", "log"])
def test_what_is_damaged_is_told_and_the_rest_is_saved(evening: Path, tmp_path: Path, seed: int, where: str) -> None:
    case, dice = Case(evening, tmp_path, "closed" if where == "queue" else "device"), random.Random(seed)
    if where == "queue":
        pages = dice.choice(list(queue_places(evening / "closed.db")))
        flip(case.path, dice.choice(pages[:16] if seed % 4 == 0 else pages), dice.randrange(1, 256))
    else:
        log = Path(f"{case.path}-wal")
        flip(log, dice.randrange(log.stat().st_size), dice.randrange(1, 256))
    saved = hf.salvage(case.path, SCHEMA)
    came = case.sync()
    assert came <= set(ENTRIES)
    if came != set(ENTRIES):
        assert saved.lost or saved.problems or saved.parked
    if where == "queue" and not (saved.problems or saved.parked):
        # A transaction that is damaged takes no other one with it.
        assert len(set(ENTRIES) - came) <= len(saved.lost) + saved.refused


def test_a_crash_lets_the_file_be_checked_and_closing_does_not(case: Case) -> None:
    """The log that a crash leaves behind is the mark; a damaged page is found before anything is done with the file."""
    pages = list(queue_places(case.path.with_name("copy.db"))) if closed_copy(case) else []
    with hf.Replica(case.path, SCHEMA) as replica:
        assert len(replica.pending()) == 62
    assert not Path(f"{case.path}-wal").exists()
    flip(case.path, pages[0].start + 4, 0x7F)  # how many cells the page has
    with hf.Replica(case.path, SCHEMA) as replica:
        replica.device  # noqa: B018 (opens it: nothing says that it was left in a crash)
    with pytest.raises(hf.HoldfastError) as asked, hf.Replica(case.path, SCHEMA, check=True) as replica:
        replica.status  # noqa: B018
    assert asked.value.code == "file_damaged"
    crash(case.path)
    with pytest.raises(hf.HoldfastError) as found, hf.Replica(case.path, SCHEMA) as replica:
        replica.status  # noqa: B018
    assert found.value.code == "file_damaged"


def closed_copy(case: Case) -> bool:
    """A copy of the file without a log, to read where its pages are."""
    for part in ("", "-wal"):
        shutil.copy(f"{case.path}{part}", f"{case.path.with_name('copy.db')}{part}")
    return True


def crash(path: Path) -> None:
    """Leave the file as a program does that is killed."""
    code = f"""
import os, apsw
db = apsw.Connection({str(path)!r})
db.execute("pragma wal_autocheckpoint = 0; create table if not exists crashed (id)").fetchall()
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert Path(f"{path}-wal").stat().st_size > 0


def test_a_damaged_operation_is_not_sent(case: Case) -> None:
    with hf.Server(f"sqlite:///{case.hub}", SCHEMA) as server:
        with hf.Replica(case.path, SCHEMA, transport=LocalTransport(server, ANNA)) as replica:
            replica.pending()
        db = apsw.Connection(str(case.path))
        db.execute("update holdfast_operation set body = replace(body, 'words of heard', 'wordz of heard')")
        assert db.changes() > 0
        db.close()
        with (
            hf.Replica(case.path, SCHEMA, transport=LocalTransport(server, ANNA)) as replica,
            pytest.raises(hf.HoldfastError) as raised,
        ):
            replica.sync()
        assert raised.value.code == "file_damaged"
    saved = hf.salvage(case.path, SCHEMA)
    assert len(saved.lost) == 1
    assert "'heard'" in saved.lost[0]
    assert "wordz of heard" in saved.lost[0]
    assert case.sync() == set(ENTRIES) - {"heard"}


def counted(act: Any, left: Iterator[int]) -> Any:
    """The same, but for the last of so many calls: there the process ends."""

    def done(*given: Any, **named: Any) -> Any:
        if next(left) == 1:
            os._exit(9)
        return act(*given, **named)

    return done


@pytest.mark.parametrize("step", range(1, 9))
def test_a_salvage_that_is_killed_is_ended_by_the_next(case: Case, step: int) -> None:
    """Killed at each of its writes of names: nothing of the work is lost, and no half file can be opened."""
    child = os.fork()
    if child == 0:
        left = itertools.count(step, -1)
        try:
            Path.unlink, Path.replace = counted(Path.unlink, left), counted(Path.replace, left)  # type: ignore[method-assign]
            module._sync_folder = counted(module._sync_folder, left)
            hf.salvage(case.path, SCHEMA)
        finally:
            os._exit(8)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    if Path(f"{case.path}-salvaged").exists():
        with pytest.raises(hf.HoldfastError) as raised, hf.Replica(case.path, SCHEMA) as replica:
            replica.status  # noqa: B018
        assert raised.value.code == "file_damaged"
        assert hf.salvage(case.path, SCHEMA).transactions == 62
    elif step < 8:
        assert hf.salvage(case.path, SCHEMA).transactions == 62
    assert case.sync() == set(ENTRIES)


def test_a_file_that_is_open_or_not_there_is_not_salvaged(case: Case, tmp_path: Path) -> None:
    with hf.Replica(case.path, SCHEMA) as replica:
        assert replica.status.pending_count
        with pytest.raises(hf.HoldfastError) as raised:
            hf.salvage(case.path, SCHEMA)
    assert raised.value.code == "busy"
    with pytest.raises(hf.HoldfastError) as missing:
        hf.salvage(tmp_path / "nothing.db", SCHEMA)
    assert missing.value.code == "file_unusable"


def test_the_command_says_what_was_saved_and_what_was_not(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = tmp_path / "declared.py"
    schema.write_text("from tests.integration.salvage.ruin import SCHEMA as schema\n", "utf-8")
    assert run(["salvage", str(schema), "--db", str(case.path)]) == Exit.OK
    said = capsys.readouterr().out
    assert "62 unsent transactions saved" in said
    assert "device.db.damaged" in said
    db = apsw.Connection(str(case.path))
    db.execute("update holdfast_operation set body = replace(body, 'words of waits3 ', 'words of what ')")
    db.close()
    assert run(["salvage", str(schema), "--db", str(case.path), "--json"]) == Exit.REFUSED
    found = json.loads(capsys.readouterr().out)
    assert (found["transactions"], len(found["lost"])) == (61, 1)
    assert found["damaged"].endswith("device.db.damaged-2")
