"""More faults that the simulator must find: the ways of spaces, answers in parts, crashes half-way, the queue."""

from __future__ import annotations

from typing import Any

from pytest import MonkeyPatch

from holdfast.hub.inbox import Inbox
from holdfast.images import building
from holdfast.replica import undo
from holdfast.replica.apply import Apply
from holdfast.replica.confirmed import Confirmed
from holdfast.replica.exchange import Exchanges
from holdfast.replica.outbox import Outbox
from holdfast.replica.spaces import LocalSpaces
from holdfast.stores.memory.transaction import MemoryTransaction
from holdfast.stores.memory.user_tables import UserTables
from tests.simulation.planted import PLANTED, Planted, planted

__all__ = ["PLANTED", "Planted"]


@planted("15: an empty queue is not in sync", "calm", 10, 3, 7, 9, 17, at=5)
def sync_ends_with_an_empty_queue(patch: MonkeyPatch) -> None:
    """A sync does not ask for the rest of an answer that came in parts."""
    real = Exchanges._take

    def take(self: Any, chunks: Any, round_: Any) -> Any:
        received = real(self, chunks, round_)
        self._again = self._rounds.more_to_send
        return received._replace(again=self._again)

    patch.setattr(Exchanges, "_take", take)


@planted("16: a row leaves a space", "calm", 10, 2, 3, 5, 7, 9, at=0)
def leaving_is_not_told(patch: MonkeyPatch) -> None:
    """A row that moves to another space leaves no mark in the feed of the first."""
    patch.setattr(MemoryTransaction, "_leave", lambda self, view, row, seq: None)


@planted("16: a revoked space", "access", 10, 2, 3, 7, 9, 18, at=0)
def revoked_rows_stay(patch: MonkeyPatch) -> None:
    """The device forgets the space, not its rows."""

    def revoke(self: Any, header: Any) -> None:
        self._spaces.forget(sorted(self._spaces.all().keys() - header.spaces.keys()))

    patch.setattr(Apply, "_revoke", revoke)


@planted("a crash half-way", "crash", 20, 2, 3, 7, 9, 10, 11, 18, at=9)
def cursors_are_committed_before_their_rows(patch: MonkeyPatch) -> None:
    """Applying an answer is two transactions: the cursors first."""
    real = Apply.run

    def run(self: Any, answer: Any, pages: Any) -> Any:
        kept = list(pages)
        known = self._spaces.all().keys()
        self._spaces.move({name: cursor for name, cursor in answer.footer.cursors.items() if name in known})
        self._db.execute("COMMIT")
        self._db.execute("BEGIN IMMEDIATE")
        return real(self, answer, kept)

    patch.setattr(Apply, "run", run)


@planted("a crash half-way", "crash", 20, 1, 2, 3, 9, 10, 15, 17, 18, at=0)
def names_are_written_after_sending(patch: MonkeyPatch) -> None:
    """A transaction gets its name in memory only; the file hears of it with the next request."""
    real = Outbox.name

    def name(self: Any, txns: Any, origin: str, next_n: int) -> Any:
        sending = real(self, txns, origin, next_n)
        self._db.executemany(
            "UPDATE holdfast_transaction SET state = 'pending', origin = NULL, n = NULL, place = NULL WHERE txn = ?",
            ((txn,) for txn in txns),
        )
        return sending

    patch.setattr(Outbox, "name", name)


@planted("an answer cut off", "network", 10, 2, 3, 7, 9, 11, 17, 18, at=0)
def the_first_page_is_left_out(patch: MonkeyPatch) -> None:
    """The first page of every answer is left out, its cursor counts."""
    real = Apply.run

    def run(self: Any, answer: Any, pages: Any) -> Any:
        return real(self, answer, [page for index, page in enumerate(pages) if index or not page.cursor])

    patch.setattr(Apply, "run", run)


@planted("reset: a restored hub", "restore", 20, 2, 3, 5, 7, 9, 11, 17, at=0)
def waiting_work_is_dropped_at_a_reset(patch: MonkeyPatch) -> None:
    """A device that must read a space anew forgets what waits."""
    real = LocalSpaces.lose

    def lose(self: Any, names: Any, **given: Any) -> None:
        self._db.execute("DELETE FROM holdfast_operation")
        self._db.execute("DELETE FROM holdfast_transaction")
        real(self, names, **given)

    patch.setattr(LocalSpaces, "lose", lose)


@planted("a base is kept while operations wait", "network", 10, 2, 18, at=0)
def bases_are_dropped_too_early(patch: MonkeyPatch) -> None:
    """Settling a row forgets its confirmed image although something still waits on it."""
    real = Confirmed.save_bases

    def save_bases(self: Any, rows: Any) -> None:
        kept = list(rows)
        real(self, kept)
        self.drop_bases([name for name, _ in kept][1:])

    patch.setattr(Confirmed, "save_bases", save_bases)


@planted("history", "calm", 5, 1, 8, 14, at=0)
def history_misses_updates(patch: MonkeyPatch) -> None:
    """Updates leave no entry in the history."""
    real = MemoryTransaction._write_rest

    def write(self: Any, view: Any, batch: Any) -> None:
        kept = [entry for entry in batch.history if b'"op":"update"' not in entry.body]
        real(self, view, batch._replace(history=kept))

    patch.setattr(MemoryTransaction, "_write_rest", write)


@planted("12: the parent is refused", "hub", 20, 7, 13, 18, at=0)
def hub_does_not_check_foreign_keys(patch: MonkeyPatch) -> None:
    """The store takes children without their parents."""
    patch.setattr(UserTables, "_check_parents", lambda self, view, name, row: None)
    patch.setattr(UserTables, "_check_children", lambda self, view, old_parents: None)


@planted("somebody else's work", "undo", 20, 22, at=0)
def undo_takes_what_is_not_its_own(patch: MonkeyPatch) -> None:
    """An undo puts the value before back, whoever has written since."""
    patch.setattr(undo, "_equal", lambda user, slot, a, b: True)
    patch.setattr(undo._Reversal, "_is_own", lambda self, name, slot: True)


@planted("somebody else's work", "undo", 20, 23, at=0)
def conflicts_of_decided_columns_are_not_written(patch: MonkeyPatch) -> None:
    """The inbox writes no row where the value that stood stays."""
    real = Inbox.decide

    def decide(self: Any, meeting: Any, conflicts: Any, draft: Any, hlc: int) -> Any:
        return real(self, meeting, tuple(c for c in conflicts if c.winner != "theirs"), draft, hlc)

    patch.setattr(Inbox, "decide", decide)


@planted("a file is older than its cursor", "image", 10, 2, 3, 7, 9, at=0)
def a_file_image_lacks_a_row(patch: MonkeyPatch) -> None:
    """The file that devices begin with does not have everything that its cursors say: no feed ever brings the rest."""
    real = building._forget_builder

    def older(db: Any, schema: Any) -> None:
        real(db, schema)
        one = "SELECT tbl, key FROM holdfast_row WHERE life % 2 LIMIT 1"
        db.execute(f"DELETE FROM holdfast_row WHERE (tbl, key) = ({one})")

    patch.setattr(building, "_forget_builder", older)
