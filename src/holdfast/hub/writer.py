"""Writes what came to the hub: groups of submissions, and what other programs wrote. Whatever a conflict, a lock of
another program or a mistake stands in the way of."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar, cast

from holdfast.hub import needs
from holdfast.hub.batch import Outcome, Submission
from holdfast.hub.drain import BATCH, Drain
from holdfast.hub.group import GroupCommit
from holdfast.hub.hooks import Hooks
from holdfast.hub.merging import MergeFunctions
from holdfast.hub.observation import Observation
from holdfast.hub.push import Push
from holdfast.hub.totals import Noting, Totals
from holdfast.hub.watch import Watch
from holdfast.schema.model import Schema
from holdfast.stores.base import (
    Batch,
    Need,
    NotRemembered,
    Space,
    Store,
    StoreConflict,
    StoreUnavailable,
    Transaction,
    begin,
    found_behind,
)

log = logging.getLogger("holdfast.hub")

GROUP_OPERATIONS = 20_000
GROUP_BYTES = 8 * 1024 * 1024
"""A group of several requests has at most so many operations and bytes of them: all of it stands in memory, decoded."""
ATTEMPTS = 10
"""How often a write is tried when other processes are faster with its rows; then the device tries again later."""

NOTHING, ONLY_LOOK = Need(), Need(only=True)

HELD_PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds before each further try of transactions whose rows another program holds. The first is for rows that it has
just written and lets go."""

Done = TypeVar("Done")


class ForeignFirst(Exception):
    """Another program has written: that is sequenced before a push."""


class Writer:
    """Every write of one hub. `origin` names what it writes itself, `now` gives milliseconds since 2020-01-01 UTC.
    `look` looks at every snapshot that it reads. Thread-safe.
    """

    def __init__(
        self,
        store: Store,
        schema: Schema,
        *,
        hooks: Hooks,
        functions: MergeFunctions,
        observation: Observation,
        watch: Watch,
        origin: str,
        now: Callable[[], int],
        look: Callable[[Transaction], None],
    ) -> None:
        self._store, self._schema = store, schema
        self._hooks, self._functions = hooks, functions
        self._observation, self._watch = observation, watch
        self._origin, self._now, self._look = origin, now, look
        self._recent = needs.RecentSpaces()
        self.counts = ""
        """The name under which increments are counted, where it is not the one that the store gives."""
        self.totals = Totals()
        self._closing = threading.Event()
        self._group: GroupCommit[Submission, Outcome] = GroupCommit(self.write_group, _weight, GROUP_OPERATIONS)

    def submit(self, submission: Submission) -> Outcome:
        """Have transactions written. Those whose rows another program holds are tried again for a while; then the
        device keeps them and sends them again, and gets its pages in the meantime."""
        outcome = self._group.submit(submission)
        self._tell(outcome)
        for pause in HELD_PAUSES:
            if not outcome.held or self._closing.wait(pause):
                break
            left = [t for t in submission.transactions if t.n > outcome.through.get(t.origin, 0)]
            later = self._group.submit(submission._replace(transactions=left))
            self._tell(later)
            outcome.absorb(later)
        if outcome.held:
            log.warning("another program has held rows for long; %s sends its transactions again", submission.device)
        return outcome

    def _tell(self, outcome: Outcome) -> None:
        for changes, context in outcome.changes:
            self._hooks.after(changes, context)
        moved = {written.space for written in outcome.written.values()} | outcome.left
        if moved:
            self._recent.add(moved)
            self._watch.changed(moved)

    def write_group(self, submissions: Sequence[Submission]) -> Sequence[Outcome | Exception]:
        """Write a group. What other programs wrote is sequenced first: no push overwrites what it has not seen.

        A mistake that one submission provokes must not hit those who came with it by chance: each is tried alone then.
        """
        need = needs.of_push(self._schema, submissions, self._recent)
        try:
            with self._observation.group(submissions):
                try:
                    return self._push_at_once(submissions, need, first=True)
                except ForeignFirst:
                    self.sequence_foreign_writes(seen=True)
                return self._push_at_once(submissions, need)
        except StoreUnavailable:
            raise
        except Exception:
            if len(submissions) == 1:
                raise
            log.exception("a group of %d submissions failed; trying each alone", len(submissions))
            return [self._write_alone(submission) for submission in submissions]

    def _write_alone(self, submission: Submission) -> Outcome | Exception:
        try:
            return self.change(lambda tx: self._push_all(tx, [submission]))[0]
        except Exception as error:  # noqa: BLE001 (raised again by the call that brought the submission)
            return error

    def _push_at_once(
        self, submissions: Sequence[Submission], need: Need, *, first: bool = False
    ) -> Sequence[Outcome | Exception]:
        used: list[Transaction] = []

        def work(tx: Transaction) -> Sequence[Outcome | Exception]:
            used.append(tx)
            return self._push_all(tx, submissions, first=first)

        outcomes = self.change(work, need)
        if need.then is not None and isinstance(outcomes[0], Outcome):
            outcomes[0].found = found_behind(used[-1])
        return outcomes

    def _push_all(
        self, tx: Transaction, submissions: Sequence[Submission], *, first: bool = False
    ) -> Sequence[Outcome | Exception]:
        if first and tx.has_dirty():
            raise ForeignFirst
        facts = self._schema, self._hooks, self._functions, self._origin, self._now(), self.counts
        return Push(tx, *facts).run(submissions)

    def change(self, work: Callable[[Transaction], Done], need: Need = NOTHING) -> Done:
        """Do the work in a write transaction; from its start again when another process was faster with its rows."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                written: list[tuple[Batch, Mapping[str, Space]]] = []
                with begin(self._store, need, write=True) as tx:
                    done = work(cast(Transaction, Noting(tx, written)))
                for batch, heads in written:
                    self.totals.committed(batch, heads)
                return done
            except NotRemembered:
                need = need._replace(new=False)
            except StoreConflict as conflict:
                if attempt == ATTEMPTS:
                    raise
                log.info("written again, attempt %d: %s", attempt, conflict)
                need = need._replace(at_once=False)
        raise AssertionError("the loop above ends by return or raise")

    def sequence_foreign_writes(self, *, seen: bool = False) -> int:
        """Sequence what other programs wrote in the hub's tables; `seen`: somebody has seen that there is something.
        Gives the number of rows looked at."""
        total, began = 0, time.perf_counter()
        if not seen:
            with begin(self._store, ONLY_LOOK, write=False) as tx:
                self._look(tx)
                if not tx.has_dirty():
                    self._observation.nothing_waits()
                    return 0
        drain = Drain(self._schema, self._origin, self.counts)
        while True:
            total += self.change(lambda tx: drain.run(tx, self._now()), needs.of_drain(BATCH, self._recent))
            self._recent.add(drain.spaces)
            if not drain.more:
                self._observation.sequenced(total, time.perf_counter() - began)
                self._watch.everyone()
                return total

    def write(self, make: Callable[[Transaction], Submission]) -> Outcome:
        """Write the submission that `make` gives, read and written in one transaction; a row that another program holds
        is waited for. `make` may be called more than once."""
        outcome = Outcome()
        for pause in (0.0, *HELD_PAUSES):
            self._closing.wait(pause)
            self.sequence_foreign_writes()
            (written,) = self.change(lambda tx: self._push_all(tx, [make(tx)]))
            if isinstance(written, Exception):
                raise written
            outcome = written
            if not outcome.held:
                break
        self._tell(outcome)
        return outcome

    def close(self) -> None:
        """Wait for nothing any more; idempotent."""
        self._closing.set()


def _weight(submission: Submission) -> int:
    """In operations, or what the bytes weigh as such: the greater, so that a group keeps within both limits."""
    operations = sum(len(transaction.ops) for transaction in submission.transactions)
    return max(operations, -(-submission.size * GROUP_OPERATIONS // GROUP_BYTES))
