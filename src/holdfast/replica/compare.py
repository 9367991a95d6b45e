"""Finds the rows in which this copy is not what the hub says (`spec/protocol.md`, section 9).

Both sides compute the hash tree over what is confirmed, in one snapshot: branches, then the buckets of the branches
that differ, then the rows of the parts that differ. Three exchanges name the rows; one more brings them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any, Literal, NamedTuple

import apsw

from holdfast.errors import HoldfastError
from holdfast.kernel import digest
from holdfast.kernel.stamps import decode_stamps
from holdfast.protocol import messages as m
from holdfast.protocol import tags
from holdfast.replica.tables import UserTables
from holdfast.replica.totals import save
from holdfast.replica.unseen import unseen_key, unseen_rows
from holdfast.schema.key import key_text
from holdfast.schema.model import Schema

Ask = Callable[[dict[str, m.Compare]], Mapping[str, m.Compared]]
"""Rounds with the hub until it has answered the comparison in the snapshot that is applied here."""
Repair = Callable[[str, Sequence[m.Image]], None]
"""Write whole rows as the hub has them into a space."""
Cause = Literal["missing", "older", "left", "lost"]

EXPLAIN: dict[Cause, str] = {
    "missing": "the row was not in this file: it was removed here past Holdfast, or the file was damaged or restored",
    "older": "this file had an older state of the row: it was changed here past Holdfast, or the file was restored",
    "left": "the row was still in this file although it has left the space: the file was damaged or restored",
    "lost": "this file has what the hub has confirmed and no longer knows: the hub has lost it, or was restored",
}
COUNTED_ROWS = 20_000
"""In a file with up to so many rows totals are counted as soon as a space is here: a tenth of a second."""
BATCH = 500
"""Rows that are asked for in one exchange."""


class Difference(NamedTuple):
    """A row in which this copy and the hub differed: where, why as far as one can tell, and that in words."""

    space: str
    table: str
    key: str
    cause: Cause
    explanation: str


class LocalRow(NamedTuple):
    """A confirmed row: its place in the digest, and its state."""

    table: str
    key: str
    bucket: int
    leaf: int
    life: int
    stamps: str


def local_rows(db: apsw.Connection, tables: UserTables, space: str) -> Iterator[LocalRow]:
    """Every confirmed row of a space that lives."""
    names = {user.number: name for name, user in tables.by_name.items()}
    digest_key: bytes = db.execute("SELECT hub FROM holdfast_state").get.encode()
    sql = """SELECT tbl, key, life, stamps FROM holdfast_row
             WHERE life & 1 AND space = (SELECT id FROM holdfast_space WHERE name = ?)"""
    known = ((names[tbl], *rest) for tbl, *rest in db.execute(sql, (space,)))
    for name, key, life, stamps in chain(known, unseen_rows(db, space)):
        leaf = digest.leaf(digest_key, name, key, life, stamps)
        yield LocalRow(name, key, digest.bucket(name, key), leaf, life, stamps)


def sums_of(rows: Iterable[LocalRow]) -> dict[int, int]:
    """bucket -> sum of the leaves."""
    sums: dict[int, int] = {}
    for row in rows:
        sums[row.bucket] = digest.add(sums.get(row.bucket, 0), row.leaf)
    return sums


def begin_totals(db: apsw.Connection, tables: UserTables) -> None:
    """Count the totals of spaces that are here and have none, in a small file; in a transaction of the engine."""
    sql = """SELECT name FROM holdfast_space
             WHERE total IS NULL AND ready AND NOT lost AND access <> '' AND upload = 0"""
    names: list[Any] = db.execute(sql).fetchall()
    count = "SELECT count(*) FROM (SELECT 1 FROM holdfast_row LIMIT ?)"
    if names and db.execute(count, (COUNTED_ROWS + 1,)).get <= COUNTED_ROWS:
        save(db, {name: digest.total(sums_of(local_rows(db, tables, name))) for (name,) in names})


class Comparison:
    """One comparison of some spaces with the hub. `turn` (0 .. 3) says which bytes of the hashes are compared."""

    def __init__(self, db: apsw.Connection, tables: UserTables, schema: Schema, ask: Ask, turn: int) -> None:
        self._db = db
        self._tables = tables
        self._schema = schema
        self._send = ask
        self._turn = turn
        self.rows = 0
        self.exchanges = self._began = 0
        self.found_in = 0
        self.bytes = 0
        self.totals: dict[str, int] = {}
        """What is here of each space, before anything was repaired."""
        self.unknown: set[tuple[str, str, str]] = set()
        """(space, table, key) of the rows here of which the hub has no trace."""

    def run(self, spaces: Sequence[str], repair: Repair) -> tuple[list[Difference], list[Difference]]:
        """Compare and repair; gives the rows that were repaired and those that the hub lost."""
        repaired: list[Difference] = []
        lost: list[Difference] = []
        branches = self._branches(spaces)
        self.found_in = self.exchanges
        for space, differing in branches.items():
            self._began = self.exchanges
            buckets = self._buckets(space, differing)
            if buckets:
                self._repair(space, buckets, repair, repaired, lost)
        return repaired, lost

    def _branches(self, spaces: Sequence[str]) -> dict[str, list[int]]:
        """First exchange: the branches that differ, by space."""
        compared = self._ask({space: m.Compare(turn=self._turn) for space in spaces})
        found = {}
        for space, said in compared.items():
            sums = sums_of(self._counted(space))
            self.totals[space] = digest.total(sums)
            found[space] = tags.differing(self._tags(digest.branches(sums)), unpack(said.tags))
        return {space: branches for space, branches in found.items() if branches}

    def _buckets(self, space: str, branches: list[int]) -> list[int]:
        """Second exchange: the buckets that differ."""
        said = self._of(space, m.Compare(turn=self._turn, branches=branches))
        sums, size = sums_of(self._local(space)), digest.BUCKETS_PER_BRANCH
        found = []
        for branch, text in said.buckets.items():
            first = int(branch) * size
            mine = self._tags([sums.get(first + place, 0) for place in range(size)])
            found += [first + place for place in tags.differing(mine, unpack(text))]
        return found

    def _repair(
        self,
        space: str,
        buckets: list[int],
        repair: Repair,
        repaired: list[Difference],
        lost: list[Difference],
    ) -> None:
        """Third exchange: the rows that differ; then they are brought, some at a time."""
        here = self._rows_in(space, buckets)
        parts = {str(bucket): tags.pack(self._part_tags(here[bucket])) for bucket in buckets}
        said = self._of(space, m.Compare(turn=self._turn, parts=parts))
        self.found_in = max(self.found_in, 1 + self.exchanges - self._began)
        here = self._rows_in(space, buckets)
        wanted: list[tuple[int, bytes]] = []
        names: list[tuple[str, str]] = []
        for bucket, by_part in said.rows.items():
            rows, count = here[int(bucket)], len(tags.unpack(parts[bucket], "response_malformed"))
            for part, text in by_part.items():
                theirs = set(unpack(text))
                own = [row for row in rows if tags.part_in(digest.part(row.table, row.key), count) == int(part)]
                known = {digest.tag(row.leaf, self._turn) for row in own}
                wanted += [(int(bucket), tag) for tag in sorted(theirs - known)]
                names += [(row.table, row.key) for row in own if digest.tag(row.leaf, self._turn) not in theirs]
        for place in range(0, max(len(wanted), len(names)), BATCH):
            self._bring(space, wanted[place : place + BATCH], names[place : place + BATCH], repair, repaired, lost)

    def _bring(
        self,
        space: str,
        wanted: list[tuple[int, bytes]],
        names: list[tuple[str, str]],
        repair: Repair,
        repaired: list[Difference],
        lost: list[Difference],
    ) -> None:
        """One exchange more: whole rows, and what the hub knows of ours."""
        by_bucket: dict[str, list[bytes]] = {}
        for bucket, tag in wanted:
            by_bucket.setdefault(str(bucket), []).append(tag)
        rows = {bucket: tags.pack(found) for bucket, found in by_bucket.items()}
        said = self._of(space, m.Compare(turn=self._turn, rows=rows, names=names))
        images = {(image.table, self._key(image)): image for image in said.images}
        asked = {*images, *said.unknown}
        here = {(row.table, row.key): row for row in self._local(space) if (row.table, row.key) in asked}
        right: list[m.Image] = []
        for name, image in images.items():
            cause = judge(here.get(name), image)
            if cause == "lost":
                lost.append(difference(space, name, cause))
            elif cause is not None:
                repaired.append(difference(space, name, cause))
                right.append(image)
        unknown = [name for name in said.unknown if name in here]
        lost += [difference(space, name, "lost") for name in unknown]
        self.unknown.update((space, *name) for name in unknown)
        if right:
            repair(space, right)

    def _key(self, image: m.Image) -> str:
        table = self._schema.by_name.get(image.table)
        if table is None and image.table in self._tables.keys:
            return unseen_key(image, self._tables.keys[image.table])
        if table is None or len(image.values) < len(table.key):
            raise HoldfastError("response_malformed", f"the hub sent a row of the unknown table {image.table}")
        return key_text(table, image.values[: len(table.key)])

    def _local(self, space: str) -> Iterator[LocalRow]:
        return local_rows(self._db, self._tables, space)

    def _counted(self, space: str) -> Iterator[LocalRow]:
        for row in self._local(space):
            self.rows += 1
            yield row

    def _rows_in(self, space: str, buckets: Sequence[int]) -> dict[int, list[LocalRow]]:
        found: dict[int, list[LocalRow]] = {bucket: [] for bucket in buckets}
        for row in self._local(space):
            if row.bucket in found:
                found[row.bucket].append(row)
        return found

    def _part_tags(self, rows: Sequence[LocalRow]) -> list[bytes]:
        """The tags of the parts of one bucket."""
        count = tags.parts_for(len(rows))
        sums = [0] * count
        for row in rows:
            place = tags.part_in(digest.part(row.table, row.key), count)
            sums[place] = digest.add(sums[place], row.leaf)
        return self._tags(sums)

    def _tags(self, numbers: Sequence[int]) -> list[bytes]:
        return [digest.tag(number, self._turn) for number in numbers]

    def _of(self, space: str, ask: m.Compare) -> m.Compared:
        """One exchange about one space; nothing, when the device may not read it any more."""
        return self._ask({space: ask}).get(space, m.Compared())

    def _ask(self, compare: dict[str, m.Compare]) -> Mapping[str, m.Compared]:
        """One exchange, counted."""
        self.exchanges += 1
        answer = self._send(compare)
        self.bytes += sum(len(m.encode(ask)) for ask in compare.values())
        for said in answer.values():
            self.bytes += len(m.encode(m.Compared(said.tags, said.buckets, said.rows, [], said.unknown)))
        return answer


def unpack(text: str) -> list[bytes]:
    """Tags of the hub."""
    return tags.unpack(text, "response_malformed")


def difference(space: str, name: tuple[str, str], cause: Cause) -> Difference:
    """A difference, explained."""
    return Difference(space, name[0], name[1], cause, EXPLAIN[cause])


def judge(here: LocalRow | None, image: m.Image) -> Cause | None:
    """Why a row differs, from its state here and at the hub; None: it does not."""
    if here is None:
        return "missing" if image.life else None
    if image.life == 0:
        return "left"
    if (here.life, here.stamps) == (image.life, image.stamps):
        return None
    mine, theirs = decode_stamps(here.stamps), decode_stamps(image.stamps)
    if here.life != image.life:
        return "lost" if here.life > image.life else "older"
    newer = any((own or "") > (other or "") for own, other in zip_longest(mine, theirs))
    return "lost" if newer else "older"
