"""Writing a batch: user tables, feeds, history, digests, results, origins and chains, each with few statements."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import apsw

from holdfast.errors import HoldfastError
from holdfast.stores.base import Batch, HistoryEntry, RowWrite, Space
from holdfast.stores.chain import INITIAL_CHAIN, next_chain
from holdfast.stores.sqlite.failures import violation
from holdfast.stores.sqlite.foreign_keys import ForeignKeys
from holdfast.stores.sqlite.queries import QUERIES, fetch
from holdfast.stores.sqlite.user_tables import Change, UserTable

SPACE_SHIFT = 40
MAX_SEQ = (1 << SPACE_SHIFT) - 1
_LIMB = 0xFFFFFFFF
_MODULUS = 2**128


def history_row(key: str) -> int:
    """The number under which the history of a row is found; others may share it."""
    return zlib.crc32(key.encode())


class _Swapped(Exception):
    """A unique constraint refused a row for a moment or for good; only `UserTable.replace` can tell."""

    def __init__(self, table: str) -> None:
        super().__init__(table)
        self.table = table


def write_batch(
    connection: apsw.Connection,
    tables: Mapping[str, UserTable],
    ids: Mapping[str, int],
    foreign_keys: ForeignKeys,
    new_epoch: Callable[[], str],
    batch: Batch,
) -> dict[str, Space]:
    """Write all of a batch or nothing of it. Raises `Violation`. Gives the new heads of the spaces that changed."""
    connection.execute("SAVEPOINT holdfast_write")
    try:
        connection.execute(QUERIES["start_applying"])
        _write_user_tables(connection, tables, foreign_keys, batch.rows)
        heads = _Feeds(connection, ids, new_epoch).write(batch)
        _write_rest(connection, ids, batch)
        connection.execute(QUERIES["stop_applying"], (batch.hlc,))
    except BaseException:
        # After a full disk SQLite may have ended the whole transaction by itself; then there is nothing left to undo.
        if connection.in_transaction:
            connection.execute("ROLLBACK TO holdfast_write")
            connection.execute("RELEASE holdfast_write")
        raise
    connection.execute("RELEASE holdfast_write")
    return heads


def _write_user_tables(
    connection: apsw.Connection, tables: Mapping[str, UserTable], foreign_keys: ForeignKeys, rows: Sequence[RowWrite]
) -> None:
    changes = _changes(tables, rows)
    gone = foreign_keys.before(connection, changes)
    careful: set[str] = set()
    while True:
        connection.execute("SAVEPOINT holdfast_tables")
        try:
            _write_changes(connection, changes, careful)
        except _Swapped as swapped:
            connection.execute("ROLLBACK TO holdfast_tables")
            careful.add(swapped.table)
        else:
            foreign_keys.after(connection, changes, gone)
            connection.execute("RELEASE holdfast_tables")
            return


def _changes(tables: Mapping[str, UserTable], rows: Sequence[RowWrite]) -> list[Change]:
    changes: dict[str, Change] = {}
    for row in rows:
        if row.foreign:
            continue
        change = changes.get(row.table)
        if change is None:
            change = changes[row.table] = Change(tables[row.table], [], [])
        if row.values is None:
            change.dead.append(change.table.to_key(row.key_values))
        else:
            change.alive.append(change.table.to_row(row))
    return list(changes.values())


def _write_changes(connection: apsw.Connection, changes: Sequence[Change], careful: set[str]) -> None:
    """Dead rows first: what they held is free for others."""
    for change in changes:
        table = change.table
        try:
            connection.executemany(table.delete, change.dead)
            if table.name in careful:
                table.replace(connection, change.alive)
            else:
                table.put(connection, change.alive)
        except apsw.ConstraintError as error:
            found = violation(error, connection, table.name)
            if found.kind == "unique" and table.name not in careful:
                raise _Swapped(table.name) from error
            raise found from error


class _Feeds:
    """Gives the rows of a batch their places in the feeds."""

    def __init__(self, connection: apsw.Connection, ids: Mapping[str, int], new_epoch: Callable[[], str]) -> None:
        self._db = connection
        self._ids = ids
        self._new_epoch = new_epoch
        self._spaces: dict[str, tuple[int, Space]] = {}
        self._last: dict[str, int] = {}

    def write(self, batch: Batch) -> dict[str, Space]:
        """Write feeds, digests and chains."""
        changed = {row.space for row in batch.rows} | {row.left for row in batch.rows if row.left is not None}
        for name in sorted(changed | {*batch.digests}):
            self._load(name)
        self._write_rows(batch.rows)
        for name, buckets in batch.digests.items():
            self._write_digest(self._spaces[name][0], buckets)
        return self._write_heads(batch)

    def _load(self, name: str) -> None:
        found = fetch(self._db, QUERIES["spaces"], (name,))
        if not found:
            self._db.execute(QUERIES["add_space"], (name, self._new_epoch(), INITIAL_CHAIN))
            found = fetch(self._db, QUERIES["spaces"], (name,))
        number, *rest = found[0]
        self._spaces[name] = (number, Space(*rest))

    def _place(self, name: str) -> int:
        number, space = self._spaces[name]
        seq = self._last.get(name, space.head) + 1
        self._last[name] = seq
        return number << SPACE_SHIFT | seq

    def _write_rows(self, rows: Sequence[RowWrite]) -> None:
        fresh: list[tuple[Any, ...]] = []
        known: list[tuple[Any, ...]] = []
        returned: list[tuple[Any, ...]] = []
        for row in rows:
            number = self._ids[row.table]
            entry = (number, row.key, 0, self._place(row.space), row.life, row.image, row.kept)
            if row.fresh:
                fresh.append(entry)
            else:
                before = None if row.patch is None else self._spaces[row.space][0] << SPACE_SHIFT | row.before
                known.append((*entry, row.patch, before))
            if row.left is not None:
                mark = self._spaces[row.left][0]
                known.append((number, row.key, mark, self._place(row.left), 0, row.left_image or b"", None, None, None))
            if not row.fresh:
                returned.append((number, row.key, self._spaces[row.space][0]))
        try:
            self._db.executemany(QUERIES["drop_mark"], returned)
            self._db.executemany(QUERIES["add_row"], fresh)
            self._db.executemany(QUERIES["put_row"], known)
        except apsw.ConstraintError as error:
            message = f"A row of the batch was called fresh, but the feed has it already ({error})."
            raise HoldfastError("store_not_fresh", message) from error

    def _write_digest(self, space: int, buckets: Mapping[int, tuple[int, int]]) -> None:
        rows = []
        for bucket, (count, change) in buckets.items():
            total = change % _MODULUS
            limbs = (total & _LIMB, total >> 32 & _LIMB, total >> 64 & _LIMB, total >> 96)
            rows.append((space, bucket, count, *limbs))
        self._db.executemany(QUERIES["add_digest"], rows)

    def _write_heads(self, batch: Batch) -> dict[str, Space]:
        heads: dict[str, Space] = {}
        for name in sorted(self._last):
            number, space = self._spaces[name]
            head = self._last[name]
            chain = next_chain(space.chain, head, batch.content.get(name, b""))
            self._db.execute(QUERIES["set_head"], (head, chain, number))
            self._db.execute(QUERIES["add_commit"], (number, head, chain, batch.now))
            heads[name] = space._replace(head=head, chain=chain)
        return heads


def _write_rest(connection: apsw.Connection, ids: Mapping[str, int], batch: Batch) -> None:
    connection.executemany(QUERIES["add_history"], [_history_values(ids, entry) for entry in batch.history])
    connection.executemany(QUERIES["put_result"], batch.results)
    connection.executemany(QUERIES["put_origin"], batch.origins)


def _history_values(ids: Mapping[str, int], entry: HistoryEntry) -> tuple[Any, ...]:
    space, table, key, *rest = entry
    return (history_row(key), ids[table], key, space, *rest)
