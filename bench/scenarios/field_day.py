"""A field day on a battery: 200 writes and 40 rounds on a device with 10,000 rows."""

from __future__ import annotations

import holdfast as hf
from bench import forms
from bench.field_day import ROUNDS, WRITES, field_day
from bench.hub_process import hub_process
from bench.measure import Bar, Figure, Scenario, Settings
from bench.stored import copied_hub

ROWS = 10_000
EACH = "one for each write, so that none is lost"


def run(settings: Settings) -> list[Figure]:
    """Processor seconds, wake-ups, bytes and syncs of the disk of the whole day."""
    days, disks = [], []
    for number in range(settings.runs):
        with hub_process(copied_hub(settings.folder, ROWS, f"day{number}-hub.db")) as hub:
            for mode, found in (("time", days), ("disk", disks)):
                file = settings.folder / f"day{number}-{mode}.db"
                with hf.Replica(file, forms.SCHEMA, url=hub.url, token=mode) as device:
                    device.sync()
                found.append(field_day(file, hub.url, mode, mode))
    for day in (*days, *disks):
        if (day["rounds"], day["pending"]) != (ROUNDS, 0):
            raise RuntimeError(f"the day took {day['rounds']:.0f} rounds, {day['pending']:.0f} transactions wait")
    return [
        Figure("processor time of the day", "s", [day["cpu"] for day in days], bars=(Bar("at most", 2.0),)),
        Figure("wake-ups of the day", "context switches", [day["wakeups"] for day in days]),
        Figure("bytes of the day, both directions", "bytes", [day["bytes"] for day in days]),
        Figure("syncs of the disk", "syncs", [day["syncs"] for day in disks], EACH, [float(WRITES)] * len(disks)),
    ]


SCENARIO = Scenario("field-day", f"{WRITES} writes and {ROUNDS} rounds on a device with {ROWS:,} rows", run)
