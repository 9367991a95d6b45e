"""Devices that all lose the hub and come back at once; one title has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import holdfast as hf
from bench import tasks
from bench.hub_process import hub_process
from bench.measure import Bar, Figure, Scenario, Settings
from bench.seeded import KINDS, seeded
from bench.spent import Spent, bars_of, costs
from bench.storm import storm

TASKS = 200
CROWDS = {25: 40, 100: 80, 250: 200, 500: 400}
"""Devices, and the bar in milliseconds."""


def run(settings: Settings) -> list[Figure]:
    """Milliseconds until every device has the new title."""
    figures = []
    for kind in KINDS:
        with seeded(settings.folder, kind, tasks.Shape(TASKS)) as store:
            for crowd, bar in CROWDS.items():
                devices = settings.sized(crowd, least=4)
                storms = []
                for number in range(settings.runs):
                    file = settings.folder / f"storm-{kind}-{crowd}-{number}.db"
                    serve = partial(hub_process, store.copy(), model=tasks)
                    storms.append(storm(serve, devices, tasks, partial(writer, file), store.postmaster))
                name = f"{devices} devices, hub on {kind}"
                bars = bars_of(kind, Bar("at most", bar))
                figures.append(Figure(name, "ms", [one.ms for one in storms], bars=bars))
                figures += costs(name, [Spent(one.told, one.used) for one in storms])
    return figures


@contextmanager
def writer(file: Path, url: str) -> Iterator[Callable[[], object]]:
    """A device that has renamed a task while there was no hub, and sends that."""
    with hf.Replica(file, tasks.SCHEMA, url=url, token=tasks.USER) as device:
        yield partial(renamed, device)


def renamed(device: hf.Replica) -> None:
    """Load, rename, send."""
    device.sync()
    device.execute(tasks.RENAME, ("after the storm", tasks.task_id(1)))
    device.sync()


SCENARIO = Scenario("tasks-reconnect-storm", "tasks: all devices come back at once", run)
