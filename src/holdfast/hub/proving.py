"""Whether a hub is whole: everything that its store says twice is compared (`holdfast verify`, `holdfast scrub`).

Of each space, in one snapshot: the stored digest against the rows of the feed, the feed by number against the feed by
key, head and chain; and the user tables against the feed. It reads only, and it repairs nothing: what is right when a
store says two things is for people to decide.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Literal, NamedTuple, cast

import msgspec

from holdfast.hub.drain import foreign_operation
from holdfast.kernel import digest
from holdfast.kernel.values import InvalidValue
from holdfast.protocol import messages as m
from holdfast.protocol.images import row_of
from holdfast.schema.key import key_text
from holdfast.schema.model import Schema
from holdfast.stores.base import Space, Transaction
from holdfast.stores.listing import Listing

BATCH = 500
"""Rows that are looked at between two pauses."""
MOST = 1_000
"""So many faults of a space are named."""
Kind = Literal["unreadable", "feed", "digest", "table"]
_STAMP = "00000000000000-000000000000"


class Fault(NamedTuple):
    """Something that the store says in two ways. `key` is "" where it is about no single row."""

    space: str
    table: str
    key: str
    kind: Kind
    explanation: str


class HubReport(NamedTuple):
    """`ok`: nothing was found. `rows` living rows in `spaces` spaces were compared. `last` is the last space that was
    looked at: a broken run goes on after it.
    """

    ok: bool
    spaces: int
    rows: int
    faults: list[Fault]
    last: str


Reading = Callable[[], AbstractContextManager[Transaction]]


def prove(reading: Reading, schema: Schema, names: Sequence[str], pause: Callable[[], None]) -> Iterator[HubReport]:
    """Look at the spaces, then at the user tables; a report after each space, and the whole one at the end. `reading`
    opens a snapshot, one for each space; `pause` is called between pieces of it.
    """
    rows, faults = 0, list[Fault]()
    for number, name in enumerate(names, 1):
        with reading() as tx:
            found = SpaceProof(tx, schema, name, pause)
            faults += found.run()
            rows += found.rows
        yield HubReport(not faults, number, rows, list(faults), name)
    with reading() as tx:
        for table in schema.tables:
            faults += surplus(tx, table.name, pause)
    yield HubReport(not faults, len(names), rows, faults, names[-1] if names else "")


class SpaceProof:
    """One space in one snapshot. `rows` counts the living rows."""

    def __init__(self, tx: Transaction, schema: Schema, name: str, pause: Callable[[], None]) -> None:
        self._tx, self._schema, self._name, self._pause = tx, schema, name, pause
        self._key = tx.hub().hub.encode()
        self._faults: list[Fault] = []
        self._sums: dict[int, tuple[int, int]] = {}
        self.rows = 0

    def run(self) -> list[Fault]:
        """Compare everything."""
        space = self._tx.spaces([self._name]).get(self._name)
        if space is None:
            return []
        aside = {(one.table, one.key) for one in self._tx.aside()}
        last = 0
        feed = self._tx.feed(self._name, 0, space.head + 1)
        while part := list(islice(feed, BATCH)):
            for seq, _ in part:
                if seq <= last:
                    self._found("", "", "feed", f"the number {seq} stands twice, or out of order")
                last = seq
            self._part(part, aside)
            self._pause()
        self._head(space, last)
        self._digest()
        return self._faults[:MOST]

    def _found(self, table: str, key: str, kind: Kind, explanation: str) -> None:
        self._faults.append(Fault(self._name, table, key, kind, explanation))

    def _head(self, space: Space, last: int) -> None:
        if last > space.head:
            self._found("", "", "feed", f"the feed goes on to {last}, behind its head {space.head}")
        if self._tx.chain_at(self._name, space.head) != space.chain:
            self._found("", "", "feed", f"the chain at the head {space.head} is not the one that the space has")

    def _part(self, part: Sequence[tuple[int, bytes]], aside: Collection[tuple[str, str]]) -> None:
        """Some rows of the feed."""
        images: dict[tuple[str, str], tuple[int, bytes, m.Image]] = {}
        for seq, content in part:
            try:
                image = m.decode_image(content)
                table = self._schema.by_name[image.table]
                key = key_text(table, image.values[: len(table.key)])
            except (msgspec.MsgspecError, KeyError, InvalidValue) as error:
                self._found("", "", "unreadable", f"the row at {seq} cannot be read: {error}")
                continue
            if image.life:
                images[image.table, key] = (seq, content, image)
            if image.life % 2:
                self._count(image, key)
        stored = self._tx.rows(sorted(images))
        for name, (seq, content, image) in images.items():
            other = stored.get(name)
            if other is None or (other.space, other.seq, other.life) != (self._name, seq, image.life):
                self._found(*name, "feed", "the feed has the row here, and finds it elsewhere or not at all by its key")
            elif other.image != content:
                self._found(*name, "feed", "the row is another one when it is found by its key")
        self._tables({name: image for name, (_, _, image) in images.items() if name not in aside})

    def _count(self, image: m.Image, key: str) -> None:
        self.rows += 1
        bucket = digest.bucket(image.table, key)
        count, total = self._sums.get(bucket, (0, 0))
        leaf = digest.leaf(self._key, image.table, key, image.life, image.stamps)
        self._sums[bucket] = (count + 1, digest.add(total, leaf))

    def _tables(self, images: dict[tuple[str, str], m.Image]) -> None:
        """What the user tables hold of these rows."""
        names = sorted(images)
        waiting = self._tx.noted(names)
        shown = {(note.table, note.key): note.values for note in self._tx.current(names)}
        for name in names:
            table, image = self._schema.by_name[name[0]], images[name]
            if name in waiting:
                continue
            values = shown.get(name)
            if name not in shown:
                self._found(*name, "table", "the table has the row, with values that no column of the schema takes")
            elif values is None and image.life % 2:
                self._found(*name, "table", "the table does not have the row, and nobody noted that it was deleted")
            elif values is not None and not image.life % 2:
                self._found(*name, "table", "the table has the row, which is deleted in the feed")
            elif values is not None:
                self._values(name, row_of(table, image), values[1])

    def _values(self, name: tuple[str, str], row: object, values: Sequence[object]) -> None:
        op = foreign_operation(self._schema.by_name[name[0]], name[1], row, values, _STAMP)  # type: ignore[arg-type]
        if op is not None:
            cells = self._schema.by_name[name[0]].cells
            columns = ", ".join(cells[slot].name for slot in sorted(op.changes))
            self._found(*name, "table", f"the table has other values than the feed in {columns}, noted by nobody")

    def _digest(self) -> None:
        stored = self._tx.digest(self._name)
        for bucket in sorted(stored.keys() | self._sums.keys()):
            (count, total), (known, said) = self._sums.get(bucket, (0, 0)), stored.get(bucket, (0, 0))
            if (count, total) != (known, said):
                what = f"it counts {known} rows, the feed has {count}" if count != known else "its sum is another one"
                self._found("", "", "digest", f"bucket {bucket} of the stored digest is not that of the rows: {what}")


def surplus(tx: Transaction, table: str, pause: Callable[[], None]) -> Iterator[Fault]:
    """Rows of a user table that no feed has."""
    aside = {(one.table, one.key) for one in tx.aside()}
    keys = cast(Listing, tx).keys(table)
    while part := [(table, key) for key in islice(keys, BATCH)]:
        stored, waiting = tx.rows(part), tx.noted(part)
        for name in part:
            if name not in waiting and name not in aside and (name not in stored or stored[name].life % 2 == 0):
                yield Fault("", *name, "table", "the table has the row, no feed has it, and nobody noted that it came")
        pause()
