"""Queries of screens on a device with 100,000 tasks: one table, and relationships."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import NamedTuple

from bench import tasks
from bench.hub_process import hub_process
from bench.measure import Bar, Figure, Scenario, Settings
from bench.observed import Observed
from bench.plain_tasks import query_ms
from bench.seeded import seeded
from bench.spent import processes
from bench.task_device import TaskDevice

TASKS, TIMES = 100_000, 25


class Query(NamedTuple):
    """SQL with its values, and the bar in milliseconds."""

    sql: str
    values: tuple[object, ...]
    bar: float


LOCAL = {
    "list": Query(
        "SELECT id, title, updated_at FROM tasks WHERE project_id = ? AND owner_id = ? AND completed = 0"
        " ORDER BY updated_at DESC LIMIT 50",
        (tasks.PROJECT, tasks.USER),
        0.1,
    ),
    "search": Query(
        "SELECT id, title FROM tasks WHERE project_id = ? AND id LIKE ? ORDER BY id LIMIT 100",
        (tasks.PROJECT, f"{tasks.PROJECT}-task-00%"),
        0.1,
    ),
    "aggregate": Query(
        "SELECT owner_id, completed, count(*) FROM tasks WHERE project_id = ? GROUP BY owner_id, completed",
        (tasks.PROJECT,),
        7.5,
    ),
}
RELATED = {
    "dashboard": Query(
        "SELECT projects.id, projects.name, count(tasks.id), coalesce(sum(tasks.completed), 0),"
        " coalesce(sum(NOT tasks.completed), 0) FROM organizations JOIN projects ON projects.org_id = organizations.id"
        " LEFT JOIN tasks ON tasks.project_id = projects.id WHERE organizations.id = ?"
        " GROUP BY projects.id, projects.name",
        ("org-1",),
        10,
    ),
    "detail": Query(
        "SELECT tasks.id, tasks.title, projects.name, organizations.name FROM tasks"
        " JOIN projects ON projects.id = tasks.project_id JOIN organizations ON organizations.id = projects.org_id"
        " WHERE tasks.project_id = ? ORDER BY tasks.id LIMIT 100",
        (tasks.PROJECT,),
        0.25,
    ),
}


def asking(queries: Mapping[str, Query], projects: int) -> Callable[[Settings], list[Figure]]:
    """What measures the queries, p50 and p95 of 25 runs each, beside the same ones on plain tables."""

    def run(settings: Settings) -> list[Figure]:
        size = settings.sized(TASKS) // projects
        shape = tasks.Shape(size, projects)
        ours: dict[str, list[list[float]]] = {name: [] for name in queries}
        plain: dict[str, list[list[float]]] = {name: [] for name in queries}
        used = []
        with seeded(settings.folder, "SQLite", shape) as store:
            for number in range(settings.runs):
                file = settings.folder / f"query{projects}-{number}.db"
                with hub_process(store.copy(), model=tasks) as hub, TaskDevice(file, hub.url) as device:
                    device.tell("sync")
                    with Observed(processes(hub.pid, None, device=device.pid)) as seen:
                        for name, query in queries.items():
                            ours[name].append(device.tell("query", query.sql, query.values, TIMES))
                used.append(seen.used["device"])
                for name, query in queries.items():
                    plain[name].append(query_ms(settings.folder, shape, query.sql, query.values, TIMES))
        figures = []
        for name, query in queries.items():
            for percent, bars in ((50, (Bar("at most", query.bar),)), (95, ())):
                mine, theirs = (
                    [statistics.quantiles(times, n=100)[percent - 1] for times in found[name]]
                    for found in (ours, plain)
                )
                figures.append(
                    Figure(f"{name}, p{percent}", "ms", mine, "the same query on plain tables", theirs, bars)
                )
        return [
            *figures,
            Figure("processor time of device", "ms", [one.cpu * 1000 for one in used]),
            Figure("average memory of device", "MiB", [one.average for one in used]),
            Figure("peak memory of device", "MiB", [one.peak for one in used]),
        ]

    return run


ONE_TABLE = Scenario("tasks-local-query", "tasks: list, search and aggregate on 100,000 rows", asking(LOCAL, 1))
RELATIONSHIPS = Scenario("tasks-relationships", "tasks: dashboard and detail over 100,000 rows", asking(RELATED, 4))
