"""A round that comes while the hub's process ends."""

from __future__ import annotations

from pathlib import Path

import pytest

import holdfast as hf
from holdfast.edge.local import LocalTransport


class Note(hf.Table, space="all"):
    text: str


SCHEMA = hf.Schema(Note, version=1)


def test_it_is_told_to_come_again_and_nothing_is_lost(tmp_path: Path) -> None:
    """What a rolling restart under load met: a worker still had a round when the store was closed."""
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    server = hf.Server(url, SCHEMA)
    way = LocalTransport(server, hf.Identity("anna", {"all": "rw"}))
    with hf.Replica(tmp_path / "device.db", SCHEMA, transport=way) as device:
        device.sync()
        device.execute("insert into note (id, text) values ('n', 'kept')")
        server.close()
        with pytest.raises(hf.HoldfastError) as refusal:
            device.sync()
        assert refusal.value.code == "hub_unavailable"
        assert device.status.pending_count == 1
    with hf.Server(url, SCHEMA) as again:
        way = LocalTransport(again, hf.Identity("anna", {"all": "rw"}))
        with hf.Replica(tmp_path / "device.db", SCHEMA, transport=way) as device:
            assert device.sync().pushed == 1
