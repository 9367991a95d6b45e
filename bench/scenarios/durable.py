"""Single durable writes: each a transaction of its own, on disk when the call returns."""

from __future__ import annotations

import statistics
import time

import holdfast as hf
from bench import forms
from bench.measure import Bar, Figure, Scenario, Settings
from bench.other_program import seconds_of_another_program
from bench.plain import PlainTable

ROWS = 500


def run(settings: Settings) -> list[Figure]:
    """p50 of a captured insert through `Replica.execute` and through another program, beside the plain one."""
    rows = list(forms.rows(2 * ROWS))
    ours, others, plain = [], [], []
    for number in range(settings.runs):
        file = settings.folder / f"durable{number}.db"
        with PlainTable(settings.folder / "plain.db") as table, hf.Replica(file, forms.SCHEMA) as device:
            device.execute(forms.INSERT, next(forms.rows(1, seed=7)))
            ours.append(_p50_ms([_seconds(device, row) for row in rows[:ROWS]]))
            plain.append(_p50_ms(table.seconds_each(forms.INSERT, rows[ROWS:])))
            others.append(_p50_ms(seconds_of_another_program(file, ROWS)))
    limit = "plain durable insert, p50"
    return [
        Figure("durable write by Replica.execute, p50", "ms", ours, limit, plain, (Bar("at most", 0.35),)),
        Figure("durable captured write by the sqlite3 module, p50", "ms", others, limit, plain),
        Figure("durable captured transactions", "1/s", [1000 / ms for ms in ours], limit, [1000 / ms for ms in plain]),
    ]


def _seconds(device: hf.Replica, row: tuple[object, ...]) -> float:
    start = time.perf_counter()
    device.execute(forms.INSERT, row)
    return time.perf_counter() - start


def _p50_ms(seconds: list[float]) -> float:
    return statistics.median(seconds) * 1000


SCENARIO = Scenario("durable", "single durable transactions", run)
