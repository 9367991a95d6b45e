"""Undo and redo."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.replica.facade.opened import Opened
from holdfast.replica.undo import Undo, Undone


class Undoing(Opened):
    """Undo and redo."""

    def undo(self) -> Undone | None:
        """Take back the latest transaction of this device that is not taken back yet, by one that compensates it.

        Only what is still its own: a cell that somebody else has changed is left alone and reported. Works offline, and
        after a restart, for the latest 200 transactions of up to 1,000 changes; one that was refused is passed over.
        None when there is nothing to undo. Raises `inside_transaction`.
        """
        return self._reverse(Undo.undo)

    def redo(self) -> Undone | None:
        """Take back the latest undo, unless a new transaction has followed it; None when there is nothing to redo."""
        return self._reverse(Undo.redo)

    def _reverse(self, step: Callable[[Undo], Undone | None]) -> Undone | None:
        self._open_outside("undo() or redo()")
        with self._sealed():
            return step(Undo(self._connections, self._tables))
