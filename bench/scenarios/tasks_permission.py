"""A membership is taken away while the device is connected: until the project's 500 tasks are gone from it."""

from __future__ import annotations

import time
from collections.abc import Callable

import apsw
import psycopg

from bench import tasks
from bench.hub_process import hub_process
from bench.measure import Bar, Figure, Scenario, Settings
from bench.observed import Observed
from bench.plain_tasks import delete_ms
from bench.seeded import KINDS, seeded
from bench.spent import Spent, bars_of, costs, processes
from bench.task_device import TaskDevice

ROWS = 500
REVOKED = "org-1-project-2"
REVOKE = f"DELETE FROM project_memberships WHERE project_id = '{REVOKED}' AND user_id = '{tasks.USER}'"


def run(settings: Settings) -> list[Figure]:
    """Milliseconds from before the DELETE of another program to the device without the rows."""
    figures = []
    shape = tasks.Shape(ROWS, 2)
    for kind in KINDS:
        runs, took, plain = [], [], []
        with seeded(settings.folder, kind, shape) as store:
            for number in range(settings.runs):
                plain.append(delete_ms(settings.folder, shape, REVOKED))
                place, file = store.copy(), settings.folder / f"permission-{kind}-{number}.db"
                with hub_process(place, model=tasks) as hub, TaskDevice(file, hub.url) as device:
                    device.tell("connect")
                    if device.tell("sync")["tasks"] != 2 * ROWS:
                        raise RuntimeError("not all tasks came")
                    device.tell("carried")
                    execute, close = program(place)
                    with Observed(processes(hub.pid, store.postmaster, device=device.pid)) as seen:
                        began = time.monotonic()
                        execute(REVOKE)
                        took.append((device.tell("gone", REVOKED) - began) * 1000)
                    close()
                    if device.tell("sync")["tasks"] != ROWS:
                        raise RuntimeError("the other project's tasks are gone, too")
                    runs.append(Spent(device.tell("carried"), seen.used))
        name, limit = f"{ROWS} rows, hub on {kind}", "plain delete of the rows in SQLite, one transaction"
        figures += [Figure(name, "ms", took, limit, plain, bars_of(kind, Bar("at most", 10))), *costs(name, runs)]
    return figures


def program(place: str) -> tuple[Callable[[str], object], Callable[[], None]]:
    """Another program's connection to the hub's database: how it executes, how it ends."""
    if "://" in place:
        db = psycopg.connect(place, autocommit=True)
        return lambda sql: db.execute(sql.encode()), db.close
    file = apsw.Connection(place)
    file.set_busy_timeout(10_000)
    return file.execute, file.close


SCENARIO = Scenario("tasks-permission", "tasks: a permission is taken away", run)
