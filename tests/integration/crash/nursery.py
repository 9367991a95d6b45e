"""Where children are made to die: a warm process that forks one for each point, and picks up the pieces.

    python -m tests.integration.crash.nursery KIND FOLDER EVERY WHO

First the day is lived to its end once, to count the points. Then, for each k (or each EVERYth), the day is lived over
a copy of the files, and WHO dies at point k: "both" (hub and device in one process), the "hub" or the "device" alone
(the hub is then a process of its own, behind a real HTTP server; the device lives on, or is opened again). The day is
finished and checked. With the kinds "power", "input/output" and "full" the disk fails there instead; with "moments"
WHO is killed EVERY times, at random moments. One line of JSON
for each k goes to the standard output. The nursery is a process of its own, because forking wants a single thread.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import apsw
import uvicorn
import uvicorn.lifespan.off
import uvicorn.loops.asyncio
import uvicorn.protocols.http.httptools_impl

import holdfast as hf
from holdfast.edge.asgi import asgi
from holdfast.edge.http import HttpTransport
from holdfast.edge.local import LocalTransport
from holdfast.replica.facade.opened import device_clock
from holdfast.testing.faulty_disk import Fault, FaultyDisk
from tests.integration.crash import scenario
from tests.integration.crash.points import Points

AT_ONCE = 2
SEEN_ONCE = ("transactions", "statements")
"""Kinds of points most of which leave what an earlier one left. (Of files each leaves something else.)"""


def child(act: Callable[[], None]) -> int:
    """Fork; the child does `act` and ends with 0, or with 1 after an exception. Gives its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        act()
        status = 0
    except BaseException:  # noqa: BLE001 - the end of a child, which must not run on in its parent's code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def killed(pid: int) -> bool:
    """Wait for a child; whether SIGKILL ended it."""
    _, how = os.waitpid(pid, 0)
    return os.WIFSIGNALED(how) and os.WTERMSIG(how) == signal.SIGKILL


def teller(folder: Path) -> Callable[[str], None]:
    """Writes the names of finished steps down; they survive who tells them."""
    told = os.open(folder / "told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(step: str) -> None:
        os.write(told, f"{step}\n".encode())

    return tell


def told(folder: Path) -> list[str]:
    file = folder / "told"
    return file.read_text().splitlines() if file.exists() else []


recovered: set[str] = set()
"""What death left behind, as `left_by` tells it, wherever all went well afterwards."""


def left_by(folder: Path) -> str:
    """A hash over everything that the databases say after SQLite has tidied up, and over the steps that were done."""
    found = hashlib.blake2b(repr(told(folder)).encode(), digest_size=12)
    for name in ("hub.db", "anna.db"):
        copy = folder / f"copy of {name}"
        for suffix in ("", "-wal"):
            if (folder / f"{name}{suffix}").exists():
                shutil.copy(folder / f"{name}{suffix}", f"{copy}{suffix}")
        with closing(apsw.Connection(str(copy))) as db:
            found.update(db.serialize("main"))
    return found.hexdigest()


def both(folder: Path, points: Points) -> bool:
    """The hub and Anna's device in one process, which dies as a whole.

    Every day is the same to the bit. So a death between two changes of the databases leaves what the one before it
    left, and what comes afterwards was seen then.
    """
    anna, hub = scenario.Same(scenario.morning, 1), scenario.Same(scenario.morning, 2)

    def live() -> None:
        points.install()
        # The hub's own threads look at its file now and then: that is no part of the day.
        points.thread = threading.get_ident()
        with scenario.serve(folder / "hub.db", **hub.given()) as server:
            points.arm()
            transport = scenario.PointedTransport(LocalTransport(server, scenario.ANNA), points)
            scenario.work(folder, transport, teller(folder), **anna.given())

    dead = killed(child(live))
    points.state = left_by(folder) if points.kind in SEEN_ONCE and points.chosen else ""
    if points.state not in recovered:
        recover_both(folder)
    return dead


def recover_both(folder: Path) -> None:
    """Hub and device begin again."""
    scenario.intact(folder / "hub.db")
    with scenario.serve(folder / "hub.db") as server:
        scenario.recover(folder, LocalTransport(server, scenario.ANNA), told(folder))


def on_a_faulty_disk(fault: Fault, where: str) -> Callable[[Path, Points], bool]:
    """A day on a disk that fails once. Without power the process dies; else the step that met the fault may fail,
    with a coded error, and is done again when it left nothing.
    """

    def day(folder: Path, points: Points) -> bool:
        def live() -> None:
            disk = FaultyDisk("faulty", where, points.passed if points.chosen == 0 else None)
            try:
                with scenario.serve(folder / "hub.db") as server:
                    points.arm()
                    if points.chosen:
                        disk.fail(points.chosen, fault, seed=points.chosen)
                    transport = LocalTransport(server, scenario.ANNA)
                    scenario.work(folder, transport, teller(folder), again=fault != "power")
            except apsw.Error:
                # While SQLite closes a file it ignores such faults, but APSW raises whatever a VFS in Python raised.
                if told(folder) != [step.name for step in scenario.STEPS]:
                    raise

        pid = child(live)
        _, how = os.waitpid(pid, 0)
        died = os.WIFSIGNALED(how)
        scenario.intact(folder / "hub.db")
        with scenario.serve(folder / "hub.db") as server:
            scenario.recover(folder, LocalTransport(server, scenario.ANNA), told(folder))
        return died if fault == "power" else not died and os.waitstatus_to_exitcode(how) == 0

    return day


def as_anna(headers: Mapping[str, str]) -> hf.Identity | None:
    return scenario.ANNA if headers.get("authorization") == "Bearer anna" else None


def hub_process(
    folder: Path, listener: socket.socket, points: Points | None, begin: Callable[[], object] = lambda: None
) -> int:
    """A hub of its own behind HTTP, on a socket that outlives it; `begin` is done first in its process."""

    def serve() -> None:
        begin()
        if points is not None:
            points.install()
        server = scenario.serve(folder / "hub.db")
        server.authenticate = as_anna
        with server:
            if points is not None:
                points.arm()
            config = {"log_level": "critical", "access_log": False, "loop": "asyncio", "lifespan": "off"}
            uvicorn.Server(uvicorn.Config(asgi(server), **config)).run(sockets=[listener])

    return child(serve)


def hub_and_heir(folder: Path, listener: socket.socket, points: Points) -> tuple[int, int]:
    """A hub that will die, and the one that takes its place the moment it is dead.

    The second one waits for the end of a pipe that only the first one holds open. If it began only when the device has
    met an error, the device would wait for its timeout first: its next attempt is taken by the socket, which lives on.
    """
    ended, alive = os.pipe()
    hub = hub_process(folder, listener, points, lambda: os.close(ended))

    def inherit() -> None:
        os.close(alive)
        os.read(ended, 1)

    heir = hub_process(folder, listener, None, inherit)
    os.close(ended)
    os.close(alive)
    return hub, heir


@contextmanager
def listening() -> Iterator[tuple[socket.socket, str]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


def hub_alone(folder: Path, points: Points) -> bool:
    """The hub dies in the middle of the day; the device goes on, its connection breaks, and it tries again."""
    with listening() as (listener, url):
        hub, heir = hub_and_heir(folder, listener, points)

        def through(act: Callable[[], object]) -> None:
            try:
                act()
            except hf.HoldfastError as error:
                if error.code != "network":
                    raise
                act()

        try:
            with hf.Replica(folder / "anna.db", scenario.SCHEMA, url=url, token="anna") as anna:
                for step in scenario.STEPS:
                    through(partial(step.run, anna))
            done = [step.name for step in scenario.STEPS]
            through(lambda: scenario.recover(folder, HttpTransport(url, "anna"), done))
        finally:
            end(heir)
            # What is dead already cannot be killed: its parent has not looked yet.
            dead = os.waitpid(hub, os.WNOHANG)[0] == hub
            if not dead:
                end(hub)
    return dead


def device_alone(folder: Path, points: Points) -> bool:
    """The device dies; the hub lives on and may still be writing its answer."""
    with listening() as (listener, url):
        hub = hub_process(folder, listener, None)

        def live() -> None:
            points.install()
            points.arm()
            transport = scenario.PointedTransport(HttpTransport(url, "anna"), points)
            scenario.work(folder, transport, teller(folder))

        try:
            dead = killed(child(live))
            scenario.recover(folder, HttpTransport(url, "anna"), told(folder))
        finally:
            end(hub)
    return dead


def end(hub: int) -> None:
    os.kill(hub, signal.SIGKILL)
    os.waitpid(hub, 0)


DAYS = {"both": (both, ""), "hub": (hub_alone, "hub.db"), "device": (device_alone, "anna.db")}
FAULTS: dict[str, Fault] = {"power": "power", "input/output": "input/output", "full": "full"}


def one(kind: str, who: str, evening: Path, folder: Path, k: int, name: str) -> None:
    """One death and what came after, told in one line."""
    scenario.copy(evening, folder)
    live, where = DAYS[who]
    if kind in FAULTS:
        live = on_a_faulty_disk(FAULTS[kind], where)
    dead, failure, points = False, "", Points(kind, k, folder / "points", where)
    try:
        dead = live(folder, points)
        if points.state not in recovered:
            scenario.check(folder)
            recovered.update((points.state,) if points.state else ())
    except Exception:  # noqa: BLE001 - told to the test
        failure = traceback.format_exc()[-2000:]
    line = json.dumps({"k": k, "point": name, "killed": dead, "failure": failure, "state": points.state})
    os.write(1, f"{line}\n".encode())  # one write: two children must not write into each other's line
    if k and dead and not failure:
        shutil.rmtree(folder)


def main(kind: str, folder: Path, every: int, who: str) -> None:
    evening = folder / "evening"
    evening.mkdir()
    scenario.prepare(evening)
    scenario.morning = device_clock()
    scenario.small_limits()
    begun = time.monotonic()
    one(kind, who, evening, folder / "whole", 0, "the end")
    names = (folder / "whole" / "points").read_text().splitlines()
    if kind == "moments":
        # The day with all that is checked after it: some moments come too late, none too early.
        Points.day = (time.monotonic() - begun) * 0.6
        names, every = [f"moment {k}" for k in range(1, every + 1)], 1
    # What is here stays: a collection in a child would only make the child copy the memory that it shares.
    gc.collect()
    gc.freeze()
    gc.disable()
    chosen = range(1, len(names) + 1, every)
    half = -(-len(chosen) // AT_ONCE)
    shares = [chosen[turn * half : (turn + 1) * half] for turn in range(AT_ONCE)]
    for worker in [child(partial(_points, kind, who, evening, folder, names, share)) for share in shares]:
        _, how = os.waitpid(worker, 0)
        if how:
            raise AssertionError("the one who kills has died")


def _points(kind: str, who: str, evening: Path, folder: Path, names: list[str], chosen: range) -> None:
    """One death after the other. What comes after a death is done here: to fork costs as much as a day."""
    for k in chosen:
        one(kind, who, evening, folder / str(k), k, names[k - 1])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
