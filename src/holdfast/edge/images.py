"""GET /v1/images/{name}: a file image, from a place on (`spec/protocol.md`, section 19)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import anyio
from anyio import to_thread
from starlette.responses import Response as HttpResponse
from starlette.types import Receive, Scope, Send

from holdfast.edge.body import HEADERS, headers_of, whole
from holdfast.edge.identifying import identify
from holdfast.edge.rounds import ImageServer, failure_response
from holdfast.errors import HoldfastError
from holdfast.hub.identity import Identity
from holdfast.hub.imaging import Image

THREADS = 8
"""So many files are read at once; others wait for a piece."""
LIFETIME = "private, max-age=31536000, immutable"
_FROM = re.compile(r"bytes=([0-9]{1,15})-").fullmatch


class Part(NamedTuple):
    """What is answered: `start` of None: the reader has it already."""

    image: Image
    start: int | None
    is_range: bool
    pieces: Iterator[bytes]


class ImageEndpoint:
    """A bare ASGI application: it alone sees when a client is gone, and no piece is read ahead of it."""

    def __init__(self, server: ImageServer, idle_seconds: float) -> None:
        self._server = server
        self._idle = idle_seconds
        self._limiter = anyio.CapacityLimiter(THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. Raises only when an answer under way has to be broken off."""
        headers = headers_of(scope)
        try:
            identity = await identify(self._server, headers, self._limiter)
            name = str(scope["path_params"]["image"])
            part = await to_thread.run_sync(self._part, name, identity, headers, limiter=self._limiter)
        except Exception as error:  # noqa: BLE001 - the boundary: `failure_response` logs it
            await whole(failure_response(error))(scope, receive, send)
            return
        image, start, is_range, pieces = part
        tag = {"ETag": f'"{image.name}"', "Cache-Control": LIFETIME, "Vary": "Authorization"}
        if start is None:
            await HttpResponse(None, 304, HEADERS | tag)(scope, receive, send)
            return
        told = HEADERS | tag | {"Accept-Ranges": "bytes", "Content-Type": "application/zstd"}
        told["Content-Length"] = str(image.size - start)
        if is_range:
            told["Content-Range"] = f"bytes {start}-{image.size - 1}/{image.size}"
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in told.items()]
        await send({"type": "http.response.start", "status": 206 if is_range else 200, "headers": raw})
        await self._stream(pieces, send)

    def _part(self, name: str, identity: Identity, headers: Mapping[str, str]) -> Part:
        image = self._server.image(name, identity)
        if f'"{name}"' in headers.get("if-none-match", ""):
            return Part(image, None, False, iter(()))
        found = _FROM(headers.get("range", "").strip())
        if found is None or headers.get("if-range", f'"{name}"') != f'"{name}"':
            return Part(image, 0, False, self._server.image_bytes(name, 0))
        start = int(found[1])
        if start >= image.size:
            message = f"the image has {image.size} bytes"
            raise HoldfastError("image_range", message, size=image.size)
        return Part(image, start, True, self._server.image_bytes(name, start))

    async def _stream(self, pieces: Iterator[bytes], send: Send) -> None:
        """Send all pieces, each as the client takes them. A client that is gone ends it: its `send` does nothing, or
        raises; one that takes nothing for too long is dropped."""
        while piece := await to_thread.run_sync(next, pieces, b"", limiter=self._limiter):
            with anyio.fail_after(self._idle):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
