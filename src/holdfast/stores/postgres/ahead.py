"""What a transaction will be asked for first, read in the exchange that begins it: a hub asks much of a far server."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg

from holdfast.stores.base import Need, Origin, Space, StoredRow
from holdfast.stores.postgres.queries import QUERIES
from holdfast.stores.postgres.undo import Connection
from holdfast.stores.postgres.user_tables import as_json

LOCK_SPACE = 0x486F6C64
"""First half of the numbers of our advisory locks, so that they are not those of another program ("Hold")."""
FEED_AHEAD = 50
"""So many rows of each feed are read ahead: an ordinary round brings few, and a long one reads pages."""
_STRIPES = 4_096
_MOST_STRIPES = 64
"""A transaction that would lock more stripes of origins locks all of them at once: PostgreSQL's table of locks is
small."""

Names = Sequence[tuple[str, str]]
Cursor = psycopg.Cursor[tuple[Any, ...]]


def ask_origins(db: Connection, origins: Sequence[str], *, write: bool) -> Cursor:
    """Send the question for origins; a writer holds them until its end, known or not."""
    wanted = sorted(set(origins))
    if write:
        stripes = sorted({zlib.crc32(origin.encode()) % _STRIPES for origin in wanted})
        if len(stripes) > _MOST_STRIPES:
            db.execute(QUERIES["lock_all_origins"], (LOCK_SPACE,))
        else:
            db.execute(QUERIES["lock_origins"], (LOCK_SPACE,))
            db.execute(QUERIES["lock_stripes"], (LOCK_SPACE, stripes))
    return db.execute(QUERIES["origins"], (wanted,))


def ask_rows(db: Connection, ids: Mapping[str, int], names: Names, *, write: bool) -> Cursor | None:
    """Send the question for feed rows; a writer locks them, in key order. None when there is nothing to ask."""
    wanted = [{"tbl": ids[table], "key": key} for table, key in sorted(set(names)) if table in ids]
    if not wanted:
        return None
    if write:
        db.execute(QUERIES["lock_rows"], (as_json(wanted),))
    return db.execute(QUERIES["rows"], (as_json(wanted),), binary=True)


def rows_of(found: Cursor | None, ids: Mapping[str, int]) -> dict[tuple[str, str], StoredRow]:
    """What `ask_rows` has found, by (table, key)."""
    tables = {number: name for name, number in ids.items()}
    return {
        (tables[number], key): StoredRow(tables[number], key, space, seq, life, image, kept)
        for number, key, space, seq, life, image, kept in (found.fetchall() if found is not None else ())
    }


class Ahead:
    """The answers to `need`. Origins and rows are given out once: later ones may be others in a write transaction."""

    def __init__(self, need: Need, ids: Mapping[str, int], *, write: bool) -> None:
        self._need = need
        self._ids = ids
        self._write = write
        self._asked: dict[str, Cursor | None] = {}
        self._read: dict[str, list[tuple[Any, ...]]] = {}

    @property
    def only(self) -> bool:
        """Whether nothing else will be asked."""
        return self._need.only

    def send(self, db: Connection) -> None:
        """Send the questions, in the pipeline of the caller."""
        need, asked = self._need, self._asked
        if need.origins:
            asked["origins"] = ask_origins(db, need.origins, write=self._write)
        if need.rows:
            asked["rows"] = ask_rows(db, self._ids, need.rows, write=self._write)
        if need.spaces:
            asked["spaces"] = db.execute(QUERIES["spaces"], (list(need.spaces),))
        if need.after:
            names, seqs, heads = [*need.after], *zip(*need.after.values(), strict=True)
            asked["chains"] = db.execute(QUERIES["chains"], (names, [*heads]))
            patches = [seq == head for seq, head in need.after.values()]
            asked["feeds"] = db.execute(QUERIES["feeds"], (names, [*seqs], patches, FEED_AHEAD), binary=True)

    def _found(self, name: str) -> list[tuple[Any, ...]] | None:
        """What a snapshot shows, however often it is asked; None when it was not foreseen."""
        found = self._asked.get(name)
        if self._write or found is None:
            return None
        if name not in self._read:
            self._read[name] = found.fetchall()
        return self._read[name]

    def origins(self, wanted: Sequence[str]) -> dict[str, Origin] | None:
        """Known origins among those named; None when they were not foreseen."""
        found = self._asked.pop("origins", None)
        if found is None or not set(wanted) <= set(self._need.origins):
            return None
        names = set(wanted)
        return {row[0]: Origin(*row) for row in found.fetchall() if row[0] in names}

    def rows(self, wanted: Names) -> dict[tuple[str, str], StoredRow] | None:
        """Feed rows by (table, key); None when they were not foreseen."""
        if "rows" not in self._asked or not set(wanted) <= set(self._need.rows):
            return None
        names = set(wanted)
        return {name: row for name, row in rows_of(self._asked.pop("rows"), self._ids).items() if name in names}

    def forget(self) -> None:
        """Rows will be written."""
        self._asked.pop("rows", None)

    def spaces(self, wanted: Sequence[str]) -> dict[str, Space] | None:
        """Heads of spaces; None when they were not foreseen."""
        found = self._found("spaces")
        if found is None or not set(wanted) <= set(self._need.spaces):
            return None
        names = set(wanted)
        return {row[0]: Space(*row) for row in found if row[0] in names}

    def chain(self, space: str, head: int) -> tuple[str | None] | None:
        """The chain of the space at that head, None inside: it never stood there; None when it was not foreseen."""
        found = self._found("chains")
        if found is None or self._need.after.get(space, (0, 0))[1] != head:
            return None
        return (next((chain for name, chain in found if name == space), None),)

    def feed(self, space: str, after: int, until: int, *, patches: bool) -> tuple[list[tuple[int, bytes]], bool]:
        """The first rows of a feed, and whether more may follow."""
        found = self._found("feeds")
        seq, head = self._need.after.get(space, (0, 0))
        # Read from an earlier place, a patch that would do may be missing: the image in its stead does as well.
        if found is None or space not in self._need.after or after < seq or patches != (seq == head):
            return [], True
        rows = sorted((seq, image) for name, seq, image in found if name == space)
        more = len(rows) == FEED_AHEAD and rows[-1][0] < until
        return [row for row in rows if after < row[0] <= until], more


def pages(first: list[tuple[int, bytes]], rest: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """What was read ahead, then the rest."""
    yield from first
    yield from rest
