"""GET /v1/live: the socket of a live channel. It carries bytes to and from a `LiveChannel`, and decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

import anyio
from anyio import to_thread
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from holdfast.edge.compression import UndecodableError
from holdfast.edge.live_messages import MAX_MESSAGE, PACKED_SUBPROTOCOL, SUBPROTOCOL, pack, unpack
from holdfast.edge.rounds import LiveServer, Round, failure_response, unauthenticated
from holdfast.edge.visits import Visits
from holdfast.errors import HoldfastError
from holdfast.hub.identity import Identity
from holdfast.hub.live import LiveChannel, decode_message
from holdfast.hub.response import Response
from holdfast.observe import tracing
from holdfast.protocol.messages import MAX_REQUEST

BEARER = "holdfast.bearer."
REVIEW_SECONDS = 10.0
"""How often a channel asks anew who its device is, and looks for changes of access: they touch no row, wake nobody."""
FOREIGN_SECONDS = 0.05
"""How often rows that other programs wrote are looked for, while any channel is open."""
TROUBLED_SECONDS = 5.0
"""How often they are looked for while the store cannot give them."""
IDLE_SECONDS = 60.0
"""A device that takes nothing for so long is dropped: its answer holds a snapshot of the store."""

logger = logging.getLogger("holdfast")

THREADS = 40
"""So many threads at most for each of the purposes in `Threads`."""
NOTHING = 204
"""The status of an answer that is not sent: nothing is new."""


class Threads(NamedTuple):
    """Two limits, as for rounds: those that wait for the store must never keep those from a thread that hold it. What
    only looks goes with `visits`, and who asks is found out in `gate`: by a function of the application, which may
    ask others and wait."""

    starting: anyio.CapacityLimiter
    running: anyio.CapacityLimiter
    visits: Visits
    gate: Visits


class LiveEndpoint:
    """All live channels of one server."""

    def __init__(self, server: LiveServer) -> None:
        self._server = server
        starting = anyio.CapacityLimiter(THREADS)
        gate = Visits(anyio.CapacityLimiter(THREADS), THREADS)
        self.threads = Threads(starting, anyio.CapacityLimiter(THREADS), Visits(starting), gate)
        self._open = 0
        self._looking: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One channel, until the device or an error ends it."""
        websocket = WebSocket(scope, receive, send)
        offered = [name.strip() for name in websocket.headers.get("sec-websocket-protocol", "").split(",")]
        agreed = next((name for name in (PACKED_SUBPROTOCOL, SUBPROTOCOL) if name in offered), None)
        await websocket.accept(subprotocol=agreed)
        try:
            headers = _credentials(websocket, offered)

            async def identify() -> Identity:
                return await self.identify(headers)

            identity = await identify()
            with self.counted():
                packs = agreed == PACKED_SUBPROTOCOL
                await Channel(websocket, self._server, identity, identify, self.threads, packs).run()
        except WebSocketDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the boundary: `failure_response` logs it
            await refuse(websocket, failure_response(error))

    async def identify(self, headers: dict[str, str]) -> Identity:
        """Who asks with these headers. Raises `unauthenticated`."""
        authenticate = self._server.authenticate
        identity = await self.threads.gate.run(partial(authenticate, headers)) if authenticate else None
        if identity is None:
            raise unauthenticated("the channel has no valid credentials")
        return identity

    @contextlib.contextmanager
    def counted(self) -> Any:
        """While any channel is open, one task looks for rows of other programs."""
        self._open += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            self._open -= 1
            if self._open == 0:
                self._looking.cancel()
                self._looking = None

    async def _look(self) -> None:
        pause = FOREIGN_SECONDS
        while True:
            await asyncio.sleep(pause)
            pause = FOREIGN_SECONDS
            try:
                await to_thread.run_sync(self._server.sequence_foreign_writes, limiter=self.threads.starting)
            except Exception:
                pause = TROUBLED_SECONDS
                logger.exception("rows of other programs could not be sequenced; trying again")


class Channel:
    """One socket. Answers are sent whole, one after another: to what the device asked, and to news.

    `identify` asks anew who the device is; it raises when its credentials are of no use any more.
    """

    def __init__(
        self,
        websocket: WebSocket,
        server: LiveServer,
        identity: Identity,
        identify: Callable[[], Awaitable[Identity]],
        threads: Threads,
        packs: bool,
    ) -> None:
        self._websocket = websocket
        self._packs = packs
        self._threads = threads
        self._identify = identify
        self._loop = asyncio.get_running_loop()
        self._identified = self._loop.time()
        self._awake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._channel: LiveChannel = server.live(identity, self._wake)

    def _wake(self) -> None:
        """Called from any thread, also after this loop has ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._awake.set)

    async def run(self) -> None:
        """Until the socket closes or an error ends it."""
        telling = asyncio.create_task(self._tell())
        listening = asyncio.create_task(self._listen())
        try:
            done, _ = await asyncio.wait({telling, listening}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (telling, listening):
                task.cancel()
            await asyncio.gather(telling, listening, return_exceptions=True)
            self._channel.close()

    async def _listen(self) -> None:
        while True:
            received = await self._websocket.receive()
            if received["type"] == "websocket.disconnect":
                return
            message = decode_message(_unpacked(received, self._packs))
            request = bytes(message.request)
            if request:
                async with self._turn:
                    await self._review()
                    await self._answer(request, message.trace)
            elif message.announce is not None:
                self._channel.announce(message.announce)
            else:
                self._channel.applied()
            if self._channel.due():
                self._awake.set()

    async def _answer(self, request: bytes, trace: dict[str, str]) -> None:
        answer = Round(partial(self._handle, request, trace))
        if b'"transactions"' in request:
            # It writes, and waits for others who write: each in a thread of its own, so that they commit together.
            await self._send(answer, partial(to_thread.run_sync, answer.start, limiter=self._threads.starting))
        else:
            await self._send(answer, partial(self._threads.visits.run, answer.start))

    async def _tell(self) -> None:
        """Send what is new, whenever something woke us, and look after access now and then."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REVIEW_SECONDS):
                    await self._awake.wait()
            self._awake.clear()
            async with self._turn:
                # What woke us may stand in the answer that was under way.
                if await self._review() or self._channel.due():
                    await self._say()

    async def _say(self) -> None:
        """Rows and presence in one visit to a thread: that is what most of the time goes into."""
        answer = Round(self._news)
        presence: bytes | None = None

        def look() -> tuple[bytes, bool]:
            nonlocal presence
            presence = self._channel.presence()  # first: the answer holds a snapshot of the store
            return answer.start()

        await self._send(answer, partial(self._threads.visits.run, look))
        if presence is not None:
            async with asyncio.timeout(IDLE_SECONDS):
                await self._websocket.send_text(presence.decode())

    def _news(self) -> Response:
        return self._channel.news() or Response(NOTHING, "", iter(()), lambda: None)

    def _handle(self, request: bytes, trace: dict[str, str]) -> Response:
        with tracing.continued(trace):
            return self._channel.handle(request)

    async def _review(self) -> bool:
        """Ask now and then who the device is: credentials expire and access is taken away while the channel is open.
        Gives whether it was asked."""
        if self._loop.time() - self._identified < REVIEW_SECONDS:
            return False
        self._channel.identity = await self._identify()
        self._identified = self._loop.time()
        return True

    async def _put(self, piece: bytes) -> None:
        for start in range(0, len(piece), MAX_MESSAGE):
            message = piece[start : start + MAX_MESSAGE]
            async with asyncio.timeout(IDLE_SECONDS):
                await self._websocket.send_bytes(pack(message) if self._packs else message)

    async def _send(self, answer: Round, start: Callable[[], Awaitable[tuple[bytes, bool]]]) -> None:
        """Send one answer in messages of about 64 KiB. Raises WebSocketDisconnect after an answer that is an error."""
        try:
            piece, ended = await start()
            while True:
                await self._put(piece)
                if ended:
                    break
                piece, ended = await to_thread.run_sync(answer.read, limiter=self._threads.running)
        finally:
            if not answer.closed:
                await to_thread.run_sync(answer.close, limiter=self._threads.running)
        if answer.status not in (200, NOTHING):
            await self._websocket.close(close_code(answer.status))
            raise WebSocketDisconnect(close_code(answer.status))


def _unpacked(received: Any, packs: bool) -> bytes:
    """A message of the device. Raises `encoding_unsupported`."""
    body: bytes = received.get("bytes") or (received.get("text") or "").encode()
    if not packs:
        return body
    try:
        return unpack(body, MAX_REQUEST + 1024)
    except UndecodableError as error:
        raise HoldfastError("encoding_unsupported", f"a message of the device cannot be unpacked: {error}") from None


def _credentials(websocket: WebSocket, offered: list[str]) -> dict[str, str]:
    """The headers with which the channel was opened; a token in a subprotocol stands among them as it would be sent."""
    headers = dict(websocket.headers.items())
    bearer = [name.removeprefix(BEARER) for name in offered if name.startswith(BEARER)]
    if bearer and "authorization" not in headers:
        headers["authorization"] = f"Bearer {bearer[0]}"
    return headers


def close_code(status: int) -> int:
    """The close code that says an HTTP status."""
    return 4000 + status - 400


async def refuse(websocket: WebSocket, response: Response) -> None:
    """End the channel with an error."""
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await websocket.send_bytes(b"".join(response))
        await websocket.close(close_code(response.status))
