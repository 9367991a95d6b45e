"""What every store can tell beside `base.Transaction`: the keys of a user table, for who compares it with the feeds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Listing(Protocol):
    """A transaction of any store."""

    def keys(self, table: str) -> Iterator[str]:
        """Keys of all rows that a user table holds now, in any order; streamed. Rows whose key is none are left out."""
        ...
