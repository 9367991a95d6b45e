"""/v1/conflicts: the conflicts at the hub over HTTP, for who has no device. The hub decides; this only carries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

from anyio import to_thread
from starlette.responses import Response as HttpResponse
from starlette.types import Receive, Scope, Send

from holdfast.edge import compression
from holdfast.edge.body import HEADERS, Body, ClientGoneError, headers_of, whole
from holdfast.edge.live import LiveEndpoint
from holdfast.edge.rounds import DecidingServer, failure_response
from holdfast.errors import HoldfastError
from holdfast.hub.deciding import MOST_LISTED
from holdfast.hub.identity import Identity
from holdfast.hub.response import Response
from holdfast.protocol import messages as m
from holdfast.protocol.conflicts import Conflict, ConflictPage, decode_decision, shown_over_http
from holdfast.protocol.errors import CODES

LIMIT = 100
FILTERS = frozenset({"open", "table", "space", "after", "limit"})
MOST_BYTES = 1024 * 1024
"""A decision is no longer than this."""
REFUSED = 422
"""The status of a decision that the hub refuses with a code that refuses transactions."""


class Asked(NamedTuple):
    """One request: what its path and query name, and its body."""

    conflict: str
    query: Mapping[str, str]
    body: bytes


Act = Callable[[DecidingServer, Identity, Asked], bytes]


class ConflictsEndpoint:
    """One route of /v1/conflicts as a bare ASGI application."""

    def __init__(self, server: DecidingServer, channels: LiveEndpoint, act: Act, idle_seconds: float) -> None:
        self._server = server
        self._channels = channels
        self._act = act
        self._idle = idle_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        headers = headers_of(scope)
        body = Body(receive, self._idle)
        limiter = self._channels.threads.starting
        try:
            identity = await self._channels.identify(headers)
            if compression.named(headers.get("content-encoding", "")) != "identity":
                raise HoldfastError("encoding_unsupported", "a decision is short; send it plainly")
            pieces = await body.read(MOST_BYTES)
            asked = Asked(scope["path_params"].get("conflict", ""), _query(scope), b"".join(pieces))
            answer = await to_thread.run_sync(self._act, self._server, identity, asked, limiter=limiter)
        except ClientGoneError:
            return
        except Exception as error:  # noqa: BLE001 - the boundary: `failure_response` logs it
            refused = whole(refusal(error))
            if not await body.drain(4 * MOST_BYTES, headers.get("content-length", "")):
                refused.headers["Connection"] = "close"
            await refused(scope, receive, send)
            return
        await HttpResponse(answer, 200, HEADERS, "application/json")(scope, receive, send)


def _query(scope: Scope) -> dict[str, str]:
    """The parameters. Raises `request_malformed` for one that is given twice."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    query = dict(pairs)
    if len(query) < len(pairs):
        raise HoldfastError("request_malformed", "a parameter is given twice")
    return query


def list_conflicts(server: DecidingServer, identity: Identity, asked: Asked) -> bytes:
    """A page of the list. Raises `request_malformed`: a filter that is not known must not seem to have been used."""
    unknown = sorted(asked.query.keys() - FILTERS)
    if unknown:
        raise HoldfastError("request_malformed", f"there is no parameter {unknown[0][:100]!r}; see /openapi.json")
    limit = _limit(asked.query.get("limit"))
    found = server.conflicts(
        identity,
        open=_open(asked.query.get("open")),
        table=asked.query.get("table", ""),
        space=asked.query.get("space", ""),
        after=asked.query.get("after", ""),
        limit=limit,
    )
    return m.encode(ConflictPage(list(map(shown_over_http, found)), found[-1].id if len(found) == limit else None))


def resolve_conflict(server: DecidingServer, identity: Identity, asked: Asked) -> bytes:
    """Decide."""
    return _told(server.resolve(asked.conflict, decode_decision(asked.body), identity))


def restore_conflict(server: DecidingServer, identity: Identity, asked: Asked) -> bytes:
    """Bring back what lost."""
    return _told(server.restore(asked.conflict, identity))


def _told(conflict: Conflict) -> bytes:
    return m.encode(shown_over_http(conflict))


def _open(text: str | None) -> bool | None:
    known = {None: None, "true": True, "false": False}
    if text not in known:
        raise HoldfastError("request_malformed", f"open must be true or false, not {str(text)[:100]!r}")
    return known[text]


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise HoldfastError("request_malformed", f"limit must be a number from 1 to {MOST_LISTED}, not {text[:100]!r}")
    return int(text)


def refusal(error: Exception) -> Response:
    """The answer to a request that failed. What a device would get as a result has status 422: a code that refuses
    transactions, or one that a hook made (`hf.Refuse(reason, code=)`)."""
    if isinstance(error, HoldfastError) and (error.code not in CODES or CODES[error.code].status == 0):
        body = m.encode(m.ErrorBody(error.code, error.message, error.details))
        return Response(REFUSED, "application/json", iter([body]), lambda: None)
    return failure_response(error)
