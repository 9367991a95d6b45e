"""The feeds of a batch: places for its rows, and one statement for everything of which nobody waits for an answer."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from holdfast.stores.base import Batch, HistoryEntry, RowWrite, Space
from holdfast.stores.chain import next_chain
from holdfast.stores.postgres.statements import Together
from holdfast.stores.postgres.user_tables import as_json

_LIMB = 0xFFFFFFFF
_MODULUS = 2**128

Spaces = dict[str, tuple[int, Space]]
"""Name -> number and head of a space."""


class _Row(Struct, omit_defaults=True):
    """A member of `add_rows` and `put_rows`: `a`, `n` say where the image is, `k`, `m` what is kept, `p`, `size` the
    patch."""

    tbl: int
    key: str
    mark: int
    space: int
    seq: int
    life: int
    a: int
    n: int
    k: int | None = None
    m: int | None = None
    p: int | None = None
    size: int | None = None
    before: int | None = None


class _Entry(Struct):
    """A member of `add_history`."""

    h: int
    tbl: int
    key: str
    space: str
    stamp: str
    device: str
    u: str
    at: int
    a: int
    n: int


class _Bucket(Struct):
    """A member of `add_digests`."""

    space: int
    bucket: int
    count: int
    s0: int
    s1: int
    s2: int
    s3: int


class _Bytes:
    """Many byte strings as one parameter, and where each begins (from 1) and how long it is."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._next = 1

    def add(self, part: bytes) -> tuple[int, int]:
        start = self._next
        self._parts.append(part)
        self._next += len(part)
        return start, len(part)

    def whole(self) -> bytes:
        return b"".join(self._parts)


def history_row(key: str) -> int:
    """The number under which the history of a row is found; others may share it."""
    return zlib.crc32(key.encode())


class Feeds:
    """Gives the rows of a batch their places in the feeds, and puts `together` what writes them and everything that
    goes with them. `spaces`: the counters, locked, or as they must still be when they are locked.
    """

    def __init__(self, ids: Mapping[str, int], spaces: Spaces) -> None:
        self._ids = ids
        self._spaces = spaces
        self._last: dict[str, int] = {}
        self.together = Together()

    def write(self, batch: Batch) -> dict[str, Space]:
        """Feeds, digests, history, results, origins and heads; gives the new heads."""
        self._write_rows(batch.rows)
        self._write_digests(batch.digests)
        self._write_history(batch.history)
        self._write_rest(batch)
        return self._write_heads(batch)

    def _place(self, name: str) -> tuple[int, int]:
        number, space = self._spaces[name]
        seq = self._last.get(name, space.head) + 1
        self._last[name] = seq
        return number, seq

    def _write_rows(self, rows: Sequence[RowWrite]) -> None:
        fresh, other = _Bytes(), _Bytes()
        new: list[_Row] = []
        changed: list[_Row] = []
        returned: list[dict[str, Any]] = []
        for row in rows:
            content, records = (fresh, new) if row.fresh else (other, changed)
            table = self._ids[row.table]
            space, seq = self._place(row.space)
            record = _Row(table, row.key, 0, space, seq, row.life, *content.add(row.image))
            if row.kept is not None:
                record.k, record.m = content.add(row.kept)
            if row.patch is not None and not row.fresh:
                record.p, record.size = content.add(row.patch)
                record.before = row.before
            records.append(record)
            if row.left is not None:
                mark, seq = self._place(row.left)
                changed.append(_Row(table, row.key, mark, mark, seq, 0, *other.add(row.left_image or b"")))
                returned.append({"tbl": table, "key": row.key, "mark": space})
        if returned:
            self.together.add("drop_marks", as_json(returned))
        for query, content, records in (("add_rows", fresh, new), ("put_rows", other, changed)):
            if records:
                # In key order: two processes that add the same rows wait for each other instead of dead-locking.
                records.sort(key=_name)
                self.together.add(query, content.whole(), as_json(records))

    def _write_digests(self, digests: Mapping[str, Mapping[int, tuple[int, int]]]) -> None:
        records = []
        for name in sorted(digests):
            number = self._spaces[name][0]
            for bucket, (count, change) in sorted(digests[name].items()):
                total = change % _MODULUS
                limbs = (total & _LIMB, total >> 32 & _LIMB, total >> 64 & _LIMB, total >> 96)
                records.append(_Bucket(number, bucket, count, *limbs))
        if records:
            self.together.add("add_digests", as_json(records))

    def _write_history(self, entries: Sequence[HistoryEntry]) -> None:
        content, ids = _Bytes(), self._ids
        records = [
            _Entry(history_row(key), ids[table], key, space, stamp, device, user, at, *content.add(body))
            for space, table, key, stamp, device, user, at, body in entries
        ]
        if records:
            self.together.add("add_history", content.whole(), as_json(records))

    def _write_rest(self, batch: Batch) -> None:
        if batch.results:
            content, records = _Bytes(), []
            for origin, n, body in batch.results:
                start, length = content.add(body)
                records.append({"origin": origin, "n": n, "a": start, "l": length})
            self.together.add("put_results", content.whole(), as_json(records))
        if batch.origins:
            names = ("origin", "device", "u", "last_n", "seen")
            origins = [dict(zip(names, origin, strict=True)) for origin in sorted(batch.origins)]
            self.together.add("put_origins", as_json(origins))

    def _write_heads(self, batch: Batch) -> dict[str, Space]:
        heads: dict[str, Space] = {}
        records = []
        for name in sorted(self._last):
            number, space = self._spaces[name]
            head = self._last[name]
            chain = next_chain(space.chain, head, batch.content.get(name, b""))
            records.append({"id": number, "head": head, "chain": chain})
            heads[name] = space._replace(head=head, chain=chain)
        if records:
            self.together.add("set_heads", as_json(records))
            self.together.add("add_commits", batch.now, as_json(records))
        return heads


def _name(record: _Row) -> tuple[int, str, int]:
    return record.tbl, record.key, record.mark
