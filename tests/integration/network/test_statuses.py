"""What a device does about each status of spec/protocol.md section 6, in virtual time, with the real loop and hub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.protocol.transport import Exchange
from holdfast.replica.events import StateChanged
from holdfast.testing import LocalTransport, VirtualTime, run_loop
from tests.integration.network.peers import ANNA, Answer, device, hub_server

ADD = "insert into form (project_id, status) values ('1', ?)"


class Answering:
    """Answers with `status` and `code` until the virtual second `until`, then as the hub does."""

    def __init__(self, inner: LocalTransport, time: VirtualTime, until: float, status: int, code: str) -> None:
        self.inner, self.time, self.until, self.status, self.code = inner, time, until, status, code
        self.details: dict[str, Any] = {}
        self.retry_after: float | None = None
        self.moments: list[float] = []

    def exchange(self, body: bytes) -> Exchange:
        self.moments.append(self.time.now())
        if self.time.now() >= self.until or not self.applies(body):
            return self.inner.exchange(body)
        text = json.dumps({"code": self.code, "message": "planted", "details": self.details}).encode()
        answer = Answer(self.status, [text])
        answer.retry_after = self.retry_after  # type: ignore[attr-defined]
        return answer

    def applies(self, body: bytes) -> bool:
        return True

    def close(self) -> None:
        pass


class Desk:
    """A device with two rows to send; `states` are those of its loop, in order."""

    def __init__(self, folder: Path) -> None:
        self.server, self.time, self.states = hub_server(folder), VirtualTime(), []
        self.folder = folder

    def on(self, status: int, code: str, until: float = 100.0) -> Answering:
        self.way = Answering(LocalTransport(self.server, ANNA), self.time, until, status, code)
        self.anna = device(self.folder, "anna", self.way)
        self.anna.events.add(lambda event: self.states.append(event.state) if isinstance(event, StateChanged) else None)
        for number in range(2):
            self.anna.execute(ADD, (f"row {number}",))
        return self.way

    def run(self, limit: float) -> None:
        run_loop(self.anna, self.time, lambda: not self.anna.pending(), seed=1, limit=limit)
        assert self.server.hub.space_names() == ["project:1"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.anna.close()
    desk.server.close()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "device_mismatch"),
        (409, "schema_version"),
        (409, "schema_mismatch"),
        (409, "user_changed"),
        (426, "protocol_version"),
        (415, "encoding_unsupported"),
    ],
)
def test_what_only_a_change_can_help_is_tried_slowly(desk: Desk, status: int, code: str) -> None:
    way = desk.on(status, code, until=600.0)
    desk.run(limit=3_600.0)
    assert "blocked" in desk.states
    assert "offline" not in desk.states
    assert len(way.moments) < 15
    assert desk.anna.status.upload_error is None


def test_gone_is_tried_only_when_asked(desk: Desk) -> None:
    way = desk.on(410, "not_found", until=1.0)
    with pytest.raises(AssertionError, match="not done"):
        run_loop(desk.anna, desk.time, lambda: not desk.anna.pending(), seed=1, limit=100_000.0)
    assert len(way.moments) == 1
    run_loop(desk.anna, desk.time, lambda: not desk.anna.pending(), seed=1, limit=10.0)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_hub_in_trouble_is_tried_again_by_itself(desk: Desk, status: int) -> None:
    way = desk.on(status, "hub_unavailable", until=60.0)
    desk.run(limit=200.0)
    assert "offline" in desk.states
    assert 3 < len(way.moments) < 20


def test_retry_after_is_the_least(desk: Desk) -> None:
    way = desk.on(429, "hub_unavailable", until=300.0)
    way.retry_after = 120.0
    desk.run(limit=900.0)
    gaps = [after - before for before, after in zip(way.moments, way.moments[1:], strict=False)][:2]
    assert all(gap >= 120.0 for gap in gaps)


def test_too_large_finds_what_is_too_large_and_the_rest_goes_on(desk: Desk) -> None:
    """As a proxy with a small limit does it: 413 with a page of its own."""
    way = desk.on(413, "x", until=1e9)
    way.applies = lambda body: len(body) > 20_000  # type: ignore[method-assign]
    with desk.anna.transaction():
        desk.anna.execute(ADD, ("large " * 10_000,))
    for number in range(20):
        desk.anna.execute(ADD, (f"small {number} " * 50,))
    run_loop(desk.anna, desk.time, lambda: len(desk.anna.pending()) == 1, seed=1, limit=900.0)
    assert len(way.moments) < 60
    with hf.Replica(desk.folder / "ben.db", desk.anna.schema, transport=way.inner) as ben:
        ben.sync()
        assert ben.execute("select count(*) from form")[0][0] == 22


def test_new_credentials_are_fetched_and_it_goes_on_at_once(tmp_path: Path) -> None:
    server = hub_server(tmp_path)
    fetched: list[str] = []

    class Guarded(Answering):
        def applies(self, body: bytes) -> bool:
            return not fetched

    def fetch() -> str:
        fetched.append("new")
        return "new"

    way = Guarded(LocalTransport(server, ANNA), VirtualTime(), 1e9, 401, "unauthenticated")
    with hf.Replica(
        tmp_path / "anna.db", device(tmp_path, "x", way).schema, transport=way, fetch_credentials=fetch
    ) as anna:
        anna.execute(ADD, ("x",))
        assert anna.sync().pushed == 1
        fetched.clear()
        anna.execute(ADD, ("y",))
        anna.connect()
        assert anna.sync(timeout=20.0).refused == []
        assert fetched == ["new"]
        assert anna.pending() == []
    server.close()


def test_credentials_that_cannot_be_fetched_are_asked_for_again_later(tmp_path: Path) -> None:
    server = hub_server(tmp_path)

    def fetch() -> str:
        raise RuntimeError("nobody is here")

    way = LocalTransport(server, None)
    schema = device(tmp_path, "x", way).schema
    with hf.Replica(tmp_path / "anna.db", schema, transport=way, fetch_credentials=fetch) as anna:
        anna.execute(ADD, ("x",))
        with pytest.raises(hf.HoldfastError, match="nobody is here") as raised:
            anna.sync()
        assert raised.value.code == "unauthenticated"
        anna.connect()
        with pytest.raises(hf.HoldfastError) as raised:
            anna.sync(timeout=20.0)
        assert raised.value.code == "unauthenticated"
        assert len(anna.pending()) == 1
    server.close()
