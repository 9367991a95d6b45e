"""What operators see of a hub at work: metrics, events and spans around rounds, groups and answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from holdfast.hub.batch import Outcome, Submission
from holdfast.hub.identity import Identity
from holdfast.observe import tracing
from holdfast.observe.hub_metrics import hub_metrics
from holdfast.observe.logs import event
from holdfast.observe.metrics import SERIES, Sample
from holdfast.protocol import messages as m
from holdfast.stores.base import Transaction

log = logging.getLogger("holdfast.hub")


class Seen:
    """One request while it is worked on."""

    def __init__(self, identity: Identity, size: int) -> None:
        self.user, self.size = identity.user, size
        self.device = ""
        self.outcome = "ok"
        self.transactions = self.refused = 0


SILENT_SECONDS = 60.0
"""The loss of a history is told once in so long for each space."""


class Observation:
    """Counts and tells what one hub does."""

    def __init__(self) -> None:
        self.metrics = hub_metrics()
        self._nothing_waited = time.monotonic()
        self.rounds = 0
        self.lost_by: dict[str, str] = {}
        self._lost_told: dict[str, float] = {}
        self.came_back = 0

    @contextmanager
    def round(self, identity: Identity, size: int) -> Iterator[Seen]:
        """Around a request of `size` bytes, up to the beginning of its answer."""
        seen, began = Seen(identity, size), time.perf_counter()
        self.rounds += 1
        with tracing.span("holdfast.hub.round", "server", user=identity.user, bytes=size) as span:
            yield seen
            span.set(device=seen.device, outcome=seen.outcome, transactions=seen.transactions, refused=seen.refused)
        seconds = time.perf_counter() - began
        self.metrics.add("rounds_total", 1, seen.outcome)
        self.metrics.add("bytes_received_total", size)
        self.metrics.observe("round_seconds", seconds)
        event(
            log,
            "hub.round",
            user=seen.user,
            device=seen.device,
            outcome=seen.outcome,
            transactions=seen.transactions,
            accepted=seen.transactions - seen.refused,
            refused=seen.refused,
            bytes_received=size,
            milliseconds=round(seconds * 1000, 3),
        )

    @contextmanager
    def push(self, request: m.Request) -> Iterator[None]:
        """Around writing what a request brought."""
        began = time.perf_counter()
        with tracing.span("holdfast.hub.push", transactions=len(request.transactions)):
            yield
        self.metrics.observe("push_seconds", time.perf_counter() - began)

    def pushed(self, seen: Seen, request: m.Request, outcome: Outcome) -> None:
        """The request's transactions are answered."""
        refused = [result for result in outcome.results if result.outcome == "refused"]
        seen.transactions, seen.refused = len(request.transactions), len(refused)
        add = self.metrics.add
        add("transactions_total", len(request.transactions) - len(refused), "accepted")
        add("transactions_total", len(refused), "refused")
        add("operations_total", sum(len(transaction.ops) for transaction in request.transactions))
        for rule in outcome.conflicts:
            add("conflicts_total", 1, rule)
        for result in refused:
            add("refused_total", 1, result.code)
            event(
                log,
                "hub.refused",
                user=seen.user,
                device=request.device,
                code=result.code,
                table=result.table,
                key=result.key,
                column=result.column,
                message=result.message,
            )

    @contextmanager
    def group(self, submissions: Sequence[Submission]) -> Iterator[None]:
        """Around one transaction of the store, for one or several requests: their spans are linked."""
        self.metrics.observe("group_submissions", len(submissions))
        links = [submission.trace for submission in submissions]
        with tracing.span("holdfast.hub.transaction", links=links, submissions=len(submissions)):
            yield

    def lost(self, device: str, spaces: Sequence[str]) -> None:
        """A device has read what this hub does not know. That is told once a minute for a space: all its devices show
        it, and each as often as it likes."""
        self.metrics.add("histories_lost_total", len(spaces))
        self.lost_by.update(dict.fromkeys(spaces, device))
        now = time.monotonic()
        news = [space for space in spaces if now - self._lost_told.get(space, float("-inf")) >= SILENT_SECONDS]
        self._lost_told.update(dict.fromkeys(news, now))
        if news:
            event(log, "hub.history_lost", device=device, spaces=" ".join(news))

    def restored(self, user: str, device: str, rows: int, changed: int, kept: Sequence[m.Kept]) -> None:
        """A device has brought rows back."""
        self.metrics.add("restored_rows_total", changed)
        self.came_back += changed
        event(log, "hub.restored", user=user, device=device, rows=rows, changed=changed, refused=len(kept))
        for row in kept:
            place = {"table": row.table, "key": row.key}
            event(log, "hub.not_restored", device=device, **place, code=row.code, message=row.message)

    def losses(self) -> list[str]:
        """What devices have shown to be lost here since this process began, in words."""
        return [
            f"{space}: a device ({device}) has read what this database no longer has: it was restored or failed over; "
            f"devices bring back what they hold, {self.came_back} rows until now"
            for space, device in sorted(self.lost_by.items())
        ]

    def nothing_waits(self) -> None:
        """No row of another program waits to be sequenced."""
        self._nothing_waited = time.monotonic()

    def drain(self, tx: Transaction) -> list[Sample]:
        """The gauges of what other programs left to be sequenced, now."""
        waits = tx.has_dirty()
        lag = time.monotonic() - self._nothing_waited if waits else 0.0
        return [
            Sample("drain_waiting", (), int(waits)),
            Sample("drain_lag_seconds", (), round(lag, 3)),
            Sample("drain_set_aside", (), len(tx.aside())),
        ]

    def sequenced(self, rows: int, seconds: float) -> None:
        """Rows of other programs are in the feed."""
        self.nothing_waits()
        self.metrics.add("foreign_rows_total", rows)
        event(log, "hub.foreign", rows=rows, milliseconds=round(seconds * 1000, 3))

    def sent_rows(self, rows: int) -> None:
        """A page goes out."""
        self.metrics.add("rows_sent_total", rows)

    def answer(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        """The lines of an answer, counted on their way."""
        began, size = time.perf_counter(), 0
        try:
            for line in lines:
                size += len(line)
                yield line
        finally:
            self.metrics.add("bytes_sent_total", size)
            self.metrics.observe("answer_seconds", time.perf_counter() - began)


def samples(tx: Transaction, channels: int) -> list[Sample]:
    """The gauges of a hub now: its feeds, and what other programs left to be sequenced."""
    heads = {name: space.head for name, space in tx.spaces(tx.all_spaces()).items()}
    found = [
        Sample("store_up", (), 1),
        Sample("live_channels", (), channels),
        Sample("spaces", (), len(heads)),
        Sample("feed_head_total", (), sum(heads.values())),
        Sample("drain_set_aside", (), len(tx.aside())),
    ]
    if len(heads) <= SERIES:
        found += [Sample("feed_head", (name,), head) for name, head in sorted(heads.items())]
    return found
