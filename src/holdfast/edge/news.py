"""GET /v1/live without WebSocket: server-sent events, or a long poll. Both only say that there is news.

The answers are marked for proxies that would hold them back (`X-Accel-Buffering`, `no-transform`), and a stream never
stays silent for long.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from urllib.parse import parse_qs

import anyio
import msgspec
from anyio import to_thread
from starlette.types import Receive, Scope, Send

from holdfast.edge import live
from holdfast.edge.live import LiveEndpoint
from holdfast.edge.rounds import LiveServer, failure_response
from holdfast.hub.identity import Identity
from holdfast.hub.news import NewsChannel

PING_SECONDS = 15.0
MOST_WAIT = 55.0
"""A long poll is answered after so many seconds at the latest: proxies give up after 60."""
HEADERS = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no", "x-content-type-options": "nosniff"}


class NewsEndpoint:
    """All channels of one server that are no WebSockets."""

    def __init__(self, server: LiveServer, channels: LiveEndpoint) -> None:
        self._server = server
        self._channels = channels

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One stream, or one long poll."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        awake = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(awake.set)

        limiter = self._channels.threads.starting
        try:
            identity = await self._channels.identify(headers)
            channel = await to_thread.run_sync(self._server.news, identity, wake, limiter=limiter)
        except Exception as error:  # noqa: BLE001 - the boundary: `failure_response` logs it
            response = failure_response(error)
            await self._whole(send, response.status, b"".join(response))
            return
        try:
            with self._channels.counted():
                gone = asyncio.create_task(self._gone(receive))
                asked = Asked(channel, awake, headers, self._channels)
                work = self._stream(asked, send) if _wants_events(headers) else self._poll(asked, scope, send)
                working = asyncio.create_task(work)
                await asyncio.wait({gone, working}, return_when=asyncio.FIRST_COMPLETED)
                for task in (gone, working):
                    task.cancel()
                await asyncio.gather(gone, working, return_exceptions=True)
        finally:
            channel.close()

    async def _gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _stream(self, asked: Asked, send: Send) -> None:
        head = [(b"content-type", b"text/event-stream"), *((n.encode(), v.encode()) for n, v in HEADERS.items())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await _put(send, b"event: here\ndata: {}\n\n")
        while True:
            news = await asked.news(PING_SECONDS)
            await _put(send, b"event: news\ndata: {}\n\n" if news else b": still here\n\n")

    async def _poll(self, asked: Asked, scope: Scope, send: Send) -> None:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        mark, wait = query.get("mark", [""])[0], _seconds(query.get("wait", ["0"])[0])
        # The mark is taken first: what comes while we look is told now or by the next poll, never missed.
        here = asked.channel.mark()
        news = bool(mark) and asked.channel.missed(mark)
        if mark and not news:
            news = await asked.news(wait)
            here = asked.channel.mark() if news else here
        await self._whole(send, 200, msgspec.json.encode({"mark": here, "news": news}))

    async def _whole(self, send: Send, status: int, body: bytes) -> None:
        head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        head += [(n.encode(), v.encode()) for n, v in HEADERS.items()]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})


class Asked:
    """One channel, with who asked for it and what wakes it."""

    def __init__(
        self, channel: NewsChannel, awake: asyncio.Event, headers: dict[str, str], channels: LiveEndpoint
    ) -> None:
        self.channel = channel
        self._awake = awake
        self._headers = headers
        self._channels = channels

    async def news(self, seconds: float) -> bool:
        """Wait for news, at most so long. Raises when the credentials are of no use any more."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._awake.wait(), min(left, live.REVIEW_SECONDS))
            if self._awake.is_set():
                self._awake.clear()
                return True
            identity: Identity = await self._channels.identify(self._headers)
            limiter = self._channels.threads.starting
            if await to_thread.run_sync(self.channel.review, identity, limiter=limiter):
                return True
        return False


def _wants_events(headers: dict[str, str]) -> bool:
    return "text/event-stream" in headers.get("accept", "")


def _seconds(text: str) -> float:
    try:
        return min(max(float(text), 0.0), MOST_WAIT)
    except ValueError:
        return 0.0


async def _put(send: Send, piece: bytes) -> None:
    message: dict[str, Any] = {"type": "http.response.body", "body": piece, "more_body": True}
    with anyio.fail_after(live.IDLE_SECONDS):
        await send(message)
