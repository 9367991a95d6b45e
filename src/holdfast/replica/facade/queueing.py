"""What waits for the hub, and what it refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from holdfast.errors import HoldfastError
from holdfast.replica import queued
from holdfast.replica.connections import Receipt
from holdfast.replica.facade.opened import Opened
from holdfast.replica.file import applying
from holdfast.replica.queued import Pending, Refused
from holdfast.replica.steering import Cancelled, Steering

Done = TypeVar("Done")


class Queueing(Opened):
    """What waits for the hub, and what it refused."""

    def pending(self) -> list[Pending]:
        """The transactions that the hub has not answered, and the parked ones, oldest first; what was captured is
        sealed for it.
        """
        with self._sealed() as db:
            offset: int = db.execute("SELECT clock_offset FROM holdfast_state").get
            return queued.pending(db, self._now() + offset)

    def refused(self) -> list[Refused]:
        """The transactions that were refused, with reason and values, oldest first."""
        with self._sealed() as db:
            return queued.refused(db)

    def cancel(self, which: int | Receipt, *, dependants: bool = False) -> Cancelled:
        """Take back a transaction that the hub has not answered; what it wrote is rolled back here.

        Others that depend on it go with it if `dependants` is True; else `has_dependants` is raised and names them. One
        that was sent may be on the hub already: the hub is asked not to take it.
        """
        return self._steer(which, lambda steering, txn: steering.cancel(txn, with_dependants=dependants))

    def retry(self, which: int | Receipt) -> None:
        """Send a refused or parked transaction again, or one that is held back at once."""
        self._steer(which, lambda steering, txn: steering.retry(txn))

    def edit(self, which: int | Receipt, table: str, key: str, /, **values: Any) -> None:
        """Change what a refused or parked transaction writes in one row; `retry` sends it.

        A counter takes the increment. Only rows and values that the transaction can write; sets, documents and merged
        texts must be written again: `not_editable`.
        """
        self._steer(which, lambda steering, txn: steering.edit(txn, table, key, values))

    def drop(self, which: int | Receipt, *, dependants: bool = False) -> Cancelled:
        """Forget a refused transaction for ever, with its values; a parked one is rolled back, as by `cancel`."""
        return self._steer(which, lambda steering, txn: steering.drop(txn, with_dependants=dependants))

    def _steer(self, which: int | Receipt, act: Callable[[Steering, int], Done]) -> Done:
        with self._sealed() as db, applying(db, self.path):
            steering = Steering(db, self._tables)
            if isinstance(which, Receipt) and which.mark is None:
                raise HoldfastError("transaction_unknown", "the transaction of this receipt wrote nothing")
            done = act(steering, which if isinstance(which, int) else steering.number_of(which.mark or 0))
        if self._connections.on_commit is not None:
            self._connections.on_commit()
        return done
