"""What the history says of a cell: the value that a writer had seen, and who wrote what stands there now.

A conflict names three values and two writers. The operation brings one of each; the others are in the history of the
row, which the hub keeps anyway: no device sends values that it has read (decision record 9).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from holdfast.hub.record import Record, decode_record
from holdfast.kernel import clock
from holdfast.kernel.column import default_of
from holdfast.kernel.documents.content import decoded
from holdfast.kernel.merges import BY_NAME
from holdfast.schema.model import Column, Table
from holdfast.stores.base import HistoryEntry, Transaction

NEWEST = 50
"""So many entries of a row are read at first: a base is rarely older."""
MOST = 10_000
"""No base is looked for further back than this."""

RowName = tuple[str, str]


class Writer(NamedTuple):
    """Who wrote, on which device (empty: another program at the hub), when, in milliseconds since 2020-01-01 UTC."""

    user: str
    device: str
    at: int | None


NOBODY = Writer("", "", None)


class Seen(NamedTuple):
    """`base` is the value that the operation's writer had seen, if it is `known`; `writer` made the current one."""

    known: bool
    base: Any
    writer: Writer


class Trace:
    """The history of the rows of one batch; `fresh` are the entries that the batch itself has made so far."""

    def __init__(self, tx: Transaction, fresh: Sequence[HistoryEntry]) -> None:
        self._tx = tx
        self._fresh = fresh
        self.begin_anew()

    def begin_anew(self) -> None:
        """A part of the batch is decided: what was fresh may have been written, and be in the store now."""
        self._stored: dict[RowName, tuple[list[HistoryEntry], bool]] = {}
        self.forget_fresh()

    def forget_fresh(self) -> None:
        """Fresh entries were taken back: look at them anew."""
        self._by_name: dict[RowName, list[HistoryEntry]] = {}
        self._count = 0

    def _fresh_of(self, name: RowName) -> list[HistoryEntry]:
        for entry in self._fresh[self._count :]:
            self._by_name.setdefault((entry.table, entry.key), []).append(entry)
        self._count = len(self._fresh)
        return self._by_name.get(name, [])

    def cell(self, table: Table, key: str, slot: int, base: str | None, current: str | None) -> Seen:
        """What the history knows of the stamp that a writer had seen in a slot, and of the one that stands there."""
        column = table.cells[slot]
        value: Any = default_of(column, BY_NAME[column.merge].empty)
        known, writer = base is None, None
        for entry, record in self.newest((table.name, key)):
            if column.name not in record.set and record.op != "insert":
                continue
            given = record.set.get(column.name, default_of(column, BY_NAME[column.merge].empty))
            made, stamp = record.after.get(column.name, (given, entry.stamp))
            if writer is None and stamp == current and column.name not in record.kept:
                writer = _writer(entry, stamp)
            if not known and base in (record.named or entry.stamp, stamp):
                # The writer's own earlier operation counts as seen even if it lost: he saw it on his device.
                known, value = True, made if base == stamp else given
            if known and writer is not None:
                break
        return Seen(known, value if known else None, writer or NOBODY)

    def edits(self, table: Table, key: str, column: Column) -> Iterator[tuple[Writer, bytes]]:
        """The edits of a document, newest first, as far as the history goes. A copy that came back after a loss
        has a value there and tells of no edit.
        """
        for entry, record in self.newest((table.name, key)):
            if column.name in record.set and record.op != "restore":
                yield _writer(entry, entry.stamp), decoded(record.set[column.name])

    def deletion(self, name: RowName) -> Writer:
        """Who deleted the row last."""
        for entry, record in self.newest(name):
            # What met the dead row left it dead: that is no deletion.
            if record.life[0] % 2 == 1 and record.life[1] % 2 == 0:
                return _writer(entry, entry.stamp)
        return NOBODY

    def newest(self, name: RowName) -> Iterator[tuple[HistoryEntry, Record]]:
        """The entries of a row, newest first."""
        for entry in reversed(self._fresh_of(name)):
            yield entry, decode_record(entry.body)
        entries, whole = self._read(name, NEWEST)
        for entry in reversed(entries):
            yield entry, decode_record(entry.body)
        if not whole:
            for entry in reversed(self._read(name, MOST)[0][: -len(entries)]):
                yield entry, decode_record(entry.body)

    def _read(self, name: RowName, limit: int) -> tuple[list[HistoryEntry], bool]:
        """The newest entries of a row, oldest first, and whether there are no others."""
        known = self._stored.get(name)
        if known is None or (not known[1] and limit > len(known[0])):
            entries = self._tx.history(*name, newest=limit)
            known = self._stored[name] = (entries, len(entries) < limit or limit == MOST)
        return known


def _writer(entry: HistoryEntry, stamp: str) -> Writer:
    return Writer(entry.user, entry.device, moment(stamp))


def moment(stamp: str) -> int:
    """The time in a stamp: milliseconds since 2020-01-01 UTC."""
    return clock.unpack(clock.hlc_of(stamp))[0]
