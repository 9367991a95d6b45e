"""1,000 changes among 10,000 rows, and then nothing new: what a device pays for a day, and for asking."""

from __future__ import annotations

import statistics
import time

import holdfast as hf
from bench import forms
from bench.hub_process import hub_process
from bench.measure import Bar, Figure, Scenario, Settings
from bench.plain import PlainTable
from bench.stored import copied_hub

ROWS, CHANGES, QUIET = 10_000, 1_000, 20
UPDATE = "UPDATE form SET status = 'done', score = score + 1 WHERE id = ?"


def run(settings: Settings) -> list[Figure]:
    """Seconds and bytes of the delta beside the full sync; bytes and time of a sync without news."""
    rows = list(forms.rows(ROWS))
    changes = [(row[0],) for row in rows[:: ROWS // CHANGES]]
    delta, plain, received, full, quiet = [], [], [], [], []
    quiet_ms: list[float] = []
    for number in range(settings.runs):
        with PlainTable(settings.folder / "plain.db") as table:
            table.seconds_of(forms.INSERT, rows)
            plain.append(table.seconds_of(UPDATE, changes))
        with hub_process(copied_hub(settings.folder, ROWS, f"delta{number}-hub.db")) as hub:
            anna, ben = (
                hf.Replica(settings.folder / f"delta{number}-{user}.db", forms.SCHEMA, url=hub.url, token=user)
                for user in ("anna", "ben")
            )
            with anna, ben:
                anna.sync()
                full.append(float(ben.sync().bytes_received))
                anna.executemany(UPDATE, changes)
                anna.sync()
                start = time.perf_counter()
                report = ben.sync()
                delta.append((time.perf_counter() - start) * 1000)
                if report.pulled != CHANGES:
                    raise RuntimeError(f"{report.pulled} rows came instead of {CHANGES}")
                received.append(float(report.bytes_received + report.bytes_sent))
                quiet.append(float(report_of_quiet(ben, quiet_ms)))
    limit = "plain update of the rows, one transaction"
    return [
        Figure(f"delta of {CHANGES:,} changes", "ms", delta, limit, [s * 1000 for s in plain], (Bar("at most", 50),)),
        Figure(
            "bytes of the delta",
            "bytes",
            received,
            "full sync",
            full,
            (Bar("at most", 0.1, "ratio"), Bar("at most", 1_000_000)),
        ),
        Figure("sync without news, both directions", "bytes", quiet, bars=(Bar("at most", 300),)),
        Figure("sync without news", "ms", quiet_ms),
    ]


def report_of_quiet(device: hf.Replica, milliseconds: list[float]) -> int:
    """Bytes of one sync that brings nothing, headers included; its time goes to `milliseconds`."""
    seconds, size = [], 0
    for _ in range(QUIET):
        start = time.perf_counter()
        report = device.sync()
        seconds.append(time.perf_counter() - start)
        size = max(size, report.bytes_sent + report.bytes_received)
    milliseconds.append(statistics.median(seconds) * 1000)
    return size


SCENARIO = Scenario("daily-delta", "1,000 changes among 10,000 rows", run)
