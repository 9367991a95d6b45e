"""Recorded editing through the public API: the exact final text, for one writer and for two at once."""

from __future__ import annotations

from pathlib import Path

import holdfast as hf
from bench import traces
from holdfast.edge.local import LocalTransport


def world(folder: Path) -> tuple[hf.Server, hf.Replica, hf.Replica]:
    server = hf.Server(f"sqlite:///{folder / 'hub.db'}", traces.SCHEMA, authenticate=lambda _: traces.WRITER)
    one, two = (
        hf.Replica(folder / f"{name}.db", traces.SCHEMA, transport=LocalTransport(server, traces.WRITER))
        for name in ("one", "two")
    )
    return server, one, two


def test_one_writer(tmp_path: Path) -> None:
    server, one, two = world(tmp_path)
    trace = traces.sequential()
    with server, one, two:
        one.execute("INSERT INTO note (id) VALUES ('1')")
        one.sync()
        for start in range(0, len(trace.patches), 2_000):
            traces.write(one, trace.patches[start : start + 2_000])
        assert traces.shown(one) == trace.text
        one.sync()
        two.sync()
        assert traces.shown(two) == trace.text
        assert one.digest("notes") == two.digest("notes")


def test_two_writers_at_once(tmp_path: Path) -> None:
    server, one, two = world(tmp_path)
    trace = traces.concurrent()
    with server, one, two:
        traces.replay(trace, traces.in_order((one, two)))
        assert traces.shown(one) == trace.text
        assert traces.shown(two) == trace.text
        assert one.digest("notes") == two.digest("notes")


def test_traces_made_here(tmp_path: Path) -> None:
    """On a machine without the recorded ones the tests above replay these."""
    server, one, two = world(tmp_path)
    with server, one, two:
        trace = traces.made_concurrent()
        traces.replay(trace, traces.in_order((one, two)))
        assert traces.shown(one) == traces.shown(two) == trace.text
        single = traces.made_sequential(3_000)
        one.execute("UPDATE note SET body = ''")
        traces.write(one, single.patches)
        assert traces.shown(one) == single.text
