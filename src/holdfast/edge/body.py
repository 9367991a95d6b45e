"""Bodies and headers of requests as an ASGI server hands them over, and short answers."""

from __future__ import annotations

import anyio
from starlette.responses import Response as HttpResponse
from starlette.types import Receive, Scope

from holdfast.edge import compression
from holdfast.errors import HoldfastError
from holdfast.hub.response import Response

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class ClientGoneError(Exception):
    """The client hung up before its request was complete."""


class Body:
    """The body of a request as the server hands it over."""

    def __init__(self, receive: Receive, idle_seconds: float) -> None:
        self._receive = receive
        self._idle = idle_seconds
        self._ended = False
        self._gone = False
        self._size = 0

    async def read(self, limit: int) -> list[bytes]:
        """All pieces. Raises `request_too_large` beyond `limit` bytes, without keeping them, and `ClientGoneError`."""
        pieces: list[bytes] = []
        while not self._ended:
            pieces.append(await self._piece())
            if self._size > limit:
                raise compression.too_large(limit)
        return pieces

    async def drain(self, limit: int, content_length: str) -> bool:
        """Read and forget the rest. False when more than `limit` bytes are coming: the connection is of no more use."""
        if content_length.isdecimal() and int(content_length) > limit:
            return False
        try:
            while not self._ended and not self._gone and self._size <= limit:
                await self._piece()
        except (ClientGoneError, HoldfastError):
            return False
        return self._ended

    async def _piece(self) -> bytes:
        try:
            with anyio.fail_after(self._idle):
                message = await self._receive()
        except TimeoutError:
            self._gone = True
            raise HoldfastError("request_malformed", f"the body broke off: nothing came for {self._idle} s") from None
        if message["type"] == "http.disconnect":
            self._gone = True
            raise ClientGoneError
        piece: bytes = message.get("body", b"")
        self._size += len(piece)
        self._ended = not message.get("more_body", False)
        return piece


def headers_of(scope: Scope) -> dict[str, str]:
    """Request headers with lower-case names; one that comes several times is joined as RFC 9110 section 5.3 says."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def whole(response: Response) -> HttpResponse:
    """A short answer as Starlette's."""
    headers = HEADERS | ({"WWW-Authenticate": "Bearer"} if response.status == 401 else {})
    return HttpResponse(b"".join(response), response.status, headers, response.content_type)
