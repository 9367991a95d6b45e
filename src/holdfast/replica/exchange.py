"""Rounds of a replica, one at a time: what `sync()` and the loop both drive."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.observe import tracing
from holdfast.protocol import messages as m
from holdfast.protocol import meter
from holdfast.protocol.conflicts import Conflict
from holdfast.protocol.transport import Exchange, Transport
from holdfast.replica.credentials import Credentials
from holdfast.replica.downloads import ImageOfferedError
from holdfast.replica.events import Channel, Events, PiecesArrived, RoundEnded, Trigger
from holdfast.replica.failures import MAX_ERROR, behaviour, hub_error
from holdfast.replica.first_image import FirstImage
from holdfast.replica.loop import Received
from holdfast.replica.report import SyncReport, refusals_of
from holdfast.replica.round import Rounds
from holdfast.replica.spaces import LocalSpaces
from holdfast.replica.sqlite_errors import sqlite_errors
from holdfast.replica.sync_lock import SyncLock

LOCK_SECONDS = 60.0


class Totals:
    """What rounds add up to."""

    def __init__(self) -> None:
        self.pushed = self.merged = self.pulled = self.sent = self.received = self.rounds = 0
        self.results: list[Any] = []
        self.conflicts: list[Conflict] = []

    def add(self, accepted: int, results: list[Any], rows: int, conflicts: list[Conflict]) -> None:
        """One more answer."""
        self.conflicts += conflicts
        self.pushed += accepted
        self.merged += sum(1 for result in results if result.outcome == "merged")
        self.pulled += rows
        self.results += results

    def add_bytes(self, round_: Round) -> None:
        """What a round carried."""
        self.sent += round_.sent
        self.received += round_.received

    def report(self) -> SyncReport:
        """The report of all of them."""
        return SyncReport(
            self.pushed,
            self.merged,
            self.pulled,
            self.conflicts,
            refusals_of(self.results),
            self.sent,
            self.received,
            self.rounds,
        )


class Round:
    """One round as the events tell it: begun, counted while it runs, told once at its end."""

    def __init__(
        self,
        trigger: Trigger,
        channel: Channel,
        way: Transport | None,
        attempt: int,
        started: int,
        now: Callable[[], float],
    ) -> None:
        self._trigger, self._channel, self._attempt, self._started = trigger, channel, attempt, started
        self._url: str = getattr(way, "url", "")
        self._meter: meter.Meter | None = getattr(way, "meter", None)
        self._now, self._began = now, now()
        self.uploads = False
        self.span = tracing.begin("holdfast.round", "client", trigger=trigger, channel=channel, url=self._url)
        self.transactions = self.sent = self.received = self.plain_sent = self.plain_received = 0
        self._rows = self._pushed = self._refused = self._conflicts = 0
        self._carried = (0, 0)

    def answers(self, asked: Round) -> None:
        """What came over a live channel is the answer to that request, which measures the link."""
        if asked._meter is not None:
            asked._meter.answered(asked.plain_sent, self._began - asked._began)
            asked._meter.delivered(asked.plain_sent)
        self.span = asked.span
        self._trigger, self._url, self._started, self._began = asked._trigger, asked._url, asked._started, asked._began
        self.uploads, self.transactions = asked.uploads, asked.transactions
        self.sent, self.plain_sent = asked.sent, asked.plain_sent

    def carried(self, exchange: Exchange) -> None:
        """What went over the wire with that; a round may take two, when a short request was not enough."""
        self._carried = self._carried[0] + exchange.bytes_sent, self._carried[1] + exchange.bytes_received
        self.sent, self.received = self._carried

    def took(self, accepted: int, results: list[Any], rows: int, conflicts: int) -> None:
        """An answer was taken."""
        self._pushed, self._rows = accepted, rows
        self._refused = sum(1 for result in results if result.outcome == "refused")
        self._conflicts = conflicts

    def ended(self, error: HoldfastError | None) -> RoundEnded:
        """The event. It ends the span, too."""
        self.span.set(transactions=self.transactions, rows=self._rows, attempt=self._attempt)
        self.span.end(f"{error.code}: {error.message}" if error is not None else "")
        return RoundEnded(
            self._trigger, self._channel, self._url, self._started, self._now() - self._began, self.transactions,
            self._pushed, self._refused, self._conflicts, self._rows, self.sent, self.received, self.plain_sent,
            self.plain_received, self._attempt, error,
        )  # fmt: skip


class Exchanges:
    """The rounds of one replica, each under the file's sync lock.

    `error_up` and `error_down` say what holds up each direction since the last round; `attempt` counts the failures in
    a row, plus one; `progressed` is whether the last round that failed had brought pages. `trace` is the span of the
    last request on a live channel, as it goes over the wire. `now` is a clock that only goes forward, in seconds.
    """

    def __init__(self, path: str, rounds: Rounds, lock: SyncLock, events: Events) -> None:
        self._path = path
        self._rounds = rounds
        self._lock = lock
        self._events = events
        self._totals = Totals()
        self._asked: Round | None = None
        self._again = False
        self._whole_only: set[Transport] = set()
        self._first = FirstImage(rounds.connection, rounds.device, events)
        self._way: Transport | None = None
        self._offered: m.Header | None = None
        self._asks_image = False
        self.trace: dict[str, str] = {}
        self.now = time.monotonic
        self.attempt = 1
        self.progressed = False
        self.error_up: HoldfastError | None = None
        self.error_down: HoldfastError | None = None
        self.reconcile: Callable[[Transport], None] | None = None
        """Compares the spaces that are behind the hub's horizon; called with the file's sync lock held."""
        self.complete: Callable[[Transport], None] | None = None
        """Brings back rows that have left and that rows need which came; called with the file's sync lock held."""
        self.is_doubted: Callable[[], bool] = lambda: False
        """Whether it is time to compare everything with the hub, which `prove` does, with the sync lock held."""
        self.prove: Callable[[Transport], None] = lambda _: None
        self._reconciling = False
        self.on_full: Callable[[], int] = lambda: 0
        """Makes room on a full disk and gives how many bytes; the round is tried again when there are any."""
        self._freed = 0
        self.on_conflicts: Callable[[list[Conflict]], None] | None = None
        """Told of the conflicts that came, with the file's sync lock held."""

    def report(self) -> SyncReport:
        """What happened since the last report."""
        totals, self._totals = self._totals, Totals()
        return totals.report()

    def anything_waits(self) -> bool:
        """Whether there is something to send now. Cheap while nobody has written to the file."""
        looking = self._rounds.looking
        if looking.vain():
            return False
        with self._lock.held(LOCK_SECONDS), sqlite_errors(self._path):
            version = looking.version()
            found = self._rounds.anything_waits()
            looking.found(found, version)
            return found

    def build(self, trigger: Trigger, way: Transport) -> bytes:
        """The next request, for a live channel."""
        with self._lock.held(LOCK_SECONDS), sqlite_errors(self._path):
            self._asked = self._begin(trigger, "websocket", way)
            self.trace = self._asked.span.carrier()
            return self._build(self._asked, way, uploads=True)

    def receive(self, chunks: Iterator[bytes]) -> Received:
        """One answer from a live channel: to the last request, or one that the hub sent by itself."""
        with self._lock.held(LOCK_SECONDS), sqlite_errors(self._path):
            round_ = self._begin("news", "websocket", None)
            with self._told(round_):
                received = self._take(chunks, round_)
                if not received.live and self._asked is not None:
                    round_.answers(self._asked)
                    self._asked = None
                self._totals.add_bytes(round_)
                self._take_image(round_)
                return received

    def is_behind(self) -> bool:
        """Whether spaces are to be compared with the hub, which a round over a transport does."""
        with self._lock.held(LOCK_SECONDS), sqlite_errors(self._path):
            return bool(LocalSpaces(self._rounds.connection).behind()) or self.is_doubted()

    def exchange(self, trigger: Trigger, channel: Channel, way: Transport, *, uploads: bool = True) -> bool:
        """One round over a transport; gives whether another one is needed at once."""
        with self._lock.held(LOCK_SECONDS):
            return self.exchange_locked(trigger, channel, way, uploads=uploads)

    def exchange_locked(self, trigger: Trigger, channel: Channel, way: Transport, *, uploads: bool = True) -> bool:
        """The same for somebody who holds the lock already."""
        with sqlite_errors(self._path):
            try:
                again = self._round(trigger, channel, way, uploads=uploads)
            except HoldfastError as error:
                if self._freed or self._rounds.narrow(error):
                    return True
                raise
            if not again and not self._reconciling:
                self._catch_up(way)
            return again

    def _catch_up(self, way: Transport) -> None:
        """Compare with the hub what is behind its horizon, and bring back what rows need that came."""
        self._reconciling = True
        try:
            if self.reconcile is not None and LocalSpaces(self._rounds.connection).behind():
                self.reconcile(way)
            if self._rounds.compare or self._rounds.asked_after:
                return
            if self.complete is not None:
                self.complete(way)
            if self.is_doubted():
                self.prove(way)
        finally:
            self._reconciling = False

    def _round(self, trigger: Trigger, channel: Channel, way: Transport, *, uploads: bool) -> bool:
        round_ = self._begin(trigger, channel, way)
        with self._told(round_):
            request = self._build(round_, way, uploads=uploads)
            short = self._short(trigger, way, round_)
            if short is not None:
                return short
            with round_.span.inside():
                exchange = way.exchange(request)
            try:
                if exchange.status != 200:
                    raise hub_error(exchange)
                pieces = exchange.chunks()
                again = self._take(pieces, round_).again
                # The footer is not the end of the body: what is read to its end keeps its connection.
                with suppress(HoldfastError):
                    for _ in pieces:
                        pass
            finally:
                self._ended(exchange, round_)
            self._take_image(round_)
            return again

    def _short(self, trigger: Trigger, way: Transport, round_: Round) -> bool | None:
        """Ask in short whether anything is new, where that is likely to be all. None: the whole request must be said;
        else whether another round is needed at once.
        """
        short = self._rounds.short.request()
        if short is None or trigger in ("news", "more") or way in self._whole_only:
            return None
        round_.plain_sent += len(short)
        with round_.span.inside():
            exchange = way.exchange(short)
        try:
            if exchange.status == 200:
                pieces = itertools.takewhile(lambda _: exchange.bytes_received <= MAX_ERROR, exchange.chunks())
                whole = self._rounds.short.whole(b"".join(pieces))
                return self._take(iter([whole]), round_).again
            error = hub_error(exchange)
            if error.code == "request_malformed":
                self._whole_only.add(way)  # a hub of before there were short requests
            elif error.code != "not_same":
                raise error
            return None
        finally:
            self._ended(exchange, round_)

    def _ended(self, exchange: Exchange, round_: Round) -> None:
        round_.carried(exchange)
        self._totals.sent += exchange.bytes_sent
        self._totals.received += exchange.bytes_received
        exchange.close()

    def _begin(self, trigger: Trigger, channel: Channel, way: Transport | None) -> Round:
        return Round(trigger, channel, way, self.attempt, self._rounds.now(), self.now)

    def _build(self, round_: Round, way: Transport, *, uploads: bool) -> bytes:
        measured = getattr(way, "meter", None)
        page, batch = (measured.page, measured.batch) if measured is not None else (None, meter.MOST_BATCH)
        self._way = way
        image = self._first.asks(way)
        self._asks_image = bool(image)
        request = self._rounds.build(page=page, batch=batch, uploads=uploads, image=image)
        self._totals.rounds += 1
        self._rounds.looking.forget()
        round_.uploads, round_.transactions = uploads, self._rounds.sending
        round_.plain_sent = round_.sent = len(request)
        return request

    @contextmanager
    def _told(self, round_: Round) -> Iterator[None]:
        """Tell of the round at its end, and keep what holds up each direction."""
        error: HoldfastError | None = None
        self.progressed = False
        try:
            yield
            self.error_down = None
            if round_.uploads:
                self.error_up = None
        except HoldfastError as raised:
            error = raised
            self.progressed = self._rounds.kept > 0
            self.failed(raised)
            raise
        finally:
            if error is not None or not self._again:
                self._rounds.transfer.rests()
            self._events.emit(round_.ended(error))

    def failed(self, error: HoldfastError) -> None:
        """Nothing went through, in either direction. A request on a live channel will not be answered any more."""
        self.error_down = self.error_up = error
        self._freed = self.on_full() if error.code == "disk_full" else 0
        self._rounds.transfer.rests()
        asked, self._asked = self._asked, None
        if asked is not None:
            self._events.emit(asked.ended(error))

    def narrow(self, error: HoldfastError) -> bool:
        """A round ended with this error; whether the next one, with less in it, is worth a try at once."""
        with self._lock.held(LOCK_SECONDS), sqlite_errors(self._path):
            return self._rounds.narrow(error)

    def interrupt(self) -> None:
        """Break off what the file is busy with, and waiting for another syncer of it."""
        self._lock.give_up()
        self._rounds.interrupt()

    def _take(self, chunks: Iterator[bytes], round_: Round) -> Received:
        self._rounds.looking.forget()
        try:
            applied, footer = self._rounds.receive(self._counted(chunks, round_))
        except ImageOfferedError as offered:
            if not self._asks_image:
                raise HoldfastError("response_malformed", "the hub offers a file that was not asked for") from None
            self._offered, self._again = offered.header, True
            return Received(False, self._again)
        rows = applied.rows + self._rounds.rows_direct
        conflicts = self._rounds.arrived_conflicts(applied)
        round_.took(applied.accepted, applied.results, rows, len(conflicts))
        self._totals.add(applied.accepted, applied.results, rows, conflicts)
        if conflicts and self.on_conflicts is not None:
            self.on_conflicts(conflicts)
        self._again = footer.more or self._rounds.more_to_send
        return Received(self._rounds.live, self._again)

    def _take_image(self, round_: Round) -> None:
        """Fetch the file that the hub has offered, if it has; an ordinary round follows."""
        header, self._offered = self._offered, None
        if header is None or self._way is None:
            return
        rows, received = self._first.take(self._way, header)
        round_.received += received
        round_.took(0, [], rows, 0)
        self._totals.received += received
        self._totals.pulled += rows

    def _counted(self, chunks: Iterator[bytes], round_: Round) -> Iterator[bytes]:
        for chunk in chunks:
            round_.plain_received += len(chunk)
            round_.received = round_.plain_received
            self._events.emit(PiecesArrived(round_.plain_received))
            yield chunk


def sync_now(exchanges: Exchanges, ways: Sequence[Transport], credentials: Credentials) -> None:
    """Rounds until nothing is left, by somebody who holds the lock: over the first way that works. Raises the last
    error.
    """
    untried = list(ways)
    renewed = False
    trigger: Trigger = "sync"
    while True:
        try:
            again = exchanges.exchange_locked(trigger, "poll", untried[0])
        except HoldfastError as error:
            if error.code == "unauthenticated" and credentials.renewable and not renewed:
                renewed = True
                renew(credentials)
                continue
            if not behaviour(error).elsewhere or len(untried) == 1:
                raise
            untried.pop(0)
            continue
        trigger = "more"
        if not again:
            return


def renew(credentials: Credentials) -> None:
    """Fetch a new token. Raises `unauthenticated` when the application's function fails."""
    try:
        credentials.renew()
    except Exception as error:
        raise HoldfastError("unauthenticated", f"fetch_credentials failed: {error!r}") from error
