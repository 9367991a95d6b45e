"""The loop: keeps a device in sync in the background, over the best channel that works.

One thread does everything, driven by one queue of happenings: commits, messages of the hub, wishes of the application.
One round is in flight at a time. A failure never needs a new write to be tried again. What to do when is decided by
`schedule` and `ladder`, which are pure; this is the shell around them.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol

from holdfast.errors import HoldfastError
from holdfast.protocol.messages import encode
from holdfast.protocol.transport import LiveLink, NewsLink, Transport
from holdfast.replica.events import Channel, Events, StateChanged, Trigger
from holdfast.replica.inbox import Happening, Inbox, RealTime, Stopped, Time
from holdfast.replica.ladder import LADDER, Ladder
from holdfast.replica.presence import Presence
from holdfast.replica.report import SyncReport
from holdfast.replica.schedule import NEVER, Schedule

log = logging.getLogger("holdfast.replica")

LOOK_SECONDS = 0.5
"""How often a device looks for what other programs wrote in its file."""
REST_SECONDS, REST_AFTER = 1.0, 20
"""The same on a live channel after so many looks in a row that found nothing: half of what they cost is waking up."""
POLL_SECONDS = 30.0
"""How often it asks the hub where nothing tells it of news."""
SAFETY_SECONDS = 300.0
"""How often it asks where something should tell it of news, but is not the hub's own word."""
COMPARE_SECONDS = 300.0
"""How often a device on a live channel asks itself whether it is time to compare its copy with the hub."""
SILENCE_SECONDS = 60.0
"""So long the hub may be silent on a live channel while an answer is due; pings notice a dead channel earlier."""
ABORT_SECONDS = 0.05
STOP_SECONDS = 5.0

STATES: dict[str, frozenset[str]] = {
    "stopped": frozenset({"connecting"}),
    "connecting": frozenset({"connected", "offline", "paused", "blocked", "stopped"}),
    "connected": frozenset({"connecting", "offline", "paused", "blocked", "stopped"}),
    "offline": frozenset({"connecting", "stopped"}),
    "paused": frozenset({"connecting", "offline", "stopped"}),
    "blocked": frozenset({"connecting", "stopped"}),
}
"""Which states may follow one another; the diagram in docs/explanation is generated from this."""


class Syncing(Protocol):
    """What the loop drives: the replica's rounds, each call under its own lock."""

    attempt: int
    error_up: HoldfastError | None
    error_down: HoldfastError | None
    progressed: bool
    trace: dict[str, str]

    def anything_waits(self) -> bool:
        """Whether there is something to send."""

    def build(self, trigger: Trigger, way: Transport) -> bytes:
        """The next request."""

    def receive(self, chunks: Iterator[bytes]) -> Received:
        """Take one answer."""

    def exchange(self, trigger: Trigger, channel: Channel, way: Transport, *, uploads: bool = True) -> bool:
        """One round over the transport; gives whether another one is needed at once."""

    def is_behind(self) -> bool:
        """Whether spaces are to be compared with the hub, which a round over the transport does."""

    def failed(self, error: HoldfastError) -> None:
        """Something between the rounds failed."""

    def narrow(self, error: HoldfastError) -> bool:
        """A round ended with this error; whether the next one, with less in it, is worth a try at once."""

    def report(self) -> SyncReport:
        """What happened since the last report."""

    def interrupt(self) -> None:
        """Break off what the device's file is busy with; it is rolled back."""


class Received(NamedTuple):
    """`live`: the hub sent it without having been asked; `again`: another request is needed at once."""

    live: bool
    again: bool


class Options(NamedTuple):
    """`random()` gives a number in [0, 1). `renew` fetches new credentials, in a thread of its own; it
    raises only `HoldfastError`."""

    random: Callable[[], float]
    time: Time = RealTime()
    renew: Callable[[], None] | None = None
    poll_seconds: float | None = None


class Loop:
    """The background thread of one replica. `ways` are the transports of its URLs, in order of preference."""

    def __init__(
        self, syncing: Syncing, ways: Sequence[Transport], events: Events, presence: Presence, options: Options
    ) -> None:
        self._syncing = syncing
        self._ways = ways
        self._events = events
        self._presence = presence
        self._options = options
        self._now = options.time.now
        self._inbox = Inbox(options.time)
        self._schedule = Schedule(len(ways), options.random, self._now())
        self._ladders = [Ladder(rungs(way), options.random) for way in ways]
        self._waiters: list[Future[SyncReport]] = []
        self._why: Trigger | None = "start"
        self._renewal = ""
        self._compare_at = self._now() + COMPARE_SECONDS
        self._link: LiveLink | NewsLink | None = None
        self._thread = threading.Thread(target=self.run, name="holdfast-sync", daemon=True)
        self.state = "connecting"
        self.channel: Channel = "none"
        self.url = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def commit(self) -> None:
        """A local transaction was committed."""
        self._inbox.put(Happening("commit"))

    def poke(self) -> None:
        """The network is back, or somebody knows that there is news: try now."""
        self._inbox.put(Happening("poke"))

    def announce(self) -> None:
        """What this device says of itself has changed."""
        self._inbox.put(Happening("announce"))

    def sync(self, timeout: float) -> SyncReport:
        """Wait until everything captured before now is answered and everything new is here. Raises what went wrong."""
        waiter: Future[SyncReport] = Future()
        if not self._inbox.put(Happening("sync", waiter)):
            raise disconnected()
        try:
            return waiter.result(timeout)
        except TimeoutError:
            error = self._syncing.error_down
            raise error or HoldfastError("busy", f"the sync is not done after {timeout} seconds") from None

    def stop(self) -> None:
        """End within a second: what is under way is broken off, nothing is lost by that."""
        self._inbox.stop()
        self._abort()
        link = self._link
        if link is not None:
            link.close()
        if threading.current_thread() is self._thread or not self._thread.ident:
            return
        tries = itertools.count()
        while self._thread.is_alive() and next(tries) * ABORT_SECONDS < STOP_SECONDS:
            self._thread.join(ABORT_SECONDS)
            self._abort()
            self._syncing.interrupt()
        for way in self._ways:
            way.close()

    def _abort(self) -> None:
        for way in self._ways:
            abort = getattr(way, "abort", None)
            if abort is not None:
                abort()

    def run(self) -> None:
        """Everything, until the end; `start` calls it in a thread."""
        self._become("connecting")
        try:
            while True:
                number = self._schedule.choose(self._now())
                if number is None:
                    self._pause()
                    continue
                try:
                    self._session(number)
                except HoldfastError as error:
                    self._failed(number, error)
                except Stopped:
                    raise
                except Exception as error:
                    # Whatever it was: the device must not stay out of sync until somebody restarts the program.
                    if self._inbox.stopped:
                        raise Stopped from None
                    log.exception("a mistake in the sync loop; trying again")
                    self._failed(number, HoldfastError("loop_failed", f"the sync loop failed: {error!r}"))
        except Stopped:
            pass
        finally:
            self._inbox.stop()
            self._become("stopped")
            left = [happening.value for happening in self._inbox.left() if happening.kind == "sync"]
            self._tell_waiters([*self._waiters, *left], disconnected())

    def _become(self, state: str) -> None:
        assert state == self.state or state in STATES[self.state], f"{self.state} -> {state}"
        self.state = state
        wait = max(0.0, self._schedule.next_at() - self._now())
        retry = wait if state in ("offline", "paused", "blocked") and wait != NEVER else None
        self._events.emit(
            StateChanged(state, self.channel, self.url, self._syncing.error_up, self._syncing.error_down, retry)
        )

    def _session(self, number: int) -> None:
        """From one connection to its failure, or until a better way deserves a look."""
        way, ladder = self._ways[number], self._ladders[number]
        self.url, self.channel = getattr(way, "url", ""), "none"
        if self._renewal == "needed":
            self._renew()
        self._become("connecting")
        if self._schedule.probing(number):
            self._syncing.exchange("retry", "poll", way, uploads=False)
        failed: list[Channel] = []
        while not self._schedule.better(number, self._now()):
            if self._syncing.is_behind():
                self._syncing.exchange("more", "poll", way)
            rung = ladder.choose(self._now())
            began = self._now()
            try:
                link = self._open(way, rung)
            except HoldfastError as error:
                if error.code != "network":
                    raise
                # Rounds show whether it is the hub that cannot be reached, or only this kind of channel.
                self._rounds(number, "poll")
                log.info("no %s channel, rounds instead: %s", rung, error)
                ladder.failed(rung, self._now())
                failed.append(rung)
                continue
            self._link = link
            try:
                if rung == "websocket":
                    self._live(number, link)  # type: ignore[arg-type]
                else:
                    self._poll(number, rung)
            except HoldfastError:
                ladder.lived(rung, self._now(), self._now() - began)
                raise
            finally:
                self._link = None
                self._inbox.shut()
                self._presence.clear()
                if link is not None:
                    link.close()
        self._schedule.back(self._now())

    def _open(self, way: Any, rung: Channel) -> LiveLink | NewsLink | None:
        """The channel of that kind; None for plain polling, which needs none."""
        self.channel = rung
        if rung == "websocket":
            live: LiveLink = way.open_live(self._inbox.mouth())
            return live
        if rung in ("events", "longpoll"):
            news: NewsLink = way.open_news(rung, self._inbox.mouth())
            return news
        return None

    def _rounds(self, number: int, channel: Channel) -> None:
        """Rounds over the transport until nothing is left."""
        while self._why is not None:
            trigger, self._why = self._why, None
            if self._syncing.exchange(trigger, channel, self._ways[number]):
                self._why = "more"
            if self._syncing.error_down is None:
                self._become("connected")
        self._well(number)

    def _poll(self, number: int, rung: Channel) -> None:
        """Rounds, whenever there is a reason, until a better channel or endpoint deserves a look."""
        seconds = self._options.poll_seconds or (POLL_SECONDS if rung == "poll" else SAFETY_SECONDS)
        due = self._now() + seconds
        self._why = self._why or "news"  # what came before the channel was open was heard by nobody
        while True:
            if self._why is not None:
                self._rounds(number, rung)
                due = self._now() + seconds
            happening = self._next(min(LOOK_SECONDS, max(0.0, due - self._now())))
            if happening.kind == "news":
                self._why = "news"
            elif happening.kind == "look":
                if self._why is None and self._syncing.anything_waits():
                    self._why = "commit"
                elif self._now() >= due:
                    self._why = "timer"
                now = self._now()
                if self._schedule.better(number, now) or self._ladders[number].better(rung, now):
                    return

    def _live(self, number: int, link: LiveLink) -> None:
        """Rounds over the channel, and what the hub sends by itself."""
        asked = self._ask(number, link)
        said: dict[str, Any] = {}
        looks = 0
        while True:
            if self._presence.mine != said:
                said = self._presence.mine
                self._send(link, self._presence.message())
            happening = self._next(LOOK_SECONDS if asked or looks < REST_AFTER else REST_SECONDS)
            now = self._now()
            looks = looks + 1 if happening.kind == "look" else 0
            if happening.kind == "message":
                received = self._receive(happening.value)
                if received.live:
                    self._send(link, b'{"applied":true}')
                else:
                    asked = 0.0
                    self._become("connected")
                if received.again:
                    self._why = self._why or "more"
                elif not received.live and self._syncing.is_behind():
                    self._why = self._why or "more"
                    return
                if not asked and self._why is None:
                    self._well(number)
            elif happening.kind == "look":
                if asked and now > asked:
                    raise HoldfastError("network", "the hub did not answer on the live channel in time")
                waits = not asked and self._syncing.anything_waits()
                if self._schedule.better(number, now) and not asked:
                    return
                if not asked and now >= self._compare_at:
                    self._compare_at = now + COMPARE_SECONDS
                    if self._syncing.is_behind():
                        self._why = self._why or "more"
                        return
                self._why = self._why or ("commit" if waits else None)
            if self._why is not None and not asked:
                asked = self._ask(number, link)

    def _ask(self, number: int, link: LiveLink) -> float:
        """Send a request; gives when its answer is overdue."""
        way = self._ways[number]
        trigger, self._why = self._why or "more", None
        request = self._syncing.build(trigger, way)
        trace = b',"trace":' + encode(self._syncing.trace) if self._syncing.trace else b""
        self._send(link, b'{"request":' + request + trace + b"}")
        meter = getattr(way, "meter", None)
        return self._now() + (SILENCE_SECONDS if meter is None else float(meter.silence(len(request))))

    def _send(self, link: LiveLink, message: bytes) -> None:
        """Send a message. On a channel that was closed, its last word says more than the failure to send."""
        try:
            link.send(message)
        except HoldfastError as error:
            while self._next(LOOK_SECONDS).kind != "look":
                pass
            raise error from None

    def _receive(self, first: bytes) -> Received:
        return self._syncing.receive(itertools.chain([first], self._rest()))

    def _rest(self) -> Iterator[bytes]:
        """The further messages of an answer; other happenings are kept in mind."""
        while True:
            happening = self._next(SILENCE_SECONDS)
            if happening.kind == "message":
                yield happening.value
            elif happening.kind == "look":
                raise HoldfastError("network", f"the hub was silent for {SILENCE_SECONDS} seconds inside an answer")

    def _next(self, seconds: float) -> Happening:
        """The next thing that happens. Raises `Stopped`, and the error of a lost channel."""
        happening = self._inbox.get(seconds)
        match happening.kind:
            case "lost":
                raise happening.value
            case "sync":
                self._waiters.append(happening.value)
                self._why = "sync"
            case "poke":
                self._why = self._why or "poke"
            case "commit":
                self._why = self._why or "commit"
            case "presence":
                self._presence.heard(happening.value)
        return happening

    def _well(self, number: int) -> None:
        """Everything is answered and applied."""
        self._schedule.succeeded(number, self._now())
        self._syncing.attempt, self._renewal = 1, ""
        self._become("connected")
        report = self._syncing.report()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set_result(report)

    def _tell_waiters(self, waiters: list[Future[SyncReport]], error: HoldfastError) -> None:
        for waiter in waiters:
            waiter.set_exception(error)

    def _failed(self, number: int, error: HoldfastError) -> None:
        """Decide what follows from a failure."""
        if self._inbox.stopped:
            raise Stopped
        self._why = self._why or "retry"
        if self._syncing.narrow(error):
            log.info("sync failed (%s), trying again with fewer transactions", error)
            return
        do = self._schedule.failed(number, self._now(), error, progress=self._syncing.progressed)
        self._syncing.failed(error)
        self._syncing.attempt = self._schedule.failures + 1
        if do.state == "paused" and self._options.renew is not None:
            if self._renewal == "":
                self._schedule.wish(self._now(), person=True)
            self._renewal = "needed"
        self._become(do.state)
        if self._schedule.next_at() > self._now():
            wait = self._schedule.next_at() - self._now()
            log.info("sync failed (%s), trying again in %.1f s", error, wait)
            waiters, self._waiters = self._waiters, []
            self._tell_waiters(waiters, error)

    def _pause(self) -> None:
        """Wait for the next attempt. A commit does not shorten it; a wish of the application does."""
        happening = self._next(min(self._schedule.next_at() - self._now(), 3600.0))
        if happening.kind in ("sync", "poke"):
            self._schedule.wish(self._now(), person=happening.kind == "sync")
        if happening.kind == "sync" and self._schedule.next_at() > self._now():
            error = self._syncing.error_down
            waiters, self._waiters = self._waiters, []
            self._tell_waiters(waiters, error or HoldfastError("hub_unavailable", "the hub asked to wait"))

    def _renew(self) -> None:
        """Let the application fetch new credentials. It may take as long as a person needs; until then nothing is
        sent. Raises `unauthenticated` when it fails.
        """
        assert self._options.renew is not None
        renew = self._options.renew

        def fetch() -> None:
            try:
                renew()
                self._inbox.put(Happening("credentials"))
            except HoldfastError as error:
                self._inbox.put(Happening("credentials", error))

        threading.Thread(target=fetch, name="holdfast-credentials", daemon=True).start()
        while (happening := self._next(3600.0)).kind != "credentials":
            pass
        if happening.value is not None:
            raise happening.value
        self._renewal = "done"


def rungs(way: Transport) -> list[Channel]:
    """The kinds of channels that a transport offers."""
    return [
        *(LADDER[:1] if hasattr(way, "open_live") else ()),
        *(LADDER[1:3] if hasattr(way, "open_news") else ()),
        "poll",
    ]


def disconnected() -> HoldfastError:
    """The error for those who wait for a sync when the replica is disconnected."""
    return HoldfastError("closed", "the replica was disconnected")
