"""What a transaction found in a text, and what of that is still there: with the rest an undo brings back."""

from __future__ import annotations

MOST_PIECES = 2_000
"""A transaction that leaves a text in more pieces cannot be undone: following them would cost more than the edits."""


class Pieces:
    """A text as a row of pieces: those that were found, and those that were written since (Moore's piece table).

    A deleted piece keeps its place among the others that were found: what is gone, in the order of the text.
    """

    def __init__(self, found: str) -> None:
        self._found = found
        self._pieces: list[tuple[int, int]] | None = [(0, len(found))]

    def replace(self, at: int, removed: int, written: int) -> None:
        """`removed` code points from `at` on give way to `written` others."""
        if self._pieces is None:
            return
        result: list[tuple[int, int]] = []
        place, end, waiting = 0, at + removed, written > 0
        for first, size in self._pieces:
            before, after = max(0, min(size, at - place)), max(0, min(size, place + size - end))
            if before:
                result.append((first, before))
            if waiting and place + size >= at:
                result.append((-1, written))
                waiting = False
            if after:
                result.append((first if first < 0 else first + size - after, after))
            place += size
        if waiting:
            result.append((-1, written))
        self._pieces = result if len(result) <= MOST_PIECES else None

    def give_up(self) -> None:
        """Something was written whose pieces nobody knows."""
        self._pieces = None

    def gone(self) -> str | None:
        """What was found and is not there any more; None when that is not known."""
        if self._pieces is None:
            return None
        kept, result = 0, []
        for first, size in self._pieces:
            if first >= 0:
                result.append(self._found[kept:first])
                kept = first + size
        return "".join([*result, self._found[kept:]])
