"""Sealed transactions on their way into the outbox, written in large statements."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import apsw

from holdfast.replica.confirmed import RowName
from holdfast.replica.dependencies import Use
from holdfast.schema.queue import DEFAULT_NAME, Queue

Operation = tuple[RowName, bytes]


class Meta(NamedTuple):
    """What is known of a transaction beside its operations: label, capture time, receipt, and what it goes after."""

    label: str
    captured: int
    mark: int | None = None
    after: Sequence[int] = ()


def crc_of(body: str) -> int:
    """The checksum that stands beside an operation: a damaged one is never sent."""
    return zlib.crc32(body.encode())


class Sealed:
    """Collects transactions and writes them with `flush`. Not to be used across transactions of the file."""

    def __init__(self, db: apsw.Connection, queues: Mapping[int, Queue]) -> None:
        self._db = db
        self._queues = queues
        self._single = next(iter(queues.values())).name if len(set(queues.values())) == 1 else None
        sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'holdfast_transaction'"
        self._last: int = db.execute(sql).get
        self._transactions: list[tuple[Any, ...]] = []
        self._operations: list[tuple[Any, ...]] = []
        self._uses: list[tuple[Any, ...]] = []
        self._afters: list[tuple[int, int]] = []
        self._by_mark: dict[int, int] = {}

    @property
    def next(self) -> int:
        """The local number of the transaction that comes next."""
        return self._last + 1

    def add(
        self,
        meta: Meta,
        operations: Sequence[Operation],
        uses: Iterable[Use] = (),
        *,
        state: str = "pending",
        result: str | None = None,
    ) -> int:
        """Note one transaction; gives its local number."""
        self._last = txn = self._last + 1
        size = sum(len(body) for _, body in operations)
        queue = self._single or self._queue(operations)
        self._transactions.append((txn, state, queue, meta.label, meta.captured, size, meta.mark, result))
        self._operations += [
            (txn, position, tbl, key, body.decode(), zlib.crc32(body))
            for position, ((tbl, key), body) in enumerate(operations)
        ]
        self._uses += [(txn, *use) for use in uses]
        if meta.mark is not None:
            self._by_mark[meta.mark] = txn
        self._afters += [(txn, earlier) for mark in meta.after if (earlier := self._numbered(mark)) is not None]
        return txn

    def _queue(self, operations: Sequence[Operation]) -> str:
        """A transaction belongs to the most urgent class of its tables."""
        found = (self._queues[tbl] for (tbl, _), _ in operations)
        return min(found, key=lambda queue: (queue.priority, queue.name)).name if operations else DEFAULT_NAME

    def _numbered(self, mark: int) -> int | None:
        """The local number of the transaction with that receipt; None when it has left the outbox."""
        found: int | None = self._by_mark.get(mark)
        if found is None:
            found = self._db.execute("SELECT txn FROM holdfast_transaction WHERE mark = ?", (mark,)).get
        return found

    def flush(self) -> None:
        """Write what was noted."""
        self._db.executemany(
            """INSERT INTO holdfast_transaction (txn, state, queue, label, captured, size, mark, result)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
            self._transactions,
        )
        self._db.executemany(
            "INSERT INTO holdfast_operation (txn, position, tbl, key, body, crc) VALUES (?, ?, ?, ?, ?, ?)",
            self._operations,
        )
        if self._uses:
            self._db.executemany(
                "INSERT OR IGNORE INTO holdfast_use (txn, tbl, part, name, wrote) VALUES (?, ?, ?, ?, ?)", self._uses
            )
        if self._afters:
            self._db.executemany("INSERT OR IGNORE INTO holdfast_after (txn, earlier) VALUES (?, ?)", self._afters)
        self._transactions, self._operations, self._uses, self._afters = [], [], [], []
