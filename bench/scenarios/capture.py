"""Captured updates and inserts in one transaction: what the triggers cost."""

from __future__ import annotations

import time

import holdfast as hf
from bench import forms
from bench.measure import Bar, Figure, Scenario, Settings
from bench.plain import PlainTable

ROWS = 20_000
UPDATE = "UPDATE form SET score = score + 1, status = 'done' WHERE id = ?"


def run(settings: Settings) -> list[Figure]:
    """Rows a second, captured beside plain."""
    rows = list(forms.rows(ROWS))
    keys = [(row[0],) for row in rows]
    captured: dict[str, list[float]] = {forms.INSERT: [], UPDATE: []}
    plain: dict[str, list[float]] = {forms.INSERT: [], UPDATE: []}
    for number in range(settings.runs):
        with PlainTable(settings.folder / "plain.db") as table:
            for sql, parameters in ((forms.INSERT, rows), (UPDATE, keys)):
                plain[sql].append(ROWS / table.seconds_of(sql, parameters))
        with hf.Replica(settings.folder / f"capture{number}.db", forms.SCHEMA) as device:
            for sql, parameters in ((forms.INSERT, rows), (UPDATE, keys)):
                start = time.perf_counter()
                device.executemany(sql, parameters)
                captured[sql].append(ROWS / (time.perf_counter() - start))
    limit = "plain executemany, one transaction"
    update_bar = (Bar("at least", 50_000),)
    return [
        Figure("captured updates in one transaction", "rows/s", captured[UPDATE], limit, plain[UPDATE], update_bar),
        Figure("captured inserts in one transaction", "rows/s", captured[forms.INSERT], limit, plain[forms.INSERT]),
    ]


SCENARIO = Scenario("capture", "captured updates a second in one transaction", run)
