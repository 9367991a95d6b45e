"""The conflicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.protocol.conflicts import Conflict
from holdfast.replica.facade.opened import Opened


class Inbox(Opened):
    """The conflicts."""

    def conflicts(self, *, open: bool | None = None) -> list[Conflict]:  # noqa: A002 (the word of the state)
        """The conflicts in the spaces that this device holds, oldest first: all of them, those that wait for a decision
        (`open=True`), or those that do not.
        """
        self._open()
        return self._deciding.read(open)

    def resolve(self, conflict: Conflict | str, choice: Any, *, label: str = "resolve a conflict") -> Conflict:
        """Decide a conflict (or the one with that id): "mine", "theirs", or a value for the column; works offline.

        The row and the conflict are written in one transaction. A value that is itself "mine" or "theirs" can be
        written with SQL. Raises `conflict_unknown`, `conflict_gone`, `conflict_choice`, `forbidden_space`, or what the
        column refuses.
        """
        self._open()
        return self._deciding.resolve(conflict, choice, label)

    def restore(self, conflict: Conflict | str) -> Conflict:
        """Bring back the value that lost, in one transaction, offline, too. Raises as `resolve` does."""
        self._open()
        return self._deciding.restore(conflict)

    def on_conflict(self, told: Callable[[list[Conflict]], None] | None) -> None:
        """Call `told` with the conflicts that a sync brought and in which this device or its user wrote; None: nobody.

        It is called in the thread that syncs, after they are in the file; it must not sync itself.
        """
        self._open()
        self._exchanges.on_conflicts = told
