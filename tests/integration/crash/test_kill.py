"""SIGKILL at every point where something becomes durable, and a disk that fails or loses power at each of its
operations, and SIGKILL at random moments: nothing is lost, nothing comes twice, all copies agree.
`HOLDFAST_CRASH_EVERY=1` leaves no point out, `HOLDFAST_KILLS` is the number of random moments.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.crash import scenario

ROOT = Path(__file__).resolve().parents[3]
KILLS = int(os.environ.get("HOLDFAST_KILLS", "12"))
"""So many at random moments, of each; `make soak` makes it thousands."""
LONGEST = 1200 + KILLS
"""Seconds."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where the system has such a folder: a killed process loses nothing that it wrote, on disk or not."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@pytest.mark.parametrize(
    ("kind", "every", "who", "at_least"),
    [
        ("transactions", 1, "both", 350),
        ("transactions", 1, "hub", 110),
        ("transactions", 1, "device", 135),
        ("files", 7, "both", 100),
        ("statements", 15, "both", 95),
        ("power", 3, "both", 130),
        ("input/output", 9, "both", 45),
        ("full", 9, "both", 45),
    ],
)
def test_killed_or_failing_at_each_point_and_nothing_is_lost_or_twice(
    folder: Path, kind: str, every: int, who: str, at_least: int
) -> None:
    points = at_least * every
    every = int(os.environ.get("HOLDFAST_CRASH_EVERY", every))
    deaths = all_is_well_after("nursery", kind, folder, every, who)
    assert [d["point"] for d in deaths if not d["killed"]] == []
    assert len(deaths) >= points // every
    if kind == "transactions" and who == "both":
        # What death left is judged once; here are as many different states as a day has commits, and more.
        assert len({d["state"] for d in deaths}) > 30 // every


@pytest.mark.parametrize("who", ["both", "hub", "device"])
def test_killed_at_random_moments_and_nothing_is_lost_or_twice(folder: Path, who: str) -> None:
    deaths = all_is_well_after("nursery", "moments", folder, KILLS, who)
    assert len(deaths) == KILLS
    assert sum(d["killed"] for d in deaths) >= KILLS // 3, "the others lived to the end of the day"


@pytest.mark.parametrize(("kind", "every", "at_least"), [("transactions", 7, 30), ("files", 25, 5)])
def test_killed_while_deciding_undoing_and_redoing(folder: Path, kind: str, every: int, at_least: int) -> None:
    """A decision and its row, an undo and the whole of its transaction: both or neither, on device and hub."""
    every = int(os.environ.get("HOLDFAST_CRASH_EVERY", every))
    deaths = all_is_well_after("decisions", kind, folder, every)
    assert len(deaths) >= at_least
    assert sum(d["killed"] for d in deaths) == len(deaths)


def all_is_well_after(program: str, kind: str, folder: Path, every: int, *who: str) -> list[dict[str, Any]]:
    """What a program of this folder tells of each death, none of which did any harm."""
    command = [sys.executable, "-m", f"tests.integration.crash.{program}", kind, str(folder), str(every), *who]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert run.returncode == 0, run.stderr
    whole, *deaths = [json.loads(line) for line in run.stdout.splitlines()]
    assert not whole["failure"], whole["failure"]
    failures = [f"{d['k']} {d['point']}\n{d['failure']}" for d in deaths if d["failure"]]
    assert not failures, f"{len(failures)} of {len(deaths)}; the first:\n{failures[0]}"
    return deaths


def test_the_day_ends_as_expected_without_any_death(folder: Path) -> None:
    """The check itself: it passes, and a refusal that is lost is noticed."""
    (folder / "evening").mkdir()
    scenario.prepare(folder / "evening")
    with scenario.serve(folder / "evening" / "hub.db") as server:
        transport = scenario.LocalTransport(server, scenario.ANNA)
        scenario.work(folder / "evening", transport, lambda step: None)
    shutil.copytree(folder / "evening", folder / "damaged")
    scenario.check(folder / "evening")
    db = scenario.apsw.Connection(str(folder / "damaged" / "anna.db"))
    db.execute("delete from holdfast_operation; delete from holdfast_transaction where label = 'a2'")
    db.close()
    with pytest.raises(AssertionError):
        scenario.check(folder / "damaged")
