"""Rounds of a replica, one at a time: what `sync()` and the loop both drive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.protocol.codec import decode_error
from holdfast.protocol.transport import Exchange, Transport
from holdfast.replica.loop import Received
from holdfast.replica.report import Progress, SyncReport, conflicts_of, refusals_of
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


class Exchanges:
    """The rounds of one replica over its transport, each under the file's sync lock."""

    def __init__(self, path: str, rounds: Rounds, lock: SyncLock, reach: Callable[[], Transport]) -> None:
        self._path = path
        self._rounds = rounds
        self._lock = lock
        self._reach = reach
        self._totals = Totals()

    @property
    def progress(self) -> Progress:
        """How far the rounds are since the last report."""
        return Progress(self._totals.rounds, self._totals.pulled, self._totals.pushed)

    def report(self) -> SyncReport:
        """What happened since the last report."""
        totals, self._totals = self._totals, Totals()
        return totals.report()

    def anything_waits(self) -> bool:
        """Whether there is something to send."""
        with self._lock.held(LOCK_SECONDS), sqlite_errors(self._path):
            return self._rounds.anything_waits()

    def build(self) -> bytes:
        """The next request, for a channel."""
        with self._lock.held(LOCK_SECONDS), sqlite_errors(self._path):
            request = self._rounds.build()
            self._totals.rounds += 1
            self._totals.sent += len(request)
            return request

    def receive(self, chunks: Iterator[bytes]) -> Received:
        """One answer from a channel."""
        with self._lock.held(LOCK_SECONDS), sqlite_errors(self._path):
            return self._take(self._counted(chunks))

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._totals.received += len(chunk)
            yield chunk

    def _take(self, chunks: Iterator[bytes]) -> Received:
        applied, footer = self._rounds.receive(chunks)
        self._totals.add(applied.accepted, applied.results, applied.rows + self._rounds.rows_direct)
        return Received(self._rounds.live, footer.more or self._rounds.more_to_send)

    def exchange(self) -> bool:
        """One round over the transport; gives whether another one is needed at once."""
        with self._lock.held(LOCK_SECONDS):
            return self.exchange_locked()

    def exchange_locked(self) -> bool:
        """The same for somebody who holds the lock already."""
        with sqlite_errors(self._path):
            exchange = self._reach().exchange(self._rounds.build())
            try:
                self._totals.rounds += 1
                if exchange.status != 200:
                    raise hub_error(exchange)
                return self._take(exchange.chunks()).again
            finally:
                self._totals.sent += exchange.bytes_sent
                self._totals.received += exchange.bytes_received
                exchange.close()


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
