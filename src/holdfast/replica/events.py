"""What the sync engine tells about itself while it works: status, logs, metrics and progress are made of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Literal, NamedTuple

from holdfast.errors import HoldfastError

log = logging.getLogger("holdfast.replica")

Trigger = Literal["start", "commit", "news", "timer", "poke", "sync", "retry", "more", "verify", "history", "fetch"]
"""Why a round was made: the loop began; something was committed here; the hub said that there is news, or sent it; the
polling time was over; the application poked, or asked for a sync; an attempt after a failure; the round before asked
for another one.
"""
Channel = Literal["websocket", "events", "longpoll", "poll", "none"]


class RoundEnded(NamedTuple):
    """One round, or one answer that the hub sent by itself (`trigger` "news"), has ended, well or not.

    `started` in milliseconds since 2020-01-01 UTC by the device's clock, `seconds` how long it took. `transactions`
    went out, `pushed` of them were accepted, `refused` refused; `rows` came. `sent` and `received` are bytes on the
    wire, `plain_sent` and `plain_received` the same before compression. `attempt` is 1, or how often in a row it was
    tried. `url` is empty for a transport without one.
    """

    trigger: Trigger
    channel: Channel
    url: str
    started: int
    seconds: float
    transactions: int
    pushed: int
    refused: int
    conflicts: int
    rows: int
    sent: int
    received: int
    plain_sent: int
    plain_received: int
    attempt: int
    error: HoldfastError | None


class PiecesArrived(NamedTuple):
    """A part of an answer is here: bytes (before compression) of this round so far."""

    plain_received: int


class ImageEnded(NamedTuple):
    """A file image was taken over as the first load, with `rows`, or was refused: then the error says why, and pages
    follow. `received` are the bytes that came in this attempt, `seconds` what it took.
    """

    name: str
    received: int
    rows: int
    seconds: float
    error: HoldfastError | None


class StateChanged(NamedTuple):
    """The loop is in another state: "stopped", "connecting", "connected", "offline", "paused" (credentials) or
    "blocked" (nothing but a change of the application or the hub will help). Errors are those that hold up each
    direction now; `retry_in` are the seconds to the next attempt, None when none is planned.
    """

    state: str
    channel: Channel
    url: str
    upload_error: HoldfastError | None
    download_error: HoldfastError | None
    retry_in: float | None


SyncEvent = RoundEnded | PiecesArrived | StateChanged | ImageEnded
Listener = Callable[[SyncEvent], None]


class Events:
    """Who wants to know. Listeners are called in the thread that syncs, one event after another: return at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: tuple[Listener, ...] = ()

    def add(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` for every event from now on; gives the function that ends it (idempotent)."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

        def remove() -> None:
            with self._lock:
                self._listeners = tuple(other for other in self._listeners if other is not listener)

        return remove

    def emit(self, event: SyncEvent) -> None:
        """Tell everybody. A listener that fails is logged: syncing goes on."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                log.exception("a listener of sync events failed")
