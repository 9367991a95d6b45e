"""What a review of the core found: each test failed before its fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

import holdfast as hf
from holdfast.edge.local import LocalTransport
from holdfast.errors import HoldfastError
from holdfast.replica.backoff import MOST_SECONDS, Backoff


class Visit(hf.Table, space="all"):
    place: str = ""
    crew: hf.Counter = 0
    rank: hf.Earliest[int] = 0


class Seat(hf.Table, space="all", unique=[("rank",)]):
    rank: hf.Earliest[int] = 0


SCHEMA = hf.Schema(Visit, Seat)
ANNA = hf.Identity("anna", {"all": "rw"})


class Place:
    """A hub and devices on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = hf.Server(f"sqlite:///{folder}/hub.db", SCHEMA)
        self.server.health()
        self.open: list[Any] = [self.server]

    def device(self, name: str) -> hf.Replica:
        device = hf.Replica(self.folder / f"{name}.db", SCHEMA, transport=LocalTransport(self.server, ANNA))
        self.open.append(device)
        return device

    def program(self) -> apsw.Connection:
        program = apsw.Connection(str(self.folder / "hub.db"))
        self.open.append(program)
        return program

    def close(self) -> None:
        for one in reversed(self.open):
            one.close()


@pytest.fixture
def place(tmp_path: Path):  # type: ignore[no-untyped-def]
    place = Place(tmp_path)
    yield place
    place.close()


def test_a_write_counts_once_when_another_process_hears_of_it_before_its_answer(place: Place) -> None:
    """Two processes on one file: the one that is live gets the row from the hub while the other one's answer, which
    leaves it out, is still under way."""
    far, writer, listener = place.device("far"), place.device("near"), place.device("near")
    far.execute("insert into visit (id, crew) values ('1', 10)")
    far.sync()
    writer.sync()
    channel = place.server.live(ANNA, lambda: None)
    listener.apply_response(iter(channel.handle(listener.build_request())))
    writer.execute("update visit set crew = crew + 1")
    answer = list(place.server.handle(writer.build_request(), ANNA))
    news = channel.news()
    assert news is not None
    assert listener.apply_response(iter(news)), "it asks again, to learn what became of the write"
    assert writer.execute("select crew from visit") == [(11,)]
    writer.apply_response(iter(answer))
    assert writer.execute("select crew from visit") == [(11,)]
    listener.sync()
    far.sync()
    assert far.execute("select crew from visit") == listener.execute("select crew from visit") == [(11,)]
    assert writer.pending() == []


def test_a_transaction_with_more_operations_than_a_request_takes_does_not_block_the_queue(place: Place) -> None:
    device = place.device("a")
    device.executemany("insert into seat (id, rank) values (?, ?)", ((str(i), i) for i in range(100_001)))
    device.execute("insert into visit (id) values ('1')")
    assert device.sync().pushed == 1
    assert [refused.code for refused in device.refused()] == ["transaction_too_large"]
    assert device.pending() == []
    assert device.execute("select count(*) from seat") == [(0,)], "the table shows what the hub has"


def test_a_life_that_no_row_has_is_refused_and_does_not_reach_other_devices(place: Place) -> None:
    device, other = place.device("a"), place.device("b")
    device.execute("insert into visit (id) values ('1')")
    request = msgspec.json.decode(device.build_request())
    request["transactions"][0]["ops"][0]["life"] = 2**53 - 1
    answer = b"".join(place.server.handle(msgspec.json.encode(request), ANNA))
    assert b'"code":"operation_malformed"' in answer
    assert other.sync().pulled == 0


@pytest.mark.parametrize("reason", [ValueError("no"), None, "\ud800"])
def test_a_refusal_by_a_hook_can_always_be_sent(place: Place, reason: Any) -> None:
    @place.server.before_write("visit")
    def refuse(change: hf.Change, context: hf.Context) -> None:
        raise hf.Refuse(reason, code=reason)

    device = place.device("a")
    device.execute("insert into visit (id) values ('1')")
    assert len(device.sync().refused) == 1
    assert device.pending() == []


def test_a_row_of_another_program_that_no_operation_can_say_stops_nobody(place: Place) -> None:
    device, program = place.device("a"), place.program()
    device.execute("insert into visit (id) values ('1')")
    device.sync()
    program.execute("update visit set crew = 9007199254740991")
    device.sync()
    program.execute("update visit set crew = -9007199254740991")
    program.execute("insert into visit (id, place) values ('2', 'north')")
    device.sync()
    assert device.execute("select place from visit where id = '2'") == [("north",)]


def test_a_row_that_merging_brings_into_conflict_with_another_programs_row_stops_nobody(place: Place) -> None:
    device, program = place.device("a"), place.program()
    device.execute("insert into seat (id, rank) values ('1', 1)")
    device.sync()
    program.execute("update seat set rank = 5 where id = '1'")  # the earliest stays 1, which is taken now:
    program.execute("insert into seat (id, rank) values ('2', 1)")
    program.execute("insert into visit (id, place) values ('3', 'north')")
    device.sync()
    assert device.execute("select place from visit") == [("north",)]


def test_a_live_channel_sends_no_news_while_the_device_has_the_rest_of_an_answer_to_ask_for(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = place.device("a"), place.device("b")
    writer.executemany("insert into visit (id, place) values (?, ?)", ((str(i), "x" * 1000) for i in range(600)))
    writer.sync()
    monkeypatch.setattr("holdfast.hub.pull.RESPONSE_BYTES", 1)
    channel = place.server.live(ANNA, lambda: None)
    while reader.apply_response(iter(channel.handle(reader.build_request()))):
        assert channel.news() is None, "it would begin where the device began"
    assert channel.news() is None
    assert reader.execute("select count(*) from visit") == [(600,)]


def test_an_error_of_the_hub_may_have_any_details() -> None:
    error = HoldfastError("busy", "later", code="x", message="y", self="z")
    assert error.details == {"code": "x", "message": "y", "self": "z"}


@pytest.mark.parametrize("wish", ["5", [1], True, float("inf"), -3])
def test_a_wish_to_retry_later_that_is_no_number_of_seconds_does_not_end_the_loop(wish: object) -> None:
    assert 0.0 <= Backoff(lambda: 0.0).failed(wish) <= MOST_SECONDS
