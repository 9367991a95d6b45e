"""Planted faults: mistakes in the engine, each switched on by a test alone, that the simulator must find.

A simulator that finds nothing proves nothing until it has been seen to find something. `profile` says what may happen
while it looks, `seeds` within how many runs of 120 steps the fault is found, `finders` which invariants may find it.
`at` is one of those seeds, which finds it soon: it is played first, and the others when it does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from pytest import MonkeyPatch

from holdfast.hub import drain, fresh, inbox, pull, push, reading, workspace
from holdfast.hub.batch import Accepted, Unit
from holdfast.hub.inbox import Inbox
from holdfast.hub.moves import Moves
from holdfast.hub.push import Push
from holdfast.hub.workspace import Draft, Standing
from holdfast.kernel.merges.counter import PENDING, Counter
from holdfast.replica import apply, coalesce, confirmed, outbox, seal, uploads
from holdfast.replica import round as rounds
from holdfast.replica.outbox import Outbox
from holdfast.replica.spaces import LocalSpaces
from holdfast.replica.stage import Stage
from holdfast.stores.memory.transaction import MemoryTransaction


class Planted(NamedTuple):
    """One fault."""

    name: str
    trap: str
    plant: Callable[[MonkeyPatch], None]
    profile: str
    seeds: int
    finders: frozenset[int]
    at: int


PLANTED: list[Planted] = []


def planted(trap: str, profile: str, seeds: int, *finders: int, at: int) -> Callable[[Any], Any]:
    """Register a fault under the name of its function."""

    def register(plant: Callable[[MonkeyPatch], None]) -> Callable[[MonkeyPatch], None]:
        PLANTED.append(Planted(plant.__name__, trap, plant, profile, seeds, frozenset(finders), at))
        return plant

    return register


@planted("13: a retry counts twice", "network", 5, 1, 3, 4, at=0)
def hub_forgets_what_it_processed(patch: MonkeyPatch) -> None:
    """The hub takes every transaction for a new one."""
    real = Push._new_units

    def forgetful(self: Any) -> Any:
        units = real(self)
        new = {(u.transaction.origin, u.transaction.n) for u in units}
        again = [
            Unit(index, transaction, 0)
            for index, submission in enumerate(self._submissions)
            for transaction in submission.transactions
            if (transaction.origin, transaction.n) not in new
            and transaction.n <= self._outcomes[index].through.get(transaction.origin, 0)
        ]
        return [*again, *units]

    patch.setattr(Push, "_new_units", forgetful)


@planted("5: the acknowledgement is lost", "access", 20, 1, 3, 14, at=4)
def hub_does_not_repeat_results(patch: MonkeyPatch) -> None:
    """A transaction that is sent again gets no result: the device takes it for accepted."""
    patch.setattr(Push, "_repeat", lambda self: None)


@planted("5: the acknowledgement is lost", "access", 20, 1, 3, 14, at=4)
def hub_forgets_results_at_once(patch: MonkeyPatch) -> None:
    """Results are not stored."""
    real = MemoryTransaction._write_rest
    patch.setattr(
        MemoryTransaction, "_write_rest", lambda self, view, batch: real(self, view, batch._replace(results=[]))
    )


@planted("visible = confirmed + waiting", "network", 5, 2, 3, 9, 10, at=0)
def waiting_operations_are_not_folded(patch: MonkeyPatch) -> None:
    """A page overwrites what waits on its rows."""

    def fold(table: Any, row: Any, operations: Any, hub: str = PENDING) -> Any:
        return row if hub == PENDING else confirmed.fold(table, row, operations, hub)

    patch.setattr(apply, "fold", fold)


@planted("a cut answer", "network", 5, 3, 7, 9, 11, at=0)
def cursor_moves_without_its_page(patch: MonkeyPatch) -> None:
    """What arrived of a cut answer is dropped, its cursor is kept."""
    real = Stage.spill

    def spill(self: Any) -> None:
        self._pages = [page._replace(rows=b"[]") for page in self._pages]
        real(self)

    patch.setattr(Stage, "spill", spill)


@planted("own rows are not echoed", "calm", 5, 3, 9, at=0)
def hub_keeps_back_rows_that_others_changed(patch: MonkeyPatch) -> None:
    """A row is not sent back although the device had not seen its last change."""
    real = pull.own_rows

    def own_rows(cursors: Any, outcome: Any) -> Any:
        outcome.written = {name: w._replace(before=0) for name, w in outcome.written.items()}
        outcome.mixed = set()
        return real(cursors, outcome)

    patch.setattr(pull, "own_rows", own_rows)


@planted("counters", "calm", 5, 4, 9, at=0)
def counters_send_their_value(patch: MonkeyPatch) -> None:
    """The change of a counter is its new value instead of the difference."""
    patch.setattr(Counter, "difference", lambda self, column, old, state, new: new)


@planted("7: REPLACE fires no delete trigger", "calm", 40, 2, 3, 7, 19, at=6)
def replaced_rows_are_overlooked(patch: MonkeyPatch) -> None:
    """Rows that OR REPLACE removed are taken for untouched."""

    def drop(db: Any, tables: Any, transaction: Any) -> Any:
        return transaction._replace(changes=[c for c in transaction.changes if c.kind != "suspect"])

    patch.setattr(seal, "without_suspects", drop)


@planted("foreign writes", "hub", 5, 7, 8, at=0)
def drain_cleans_without_sequencing(patch: MonkeyPatch) -> None:
    """What other programs wrote on the hub is noted as done, and nothing else."""
    patch.setattr(drain, "foreign_operation", lambda *arguments: None)
    patch.setattr(fresh.FreshRows, "foreign", lambda *arguments: None)


@planted("2: a restored hub", "restore", 20, 2, 3, 5, 7, 9, 17, at=4)
def restored_hub_is_not_noticed(patch: MonkeyPatch) -> None:
    """Every cursor is taken for one of this history."""
    patch.setattr(reading, "is_ours", lambda cursor, space, tx: cursor is not None and space is not None)


@planted("2: a restored hub", "restore", 30, 17, at=4)
def names_behind_a_gap_are_kept(patch: MonkeyPatch) -> None:
    """Transactions behind a gap that the hub cannot close wait for ever."""
    patch.setattr(uploads.Uploads, "_rename_lost", lambda self, through: None)


@planted("atomicity", "network", 30, 3, 9, at=12)
def pages_are_applied_as_they_arrive(patch: MonkeyPatch) -> None:
    """No space is ever ready, so each page is shown at once; and the device says it is."""
    real = LocalSpaces.all
    begin = rounds.Rounds._begin

    def unready(self: Any, header: Any) -> Any:
        begin(self, header)
        return {name: space._replace(ready=False) for name, space in real(self._spaces).items()}

    patch.setattr(rounds.Rounds, "_begin", unready)


@planted("a refusal is kept", "access", 10, 1, 10, 12, at=0)
def refused_transactions_are_deleted(patch: MonkeyPatch) -> None:
    """A refused transaction leaves the outbox like an accepted one."""
    patch.setattr(Outbox, "refuse", lambda self, txn, result: self.done([txn]))


@planted("digest", "calm", 3, 6, at=0)
def digest_forgets_former_rows(patch: MonkeyPatch) -> None:
    """A changed row is added to its bucket, its former state is not taken out."""
    real = workspace._add

    def add(changes: Any, space: str, bucket: int, count: int, leaf: int) -> None:
        if count > 0:
            real(changes, space, bucket, count, leaf)

    patch.setattr(workspace, "_add", add)


@planted("16: a revoked space with unsent work", "access", 30, 1, 2, 3, 9, 10, 12, at=7)
def revoking_drops_unsent_work(patch: MonkeyPatch) -> None:
    """When a space goes, so does everything that waits."""
    real = apply.Apply._revoke

    def revoke(self: Any, header: Any) -> None:
        if self._spaces.all().keys() - header.spaces.keys():
            waiting = self._db.execute("SELECT txn FROM holdfast_transaction WHERE state <> 'refused'").fetchall()
            self._outbox.done([txn for (txn,) in waiting])
        real(self, header)

    patch.setattr(apply.Apply, "_revoke", revoke)


@planted("10: a clock far ahead", "clock", 10, 16, at=0)
def hub_takes_stamps_from_the_future(patch: MonkeyPatch) -> None:
    """Stamps ahead of the hub's clock are not replaced, nor does the hub's clock follow them."""
    patch.setattr(push, "MAX_AHEAD", 2**40)
    patch.setattr(push, "Batch", lambda **given: workspace_batch(given))


def workspace_batch(given: dict[str, Any]) -> Any:
    """A batch that leaves the hub's hybrid time alone."""
    from holdfast.stores.base import Batch

    return Batch(**(given | {"hlc": 0}))


@planted("atomicity", "access", 20, 1, 3, 9, at=0)
def refusals_keep_their_first_half(patch: MonkeyPatch) -> None:
    """A transaction that is refused half-way leaves on the hub what it had done so far."""

    class Leaky(Draft):
        def __init__(self, workspace: Any) -> None:
            super().__init__(workspace)
            self.rows = LeakyRows(workspace)

    class LeakyRows(dict[Any, Standing]):
        def __init__(self, target: Any) -> None:
            super().__init__()
            self.target = target

        def __setitem__(self, name: Any, standing: Standing) -> None:
            super().__setitem__(name, standing)
            self.target.accept({name: standing})

    patch.setattr(push, "Draft", Leaky)


@planted("the inbox is complete", "network", 5, 14, at=0)
def conflicts_are_not_kept(patch: MonkeyPatch) -> None:
    """The hub decides, and its history says so, but no row of the inbox tells anybody."""
    patch.setattr(Inbox, "write", lambda self, *given: None)


@planted("1: a number is reused", "crash", 5, 1, 2, 3, 10, at=0)
def names_are_given_twice(patch: MonkeyPatch) -> None:
    """An origin is minted once for the file, and numbers begin at 1 again after each start."""

    def mint(self: Any) -> None:
        self.origin = self._device.device[:12]
        self._next_n = 1

    patch.setattr(uploads.Uploads, "_mint", mint)


@planted("3: a sequence number below a cursor", "calm", 10, 3, 5, 7, at=0)
def hub_numbers_rows_below_the_head(patch: MonkeyPatch) -> None:
    """A row that is changed keeps its old sequence number."""
    real = MemoryTransaction._sequence

    def sequence(self: Any, view: Any, rows: Any) -> Any:
        before = {(row.table, row.key): view.get("row", (row.table, row.key)) for row in rows}
        heads = real(self, view, rows)
        for row in rows:
            old = before[row.table, row.key]
            if old is not None and old.space == row.space and row.left is None:
                stored = view.get("row", (row.table, row.key))
                entry = view.get(f"feed {row.space}", stored.seq)
                view.drop(f"feed {row.space}", stored.seq)
                view.put("row", (row.table, row.key), stored._replace(seq=old.seq))
                view.put(f"feed {row.space}", old.seq, entry)
        return heads

    patch.setattr(MemoryTransaction, "_sequence", sequence)


@planted("a child is left behind", "calm", 12, 20, at=1)
def children_stay_where_they_were(patch: MonkeyPatch) -> None:
    """A parent moves to another space, and its children do not."""
    patch.setattr(Moves, "_move_along", lambda self, settled: None)


@planted("12: child before parent, overtaking", "queue", 10, 1, 10, 21, at=5)
def dependencies_are_not_seen(patch: MonkeyPatch) -> None:
    """Urgent transactions overtake those that they need."""
    patch.setattr(outbox, "needs", lambda db, states: {})


@planted("coalescing", "queue", 20, 21, at=2)
def edits_are_joined_across_what_depends_on_them(patch: MonkeyPatch) -> None:
    """All edits of one row become one, at the place of the last of them."""
    real = coalesce.groups
    patch.setattr(coalesce, "groups", lambda name, txns, dependants: real(name, txns, {}))


@planted("coalescing", "queue", 30, 2, 3, 4, 7, at=26)
def only_the_last_of_joined_increments_counts(patch: MonkeyPatch) -> None:
    """An edit of a counter gives way to the next one as if it were a register."""
    real = coalesce._joined
    patch.setattr(
        coalesce,
        "_joined",
        lambda column, first, at, second, then: (
            coalesce.Joined(second) if column.merge == "counter" else real(column, first, at, second, then)
        ),
    )


@planted("cancel", "queue", 20, 1, 3, 10, 15, 17, at=3)
def withdrawn_transactions_count_as_done(patch: MonkeyPatch) -> None:
    """The hub says of a transaction that was taken back what it says of one that it has taken."""
    real = push.Push._transaction

    def transaction(self: Any, given: Any, submission: Any) -> Any:
        return Accepted(None, set(), set(), [], []) if given.withdrawn else real(self, given, submission)

    patch.setattr(push.Push, "_transaction", transaction)


@planted("an incomplete inbox", "conflicts", 10, 14, at=2)
def some_decisions_leave_no_conflict(patch: MonkeyPatch) -> None:
    """What a deletion met is decided without a word."""
    real = inbox.Inbox.write

    def write(self: Any, table: str, op: Any, case: Any, context: Any, draft: Any, stamp: str) -> None:
        if case.column:
            real(self, table, op, case, context, draft, stamp)

    patch.setattr(inbox.Inbox, "write", write)


@planted("a conflict is left behind", "conflicts", 30, 14, 20, at=23)
def conflicts_stay_where_they_were(patch: MonkeyPatch) -> None:
    """A row moves to another space, and its conflicts do not."""
    real = inbox.follow

    def follow(tx: Any, workspace: Any, settled: Any, drafted: Any, stamp: Any) -> Any:
        found = real(tx, workspace, settled, drafted, stamp)
        return {name: standing for name, standing in found.items() if name in drafted}

    patch.setattr(push, "follow", follow)
