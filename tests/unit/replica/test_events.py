"""Events of the sync engine, and what a real round tells."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.replica.events import Events, PiecesArrived, RoundEnded, SyncEvent


class Note(hf.Table, space="team"):
    body: str


SCHEMA = hf.Schema(Note)


def test_a_listener_that_fails_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    events, heard = Events(), []

    def fails(event: SyncEvent) -> None:
        raise RuntimeError("planted")

    stop_failing, stop_hearing = events.add(fails), events.add(heard.append)
    with caplog.at_level(logging.ERROR, "holdfast.replica"):
        events.emit(PiecesArrived(1))
    assert "planted" in caplog.text
    stop_failing()
    events.emit(PiecesArrived(2))
    stop_hearing()
    stop_hearing()
    events.emit(PiecesArrived(3))
    assert heard == [PiecesArrived(1), PiecesArrived(2)]


def test_a_round_tells_what_it_did_and_what_went_wrong(tmp_path: Path) -> None:
    server = hf.Server("memory:", SCHEMA)
    known = hf.testing.LocalTransport(server, hf.Identity("anna", {"team": "rw"}))
    told: list[RoundEnded] = []
    with hf.Replica(tmp_path / "a.db", SCHEMA, transport=known) as device:
        device.events.add(lambda event: told.append(event) if isinstance(event, RoundEnded) else None)
        device.execute("insert into note (body) values ('x')")
        report = device.sync()
        assert (device.status.upload_error, device.status.download_error) == (None, None)
    (event,) = told
    assert (event.trigger, event.transactions, event.pushed, event.refused, event.error) == ("sync", 1, 1, 0, None)
    assert (event.sent, event.received) == (report.bytes_sent, report.bytes_received)
    assert event.plain_received == event.received > 0

    unknown = hf.testing.LocalTransport(server, None)
    with hf.Replica(tmp_path / "a.db", SCHEMA, transport=unknown) as device:
        device.events.add(lambda event: told.append(event) if isinstance(event, RoundEnded) else None)
        with pytest.raises(hf.HoldfastError):
            device.sync()
        assert device.status.download_error is not None
    assert told[-1].error is not None
    assert told[-1].error.code == "unauthenticated"
