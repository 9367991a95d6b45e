"""The totals of spaces (`spec/merge.md`, section 7), kept in memory as the hub writes: no answer reads rows for them.

A total belongs to a chain: it is moved on with each commit of this process. What another process committed is read
once, as the sum of at most 4,096 buckets, and not more often than once a second for a space.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from holdfast.kernel import digest
from holdfast.stores.base import Batch, Space, Transaction
from holdfast.stores.chain import next_chain

KEPT = 10_000
"""Totals of so many spaces are kept, about 200 bytes each."""
AGAIN_SECONDS = 1.0


class _Kept(NamedTuple):
    chain: str
    head: int
    total: int


class Totals:
    """The totals that one hub process knows. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._read_at: OrderedDict[str, float] = OrderedDict()

    def of(self, tx: Transaction, space: Space) -> str:
        """The total of a space at the head that the snapshot has, as 32 hexadecimal digits; "" when it is not known and
        was read a moment ago. Raises `Unforeseen` in a snapshot that was opened for something else."""
        with self._lock:
            known = self._kept.get(space.name)
            if known is not None and (known.chain, known.head) == (space.chain, space.head):
                self._kept.move_to_end(space.name)
                return f"{known.total:032x}"
            now = time.monotonic()
            if now - self._read_at.get(space.name, -AGAIN_SECONDS) < AGAIN_SECONDS:
                return ""
        total = digest.total({bucket: one for bucket, (_, one) in tx.digest(space.name).items()})
        with self._lock:
            self._read_at[space.name] = now
            self._read_at.move_to_end(space.name)
            while len(self._read_at) > KEPT:
                self._read_at.popitem(last=False)
            known = self._kept.get(space.name)
            if known is None or known.head <= space.head:
                self._keep(space.name, _Kept(space.chain, space.head, total))
        return f"{total:032x}"

    def committed(self, batch: Batch, heads: Mapping[str, Space]) -> None:
        """A batch was committed that left the spaces at these heads."""
        with self._lock:
            for name, space in heads.items():
                known = self._kept.get(name)
                if known is None:
                    continue
                if next_chain(known.chain, space.head, batch.content.get(name, b"")) == space.chain:
                    changes = batch.digests.get(name, {}).values()
                    total = digest.add(known.total, sum(change for _, change in changes))
                    self._keep(name, _Kept(space.chain, space.head, total))
                elif known.head < space.head:
                    del self._kept[name]

    def _keep(self, name: str, kept: _Kept) -> None:
        self._kept[name] = kept
        self._kept.move_to_end(name)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)


class Noting:
    """A transaction that notes what was written, to be told when it is committed."""

    def __init__(self, tx: Transaction, written: list[tuple[Batch, Mapping[str, Space]]]) -> None:
        self._tx, self._written = tx, written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def write(self, batch: Batch) -> dict[str, Space]:
        """As `stores.base.Transaction.write`."""
        heads = self._tx.write(batch)
        self._written.append((batch, heads))
        return heads
