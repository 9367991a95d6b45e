"""Two connected devices: a title is written on one until the other shows it."""

from __future__ import annotations

import statistics

from bench import forms, tasks
from bench.hub_process import hub_process
from bench.live_floor import live_floor
from bench.measure import Bar, Figure, Scenario, Settings
from bench.observed import Observed
from bench.seeded import KINDS, seeded
from bench.spent import Spent, costs, processes
from bench.task_device import TaskDevice

TASKS, WRITES = 200, 100
Way = tuple[TaskDevice, TaskDevice]


def run(settings: Settings) -> list[Figure]:
    """Milliseconds of one write after another, from before it is made to the end of the round that brings it."""
    figures = []
    writes = settings.sized(WRITES, least=10)
    for kind in KINDS:
        rows = list(forms.rows(writes * settings.runs))
        floors = [live_floor(settings.folder, rows[n * writes : (n + 1) * writes]) for n in range(settings.runs)]
        found, runs = [], []
        with seeded(settings.folder, kind, tasks.Shape(TASKS)) as store:
            for number in range(settings.runs):
                files = [settings.folder / f"online-{kind}-{number}-{side}.db" for side in ("writer", "reader")]
                with (
                    hub_process(store.copy(), model=tasks) as hub,
                    TaskDevice(files[0], hub.url) as writer,
                    TaskDevice(files[1], hub.url) as reader,
                ):
                    for one in (writer, reader):
                        one.tell("connect")
                    latency((writer, reader), "warm")
                    for one in (writer, reader):
                        one.tell("carried")
                    with Observed(processes(hub.pid, store.postmaster, writer=writer.pid, reader=reader.pid)) as seen:
                        found.append([latency((writer, reader), f"title {write}") for write in range(writes)])
                    told = [one.tell("carried") for one in (writer, reader)]
                runs.append(Spent({name: sum(one[name] for one in told) for name in told[0]}, seen.used))
        figures += [
            *figures_of(f"hub on {kind}", found, floors, kind == "PostgreSQL"),
            *costs(f"{writes} writes, hub on {kind}", runs),
        ]
    return figures


def latency(devices: Way, title: str) -> float:
    """Milliseconds of one write."""
    writer, reader = devices
    began = writer.tell("write", title)
    return float(reader.tell("arrived", title) - began) * 1000


def figures_of(name: str, found: list[list[float]], floors: list[list[float]], judged: bool) -> list[Figure]:
    """p50, p95 and p99 beside the floor's."""
    floor = "a form over two WebSockets by the same libraries, three durable inserts"
    limits = {50: (Bar("at most", 4),), 95: (Bar("at most", 10),), 99: ()}
    return [
        Figure(
            f"write on A to visible on B, {name}, p{percent}",
            "ms",
            [statistics.quantiles(one, n=100)[percent - 1] for one in found],
            floor,
            [statistics.quantiles(one, n=100)[percent - 1] for one in floors],
            bars if judged else (),
        )
        for percent, bars in limits.items()
    ]


SCENARIO = Scenario("tasks-online", "tasks: online propagation", run)
