"""Who asks a hub for as much as one request can: its memory does not grow with its rows."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import holdfast as hf
from holdfast.kernel.digest import BUCKETS
from holdfast.testing import LocalTransport

ROWS, SIZE = 4_000, 3_000
ANNA = hf.Identity("anna", {"site": "rw"})


class Note(hf.Table, space="site"):
    text: str = ""


SCHEMA = hf.Schema(Note)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[hf.Server]:
    folder: Path = tmp_path_factory.mktemp("hub")
    with (
        hf.Server(f"sqlite:///{folder}/hub.db", SCHEMA) as server,
        hf.Replica(folder / "a.db", SCHEMA, transport=LocalTransport(server, ANNA)) as writer,
    ):
        rows = ((f"n{n}", chr(97 + n % 26) * SIZE) for n in range(ROWS))
        writer.executemany("insert into note (id, text) values (?, ?)", rows)
        assert writer.sync().refused == []
        yield server


def request(cursors: dict[str, str], **more: Any) -> bytes:
    facts = {"protocol": 1, "device": "d", "clock": 0, "cursors": cursors}
    return msgspec.json.encode({**facts, "schema": {"version": 1, "hash": SCHEMA.hash}, **more})


def answer(hub: hf.Server, body: bytes) -> tuple[bytes, int]:
    """The footer of the answer, and how much memory was held at most while it was made."""
    exchange = LocalTransport(hub, ANNA).exchange(body)
    tracemalloc.start()
    try:
        footer = b""
        for chunk in exchange.chunks():
            footer = chunk
        return footer.splitlines()[-1], tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def cursors(hub: hf.Server) -> dict[str, str]:
    """Of a device that has read everything, so that no page stands in its answers."""
    cursors: dict[str, str] = {}
    while True:
        lines = b"".join(LocalTransport(hub, ANNA).exchange(request(cursors)).chunks()).splitlines()
        for line in map(msgspec.json.decode, lines):
            if "page" in line:
                cursors[line["page"]["space"]] = line["page"]["cursor"]
        footer = msgspec.json.decode(lines[-1])["footer"]
        if not footer["more"]:
            return {**cursors, **footer.get("cursors", {})}


def test_all_parts_of_a_large_space(hub: hf.Server, cursors: dict[str, str]) -> None:
    """Of rows that nobody wants whole, nothing but tags is held; and each is looked at once."""
    parts = {str(bucket): "AAAAAA==" for bucket in range(BUCKETS)}
    footer, peak = answer(hub, request(cursors, compare={"site": {"parts": parts}}))
    rows = msgspec.json.decode(footer)["footer"]["compared"]["site"]["rows"]
    assert sum(len(part) for parts in rows.values() for part in parts.values()) >= ROWS * 4
    assert peak < ROWS * SIZE / 3, f"{peak} bytes for {ROWS * SIZE} of rows"


def test_the_history_of_large_values(hub: hf.Server, cursors: dict[str, str], tmp_path: Path) -> None:
    """The latest entries, as many as a few megabytes hold, and one of each row in any case."""
    with hf.Replica(tmp_path / "b.db", SCHEMA, transport=LocalTransport(hub, ANNA)) as writer:
        writer.sync()
        for n in range(25):
            with writer.transaction(f"edit {n}"):
                writer.execute("update note set text = ? where id = 'n0'", (f"{n:02}" * 50_000,))
            writer.sync()
    asked = [*[["note", "n0"]] * 40, ["note", "n1"]]
    footer, peak = answer(hub, request(cursors, history=asked))
    told = msgspec.json.decode(footer)["footer"]["history"]
    assert [row["key"] for row in told] == [key for _, key in asked]
    labels = [[entry["label"] for entry in row["entries"]] for row in told]
    assert labels[0][-2:] == ["edit 23", "edit 24"]
    assert labels[39] == ["edit 24"]
    assert labels[40] == [""]
    assert len(footer) < 16_000_000
    assert peak < 80_000_000
