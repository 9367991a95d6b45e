"""Real sockets: every kind of channel, half-dead connections, quick stops, several URLs, presence, two hubs."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

import holdfast as hf
from holdfast.testing import FaultProxy, Faults

SECONDS = 10.0


class Note(hf.Table, space="project:{project}"):
    project: str
    body: str = ""
    stars: hf.Counter = 0


SCHEMA = hf.Schema(Note)
ADD = "insert into note (project, body) values ('1', ?)"


def wait_until(condition: Callable[[], bool], seconds: float = SECONDS) -> float:
    """Ask again and again; gives the seconds that it took."""
    began = time.monotonic()
    pause = threading.Event()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not happen"
        pause.wait(0.002)
    return time.monotonic() - began


class Site:
    """A hub behind uvicorn; `forbid` names what does not come through: "websocket", "events", "longpoll"."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.forbid: set[str] = set()
        self.server = hf.Server(f"sqlite:///{folder}/hub.db", SCHEMA, authenticate=identity)
        self.devices: list[hf.Replica] = []
        self.start()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", []))
        kind = scope["type"]
        if scope.get("path") == "/v1/live" and kind == "http":
            kind = "events" if b"event-stream" in headers.get(b"accept", b"") else "longpoll"
        if kind not in self.forbid:
            await self.inner(scope, receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"not here"})

    def start(self, port: int = 0) -> None:
        self.inner = self.server.asgi()
        config = uvicorn.Config(
            self.app,
            interface="asgi3",
            port=port,
            log_level="critical",
            ws="websockets-sansio",
            ws_ping_interval=0.3,
            ws_ping_timeout=0.3,
        )
        self.web = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.web.run, daemon=True)
        self.thread.start()
        wait_until(lambda: self.web.started)
        self.port: int = self.web.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.web.should_exit = self.web.force_exit = True
        self.thread.join(SECONDS)

    def device(self, user: str, url: str | list[str] | None = None, **options: Any) -> hf.Replica:
        device = hf.Replica(self.folder / f"{user}.db", SCHEMA, url=url or self.url, token=user, **options)
        self.devices.append(device)
        return device

    def close(self) -> None:
        for device in self.devices:
            device.close()
        self.stop()
        self.server.close()


def identity(headers: Any) -> hf.Identity | None:
    user = headers.get("authorization", "").removeprefix("Bearer ")
    return hf.Identity(user, {"project:1": "rw"}) if user and user != "expired" else None


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


@pytest.fixture
def proxy(site: Site) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", site.port) as proxy:
        yield proxy


def bodies(device: hf.Replica) -> list[str]:
    return [row[0] for row in device.execute("select body from note order by body")]


def channel(device: hf.Replica) -> str:
    loop = device._loop
    return loop.channel if loop is not None and device.status.connected else "none"


@pytest.mark.parametrize(
    ("forbid", "rung"),
    [
        (set(), "websocket"),
        ({"websocket"}, "events"),
        ({"websocket", "events"}, "longpoll"),
        ({"websocket", "events", "longpoll"}, "poll"),
    ],
)
def test_the_best_channel_that_works_is_taken(site: Site, forbid: set[str], rung: str) -> None:
    site.forbid = forbid
    anna, ben = site.device("anna"), site.device("ben")
    ben.connect()
    wait_until(lambda: channel(ben) == rung)
    anna.execute(ADD, ("from anna",))
    anna.sync()
    if rung == "poll":
        ben.poke()
    assert wait_until(lambda: bodies(ben) == ["from anna"]) < 10.0
    ben.execute(ADD, ("from ben",))
    wait_until(lambda: anna.sync().pulled == 1 or "from ben" in bodies(anna))


def test_a_better_channel_is_tried_again_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.replica.ladder.RETRY_SECONDS", 0.5)
    site.forbid = {"websocket", "events"}
    ben = site.device("ben")
    ben.connect()
    wait_until(lambda: channel(ben) == "longpoll")
    site.forbid = set()
    wait_until(lambda: channel(ben) == "websocket")


def test_a_half_dead_connection_is_noticed_within_two_intervals(
    site: Site, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.edge.live_client.PING_SECONDS", 0.5)
    anna = site.device("anna", proxy.url)
    anna.connect()
    wait_until(lambda: channel(anna) == "websocket")
    proxy.faults = Faults(black_hole=True)
    assert wait_until(lambda: not anna.status.connected) < 2 * 0.5 + 1.0
    wait_until(lambda: site.server.hub.watch.empty)  # the hub noticed it, too
    anna.execute(ADD, ("meanwhile",))
    proxy.faults = Faults()
    proxy.cut()
    anna.poke()
    wait_until(lambda: anna.status.pending_count == 0)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(),
        Faults(black_hole=True),
        Faults(down=200.0),
        Faults(lose_down=True),
        Faults(latency=5.0),
        Faults(refuse=True),
    ],
    ids=["well", "black hole", "slow", "half", "latency", "refused"],
)
def test_disconnect_is_done_within_a_second(site: Site, proxy: FaultProxy, faults: Faults) -> None:
    with site.device("ben") as ben:
        ben.executemany(ADD, ((f"{n}" * 100,) for n in range(200)))
        ben.sync()
    proxy.faults = faults
    anna = site.device("anna", proxy.url)
    anna.execute(ADD, ("x",))
    anna.connect()
    waiting: list[hf.HoldfastError] = []

    def sync() -> None:
        try:
            anna.sync(timeout=SECONDS)
        except hf.HoldfastError as error:
            waiting.append(error)

    syncing = threading.Thread(target=sync)
    syncing.start()
    wait_until(lambda: proxy.connections > 0)
    threading.Event().wait(0.2)
    began = time.monotonic()
    anna.disconnect()
    assert time.monotonic() - began < 1.0
    syncing.join(1.0)
    assert not syncing.is_alive(), "who waits for a sync is told at once"
    assert anna.execute("select count(*) from note where body = 'x'") == [(1,)]


def test_a_sync_that_meets_a_disconnect_is_told_at_once(site: Site) -> None:
    """Regression: a sync asked for while the loop ended waited for its whole timeout."""
    anna = site.device("anna")
    for _ in range(20):
        anna.connect()
        loop = anna._loop
        assert loop is not None
        loop.stop()
        began = time.monotonic()
        with pytest.raises(hf.HoldfastError) as raised:
            loop.sync(SECONDS)
        assert raised.value.code == "closed"
        assert time.monotonic() - began < 1.0
        anna.disconnect()


def test_the_next_url_is_taken_and_the_first_one_again_when_it_is_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.replica.schedule.RETURN_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    anna = site.device("anna", [f"http://127.0.0.1:{port}", site.url])
    anna.execute(ADD, ("foreground",))
    assert anna.sync().pushed == 1
    anna.connect()
    wait_until(lambda: channel(anna) == "websocket")
    assert anna._loop is not None
    assert anna._loop.url == site.url
    site.start(port)
    wait_until(lambda: anna._loop is not None and anna._loop.url.endswith(f":{port}") and anna.status.connected)


def test_who_is_here(site: Site) -> None:
    anna, ben = site.device("anna"), site.device("ben")
    for device in (anna, ben):
        device.connect()
        device.announce("project:1", {"page": device.path[-8:]})
    wait_until(
        lambda: [present.user for present in sorted(ben.presence("project:1"), key=lambda p: p.user)] == ["anna", "ben"]
    )
    assert {present.data["page"] for present in ben.presence("project:1")} == {anna.path[-8:], ben.path[-8:]}
    anna.announce("project:1", "elsewhere")
    wait_until(lambda: "elsewhere" in [present.data for present in ben.presence("project:1")])
    anna.withdraw("project:1")
    wait_until(lambda: [present.user for present in ben.presence("project:1")] == ["ben"])
    anna.announce("project:1")
    wait_until(lambda: len(ben.presence("project:1")) == 2)
    anna.close()
    wait_until(lambda: [present.user for present in ben.presence("project:1")] == ["ben"])
    ben.announce("project:2", "not mine to read")
    assert ben.presence("project:2") == []
    ben.disconnect()
    assert ben.presence("project:1") == []


@pytest.mark.parametrize("data", ["x" * 2_000, object(), float("nan")])
def test_only_a_little_json_can_be_announced(tmp_path: Path, data: Any) -> None:
    with hf.Replica(tmp_path / "a.db", SCHEMA) as device, pytest.raises(hf.HoldfastError) as raised:
        device.announce("project:1", data)
        assert data != data, "NaN becomes null"
        raise hf.HoldfastError("announcement_invalid", "NaN is null")
    assert raised.value.code == "announcement_invalid"


def test_two_hubs_on_one_sqlite_file_wake_each_others_channels(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the other hub's devices heard of a commit only every ten seconds."""
    monkeypatch.setattr("holdfast.edge.live.REVIEW_SECONDS", 3_600.0)
    other = Site(tmp_path)
    try:
        anna, ben = site.device("anna"), other.device("ben")
        for device in (anna, ben):
            device.connect()
            wait_until(lambda device=device: channel(device) == "websocket")
        for number in range(5):
            anna.execute(ADD, (str(number),))
            assert wait_until(lambda number=number: len(bodies(ben)) == number + 1) < 5.0
    finally:
        other.close()


def test_connections_that_break_at_any_byte_lose_and_double_nothing(site: Site, proxy: FaultProxy) -> None:
    anna, ben = site.device("anna", proxy.url), site.device("ben")
    ben.connect()
    anna.connect()
    for number in range(40):
        proxy.faults = Faults(cut_down=137 * number + 1, cut_up=5_000 - 100 * number) if number % 2 else Faults()
        if number % 5 == 0:
            proxy.cut()
        anna.execute(ADD, (f"{number:02}" * 20,))
        anna.execute("update note set stars = stars + 1")
        anna.poke()
    proxy.faults = Faults()
    proxy.cut()
    anna.poke()
    wait_until(lambda: anna.status.pending_count == 0 and len(bodies(ben)) == 40)
    assert ben.execute("select sum(stars) from note") == [(40 * 41 // 2,)]
    wait_until(lambda: anna.digest("project:1") == ben.digest("project:1"))


def test_what_a_connection_says_twice_counts_once(site: Site, proxy: FaultProxy) -> None:
    anna = site.device("anna", proxy.url)
    proxy.faults = Faults(twice=True)
    anna.execute(ADD, ("x",))
    anna.execute("update note set stars = stars + 1")
    anna.sync()
    anna.close()
    ben = site.device("ben")
    wait_until(lambda: proxy.connections > 0)
    proxy.close()
    ben.sync()
    assert ben.execute("select stars from note") == [(1,)]


def test_a_slow_reader_holds_nobody_up_and_gets_everything_in_the_end(site: Site, proxy: FaultProxy) -> None:
    anna, ben = site.device("anna"), site.device("ben", proxy.url)
    ben.connect()
    wait_until(lambda: channel(ben) == "websocket")
    proxy.faults = Faults(slow_reader=True)
    for number in range(20):
        anna.executemany(ADD, ((f"{number} {row}" * 50,) for row in range(50)))
        anna.sync()
    proxy.faults = Faults()
    wait_until(lambda: ben.execute("select count(*) from note") == [(1_000,)])
    assert proxy.received < 600_000, "messages are packed"
