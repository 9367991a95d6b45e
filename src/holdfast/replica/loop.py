"""The loop: keeps a device in sync in the background, over the live channel or, where there is none, by rounds.

One thread does everything, driven by one queue of events: commits, messages of the hub, wishes of the application. One
round is in flight at a time. A failure never needs a new write to be tried again.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol

from holdfast.errors import HoldfastError
from holdfast.protocol.transport import LiveLink, Transport
from holdfast.replica.backoff import Backoff
from holdfast.replica.events import Channel, Trigger
from holdfast.replica.report import SyncReport

log = logging.getLogger("holdfast.replica")

LOOK_SECONDS = 0.5
"""How often a device looks for what other programs wrote in its file."""
POLL_SECONDS = 30.0
"""How often it asks the hub where there is no live channel."""
SILENCE_SECONDS = 60.0
"""So long an answer may be silent before the channel counts as broken; pings notice a dead channel earlier."""


class Event(NamedTuple):
    """What woke the loop: look, commit, poke, sync (and a future), message (and bytes), lost (and an error), stop."""

    kind: str
    value: Any = None


class Syncing(Protocol):
    """What the loop drives: the replica's rounds, each call under its own lock."""

    def anything_waits(self) -> bool:
        """Whether there is something to send."""

    def build(self, trigger: Trigger, url: str) -> bytes:
        """The next request."""

    def receive(self, chunks: Iterator[bytes], url: str) -> Received:
        """Take one answer."""

    def exchange(self, trigger: Trigger, channel: Channel, transport: Transport) -> bool:
        """One round over the transport; gives whether another one is needed at once."""

    def failed(self, error: HoldfastError) -> None:
        """Something between the rounds failed."""

    def narrow(self, error: HoldfastError) -> bool:
        """A round ended with this error; whether the next one, with less in it, is worth a try at once."""

    def report(self) -> SyncReport:
        """What happened since the last report."""


class Received(NamedTuple):
    """`live`: the hub sent it without having been asked; `again`: another request is needed at once."""

    live: bool
    again: bool


class Stopped(Exception):
    """The loop shall end."""


class Loop:
    """The background thread of one replica.

    `random()` gives a number in [0, 1). `on_change` is called, in the loop's thread, whenever its state has changed.
    """

    def __init__(
        self, syncing: Syncing, transport: Transport, random: Callable[[], float], on_change: Callable[[], None]
    ) -> None:
        self._syncing = syncing
        self._transport = transport
        self._backoff = Backoff(random)
        self._on_change = on_change
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._waiters: list[Future[SyncReport]] = []
        self._dirty = True
        self._link: LiveLink | None = None
        self._thread = threading.Thread(target=self._run, name="holdfast-sync", daemon=True)
        self.state = "connecting"
        self.error: HoldfastError | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def commit(self) -> None:
        """A local transaction was committed."""
        self._events.put(Event("commit"))

    def poke(self) -> None:
        """The network is back, or somebody knows that there is news: try now."""
        self._events.put(Event("poke"))

    def sync(self, timeout: float) -> SyncReport:
        """Wait until everything captured before now is answered and everything new is here. Raises what went wrong."""
        waiter: Future[SyncReport] = Future()
        self._events.put(Event("sync", waiter))
        try:
            return waiter.result(timeout)
        except TimeoutError:
            error = self.error
            raise error or HoldfastError("busy", f"the sync is not done after {timeout} seconds") from None

    def stop(self) -> None:
        """End within a second: what is under way is broken off, nothing is lost by that."""
        self._events.put(Event("stop"))
        link = self._link
        if link is not None:
            link.close()
        self._transport.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        try:
            while True:
                try:
                    self._session()
                except HoldfastError as error:
                    self._failed(error)
                except Stopped:
                    raise
                except Exception as error:
                    # Whatever it was: the device must not stay out of sync until somebody restarts the program.
                    log.exception("a mistake in the sync loop; trying again")
                    self._failed(HoldfastError("loop_failed", f"the sync loop failed: {error!r}"))
        except Stopped:
            pass
        finally:
            self._become("stopped")
            for waiter in self._waiters:
                waiter.set_exception(HoldfastError("closed", "the replica was disconnected"))

    def _become(self, state: str, error: HoldfastError | None = None) -> None:
        if state != self.state or error is not self.error:
            self.state, self.error = state, error
            self._on_change()

    def _session(self) -> None:
        """From one connection to the next failure."""
        self._become("connecting", self.error)
        link = self._open()
        if link is None:
            self._poll()
            return
        try:
            self._live(link)
        finally:
            self._link = None
            link.close()

    def _open(self) -> LiveLink | None:
        """The live channel; None when this transport has none or the hub cannot be reached by one."""
        open_live = getattr(self._transport, "open_live", None)
        if open_live is None:
            return None
        deliver = self._deliver
        try:
            self._link = open_live(deliver)
        except HoldfastError as error:
            if error.code != "network":
                raise
            log.info("no live channel, rounds instead: %s", error)
            return None
        return self._link

    def _deliver(self, message: bytes | HoldfastError) -> None:
        self._events.put(Event("lost", message) if isinstance(message, HoldfastError) else Event("message", message))

    def _poll(self) -> None:
        """Rounds over the transport until nothing is left, then wait for a reason to go on."""
        while True:
            self._dirty = False
            while self._syncing.exchange("timer", "poll", self._transport):
                pass
            self._well()
            if not self._dirty:
                self._wait(POLL_SECONDS, {"commit", "poke", "sync"})
                return

    def _live(self, link: LiveLink) -> None:
        """Rounds over the channel, and what the hub sends by itself."""
        asked = self._ask(link)
        while True:
            event = self._next(LOOK_SECONDS)
            if event.kind == "message":
                received = self._receive(event.value)
                if received.live:
                    self._send(link, b'{"applied":true}')
                else:
                    asked = False
                self._dirty = self._dirty or received.again
                if not asked and not self._dirty:
                    self._well()
            elif event.kind == "look" and not asked:
                self._dirty = self._dirty or self._syncing.anything_waits()
            if self._dirty and not asked:
                asked = self._ask(link)

    def _ask(self, link: LiveLink) -> bool:
        self._dirty = False
        self._send(link, b'{"request":' + self._syncing.build("commit", "") + b"}")
        return True

    def _send(self, link: LiveLink, message: bytes) -> None:
        """Send a message. On a channel that was closed, its last word says more than the failure to send."""
        try:
            link.send(message)
        except HoldfastError as error:
            while self._next(LOOK_SECONDS).kind != "look":
                pass
            raise error from None

    def _receive(self, first: bytes) -> Received:
        return self._syncing.receive(itertools.chain([first], self._rest()), "")

    def _rest(self) -> Iterator[bytes]:
        """The further messages of an answer; other events are kept in mind."""
        while True:
            event = self._next(SILENCE_SECONDS)
            if event.kind == "message":
                yield event.value
            elif event.kind == "look":
                raise HoldfastError("network", f"the hub was silent for {SILENCE_SECONDS} seconds inside an answer")

    def _next(self, timeout: float) -> Event:
        """The next event. Raises `Stopped`, and the error of a lost channel."""
        try:
            event = self._events.get(timeout=timeout)
        except queue.Empty:
            return Event("look")
        if event.kind == "stop":
            raise Stopped
        if event.kind == "lost":
            if self._link is None:
                return Event("late")
            raise event.value
        if event.kind == "sync":
            self._waiters.append(event.value)
        if event.kind in ("commit", "poke", "sync"):
            self._dirty = True
        return event

    def _wait(self, seconds: float, reasons: set[str]) -> None:
        """Wait, at most so long, for one of the reasons; look for other programs' writes meanwhile."""
        waited = 0.0
        while waited < seconds:
            event = self._next(LOOK_SECONDS)
            if event.kind in reasons:
                return
            if event.kind == "look":
                waited += LOOK_SECONDS
                if "commit" in reasons and self._syncing.anything_waits():
                    return

    def _well(self) -> None:
        """Everything is answered and applied."""
        self._backoff.succeeded()
        self._become("connected")
        report = self._syncing.report()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set_result(report)

    def _failed(self, error: HoldfastError) -> None:
        """Wait after a failure. A commit does not shorten it; a wish of the application does."""
        if self._syncing.narrow(error):
            log.info("sync failed (%s), trying again with fewer transactions", error)
            return
        delay = self._backoff.failed(error.details.get("retry_after"))
        self._syncing.failed(error)
        log.info("sync failed (%s), trying again in %.1f s", error, delay)
        self._become("offline", error)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set_exception(error)
        self._wait(delay, {"poke", "sync"})
