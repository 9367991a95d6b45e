"""How long a silent hub is waited for: to connect is one matter, to think about a request another, to hold a stream a
third."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from holdfast.edge import news_client
from holdfast.edge.http import HttpTransport
from holdfast.errors import HoldfastError
from holdfast.protocol.meter import Meter

CONNECTING = 0.1
"""So short is the time for a connection in these tests; what a hub takes beyond it is its own affair."""
THINKS = 0.4
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
HERE, NEWS = b"event: here\ndata: {}\n\n", b"event: news\ndata: {}\n\n"

Say = Callable[[socket.socket, threading.Event], None]


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


@contextmanager
def hub_that(says: Say) -> Iterator[str]:
    """A listener: `says(connection, over)` answers each request; `over` is set when the test ends."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                data = connection.recv(65536)
                if data:
                    says(connection, over)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


@pytest.fixture(autouse=True)
def quick_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Meter, "connecting", property(lambda _: CONNECTING))


def test_a_hub_may_think_longer_than_a_connection_takes() -> None:
    """Regression: the time for a connection bounded the whole exchange; a hub that was busy for three seconds with ten
    thousand transactions was taken for a broken network."""

    def thinks(connection: socket.socket, over: threading.Event) -> None:
        over.wait(THINKS)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with hub_that(thinks) as url:
        way = HttpTransport(url)
        exchange = way.exchange(b"{}")
        assert (exchange.status, b"".join(exchange.chunks())) == (200, b"{}")
        way.close()


def opened(url: str, kind: str) -> tuple[Any, queue.Queue[Any]]:
    heard: queue.Queue[Any] = queue.Queue()
    return HttpTransport(url).open_news(kind, heard.put), heard


@pytest.mark.parametrize("kind", ["events", "longpoll"])
def test_a_quiet_channel_for_news_is_held(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: after the time for a connection, and in any case between two signs of life, it counted as broken; so
    every device without WebSocket ended with plain polling."""
    monkeypatch.setattr(news_client, "OPEN_SECONDS", 0.2)
    polls: list[int] = []

    def quiet(connection: socket.socket, over: threading.Event) -> None:
        if kind == "events":
            connection.sendall(STREAM + chunk(HERE))
            over.wait(THINKS)
            connection.sendall(chunk(NEWS))
            over.wait(20)
            return
        polls.append(1)
        over.wait(THINKS if len(polls) == 2 else 0.0 if len(polls) == 1 else 20)
        body = b'{"mark":"m","news":%s}' % (b"true" if len(polls) == 2 else b"false")
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with hub_that(quiet) as url:
        channel, heard = opened(url, kind)
        assert heard.get(timeout=10) is None, "news, and no error before it"
        channel.close()


def test_a_stream_without_its_first_event_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news_client, "OPEN_SECONDS", 0.1)

    def holds_back(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(STREAM)
        over.wait(20)

    with hub_that(holds_back) as url, pytest.raises(HoldfastError) as raised:
        opened(url, "events")
    assert raised.value.code == "network"


def test_a_half_dead_stream_is_noticed_after_two_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news_client, "PING_SECONDS", 0.1)

    def dies(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(STREAM + chunk(HERE))
        over.wait(20)

    with hub_that(dies) as url:
        channel, heard = opened(url, "events")
        lost = heard.get(timeout=10)
        assert isinstance(lost, HoldfastError) and lost.code == "network"
        channel.close()
