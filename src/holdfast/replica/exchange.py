"""Rounds of a replica, one at a time: what `sync()` and the loop both drive."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.protocol.codec import decode_error
from holdfast.protocol.transport import Exchange, Transport
from holdfast.replica.events import Channel, Events, PiecesArrived, RoundEnded, Trigger
from holdfast.replica.loop import Received
from holdfast.replica.report import SyncReport, conflicts_of, refusals_of
from holdfast.replica.round import Rounds
from holdfast.replica.sqlite_errors import sqlite_errors
from holdfast.replica.sync_lock import SyncLock

MAX_ERROR = 64 * 1024
"""So many bytes of an error's body are read."""
LOCK_SECONDS = 60.0


class Totals:
    """What rounds add up to."""

    def __init__(self) -> None:
        self.pushed = self.merged = self.pulled = self.sent = self.received = self.rounds = 0
        self.results: list[Any] = []

    def add(self, accepted: int, results: list[Any], rows: int) -> None:
        """One more answer."""
        self.pushed += accepted
        self.merged += sum(1 for result in results if result.outcome == "merged")
        self.pulled += rows
        self.results += results

    def report(self) -> SyncReport:
        """The report of all of them."""
        return SyncReport(
            self.pushed,
            self.merged,
            self.pulled,
            conflicts_of(self.results),
            refusals_of(self.results),
            self.sent,
            self.received,
            self.rounds,
        )


class Round:
    """One round as the events tell it: begun, counted while it runs, told once at its end."""

    def __init__(self, trigger: Trigger, channel: Channel, url: str, attempt: int, started: int) -> None:
        self.trigger, self.channel, self.url, self.attempt, self.started = trigger, channel, url, attempt, started
        self.began = time.monotonic()
        self.transactions = self.sent = self.received = self.plain_sent = self.plain_received = 0
        self.rows = self.pushed = self.refused = self.conflicts = 0

    def took(self, accepted: int, results: list[Any], rows: int) -> None:
        """An answer was taken."""
        self.pushed, self.rows = accepted, rows
        self.refused = sum(1 for result in results if result.outcome == "refused")
        self.conflicts = sum(len(result.conflicts) for result in results)

    def ended(self, error: HoldfastError | None) -> RoundEnded:
        """The event."""
        return RoundEnded(
            self.trigger, self.channel, self.url, self.started, time.monotonic() - self.began, self.transactions,
            self.pushed, self.refused, self.conflicts, self.rows, self.sent, self.received, self.plain_sent,
            self.plain_received, self.attempt, error,
        )  # fmt: skip


class Exchanges:
    """The rounds of one replica, each under the file's sync lock.

    `error_up` and `error_down` say what holds up each direction since the last round; `attempt` counts the failures in
    a row, plus one.
    """

    def __init__(self, path: str, rounds: Rounds, lock: SyncLock, events: Events) -> None:
        self._path = path
        self._rounds = rounds
        self._lock = lock
        self._events = events
        self._totals = Totals()
        self._asked: Round | None = None
        self._again = False
        self.attempt = 1
        self.error_up: HoldfastError | None = None
        self.error_down: HoldfastError | None = None

    def report(self) -> SyncReport:
        """What happened since the last report."""
        totals, self._totals = self._totals, Totals()
        return totals.report()

    def anything_waits(self) -> bool:
        """Whether there is something to send."""
        with self._lock.held(LOCK_SECONDS), sqlite_errors(self._path):
            return self._rounds.anything_waits()

    def build(self, trigger: Trigger, url: str) -> bytes:
        """The next request, for a live channel."""
        with self._lock.held(LOCK_SECONDS), sqlite_errors(self._path):
            self._asked = self._begin(trigger, "websocket", url)
            request = self._build(self._asked)
            self._asked.sent = len(request)
            self._totals.sent += len(request)
            return request

    def receive(self, chunks: Iterator[bytes], url: str) -> Received:
        """One answer from a live channel: to the last request, or one that the hub sent by itself."""
        with self._lock.held(LOCK_SECONDS), sqlite_errors(self._path):
            news = self._begin("news", "websocket", url)
            with self._told(news):
                received = self._take(chunks, news)
                news.received = news.plain_received
                self._totals.received += news.received
                asked, self._asked = (None, self._asked) if received.live else (self._asked, None)
                if asked is not None:
                    asked.received, asked.plain_received = news.received, news.plain_received
                    asked.pushed, asked.refused, asked.conflicts = news.pushed, news.refused, news.conflicts
                    asked.rows = news.rows
                    news.__dict__.update(asked.__dict__)
                return received

    def exchange(self, trigger: Trigger, channel: Channel, transport: Transport) -> bool:
        """One round over a transport; gives whether another one is needed at once."""
        with self._lock.held(LOCK_SECONDS):
            return self.exchange_locked(trigger, channel, transport)

    def exchange_locked(self, trigger: Trigger, channel: Channel, transport: Transport) -> bool:
        """The same for somebody who holds the lock already."""
        with sqlite_errors(self._path):
            try:
                return self._round(trigger, channel, transport)
            except HoldfastError as error:
                if self._rounds.narrow(error):
                    return True
                raise

    def _round(self, trigger: Trigger, channel: Channel, transport: Transport) -> bool:
        round_ = self._begin(trigger, channel, getattr(transport, "url", ""))
        with self._told(round_):
            exchange = transport.exchange(self._build(round_))
            try:
                if exchange.status != 200:
                    raise hub_error(exchange)
                return self._take(exchange.chunks(), round_).again
            finally:
                round_.sent, round_.received = exchange.bytes_sent, exchange.bytes_received
                self._totals.sent += exchange.bytes_sent
                self._totals.received += exchange.bytes_received
                exchange.close()

    def narrow(self, error: HoldfastError) -> bool:
        """A round over a channel ended with this error; whether the next one, with less in it, is worth a try."""
        with self._lock.held(LOCK_SECONDS), sqlite_errors(self._path):
            return self._rounds.narrow(error)

    def _begin(self, trigger: Trigger, channel: Channel, url: str) -> Round:
        return Round(trigger, channel, url, self.attempt, self._rounds.now())

    def _build(self, round_: Round) -> bytes:
        request = self._rounds.build()
        self._totals.rounds += 1
        round_.transactions, round_.plain_sent = self._rounds.sending, len(request)
        return request

    @contextmanager
    def _told(self, round_: Round) -> Iterator[None]:
        """Tell of the round at its end, and keep what holds up each direction."""
        error: HoldfastError | None = None
        try:
            yield
            self.attempt, self.error_up, self.error_down = 1, None, None
        except HoldfastError as raised:
            error = raised
            self.failed(raised)
            raise
        finally:
            if error is not None or not self._again:
                self._rounds.transfer.rests()
            self._events.emit(round_.ended(error))

    def failed(self, error: HoldfastError) -> None:
        """Nothing went through: what holds up downloads, and uploads if anything waits to go up."""
        self.attempt += 1
        self.error_down = self.error_up = error

    def _take(self, chunks: Iterator[bytes], round_: Round) -> Received:
        applied, footer = self._rounds.receive(self._counted(chunks, round_))
        rows = applied.rows + self._rounds.rows_direct
        round_.took(applied.accepted, applied.results, rows)
        self._totals.add(applied.accepted, applied.results, rows)
        self._again = footer.more or self._rounds.more_to_send
        return Received(self._rounds.live, self._again)

    def _counted(self, chunks: Iterator[bytes], round_: Round) -> Iterator[bytes]:
        for chunk in chunks:
            round_.plain_received += len(chunk)
            self._events.emit(PiecesArrived(round_.plain_received))
            yield chunk


def hub_error(exchange: Exchange) -> HoldfastError:
    """The error that the hub, or something on the way to it, answered."""
    body = b""
    for chunk in exchange.chunks():
        body += chunk
        if len(body) > MAX_ERROR:
            break
    error = decode_error(body)
    if error is None:
        message = f"the answer is HTTP {exchange.status} and not the hub's: {body[:200]!r}"
        return HoldfastError("hub_error", message, status=exchange.status)
    return HoldfastError(error.code, error.message, **error.details)
