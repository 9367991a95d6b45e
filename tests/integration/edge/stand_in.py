"""A small hub behind the edge's port, a real server on a loopback socket, and a peer that answers any bytes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from holdfast.edge.rounds import Authenticate
from holdfast.errors import HoldfastError
from holdfast.hub.identity import Identity
from holdfast.hub.response import Response
from holdfast.protocol import messages as m
from holdfast.protocol.codec import decode_request, encode_line, encode_page

ANNA = Identity("anna", {"project:42": "rw"})
REQUEST = m.encode(m.Request(1, "device-1", m.SchemaName(1, "abc"), 1_000))


def known_token(headers: Mapping[str, str]) -> Identity | None:
    """Anna, by her token."""
    return ANNA if headers.get("authorization") == "Bearer anna" else None


class StandInHub:
    """Implements the port of the edge: checks the request and streams `pages`; counts what is open.

    `fault` runs in front of every page, with its number: what it raises breaks the answer off.
    """

    def __init__(
        self,
        pages: int = 0,
        page_bytes: int = 0,
        authenticate: Authenticate | None = known_token,
        fault: Callable[[int], None] = lambda number: None,
    ) -> None:
        self.pages = pages
        self.image = m.encode(["note", 1, ["k", "x" * page_bytes], ""])
        self.authenticate = authenticate
        self.fault = fault
        self.healthy = True
        self.closed = 0
        self.bodies: list[bytes] = []
        self.opened = 0
        self.released = 0
        self.sent_pages = 0
        self.all_released = threading.Event()
        self._lock = threading.Lock()

    def handle(self, body: bytes, identity: Identity) -> Response:
        request = decode_request(body)
        with self._lock:
            self.bodies.append(body)
            self.opened += 1
            self.all_released.clear()
        return Response(200, "application/x-ndjson", self._lines(request, identity), self._release)

    def health(self) -> dict[str, Any]:
        if not self.healthy:
            raise HoldfastError("hub_unavailable", "the store cannot be read")
        return {"status": "ok"}

    def close(self) -> None:
        self.closed += 1

    def _lines(self, request: m.Request, identity: Identity) -> Iterator[bytes]:
        spaces = dict(identity.spaces)
        header = m.Header(hub="00c0ffee0001", user=identity.user, time=request.clock, hlc=4_096_000, spaces=spaces)
        yield encode_line("header", header)
        for number in range(self.pages):
            self.fault(number)
            self.sent_pages += 1
            yield encode_page("project:42", f"c{number}", [self.image])
        yield encode_line("footer", m.Footer(False))

    def _release(self) -> None:
        with self._lock:
            self.released += 1
            if self.released == self.opened:
                self.all_released.set()


@contextmanager
def serving(app: ASGIApp, **config: Any) -> Iterator[str]:
    """`app` on a real uvicorn on a free loopback port; gives the URL. The socket listens from the start: no waiting."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    settings = uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=5, **config)
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive(), "the server did not stop"


class Peer:
    """Accepts one connection after another, reads a whole request, answers `answer`, and closes unless `keep`."""

    def __init__(self, answer: bytes, *, keep: bool = False) -> None:
        self.answer = answer
        self.keep = keep
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._held: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Peer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        for connection in self._held:
            connection.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.requests.append(read_request(connection))
            connection.sendall(self.answer)
            if self.keep:
                self._held.append(connection)
            else:
                connection.close()


def read_request(connection: socket.socket) -> bytes:
    """The bytes of one request with a Content-Length; what came until the client hung up, if it did."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
