"""What a scenario on the tasks data model costs besides time: requests, bytes, processor time and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bench.measure import Bar, Figure
from bench.observed import Used
from bench.seeded import Kind

MOST_REQUESTS = (Bar("at most", 1),)


class Spent(NamedTuple):
    """One run: what the device told (`requests`, `sent`, `received`), and what each process used."""

    told: Mapping[str, Any]
    used: Mapping[str, Used]


def costs(name: str, runs: Sequence[Spent], requests: tuple[Bar, ...] = ()) -> list[Figure]:
    """Figures of all runs."""
    figures = [Figure(f"{name}: requests", "", [float(run.told["requests"]) for run in runs], bars=requests)]
    figures += [
        Figure(f"{name}: bytes {way}", "bytes", [float(run.told[way]) for run in runs]) for way in ("sent", "received")
    ]
    for process in runs[0].used:
        used = [run.used[process] for run in runs]
        figures += [
            Figure(f"{name}: processor time of {process}", "ms", [one.cpu * 1000 for one in used]),
            Figure(f"{name}: average memory of {process}", "MiB", [one.average for one in used]),
            Figure(f"{name}: peak memory of {process}", "MiB", [one.peak for one in used]),
        ]
    return figures


def bars_of(kind: Kind, *bars: Bar) -> tuple[Bar, ...]:
    """The bars of the issue are those of a hub on PostgreSQL."""
    return bars if kind == "PostgreSQL" else ()


def processes(hub: int, postmaster: int | None, **others: int) -> dict[str, int]:
    """Name -> process id of what is observed."""
    there = {"PostgreSQL": postmaster} if postmaster is not None else {}
    return {**others, "hub": hub, **there}
