"""The limit of a crowd that comes back: the same light devices, at a server by the same libraries that has no store.

`python -m bench.crowd_floor PORT` serves the live channel of the protocol with answers that are made once for all: to
each request one with nothing in it and, after a `POST /write`, one with a row to everybody.
"""

from __future__ import annotations

import json
import socket
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from bench import forms
from bench.child import Child, Usage, at_end_of_input, usage
from bench.hub_process import RunningHub, TellingServer
from holdfast.protocol import messages as m
from holdfast.protocol.codec import encode_line, encode_page


def answer(*, live: bool, cursor: str, rows: list[bytes]) -> bytes:
    """One answer, from header to footer."""
    header = m.Header("00c0ffee0001", forms.USER, 0, 0, {forms.SPACE: "rw"}, live=live)
    pages = [encode_page(forms.SPACE, cursor, rows)] if rows else []
    return b"".join(
        [encode_line("header", header), *pages, encode_line("footer", m.Footer(False, {forms.SPACE: cursor}))]
    )


class Floor:
    """All that such a server needs to know."""

    def __init__(self) -> None:
        row = m.encode(["form", 1, list(next(forms.rows(1))), ""])
        self._nothing = answer(live=False, cursor="0", rows=[])
        self._whole = answer(live=False, cursor="1", rows=[row])
        self._news = answer(live=True, cursor="1", rows=[row])
        self._open: list[WebSocket] = []
        self._written = False

    async def live(self, channel: WebSocket) -> None:
        """One device: its request is answered, and it hears of what is written then."""
        await channel.accept(subprotocol="holdfast.1")
        try:
            await channel.receive_bytes()
            self._open.append(channel)
            await channel.send_bytes(self._whole if self._written else self._nothing)
            while True:
                await channel.receive_bytes()
        except WebSocketDisconnect:
            return

    async def write(self, _: Request) -> Response:
        """Something was written: everybody hears of it."""
        self._written = True
        for channel in list(self._open):
            await channel.send_bytes(self._news)
        return Response()


@contextmanager
def floor_process(port: int) -> Iterator[RunningHub]:
    """Such a server in another process, in place of a hub."""
    with Child("bench.crowd_floor", port) as child:
        yield RunningHub(child)


@contextmanager
def floor_writer(url: str) -> Iterator[Callable[[], object]]:
    """What writes: one request."""
    request = urllib.request.Request(f"{url}/write", method="POST")
    yield lambda: urllib.request.urlopen(request).read()


def main(port: int) -> None:
    """Serve until the standard input ends."""
    floor = Floor()
    app = Starlette(routes=[WebSocketRoute("/v1/live", floor.live), Route("/write", floor.write, methods=["POST"])])
    listening = socket.create_server(("127.0.0.1", port), backlog=1024)
    web = TellingServer(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))

    def stop() -> None:
        web.should_exit = True

    at_end_of_input(stop)
    web.run(sockets=[listening])
    after: Usage = usage()
    print(json.dumps({"peak": after.peak, "cpu": after.cpu - web.before.cpu}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
