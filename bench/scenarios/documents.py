"""A recorded editing session replayed through the public API, beside the bare library in the same run."""

from __future__ import annotations

import time
from pathlib import Path

import pycrdt

import holdfast as hf
from bench import traces
from bench.measure import Bar, Figure, Scenario, Settings
from holdfast.edge.local import LocalTransport

COMMIT_EVERY = 1_000
"""So many edits are one transaction: captured, with the plain column, and durable."""


def run(settings: Settings) -> list[Figure]:
    """Seconds and bytes of both traces."""
    single, double = traces.sequential(), traces.concurrent()
    captured, bare, synced, sent, received, stored, state, both, size = ([] for _ in range(9))
    for number in range(settings.runs):
        seconds, library_bytes, whole = library(single)
        bare.append(seconds)
        size.append(library_bytes / 1000)
        state.append(whole / 1000)
        folder = settings.folder / f"documents{number}"
        folder.mkdir()
        server = hf.Server(f"sqlite:///{folder / 'hub.db'}", traces.SCHEMA, authenticate=lambda _: traces.WRITER)
        with server, device(server, folder / "one.db") as one, device(server, folder / "two.db") as two:
            one.execute("INSERT INTO note (id) VALUES ('1')")
            one.sync()
            start = time.perf_counter()
            for first in range(0, len(single.patches), COMMIT_EVERY):
                traces.write(one, single.patches[first : first + COMMIT_EVERY])
            captured.append(time.perf_counter() - start)
            start = time.perf_counter()
            sent.append(one.sync().bytes_sent / 1000)
            synced.append(time.perf_counter() - start)
            received.append(two.sync().bytes_received / 1000)
            if not traces.shown(one) == traces.shown(two) == single.text:
                raise AssertionError("the trace did not give its text")
        stored.append((folder / "hub.db").stat().st_size / 1000)
        server = hf.Server("memory:", traces.SCHEMA, authenticate=lambda _: traces.WRITER)
        with server, device(server, folder / "a.db") as one, device(server, folder / "b.db") as two:
            start = time.perf_counter()
            traces.replay(double, traces.in_order((one, two)))
            both.append(time.perf_counter() - start)
            if not traces.shown(one) == traces.shown(two) == double.text:
                raise AssertionError("the trace of two writers did not give its text")
    edits = f"{single.name}: {len(single.patches)} edits"
    alone = "pycrdt, a transaction an edit, in memory"
    return [
        Figure(f"{edits} captured, a durable commit every 1,000", "s", captured, alone, bare, (Bar("at most", 4.0),)),
        Figure("sent to the hub and merged there", "s", synced),
        Figure("bytes sent", "kB", sent, "pycrdt, an update an edit", size),
        Figure("bytes to a new device", "kB", received, "pycrdt, the whole document", state),
        Figure("hub file", "kB", stored, "pycrdt, the whole document", state),
        Figure(f"{double.name}: two offline devices, {len(double.steps)} edits, both synced", "s", both),
    ]


def device(server: hf.Server, path: Path) -> hf.Replica:
    """A device of the writer."""
    return hf.Replica(path, traces.SCHEMA, transport=LocalTransport(server, traces.WRITER))


def library(trace: traces.Sequential) -> tuple[float, int, int]:
    """(seconds, bytes of all updates, bytes of the whole) of the bare library, which counts bytes of UTF-8."""
    document: pycrdt.Doc = pycrdt.Doc()
    text = document.get("text", type=pycrdt.Text)
    sizes = []
    subscription = document.observe(lambda event: sizes.append(len(event.update)))
    start = time.perf_counter()
    for place, removed, typed in trace.patches:
        with document.transaction():
            if removed:
                del text[place : place + removed]
            if typed:
                text.insert(place, typed)
    seconds = time.perf_counter() - start
    document.unobserve(subscription)
    return seconds, sum(sizes), len(document.get_update())


SCENARIO = Scenario("documents", "recorded editing of a text, by one writer and by two at once", run)
