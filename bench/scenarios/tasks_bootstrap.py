"""An empty device loads all tasks of a project, until it can be asked for them."""

from __future__ import annotations

from bench import tasks
from bench.hub_process import hub_process
from bench.loopback import loopback_seconds
from bench.measure import Bar, Figure, Scenario, Settings
from bench.observed import Observed
from bench.plain_tasks import insert_ms
from bench.seeded import KINDS, seeded
from bench.spent import Spent, bars_of, costs, processes
from bench.task_device import TaskDevice

SIZES = {1_000: (), 10_000: (), 100_000: (Bar("at most", 1_200),)}


def run(settings: Settings) -> list[Figure]:
    """Milliseconds by pages, beside the plain insert of the same rows and the same bytes over loopback HTTP."""
    figures = []
    for kind in KINDS:
        for size in map(settings.sized, SIZES):
            bar = bars_of(kind, *SIZES.get(size, ()))
            with seeded(settings.folder, kind, tasks.Shape(size)) as store:
                runs, plain = [], []
                for number in range(settings.runs):
                    plain.append(insert_ms(settings.folder, size))
                    file = settings.folder / f"bootstrap-{kind}-{size}-{number}.db"
                    with hub_process(store.copy(), model=tasks) as hub, TaskDevice(file, hub.url) as device:
                        with Observed(processes(hub.pid, store.postmaster, device=device.pid)) as seen:
                            told = device.tell("sync")
                        if told["tasks"] != size:
                            raise RuntimeError(f"{told} instead of {size} tasks")
                    runs.append(Spent(told, seen.used))
            name, took = f"{size:,} tasks, hub on {kind}", [float(run.told["ms"]) for run in runs]
            loopback = [loopback_seconds(int(run.told["received"])) * 1000 for run in runs]
            figures += [
                Figure(f"{name}, by pages", "ms", took, "plain insert of the rows, one transaction", plain, bar),
                Figure(f"{name}: beside the network", "ms", took, "the same bytes over loopback HTTP", loopback),
                *costs(name, runs),
            ]
    return figures


SCENARIO = Scenario("tasks-bootstrap", "tasks: an empty device loads a project", run)
