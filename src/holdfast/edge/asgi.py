"""The hub over HTTP, as an ASGI application that can be mounted anywhere.

Everything that may block (authentication, unpacking, the round, its lines) runs in worker threads. A round keeps a
thread only while it works, not while a slow client drinks, and at most one batch of lines is in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response as HttpResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from holdfast.edge import compression
from holdfast.edge.body import HEADERS, Body, ClientGoneError, headers_of, whole
from holdfast.edge.identifying import identify
from holdfast.edge.images import ImageEndpoint
from holdfast.edge.inbox import Act, ConflictsEndpoint, list_conflicts, resolve_conflict, restore_conflict
from holdfast.edge.live import LiveEndpoint
from holdfast.edge.news import NewsEndpoint
from holdfast.edge.openapi import document
from holdfast.edge.rounds import DecidingServer, Round, SyncServer, failure_response, logger
from holdfast.errors import HoldfastError
from holdfast.hub.response import Response, error_response
from holdfast.observe import tracing
from holdfast.observe.metrics import CONTENT_TYPE
from holdfast.protocol.messages import MAX_REQUEST

IDLE_SECONDS = 60.0
THREADS = 40
# A request that is refused is still read up to here: closing a socket with unread bytes would destroy the answer.
MAX_DRAIN = 4 * MAX_REQUEST


def asgi(server: DecidingServer, *, close: bool = False, idle_seconds: float = IDLE_SECONDS) -> Starlette:
    """The application: POST /v1/sync, /v1/images, /v1/live (WebSocket, events or long poll), /v1/conflicts, /healthz,
    /metrics, /openapi.json; errors are the protocol's JSON.

    Mount it under any prefix. `close` closes the server at shutdown; it works only where the application gets lifespan
    events, which mounted ones do not. A client that neither sends nor takes anything for `idle_seconds` is dropped.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await to_thread.run_sync(lambda: None)  # what the first thread loads, no crowd of devices shall wait for
        yield
        if close:
            await to_thread.run_sync(server.close)

    async def healthz(_: Request) -> HttpResponse:
        try:
            return _json(await to_thread.run_sync(server.health))
        except Exception as error:  # noqa: BLE001 - the boundary: `failure_response` logs it
            return whole(failure_response(error))

    async def metrics(request: Request) -> HttpResponse:
        try:
            text = await to_thread.run_sync(server.metrics, dict(request.headers))
        except Exception as error:  # noqa: BLE001 - the boundary: `failure_response` logs it
            return whole(failure_response(error))
        return HttpResponse(text, 200, HEADERS, CONTENT_TYPE)

    async def openapi(request: Request) -> HttpResponse:
        return _json(document(request.scope.get("root_path", "")))

    channels = LiveEndpoint(server)

    def conflicts(act: Act) -> ConflictsEndpoint:
        return ConflictsEndpoint(server, channels, act, idle_seconds)

    app = Starlette(
        routes=[
            Route("/v1/sync", SyncEndpoint(server, idle_seconds), methods=["POST"], name="sync"),
            WebSocketRoute("/v1/live", channels),
            Route("/v1/live", NewsEndpoint(server, channels), methods=["GET"]),
            Route("/v1/images/{image}", ImageEndpoint(server, idle_seconds), methods=["GET"]),
            Route("/v1/conflicts", conflicts(list_conflicts), methods=["GET"]),
            Route("/v1/conflicts/{conflict}/resolve", conflicts(resolve_conflict), methods=["POST"]),
            Route("/v1/conflicts/{conflict}/restore", conflicts(restore_conflict), methods=["POST"]),
            Route("/healthz", healthz, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
            Route("/openapi.json", openapi, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _routing_error},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # our clients do not follow redirects
    return app


class SyncEndpoint:
    """POST /v1/sync as a bare ASGI application: it alone sees both the disconnect and the pieces."""

    def __init__(self, server: SyncServer, idle_seconds: float) -> None:
        self._server = server
        self._idle = idle_seconds
        # Two limits: rounds that wait for the store must never keep those from a thread that hold it and want to end.
        self._starting = anyio.CapacityLimiter(THREADS)
        self._running = anyio.CapacityLimiter(THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. Raises only when an answer under way has to be broken off."""
        headers = headers_of(scope)
        body = Body(receive, self._idle)
        try:
            identity = await identify(self._server, headers, self._starting)
            encoding = _request_encoding(headers)
            pieces = await body.read(MAX_REQUEST)
        except ClientGoneError:
            return
        except Exception as error:  # noqa: BLE001 - the boundary: `failure_response` logs it
            refusal = whole(failure_response(error))
            if not await body.drain(MAX_DRAIN, headers.get("content-length", "")):
                refusal.headers["Connection"] = "close"
            await refusal(scope, receive, send)
            return

        def work() -> Response:
            with tracing.continued(headers):
                return self._server.handle(compression.unpack(encoding, pieces, MAX_REQUEST), identity)

        answer = Round(
            work,
            compression.choose(headers.get("accept-encoding", "")),
        )
        await self._answer(answer, receive, send)

    async def _answer(self, answer: Round, receive: Receive, send: Send) -> None:
        """Send the answer until its end or the client's, whichever comes first."""
        try:
            piece, ended = await to_thread.run_sync(answer.start, limiter=self._starting)
            headers = _answer_headers(answer)
            if ended:
                headers.append((b"content-length", b"%d" % len(piece)))
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            if ended:
                await self._put(send, piece, ended)
            else:
                await self._stream(answer, piece, receive, send)
        finally:
            if not answer.closed:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(answer.close, limiter=self._running)

    async def _stream(self, answer: Round, piece: bytes, receive: Receive, send: Send) -> None:
        """Send `piece` and all that follows, unless the client hangs up. Raises what breaks the answer off."""
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_on_disconnect, receive, tasks.cancel_scope)
            try:
                await self._put(send, piece, False)
                ended = False
                while not ended:
                    piece, ended = await to_thread.run_sync(answer.read, limiter=self._running)
                    await self._put(send, piece, ended)
            except Exception as error:  # noqa: BLE001 - raised again below, outside the task group
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            # The status has gone out. Raising makes the server cut the body off, so that nobody takes it for whole.
            # Starlette's BaseHTTPMiddleware ends it properly all the same: then the missing end mark of the packed body
            # and the missing footer tell.
            logger.error("an answer was broken off", exc_info=failure)
            raise failure

    async def _put(self, send: Send, piece: bytes, ended: bool) -> None:
        with anyio.fail_after(self._idle):
            await send({"type": "http.response.body", "body": piece, "more_body": not ended})


async def _cancel_on_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _answer_headers(answer: Round) -> list[tuple[bytes, bytes]]:
    if not answer.content_type and answer.encoding == "identity":
        return []  # a short answer: no browser shows it, and without a lifetime no cache keeps what a POST was answered
    headers = HEADERS | {"Content-Type": answer.content_type, "Vary": "Accept-Encoding"}
    if answer.encoding != "identity":
        headers["Content-Encoding"] = answer.encoding
    if answer.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _request_encoding(headers: dict[str, str]) -> compression.Encoding:
    named = headers.get("content-encoding", "")
    encoding = compression.named(named)
    if encoding is None:
        raise HoldfastError(
            "encoding_unsupported", f"the Content-Encoding {named[:100]!r} is not one of zstd, gzip, identity"
        )
    return encoding


async def _routing_error(_: Request, error: Exception) -> HttpResponse:
    """404 and 405 in the form of the protocol."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        known = HoldfastError("method_not_allowed", "this endpoint takes another HTTP method; see /openapi.json")
    elif status == 404:
        known = HoldfastError("not_found", "there is no such endpoint; see /openapi.json under the hub's prefix")
    else:
        return whole(failure_response(error))
    response = whole(error_response(known))
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)
    return response


def _json(content: dict[str, Any]) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(content), 200, HEADERS, "application/json")
