"""A device comes back with 1,000 and 10,000 offline transactions of one row each."""

from __future__ import annotations

import time

import holdfast as hf
from bench import forms
from bench.hub_process import hub_process
from bench.measure import Bar, Figure, Scenario, Settings
from bench.plain import insert_seconds

SIZES = {1_000: 0.1, 10_000: 0.6}
"""Transactions, and the bar in seconds."""


def run(settings: Settings) -> list[Figure]:
    """Seconds of the sync: sealing, sending, the hub's commits, the answer, settling."""
    figures = []
    for size, bar in SIZES.items():
        rows = list(forms.rows(size))
        seconds, plain, sent, device_cpu, hub_cpu = [], [], [], [], []
        for number in range(settings.runs):
            plain.append(insert_seconds(settings.folder, rows))
            name = f"backlog{size}-{number}"
            device_file = settings.folder / f"{name}.db"
            with (
                hub_process(settings.folder / f"{name}-hub.db") as hub,
                hf.Replica(device_file, forms.SCHEMA, url=hub.url, token="anna") as device,
            ):
                device.sync()
                for row in rows:
                    device.execute(forms.INSERT, row)
                start, start_cpu = time.perf_counter(), time.process_time()
                report = device.sync()
                seconds.append(time.perf_counter() - start)
                device_cpu.append(time.process_time() - start_cpu)
            hub_cpu.append(hub.cpu)
            if report.pushed != size or report.refused:
                raise RuntimeError(f"{report.pushed} of {size} transactions were accepted")
            sent.append(float(report.bytes_sent))
        limit = "plain insert of the rows, one transaction"
        walls, cpus = [wall for wall, _ in plain], [cpu for _, cpu in plain]
        as_json = [float(forms.ROW_BYTES * size)] * settings.runs
        figures += [
            Figure(f"backlog of {size:,} transactions", "s", seconds, limit, walls, (Bar("at most", bar),)),
            Figure(f"processor time of the device, {size:,}", "s", device_cpu, limit, cpus),
            Figure(f"processor time of the hub, {size:,}", "s", hub_cpu, limit, cpus),
            Figure(f"bytes sent, {size:,} transactions", "bytes", sent, "the rows as JSON", as_json),
        ]
    return figures


SCENARIO = Scenario("backlog", "backlog of offline transactions", run)
