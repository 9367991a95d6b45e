"""Peak memory of device and hub, each in a process of its own, while rows go up and come down."""

from __future__ import annotations

from bench.device_process import sync_in_process
from bench.hub_process import hub_process
from bench.measure import Bar, Figure, Scenario, Settings
from bench.stored import stored_hub

SIZES, LARGE = (10_000, 50_000, 100_000), 1_000_000
FULL = 50_000
"""From so many rows on SQLite's page caches (32 MiB on a device, 64 MiB at the hub) are full."""
MIB = 1024 * 1024
GROWTH = Bar("at most", 1.2, "ratio")
MOST = {"device": Bar("at most", 150e6 / MIB), "hub": Bar("at most", 200e6 / MIB)}
"""At any size."""


def run(settings: Settings) -> list[Figure]:
    """Peaks at several sizes of the data set; each has the one before it as its limit."""
    figures: list[Figure] = []
    before: dict[str, float] = {}
    for size in (*SIZES, LARGE) if settings.large else SIZES:
        up = stored_hub(settings.folder, size)
        with hub_process(up.store) as hub:
            down = sync_in_process(settings.folder / f"memory{size}.db", hub.url, "ben")
        if down["pulled"] != size:
            raise RuntimeError(f"{down['pulled']} rows came instead of {size}")
        peaks = {
            "device, first sync": down["peak"],
            "hub, first sync": float(hub.peak),
            "device, upload": up.device_peak,
            "hub, upload": up.hub_peak,
        }
        for name, peak in peaks.items():
            smaller = (before[name] / MIB,) if name in before else ()
            most = MOST[name.partition(",")[0]]
            bars = (most, GROWTH) if size > FULL else (most,)
            figures.append(Figure(f"{name} of {size:,} rows", "MiB", [peak / MIB], "fewer rows", smaller, bars))
        before = peaks
    return figures


SCENARIO = Scenario("memory", "peak memory of both sides", run)
