"""How far a device has read a feed: `epoch.seq.head.chain`, opaque to devices; in a first load that goes by the
priorities of tables, `.level.base` follows, and `.v` with the version of the schema where there are several.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from holdfast.stores.base import Space, Transaction


class Cursor(NamedTuple):
    """`seq` is the last row read; `head` and `chain` name the snapshot in which it was read.

    `level` (from 1; 0: all tables at once) counts the classes of tables; each is read up to `base`, the head when the
    first load began, and what has come since then is read afterwards. `version` is that of the schema of the device
    that read (0: the oldest one): who has a later one by now lacks the columns that are new in it.
    """

    epoch: str
    seq: int
    head: int
    chain: str
    level: int = 0
    base: int = 0
    version: int = 0

    def text(self) -> str:
        """The form that devices keep."""
        levels = f".{self.level}.{self.base}" if self.level else ""
        version = f".v{self.version}" if self.version else ""
        return f"{self.epoch}.{self.seq}.{self.head}.{self.chain}{levels}{version}"


@lru_cache(maxsize=4_096)  # a round asks for the same ones several times
def parse_cursor(text: str) -> Cursor | None:
    """The cursor from its text; None when it is not one of ours (the space is then read from the start)."""
    text, _, named = text.partition(".v")
    parts = text.split(".")
    if len(parts) not in (4, 6):
        return None
    numbers = [parts[1], parts[2], *parts[4:], named or "0"]
    if not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in numbers):
        return None
    seq, head, *levels, version = map(int, numbers)
    level, base = levels or (0, 0)
    if seq > head or base > head or (level and seq > base) or (len(parts) == 6 and not level):
        return None
    return Cursor(parts[0], seq, head, parts[3], level, base, version)


def is_behind(cursor: Cursor, space: Space) -> bool:
    """Whether dead rows may have been collected before the device has read that they died."""
    return cursor.epoch == space.epoch and (cursor.base if cursor.level else cursor.seq) < space.floor


def is_ours(cursor: Cursor | None, space: Space | None, tx: Transaction) -> bool:
    """Whether the history that the cursor has seen is the history of this hub (trap 2: a restored backup). Of a head
    below the floor nobody knows any more: such a device compares the space row by row in any case."""
    if cursor is None:
        return False
    if space is None or cursor.epoch != space.epoch or cursor.head > space.head:
        return False
    if cursor.head < space.floor:
        return True
    if cursor.head == space.head:
        return cursor.chain == space.chain
    return tx.chain_at(space.name, cursor.head) == cursor.chain
