"""The demo, small: everything in it happens, all copies are equal, and nothing is left behind."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from holdfast.cli.demo import forms
from holdfast.cli.demo.proof import prove
from holdfast.cli.failures import Exit
from tests.unit.cli.terminals import Ended, environment, holdfast


def demo(folder: Path, *options: str) -> Ended:
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    return holdfast(folder, "demo", *options, TMPDIR=str(temporary))


def processes_naming(folder: Path) -> list[str]:
    """Processes with the folder in their command line, as devices and hub have; none on a system without /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            line = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            found += [line] if str(folder) in line else []
    return found


def test_the_generated_world(tmp_path: Path) -> None:
    ended = demo(tmp_path, "--devices", "4", "--rows", "60", "--json", "--keep", "kept")
    assert ended.code == Exit.OK, ended
    told = ended.document
    assert told["equal"] and told["proof"]["differences"] == []
    assert told["proof"]["rows_compared"] > 200 and told["proof"]["digests_compared"] >= 8
    devices = {device["name"]: device for device in told["devices"]}
    assert list(devices) == ["office", "anna", "bilal", "chloe"]
    for device in devices.values():
        assert device["pushed"] == device["pending"] > 0 and device["pulled"] > 0
    assert devices["bilal"]["fate"] == "killed: answer lost"
    assert devices["chloe"]["fate"] == "killed: while applying"
    assert sum(len(device["conflicts"]) for device in devices.values()) > 5
    assert not list((tmp_path / "temporary").iterdir())


def test_the_inspections(inspections: Path, tmp_path: Path) -> None:
    ended = demo(tmp_path, "--data", str(inspections), "--devices", "4", "--json")
    assert ended.code == Exit.OK, ended
    assert ended.document["rows"] == 33_555
    assert ended.document["equal"]
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("columns", [60])
def test_the_display_fits(tmp_path: Path, columns: int) -> None:
    ended = holdfast(tmp_path, "demo", "--devices", "4", "--rows", "60", columns=columns)
    assert ended.code == Exit.OK and "All copies are equal" in ended.out
    assert all(len(line.rstrip()) <= columns for line in ended.out.splitlines())


def test_a_difference_is_found_and_named(tmp_path: Path) -> None:
    """The proof itself: one value changed behind everybody's back."""
    ended = demo(tmp_path, "--devices", "4", "--rows", "60", "--json", "--keep", "kept")
    assert ended.code == Exit.OK
    world = forms.world(4, 60)
    office = tmp_path / "kept" / "office.db"
    with closing(sqlite3.connect(office)) as db, db:
        db.execute("UPDATE holdfast_state SET applying = 1")
        db.execute("UPDATE submission SET hours = '99' WHERE number = 5")
        db.execute("DELETE FROM inspection WHERE id = (SELECT max(id) FROM inspection)")
    copies = {"office": (office, set(world.devices[0].spaces))}
    proof = prove(world.schema, tmp_path / "kept" / "hub.db", copies, {"office": {"company": "0" * 32}}, [])
    assert len(proof.differences) == 3
    assert "differs in hours" in proof.differences[0]
    assert "inspection" in proof.differences[1] and "is missing" in proof.differences[1]
    assert "digest of company" in proof.differences[2]


@pytest.mark.parametrize("chapter", ["2  ", "4  "])
def test_stopping_it_leaves_nothing_behind(tmp_path: Path, chapter: str) -> None:
    command = [sys.executable, "-u", "-m", "holdfast", "demo", "--devices", "4", "--rows", "60"]
    extra = environment({"TMPDIR": str(tmp_path)})
    with subprocess.Popen(command, env=extra, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith(chapter):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == Exit.INTERRUPTED and "interrupted" in errors and "Traceback" not in errors
    assert not list(tmp_path.iterdir())
    assert processes_naming(tmp_path) == []
