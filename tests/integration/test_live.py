"""The live channel: writes of one device reach another one by themselves, over a real server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
import uvicorn

import holdfast as hf
from holdfast.hub.live import decode_message
from holdfast.hub.watch import Watch


class Note(hf.Table, space="project:{project}"):
    project: str
    body: str = ""
    stars: hf.Counter = 0


SCHEMA = hf.Schema(Note)
SECONDS = 20.0


class Site:
    """A hub behind uvicorn on a free port, with devices that connect to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.access: dict[str, dict[str, str]] = {}
        self.server = hf.Server(f"sqlite:///{folder}/hub.db", SCHEMA, authenticate=self.identity)
        self.devices: list[hf.Replica] = []
        # Bound, and not listening: while the hub is down nobody else on this computer gets its port.
        self.reserved = bound(0)
        self.port = self.reserved.getsockname()[1]
        self.start()

    def identity(self, headers: dict[str, str]) -> hf.Identity | None:
        user = headers.get("authorization", "").removeprefix("Bearer ")
        return hf.Identity(user, self.access[user]) if user in self.access else None

    def start(self) -> None:
        config = uvicorn.Config(self.server.asgi(), log_level="error", ws="websockets-sansio")
        self.web = uvicorn.Server(config)
        self.listening = bound(self.port)
        self.listening.listen()
        self.thread = threading.Thread(target=self.web.run, kwargs={"sockets": [self.listening]}, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.web.should_exit = True
        self.thread.join(SECONDS)
        self.listening.close()

    def device(self, user: str, spaces: dict[str, str]) -> hf.Replica:
        self.access[user] = spaces
        url = f"http://127.0.0.1:{self.port}"
        device = hf.Replica(self.folder / f"{user}.db", SCHEMA, url=url, token=user)
        self.devices.append(device)
        return device

    def close(self) -> None:
        for device in self.devices:
            device.close()
        self.stop()
        self.reserved.close()
        self.server.close()


def bound(port: int) -> socket.socket:
    """A socket on that port, which several may have."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


def wait_until(condition: Callable[[], bool]) -> None:
    """Ask again and again, for at most 20 seconds."""
    stop = threading.Event()
    timer = threading.Timer(SECONDS, stop.set)
    timer.start()
    try:
        while not condition():
            assert not stop.is_set(), "it did not happen"
    finally:
        timer.cancel()


def bodies(device: hf.Replica) -> list[str]:
    return [row["body"] for row in device.execute("select body from note order by body")]


def test_a_write_reaches_the_other_device_by_itself(site: Site) -> None:
    anna, ben = (site.device(user, {"project:1": "rw"}) for user in ("anna", "ben"))
    anna.connect()
    ben.connect()
    for number in range(20):
        anna.execute("insert into note (project, body) values ('1', ?)", (f"{number:02}",))
    wait_until(lambda: len(bodies(ben)) == 20)
    ben.execute("update note set stars = stars + 1")
    anna.execute("update note set stars = stars + 1")
    wait_until(lambda: {r[0] for r in anna.execute("select stars from note")} == {2})
    wait_until(lambda: {r[0] for r in ben.execute("select stars from note")} == {2})
    assert anna.status.connected
    wait_until(lambda: anna.digest("project:1") == ben.digest("project:1"))


def test_another_program_writes_on_the_device_and_on_the_hub(site: Site) -> None:
    anna, ben = (site.device(user, {"project:1": "rw"}) for user in ("anna", "ben"))
    anna.connect()
    ben.connect()
    assert ben.sync().refused == []
    for path, body in ((anna.path, "on the device"), (str(site.folder / "hub.db"), "on the hub")):
        other = apsw.Connection(path)
        other.set_busy_timeout(10_000)  # who writes in a file that others write in waits for them
        other.execute("insert into note (project, body) values ('1', ?)", (body,))
        other.close()
    wait_until(lambda: bodies(ben) == ["on the device", "on the hub"])


def test_the_hub_restarts_and_the_devices_come_back(site: Site) -> None:
    anna, ben = (site.device(user, {"project:1": "rw"}) for user in ("anna", "ben"))
    for device in (anna, ben):
        device.connect()
        device.sync()
    site.stop()
    wait_until(lambda: not anna.status.connected)
    anna.execute("insert into note (project, body) values ('1', 'written meanwhile')")
    assert "network" in str(anna.status.upload_error)
    site.start()
    wait_until(lambda: bodies(ben) == ["written meanwhile"])
    wait_until(lambda: anna.status.pending_count == 0 and anna.status.connected)


def test_access_that_is_taken_away_is_noticed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.edge.live.REVIEW_SECONDS", 0.05)
    rights = {"project:1": "rw", "project:2": "r"}
    anna, ben = site.device("anna", rights), site.device("ben", {"project:2": "rw"})
    anna.connect()
    ben.execute("insert into note (project, body) values ('2', 'secret')")
    ben.sync()
    wait_until(lambda: bodies(anna) == ["secret"])
    del rights["project:2"]
    wait_until(lambda: bodies(anna) == [])


def test_an_open_channel_asks_anew_who_its_device_is(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the identity of the handshake was kept for ever."""
    monkeypatch.setattr("holdfast.edge.live.REVIEW_SECONDS", 0.05)
    anna, ben = site.device("anna", {"project:1": "rw", "project:2": "r"}), site.device("ben", {"project:2": "rw"})
    anna.connect()
    ben.execute("insert into note (project, body) values ('2', 'secret')")
    ben.sync()
    wait_until(lambda: bodies(anna) == ["secret"])
    site.access["anna"] = {"project:1": "rw"}
    wait_until(lambda: bodies(anna) == [])
    del site.access["anna"]
    wait_until(lambda: not anna.status.connected and "unauthenticated" in str(anna.status.download_error))


def test_wrong_credentials_are_told_and_local_work_goes_on(site: Site) -> None:
    anna = site.device("anna", {"project:1": "rw"})
    del site.access["anna"]
    anna.connect()
    anna.execute("insert into note (project, body) values ('1', 'kept')")
    with pytest.raises(hf.HoldfastError) as raised:
        anna.sync(timeout=SECONDS)
    assert raised.value.code == "unauthenticated"
    site.access["anna"] = {"project:1": "rw"}
    assert anna.sync(timeout=SECONDS).refused == []
    assert anna.status.pending_count == 0


def test_a_poke_ends_the_wait_after_failures(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.replica.backoff.FIRST_SECONDS", 3_600.0)
    anna = site.device("anna", {"project:1": "rw"})
    anna.poke()  # not connected: nothing happens
    site.stop()
    anna.connect()
    wait_until(lambda: anna.status.download_error is not None)
    site.start()
    anna.execute("insert into note (project, body) values ('1', 'waits')")
    anna.poke()
    wait_until(lambda: anna.status.pending_count == 0 and anna.status.connected)
    assert (anna.status.connecting, anna.status.uploading, anna.status.conflict_count) == (False, False, 0)


def test_disconnect_is_quick_and_keeps_the_rest(site: Site) -> None:
    anna = site.device("anna", {"project:1": "rw"})
    anna.connect()
    anna.sync()
    anna.disconnect()
    anna.execute("insert into note (project, body) values ('1', 'later')")
    assert not anna.status.connected
    assert anna.status.pending_count == 1
    assert anna.sync().pushed == 1


def test_messages_of_the_wrong_shape_are_refused() -> None:
    assert bytes(decode_message(b'{"request":{"a":1}}').request) == b'{"a":1}'
    assert decode_message(b'{"applied":true}').applied
    for body in (b"", b"{}", b"[]", b"\xff", b'{"request":{},"applied":true}', b'{"applied":1}'):
        with pytest.raises(hf.HoldfastError) as raised:
            decode_message(body)
        assert raised.value.code == "request_malformed"


def test_watch_wakes_those_who_wait_for_a_space_once() -> None:
    watch, woken = Watch(), []
    stop = watch.add(["a", "b"], lambda: woken.append("ab"))
    watch.add(["b"], lambda: woken.append("b"))
    watch.changed(["a", "b"])
    assert sorted(woken) == ["ab", "b"]
    stop()
    stop()
    watch.everyone()
    assert sorted(woken) == ["ab", "b", "b"]
    assert not watch.empty
