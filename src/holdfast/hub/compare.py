"""What a device learns of the digest of a space, to find the rows in which its copy differs (`spec/protocol.md`, 9).

Branches and buckets come from the stored sums. Rows are found by one pass over the feed: it is read for real
differences only, which are rare.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from holdfast.kernel import digest
from holdfast.protocol import messages as m
from holdfast.protocol import tags
from holdfast.schema.key import key_text
from holdfast.schema.model import Schema
from holdfast.stores.base import Space, Transaction


class Found(NamedTuple):
    """A row of the feed, with its place in the digest; a leave mark has a leaf that no sum contains."""

    image: m.Image
    key: str
    bucket: int
    leaf: int


class Comparison:
    """The digest of one space, up to its head, in one snapshot."""

    def __init__(self, tx: Transaction, schema: Schema, space: str, head: int, ask: m.Compare, key: bytes) -> None:
        self._tx = tx
        self._schema = schema
        self._space = space
        self._head = head
        self._ask = ask
        self._key = key

    def answer(self) -> m.Compared:
        """What was asked for. Raises `request_malformed` for tags that are none."""
        ask = self._ask
        if not (ask.branches or ask.parts or ask.rows or ask.names):
            return m.Compared(tags=self._tags(digest.branches(self._sums())))
        compared = m.Compared(buckets=self._buckets())
        if ask.parts or ask.rows or ask.names:
            self._read_rows(compared)
        return compared

    def _read_rows(self, compared: m.Compared) -> None:
        """One pass over the rows. Of those that are not wanted whole, only the tags are kept: a device may ask for all
        parts of a large space."""
        turn, names = self._ask.turn, set(self._ask.names)
        parts = {int(bucket): _Parts(text, turn) for bucket, text in self._ask.parts.items()}
        wanted = {int(bucket): set(tags.unpack(text, "request_malformed")) for bucket, text in self._ask.rows.items()}
        known = set()
        for row in self._rows():
            name, living = (row.image.table, row.key), row.image.life % 2 == 1
            if living and row.bucket in parts:
                parts[row.bucket].add(row)
            known.update({name} & names)
            if name in names or (row.bucket in wanted and digest.tag(row.leaf, turn) in wanted[row.bucket]):
                compared.images.append(row.image)
        compared.rows = {str(bucket): part.differing() for bucket, part in parts.items()}
        compared.unknown = [name for name in self._ask.names if name not in known]

    def _sums(self) -> dict[int, int]:
        return {bucket: total for bucket, (_, total) in self._tx.digest(self._space).items()}

    def _tags(self, numbers: list[int]) -> str:
        return tags.pack(digest.tag(number, self._ask.turn) for number in numbers)

    def _buckets(self) -> dict[str, str]:
        if not self._ask.branches:
            return {}
        sums, size = self._sums(), digest.BUCKETS_PER_BRANCH
        return {
            str(branch): self._tags([sums.get(branch * size + place, 0) for place in range(size)])
            for branch in self._ask.branches
        }

    def _rows(self) -> Iterator[Found]:
        """The rows of the buckets that were asked for, and those that were named."""
        buckets = {int(bucket) for bucket in [*self._ask.parts, *self._ask.rows]}
        names = set(self._ask.names)
        if names and not buckets:
            living = self._living(names)
            yield from living
            names -= {(row.image.table, row.key) for row in living}
        if not (names or buckets):
            return  # a device that fetches rows asks for nothing else: the feed need not be read
        for _, content in self._tx.feed(self._space, 0, self._head):
            row = self._found(content)
            if row.bucket in buckets or (row.image.table, row.key) in names:
                yield row

    def _living(self, names: Collection[tuple[str, str]]) -> list[Found]:
        """Those of the rows that live in the space now, found by their keys."""
        stored = self._tx.rows(sorted(names)).values()
        rows = [self._found(row.image) for row in stored if row.space == self._space and row.seq <= self._head]
        return [row for row in rows if row.image.life % 2]

    def _found(self, content: bytes) -> Found:
        image = m.decode_image(content)
        table = self._schema.by_name[image.table]
        key = key_text(table, image.values[: len(table.key)])
        leaf = digest.leaf(self._key, image.table, key, image.life, image.stamps)
        return Found(image, key, digest.bucket(image.table, key), leaf)


class _Parts:
    """The parts of one bucket: the tags of the device, and what the rows here make of them."""

    def __init__(self, text: str, turn: int) -> None:
        self._theirs = tags.unpack(text, "request_malformed")
        self._turn = turn
        count = max(len(self._theirs), 1)
        self._sums, self._tags = [0] * count, [bytearray() for _ in range(count)]

    def add(self, row: Found) -> None:
        """A living row of the bucket."""
        place = tags.part_in(digest.part(row.image.table, row.key), len(self._sums))
        self._sums[place] = digest.add(self._sums[place], row.leaf)
        self._tags[place] += digest.tag(row.leaf, self._turn)

    def differing(self) -> dict[str, str]:
        """part -> tags of its rows, of the parts whose sums are not those of the device."""
        ours = [digest.tag(total, self._turn) for total in self._sums]
        return {str(place): tags.pack([bytes(self._tags[place])]) for place in tags.differing(ours, self._theirs)}


def check(asked: Mapping[str, m.Compare]) -> None:
    """Raises `request_malformed` for tags that are none: an answer under way could not say so any more."""
    for ask in asked.values():
        for text in [*ask.parts.values(), *ask.rows.values()]:
            tags.unpack(text, "request_malformed")


def compared(
    tx: Transaction, schema: Schema, heads: Mapping[str, Space], asked: Mapping[str, m.Compare], digest_key: bytes
) -> dict[str, m.Compared]:
    """The answers by space; one that was never written is empty."""
    return {
        name: Comparison(tx, schema, name, heads[name].head if name in heads else 0, ask, digest_key).answer()
        for name, ask in asked.items()
    }
