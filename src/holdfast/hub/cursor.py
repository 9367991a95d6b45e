"""How far a device has read a feed: `epoch.seq.head.chain`, opaque to devices."""

from __future__ import annotations

from typing import NamedTuple

from holdfast.stores.base import Space, Transaction


class Cursor(NamedTuple):
    """`seq` is the last row read; `head` and `chain` name the snapshot in which it was read."""

    epoch: str
    seq: int
    head: int
    chain: str

    def text(self) -> str:
        """The form that devices keep."""
        return f"{self.epoch}.{self.seq}.{self.head}.{self.chain}"


def parse_cursor(text: str) -> Cursor | None:
    """The cursor from its text; None when it is not one of ours (the space is then read from the start)."""
    parts = text.split(".")
    if len(parts) != 4 or not parts[1].isascii() or not parts[2].isascii():
        return None
    if not parts[1].isdigit() or not parts[2].isdigit() or len(parts[1]) > 18 or len(parts[2]) > 18:
        return None
    cursor = Cursor(parts[0], int(parts[1]), int(parts[2]), parts[3])
    return cursor if cursor.seq <= cursor.head else None


def is_ours(cursor: Cursor | None, space: Space | None, tx: Transaction) -> bool:
    """Whether the history that the cursor has seen is the history of this hub (trap 2: a restored backup)."""
    if cursor is None:
        return False
    if space is None or cursor.epoch != space.epoch or cursor.head > space.head:
        return False
    if cursor.head == space.head:
        return cursor.chain == space.chain
    return tx.chain_at(space.name, cursor.head) == cursor.chain
