"""What a slow reader, a large answer and a busy channel cost the hub: a bound, whatever there is to send."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.edge.live_messages import unpack
from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m
from holdfast.replica import downloads
from holdfast.replica.events import RoundEnded
from holdfast.replica.inbox import MOST_WAITING, Happening, Inbox, RealTime
from tests.integration.network.peers import ANNA, BEN, SCHEMA, Answer, device, hub_server

ROWS, BYTES = 1_500, 4_000
ADD = "insert into form (project_id, status, tags) values ('1', ?, '[]')"


def request() -> bytes:
    """What a device asks that holds nothing."""
    return m.encode(m.Request(m.PROTOCOL, "d" * 16, m.SchemaName(SCHEMA.version, SCHEMA.hash), 0))


def test_a_reader_that_takes_nothing_is_not_read_ahead_for(tmp_path: Path) -> None:
    """Six megabytes wait for a device that stops after the first message: the hub has made no more than it sent."""
    with hub_server(tmp_path) as server:
        server.authenticate = lambda headers: ANNA
        way = hf.testing.LocalTransport(server, ANNA)
        with device(tmp_path, "anna", way) as anna:
            anna.executemany(ADD, ((f"{n}".ljust(BYTES, "x"),) for n in range(ROWS)))
            anna.sync()
        sent = asyncio.run(first_messages(server))
        pages = server.hub.observation.metrics.text([])
        made = next(
            int(float(line.split()[-1])) for line in pages.splitlines() if "rows_sent_total " in line and line[0] != "#"
        )
        assert 0 < made < ROWS / 4
        assert sum(len(unpack(message, 2**20)) for message in sent) < BYTES * ROWS / 4


async def first_messages(server: hf.Server) -> list[bytes]:
    """What the hub sends over a live channel until the device stops taking it."""
    scope: dict[str, Any] = {
        "type": "websocket", "path": "/v1/live", "raw_path": b"/v1/live", "query_string": b"", "headers": [],
        "subprotocols": ["holdfast.1"], "scheme": "ws", "http_version": "1.1", "root_path": "",
        "server": ("127.0.0.1", 1), "client": ("127.0.0.1", 2), "asgi": {"version": "3.0"}, "extensions": {},
    }  # fmt: skip
    incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    for message in ({"type": "websocket.connect"}, {"type": "websocket.receive", "text": f'{{"request":{text()}}}'}):
        incoming.put_nowait(message)
    sent: list[bytes] = []
    stuck = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            sent.append(message["bytes"])
            stuck.set()
            await asyncio.Event().wait()

    channel = asyncio.create_task(server.asgi()(scope, incoming.get, send))  # type: ignore[arg-type]
    await stuck.wait()
    for _ in range(100):
        await asyncio.sleep(0)
    channel.cancel()
    await asyncio.gather(channel, return_exceptions=True)
    return sent


def text() -> str:
    return request().decode()


def test_a_device_that_is_busy_takes_no_more_than_its_bound_from_the_channel() -> None:
    inbox = Inbox(RealTime())
    mouth = inbox.mouth()
    piece = b"x" * (MOST_WAITING // 4)
    brought: list[int] = []

    def bring() -> None:
        for number in range(12):
            mouth(piece)
            brought.append(number)

    bringing = threading.Thread(target=bring)
    bringing.start()
    most = 0
    for _ in range(12):
        happening: Happening = inbox.get(10.0)
        assert happening.value == piece
        most = max(most, inbox._size)
    bringing.join(10)
    assert most <= MOST_WAITING and len(brought) == 12


@pytest.mark.parametrize("others", [0, 5])
def test_a_channel_looks_at_the_store_once_for_each_change_of_others(tmp_path: Path, others: int) -> None:
    """Its own pushes wake it, too, and are in their answers already."""
    with hub_server(tmp_path) as server:
        woken: list[None] = []
        channel = server.live(ANNA, lambda: woken.append(None))
        list(channel.handle(request()))
        assert not channel.due()
        with device(tmp_path, "anna", OverChannel(channel)) as anna:
            for number in range(5):
                anna.execute(ADD, (f"own {number}",))
                anna.sync()
                assert woken and not channel.due(), "its own push needs no look"
                woken.clear()
        with device(tmp_path, "ben", hf.testing.LocalTransport(server, BEN)) as ben:
            for number in range(others):
                ben.execute(ADD, (f"other {number}",))
                ben.sync()
                assert channel.due()
                assert b"other" in b"".join(channel.news() or ())
                channel.applied()
                assert not channel.due() and channel.news() is None
        channel.close()


class OverChannel:
    """Carries rounds as requests of a live channel."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self.url = ""

    def exchange(self, body: bytes) -> Any:
        """One round."""
        try:
            answer = self._channel.handle(body)
        except HoldfastError:
            return Answer(400, [b'{"code":"request_malformed","message":"whole requests only","details":{}}'])
        return Answer(answer.status, list(answer))

    def close(self) -> None:
        """Nothing to close."""


def test_a_first_load_holds_a_bounded_share_of_it_in_memory(tmp_path: Path) -> None:
    """Pages are written while they come: what waits in memory does not grow with what there is to load."""
    with hub_server(tmp_path) as server:
        with device(tmp_path, "anna", hf.testing.LocalTransport(server, ANNA)) as anna:
            anna.executemany(ADD, ((f"{n}".ljust(BYTES, "x"),) for n in range(ROWS)))
            anna.sync()
        with (
            device(tmp_path, "ben", hf.testing.LocalTransport(server, BEN)) as ben,
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr(downloads, "DIRECT_BYTES", 300_000)
            waits: list[int] = []
            ended: list[RoundEnded] = []
            ben.events.add(lambda event: ended.append(event) if isinstance(event, RoundEnded) else None)
            write = downloads.Downloads._write_direct

            def noted(self: Any) -> None:
                waits.append(sum(len(page.rows) for page in self._direct))
                write(self)

            patch.setattr(downloads.Downloads, "_write_direct", noted)
            assert ben.sync().pulled == ROWS
            assert len(ended) == 1 and len(waits) >= 12
            assert max(waits) < 300_000 + 2 * 256 * 1024
