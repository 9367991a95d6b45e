"""Live channels: a write on one device until another shows it; many devices after a restart of the hub; idleness."""

from __future__ import annotations

import statistics
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import holdfast as hf
from bench import forms
from bench.hub_process import hub_process
from bench.measure import Bar, Figure, Scenario, Settings
from holdfast.replica import backoff
from holdfast.replica.events import RoundEnded, StateChanged, SyncEvent
from holdfast.replica.loop import LOOK_SECONDS, REST_AFTER

WRITES = 200
CROWDS, LARGE_CROWDS = (25, 100), (25, 100, 250, 500)
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
    return [
        Figure("write on A to visible on B over WebSocket, p50", "ms", medians, bars=(Bar("at most", 5),)),
        Figure("write on A to visible on B over WebSocket, p99", "ms", worst, bars=(Bar("at most", 20),)),
    ]


def crowds(settings: Settings) -> list[Figure]:
    """From the moment in which a restarted hub takes connections until every device shows one new change."""
    figures = []
    # The delays are taken out, all but a breath: a thread that tries without end would keep the hub from starting.
    before = backoff.FIRST_SECONDS, backoff.LAST_SECONDS, backoff.RETRY_EVERY_SECONDS
    backoff.FIRST_SECONDS, backoff.LAST_SECONDS, backoff.RETRY_EVERY_SECONDS = 0.1, 0.1, 0.001
    try:
        for crowd in LARGE_CROWDS if settings.large else CROWDS:
            bars = (Bar("at most", {25: 50, 100: 100, 250: 250, 500: 500}[crowd]),)
            name = f"{crowd} devices after a restart of the hub until all see a change"
            took, processor = restarted(settings.folder, crowd)
            figures.append(Figure(name, "ms", [took], bars=bars))
            # The time above is also that of the devices, which share the processor with the hub; this is the hub's own.
            figures.append(Figure(f"{name}: processor time of the hub for each", "ms", [processor]))
    finally:
        backoff.FIRST_SECONDS, backoff.LAST_SECONDS, backoff.RETRY_EVERY_SECONDS = before
    return figures


def restarted(folder: Path, crowd: int) -> tuple[float, float]:
    """Milliseconds for one crowd, whose devices are threads of this process, and milliseconds of processor time of the
    restarted hub for each device.
    """
    store = folder / f"crowd{crowd}-hub.db"
    with ExitStack() as stack:
        with hub_process(store) as hub:
            port = int(hub.url.rpartition(":")[2])
            devices = [stack.enter_context(device(folder, f"crowd{crowd}-{n}", hub.url)) for n in range(crowd)]
            seen = [Seen(one) for one in devices]
            for one in devices:
                one.connect()
            for one in seen:
                if not one.connected.wait(PATIENCE):
                    raise RuntimeError("a device did not connect")
        writer = stack.enter_context(device(folder, f"crowd{crowd}-writer", f"http://127.0.0.1:{port}"))
        writer.execute(forms.INSERT, next(forms.rows(1)))
        with hub_process(store, port) as again:
            start = time.perf_counter()
            writer.sync()
            for one in seen:
                if not one.arrived.acquire(timeout=PATIENCE):
                    raise RuntimeError("a change did not arrive")
            took = (time.perf_counter() - start) * 1000
            for one in devices:
                one.disconnect()
    return took, again.cpu * 1000 / crowd


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
