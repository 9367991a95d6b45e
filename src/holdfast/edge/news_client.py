"""Channels that only say that there is news, from the device's side: server-sent events and long polls.

Both are for networks where no WebSocket comes through. The news itself is fetched by a round.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec
import urllib3

from holdfast.edge.live_client import Deliver
from holdfast.errors import HoldfastError
from holdfast.protocol.codec import decode_error

OPEN_SECONDS = 10.0
"""The first event comes at once; where it does not, something on the way holds the stream back."""
PING_SECONDS = 15.0
"""How often the hub sends a sign of life in a stream of events; one that is silent for two intervals is dead."""
LONGPOLL_SECONDS = 25.0
MAX_EVENT = 64 * 1024


class Opener(Protocol):
    """Opens GET /v1/live with a query, an Accept header and a bound on silence, in seconds."""

    def __call__(self, query: str, accept: str, silence: float) -> urllib3.BaseHTTPResponse:
        """The answer's head. Raises `network`."""


class NewsThread:
    """One open channel of either kind: a thread that says `deliver(None)` for news, and at its end one error."""

    def __init__(
        self,
        url: str,
        kind: str,
        opener: Opener,
        abort: Callable[[], None],
        broken: tuple[type[Exception], ...],
        deliver: Deliver,
    ) -> None:
        self._url, self._open, self._abort, self._broken, self._deliver = url, opener, abort, broken, deliver
        self._closed = threading.Event()
        steps = self._events() if kind == "events" else self._polls()
        self._first(steps)
        self._thread = threading.Thread(target=self._run, args=(steps,), name="holdfast-news", daemon=True)
        self._thread.start()

    def _first(self, steps: Iterator[bool]) -> None:
        """Wait for the first word of the hub: only then the channel is known to work. Raises what went wrong."""
        overdue = threading.Timer(OPEN_SECONDS, self._abort)
        overdue.daemon = True
        overdue.start()
        try:
            next(steps, None)
        except self._broken as error:
            message = f"{self._url}: the channel for news cannot be opened: {error}"
            raise HoldfastError("network", message, url=self._url) from error
        finally:
            overdue.cancel()

    def _run(self, steps: Iterator[bool]) -> None:
        failure = HoldfastError("network", f"{self._url}: the channel for news was closed", url=self._url)
        try:
            for news in steps:
                if self._closed.is_set():
                    return
                if news:
                    self._deliver(None)
        except HoldfastError as error:
            failure = error
        except self._broken as error:
            message = f"{self._url}: the channel for news broke: {error}"
            failure = HoldfastError("network", message, url=self._url)
        self._deliver(failure)

    def _events(self) -> Iterator[bool]:
        """A stream of events (HTML Living Standard, section 9.2): True for news, False for other signs of life."""
        response = self._answer("", "text/event-stream", 2 * PING_SECONDS)
        try:
            rest = b""
            for piece in response.stream(4096):
                rest += piece
                if len(rest) > MAX_EVENT:
                    raise HoldfastError("response_malformed", "an event of the hub is too long")
                *events, rest = rest.split(b"\n\n")
                for event in events:
                    yield b"event: news" in event
        finally:
            response.close()
            response.release_conn()

    def _polls(self) -> Iterator[bool]:
        """Long polls, one after another; the first one only asks where the hub stands."""
        mark, wait = "", 0.0
        while not self._closed.is_set():
            response = self._answer(f"?mark={mark}&wait={wait:g}", "application/json", OPEN_SECONDS + 2 * wait)
            try:
                told = msgspec.json.decode(response.read(MAX_EVENT), type=dict[str, Any])
                mark, news = str(told["mark"]), told.get("news") is True
            except (msgspec.MsgspecError, KeyError) as error:
                raise HoldfastError("response_malformed", f"the hub's answer to a long poll: {error}") from None
            finally:
                response.close()
                response.release_conn()
            yield news
            wait = LONGPOLL_SECONDS

    def _answer(self, query: str, accept: str, silence: float) -> urllib3.BaseHTTPResponse:
        response = self._open(query, accept, silence)
        if response.status != 200:
            body = response.read(MAX_EVENT)
            response.close()
            error = decode_error(body)
            if error is not None and response.status in (401, 403):
                raise HoldfastError(error.code, error.message, **{**error.details, "status": response.status})
            message = f"{self._url}: HTTP {response.status} on the channel for news"
            raise HoldfastError("network", message, url=self._url)
        return response

    def close(self) -> None:
        """Close the channel; idempotent."""
        self._closed.set()
        self._abort()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=1.0)
