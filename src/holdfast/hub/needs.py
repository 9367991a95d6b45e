"""What the transactions of a round will be asked for, told to the store when they begin: it may be far away."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence

from holdfast.hub.batch import Submission
from holdfast.hub.cursor import parse_cursor
from holdfast.hub.fresh import fresh_rows
from holdfast.hub.moves import named_parent
from holdfast.hub.workspace import RowName
from holdfast.protocol import messages as m
from holdfast.schema.model import Schema
from holdfast.stores.base import Need

MOST_SPACES = 100
"""Of more spaces the counters are not asked for before it is known which ones are written in."""


class RecentSpaces:
    """The spaces that a hub has written in last: mostly those in which it writes next. Thread-safe."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self._lock = threading.Lock()

    def add(self, names: Iterable[str]) -> None:
        """These were written in now."""
        with self._lock:
            for name in names:
                self._names.pop(name, None)
                self._names[name] = None
            for name in list(self._names)[:-MOST_SPACES]:
                del self._names[name]

    def names(self) -> list[str]:
        """At most 100, in order of name."""
        with self._lock:
            return sorted(self._names)


def of_push(schema: Schema, submissions: Sequence[Submission], recent: RecentSpaces) -> Need:
    """Of writing a group: its origins, its rows, the parents that inserts name, and the spaces where it may write."""
    transactions = [transaction for submission in submissions for transaction in submission.transactions]
    operations = [op for transaction in transactions for op in transaction.ops]
    rows = {(op.table, op.key) for op in operations}
    parents = named_parents(schema, operations)
    new = not parents and len(rows) == len(operations) and fresh_rows(schema).may_take(operations)
    spaces = {name for submission in submissions for name, access in submission.spaces.items() if access == "rw"}
    return Need(
        origins=sorted({one.origin for one in transactions}),
        rows=sorted(rows | parents),
        spaces=sorted(spaces) if len(spaces) <= MOST_SPACES else recent.names(),
        at_once=True,
        new=new,
        then=submissions[0].then if len(submissions) == 1 else None,
        heads=sorted({head for submission in submissions for head in _heads(submission)}),
    )


def _heads(submission: Submission) -> Iterator[tuple[str, int]]:
    """Where the device stands in the spaces where it may write: it is asked whether that is history of this hub."""
    for name, text in submission.cursors.items():
        cursor = parse_cursor(text) if submission.spaces.get(name) == "rw" else None
        if cursor is not None and cursor.head:
            yield name, cursor.head


def of_drain(rows: int, recent: RecentSpaces) -> Need:
    """Of sequencing so many rows of other programs."""
    return Need(dirty=rows, spaces=recent.names(), at_once=True)


def of_answer(request: m.Request, spaces: Iterable[str] | None) -> Need:
    """Of an answer: the heads of the spaces that the user may read, and what follows the cursors of the device.

    None: the spaces are not known yet; they are mostly those of the cursors.
    """
    names = set(request.cursors if spaces is None else spaces)
    cursors = {name: parse_cursor(text) for name, text in request.cursors.items() if name in names}
    after = {name: (cursor.seq, cursor.head) for name, cursor in cursors.items() if cursor and not cursor.level}
    only = spaces is not None and not (request.digests or request.compare or request.history)
    return Need(spaces=sorted(names), after=after, only=only)


def named_parents(schema: Schema, operations: Iterable[m.AnyOperation]) -> set[RowName]:
    """The parents that inserts name: they are loaded, and locked, with the rows themselves."""
    found: set[RowName] = set()
    for op in operations:
        table = schema.by_name.get(op.table)
        if table is not None and table.via is not None and isinstance(op, m.Insert):
            found.update(named_parent(schema, table, op, None))
    return found
