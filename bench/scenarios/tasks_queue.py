"""A device was offline, renamed tasks, and comes back: 10 writes (offline replay) and 1,000 (large offline queue)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench import tasks
from bench.hub_process import hub_process
from bench.measure import Bar, Figure, Scenario, Settings
from bench.observed import Observed, Used
from bench.plain_tasks import rename_ms
from bench.seeded import KINDS, seeded
from bench.spent import MOST_REQUESTS, Spent, bars_of, costs, processes
from bench.task_device import TaskDevice


def queue(writes: int, milliseconds: float) -> Callable[[Settings], list[Figure]]:
    """What measures so many transactions of one update each, made while there is no hub."""

    def run(settings: Settings) -> list[Figure]:
        figures = []
        shape = tasks.Shape(max(200, writes + 25))
        for kind in KINDS:
            runs, plain = [], []
            with seeded(settings.folder, kind, shape) as store:
                for number in range(settings.runs):
                    plain.append(rename_ms(settings.folder, shape.tasks, writes))
                    place, file = store.copy(), settings.folder / f"queue{writes}-{kind}-{number}.db"
                    with hub_process(place, model=tasks) as hub, TaskDevice(file, hub.url) as device:
                        device.tell("sync")
                    port = int(hub.url.rpartition(":")[2])
                    with TaskDevice(file, hub.url) as device:
                        device.tell("rename", writes, "offline")
                        told, used = replay(device, place, port, store.postmaster)
                    if told["pushed"] != writes:
                        raise RuntimeError(f"{told} instead of {writes} transactions")
                    runs.append(Spent(told, used))
            name, took = f"{writes:,} writes, hub on {kind}", [float(run.told["ms"]) for run in runs]
            limit = "plain update of the rows in SQLite, one transaction"
            bars = bars_of(kind, Bar("at most", milliseconds))
            figures += [Figure(name, "ms", took, limit, plain, bars), *costs(name, runs, bars_of(kind, *MOST_REQUESTS))]
        return figures

    return run


def replay(device: TaskDevice, place: str, port: int, postmaster: int | None) -> tuple[dict[str, Any], dict[str, Used]]:
    """The hub is back: what the device tells of its sync, and what each process used."""
    with (
        hub_process(place, port, model=tasks) as hub,
        Observed(processes(hub.pid, postmaster, device=device.pid)) as seen,
    ):
        told = device.tell("sync")
    return told, seen.used


REPLAY = Scenario("tasks-offline-replay", "tasks: 10 offline writes", queue(10, 20))
LARGE = Scenario("tasks-large-queue", "tasks: 1,000 offline writes", queue(1_000, 100))
