"""`holdfast status`, by itself and with --watch, beside a process that syncs: what is shown, at any width."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.cli.failures import Exit
from holdfast.replica.sync_log import Running, read_running
from tests.unit.cli.terminals import SCHEMA, environment, holdfast

SECONDS = 30.0


class Item(hf.Table, space="shop"):
    name: str
    stock: hf.Counter = 0


schema = hf.Schema(Item)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[hf.Replica]:
    """A device with one refused transaction, one round in its log and one transaction that waits."""
    (tmp_path / "schema.py").write_text(SCHEMA)
    server = hf.Server("memory:", schema)

    @server.before_write("item")
    def refuse(change: hf.Change, context: hf.Context) -> None:
        if change.new is not None and change.new["name"] == "bad":
            raise hf.Refuse("there is no such thing in this shop, and there never was", code="no_such_thing")

    transport = hf.testing.LocalTransport(server, hf.Identity("anna", {"shop": "rw"}))
    device = hf.Replica(tmp_path / "a.db", schema, transport=transport)
    device.execute("insert into item (name) values ('saw')")
    device.execute("insert into item (name) values ('bad')")
    device.sync()
    device.execute("insert into item (name) values ('drill')")
    yield device
    device.close()
    server.close()


@pytest.mark.parametrize("columns", [40, 60, 100])
def test_it_fits_the_width(device: hf.Replica, columns: int) -> None:
    shown = holdfast(Path(device.path).parent, "status", "schema.py", "--db", "a.db", columns=columns)
    assert shown.code == Exit.REFUSED
    assert max(len(line) for line in shown.out.splitlines()) <= columns, shown.out
    for word in ("1 transaction", "(not sealed)", "no_such_thing", "Round", "Space"):
        assert word in shown.out.replace("\n", " "), shown.out
    assert ("Received" in shown.out) == (columns >= 60)


def test_everything_for_machines(device: hf.Replica) -> None:
    ended = holdfast(Path(device.path).parent, "status", "schema.py", "--db", "a.db", "--json", "--log", "1")
    found = ended.document
    assert (found["pending_count"], found["refused_count"], found["in_sync"]) == (1, 1, False)
    assert (found["state"], found["running"], found["progress"]) == ("stopped", None, None)
    assert [(queue["queue"], queue["transactions"]) for queue in found["queues"]] == [("", 1)]
    (line,) = found["log"]
    assert (line["trigger"], line["accepted"], line["refused"], line["complete"]) == ("sync", 1, 1, True)


def test_the_process_that_syncs_is_seen_by_others(device: hf.Replica) -> None:
    assert read_running(device.path) is None
    device.connect()
    until(lambda: device.status.in_sync and running(device).state == "connected")
    found = holdfast(Path(device.path).parent, "status", "schema.py", "--db", "a.db", "--json").document
    assert (found["running"]["state"], found["connected"], found["in_sync"]) == ("connected", True, True)
    device.disconnect()
    assert read_running(device.path) is None


def test_a_process_that_died_is_not_connected(device: hf.Replica) -> None:
    """It could not say good-bye; nobody has its number now."""
    script = "import holdfast as hf, os, sys; from schema import schema; server = hf.Server('memory:', schema); "
    script += "way = hf.testing.LocalTransport(server, hf.Identity('anna', {'shop': 'rw'})); "
    script += "a = hf.Replica('b.db', schema, transport=way); a.connect()\n"
    script += "while a.status.state != 'connected': pass\n"
    script += "os.kill(os.getpid(), 9)"
    folder = Path(device.path).parent
    ended = subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment(), check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    found = holdfast(folder, "status", "schema.py", "--db", "b.db", "--json").document
    assert (found["running"], found["connected"]) == (None, False)


@pytest.mark.parametrize("columns", [40, 60, 100])
def test_watch_draws_until_ctrl_c(device: hf.Replica, columns: int) -> None:
    with watching(Path(device.path).parent, columns) as screen:
        screen.until("1 transaction refused")
        device.connect()
        screen.until("Connection +connected")
        device.execute("insert into item (name) values ('hammer')")
        screen.until("0 +transactions +waiting")
        device.disconnect()
        assert screen.interrupt() == Exit.OK
    assert max(len(line) for line in without_colours(screen.seen).replace("\r", "\n").splitlines()) <= columns


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


class Screen:
    """What a command writes on a terminal of its own."""

    def __init__(self, terminal: int, process: subprocess.Popen[bytes]) -> None:
        self._terminal, self._process = terminal, process
        self.seen = ""

    def until(self, wanted: str) -> None:
        """Read until the text, or pattern, is on it."""
        end, start = time.monotonic() + SECONDS, len(self.seen)
        while not re.search(wanted, " ".join(without_colours(self.seen[start:]).split())):
            assert time.monotonic() < end, self.seen[start:]
            self._read(0.1)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._terminal], [], [], seconds)[0]:
            return False
        with contextlib.suppress(OSError):
            piece = os.read(self._terminal, 65536)
            self.seen += piece.decode(errors="replace")
            return bool(piece)
        return False

    def interrupt(self) -> int:
        """Ctrl-C; how it ended."""
        self._process.send_signal(signal.SIGINT)
        end = time.monotonic() + SECONDS
        while self._process.poll() is None:
            assert time.monotonic() < end, self.seen
            self._read(0.05)
        return self._process.returncode


HEEDS_CTRL_C = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('holdfast', run_name='__main__')"
)
"""As in a terminal: what a shell starts in the background ignores it, and these tests may be."""


@contextlib.contextmanager
def watching(folder: Path, columns: int) -> Iterator[Screen]:
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    kept = environment({"TERM": "xterm"})
    kept.pop("COLUMNS")
    command = [sys.executable, "-c", HEEDS_CTRL_C, "status", "schema.py", "--db", "a.db", "--watch"]
    process = subprocess.Popen(command, cwd=folder, env=kept, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        yield Screen(mine, process)
    finally:
        process.kill()
        process.wait()
        os.close(mine)


def running(device: hf.Replica) -> Running:
    found = read_running(device.path)
    return found or Running("stopped", "", "", "", "", None, None, False, False)


def until(true) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end
        os.sched_yield()
