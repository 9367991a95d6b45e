"""Calls that write by themselves, made inside a transaction of the application: they say at once what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.testing import LocalTransport


class Note(hf.Table, space="s", evictable=True):
    text: str = ""


SCHEMA = hf.Schema(Note)
CALLS: dict[str, Callable[[hf.Replica], Any]] = {
    "sync": lambda replica: replica.sync(),
    "verify": lambda replica: replica.verify(),
    "prune": lambda replica: replica.prune(),
    "compact": lambda replica: replica.compact(),
    "touch": lambda replica: replica.touch("note", "a"),
    "scrub": lambda replica: list(replica.scrub(repair=True)),
    "pending": lambda replica: replica.pending(),
    "undo": lambda replica: replica.undo(),
    "redo": lambda replica: replica.redo(),
    "offer_lost_rows": lambda replica: replica.offer_lost_rows(),
    "subscribe": lambda replica: replica.subscribe("s"),
    "build_request": lambda replica: replica.build_request(),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_call_waits_for_nobody(tmp_path: Path, name: str) -> None:
    identity = hf.Identity("ann", {"s": "rw"})
    with (
        hf.Server("memory:", SCHEMA) as server,
        hf.Replica(tmp_path / "a.db", SCHEMA, transport=LocalTransport(server, identity)) as replica,
    ):
        replica.execute("insert into note (id) values ('a')")
        with replica.transaction():
            replica.execute("update note set text = 'written'")
            began = time.monotonic()
            with pytest.raises(hf.HoldfastError) as raised:
                CALLS[name](replica)
            assert raised.value.code == "inside_transaction"
            assert name in raised.value.message or name == "pending"
            assert time.monotonic() - began < 8, "the file's lock would have been waited for, which takes 10 seconds"
        CALLS[name](replica)
        replica.sync()
        assert replica.status.pending_count == 0
