"""The first sync of an empty device: 100,000 rows with random keys over real HTTP, the hub in another process."""

from __future__ import annotations

import time

import holdfast as hf
from bench import forms
from bench.hub_process import hub_process
from bench.loopback import loopback_seconds
from bench.measure import Bar, Figure, Scenario, Settings
from bench.plain import insert_seconds
from bench.stored import stored_hub

ROWS = 100_000


def run(settings: Settings) -> list[Figure]:
    """Seconds, beside the plain insert of the same rows and the same bytes over loopback HTTP; bytes on the wire."""
    rows = list(forms.rows(ROWS))
    store = stored_hub(settings.folder, ROWS).store
    seconds, plain, received, device_cpu, hub_cpu = [], [], [], [], []
    for number in range(settings.runs):
        plain.append(insert_seconds(settings.folder, rows))
        file = settings.folder / f"first{number}.db"
        with hub_process(store) as hub, hf.Replica(file, forms.SCHEMA, url=hub.url, token="ben") as device:
            start, start_cpu = time.perf_counter(), time.process_time()
            report = device.sync()
            seconds.append(time.perf_counter() - start)
            device_cpu.append(time.process_time() - start_cpu)
            found = device.execute("SELECT count(*), sum(score) FROM form")[0]
        if tuple(found) != (ROWS, sum(int(str(row[9])) for row in rows)):
            raise RuntimeError(f"the device holds {tuple(found)}")
        hub_cpu.append(hub.cpu)
        received.append(float(report.bytes_received))
    loopback = [loopback_seconds(int(size)) for size in received]
    bars = (Bar("at most", 3, "ratio"), Bar("at most", 1.5))
    limit = "plain insert of the rows, one transaction"
    walls, cpus = [wall for wall, _ in plain], [cpu for _, cpu in plain]
    return [
        Figure(f"first sync of {ROWS:,} rows", "s", seconds, limit, walls, bars),
        Figure("processor time of the device", "s", device_cpu, limit, cpus),
        Figure("processor time of the hub", "s", hub_cpu, limit, cpus),
        Figure("the same beside the network", "s", seconds, "the same bytes over loopback HTTP", loopback),
        Figure(
            "bytes received", "bytes", received, "the rows as JSON", [float(forms.ROW_BYTES * ROWS)] * settings.runs
        ),
    ]


SCENARIO = Scenario("first-sync", "first sync of 100,000 rows by an empty device", run)
