"""Live channels: a write on one device until another shows it; many devices after a restart of the hub; idleness."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import holdfast as hf
from bench import forms
from bench.crowd_floor import floor_process, floor_writer
from bench.hub_process import hub_process
from bench.live_floor import live_floor
from bench.measure import Bar, Figure, Scenario, Settings
from bench.storm import Storm, storm
from holdfast.replica.events import RoundEnded, StateChanged, SyncEvent
from holdfast.replica.loop import LOOK_SECONDS, REST_AFTER

WRITES = 200
CROWDS = {25: 50, 100: 100, 250: 250, 500: 500}
"""Devices, and the bar in milliseconds."""
IDLE_SECONDS = 20.0
HOUR = 3_600.0
PATIENCE = 120.0


class Seen:
    """Tells when a device is connected, and when rows have come to it."""

    def __init__(self, device: hf.Replica) -> None:
        self.connected = threading.Event()
        self.arrived = threading.Semaphore(0)
        device.events.add(self._note)

    def _note(self, event: SyncEvent) -> None:
        if isinstance(event, StateChanged) and event.state == "connected":
            self.connected.set()
        elif isinstance(event, RoundEnded) and event.rows:
            self.arrived.release()


def run(settings: Settings) -> list[Figure]:
    """Latencies of one write after another; seconds until everybody sees a change; what an idle device costs."""
    return [*latency(settings), *crowds(settings), *idle(settings)]


def device(folder: Path, name: str, url: str) -> hf.Replica:
    """A device that is not connected yet."""
    return hf.Replica(folder / f"{name}.db", forms.SCHEMA, url=url, token="anna")


def latency(settings: Settings) -> list[Figure]:
    """From before `execute` on one device to the end of the round that brought it to another one, in milliseconds."""
    rows = list(forms.rows(WRITES * settings.runs))
    medians, worst = [], []
    floors = [live_floor(settings.folder, rows[:WRITES]) for _ in range(settings.runs)]
    with hub_process(settings.folder / "live-hub.db") as hub, ExitStack() as stack:
        anna, ben = (stack.enter_context(device(settings.folder, f"live-{n}", hub.url)) for n in ("anna", "ben"))
        seen = Seen(ben)
        for one in (anna, ben):
            one.connect()
            one.sync(timeout=PATIENCE)
        for number in range(settings.runs):
            found = []
            for row in rows[number * WRITES : (number + 1) * WRITES]:
                start = time.perf_counter()
                anna.execute(forms.INSERT, row)
                if not seen.arrived.acquire(timeout=PATIENCE):
                    raise RuntimeError("a write did not arrive")
                found.append((time.perf_counter() - start) * 1000)
            medians.append(statistics.median(found))
            worst.append(statistics.quantiles(found, n=100)[98])
    floor = "three durable inserts and two WebSockets by the same libraries"
    half, rare = [statistics.median(found) for found in floors], [statistics.quantiles(f, n=100)[98] for f in floors]
    return [
        Figure("write on A to visible on B over WebSocket, p50", "ms", medians, floor, half, (Bar("at most", 3),)),
        Figure("write on A to visible on B over WebSocket, p99", "ms", worst, floor, rare, (Bar("at most", 12),)),
    ]


def crowds(settings: Settings) -> list[Figure]:
    """From the moment in which a restarted hub takes connections until every device has one new change."""
    figures = []
    floor = "the same devices at a server by the same libraries without a store"
    for crowd, bar in CROWDS.items():
        floors = [storm(floor_process, crowd, forms, floor_writer) for _ in range(settings.runs)]
        found = [restarted(settings.folder, crowd, number) for number in range(settings.runs)]
        name = f"{crowd} devices after a restart of the hub until all see a change"
        took, limit = [one.ms for one in found], [one.ms for one in floors]
        figures.append(Figure(name, "ms", took, floor, limit, (Bar("at most", bar),)))
        # Hub and devices share the processors: what each side uses of them says more than the time on a busy machine.
        used, limit = ([one.used["hub"].cpu * 1000 / crowd for one in runs] for runs in (found, floors))
        figures.append(Figure(f"{name}: processor time of the hub for each", "ms", used, floor, limit))
        used, limit = ([one.devices * 1000 / crowd for one in runs] for runs in (found, floors))
        figures.append(Figure(f"{name}: processor time of the bench for each device", "ms", used, floor, limit))
    return figures


def restarted(folder: Path, crowd: int, number: int) -> Storm:
    """One crowd of light devices in processes of their own, at a hub that is restarted."""
    name = f"crowd{crowd}-{number}"
    serve = partial(hub_process, str(folder / f"{name}-hub.db"))
    return storm(serve, crowd, forms, partial(writer, folder, f"{name}-writer"))


@contextmanager
def writer(folder: Path, name: str, url: str) -> Iterator[Callable[[], object]]:
    """A device with one new row, which it sends when it is told to."""
    with device(folder, name, url) as one:
        one.execute(forms.INSERT, next(forms.rows(1)))
        yield one.sync


def idle(settings: Settings) -> list[Figure]:
    """What a connected device does when nothing happens, from some seconds to an hour."""
    rounds: list[SyncEvent] = []
    with hub_process(settings.folder / "idle-hub.db") as hub, device(settings.folder, "idle", hub.url) as one:
        others = set(threading.enumerate())
        one.connect()
        one.sync(timeout=PATIENCE)
        one.events.add(rounds.append)
        # Threads of the device alone: the display of the bench turns its wheel in this process, too.
        own = [thread.ident for thread in threading.enumerate() if thread not in others]
        threading.Event().wait(REST_AFTER * LOOK_SECONDS + 1)  # an hour is spent at rest, but for its first seconds
        start, cpu = time.perf_counter(), processor_seconds(own)
        threading.Event().wait(IDLE_SECONDS)
        share = HOUR / (time.perf_counter() - start)
        used = (processor_seconds(own) - cpu) * share
    requests = sum(isinstance(event, RoundEnded) for event in rounds) * share
    return [
        Figure("idle device: requests an hour beside pings", "", [requests], bars=(Bar("at most", 0),)),
        Figure("idle device: processor time an hour", "s", [used], bars=(Bar("at most", 1),)),
    ]


def processor_seconds(threads: list[int | None]) -> float:
    """What these threads have used."""
    return sum(time.clock_gettime(time.pthread_getcpuclockid(thread)) for thread in threads if thread is not None)


SCENARIO = Scenario("live", "live channels: latency, a crowd after a restart, idleness", run)
