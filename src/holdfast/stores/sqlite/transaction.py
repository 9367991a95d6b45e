"""One transaction on the SQLite store."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import apsw

from holdfast.errors import HoldfastError
from holdfast.kernel.values import InvalidValue
from holdfast.schema.emit.sqlite_blocks import next_of_counter
from holdfast.schema.key import key_values
from holdfast.stores.base import (
    Aside,
    Batch,
    DirtyRow,
    HistoryEntry,
    HubState,
    Origin,
    Question,
    Space,
    Span,
    StoredResult,
    StoredRow,
)
from holdfast.stores.chain import INITIAL_CHAIN
from holdfast.stores.sqlite import access
from holdfast.stores.sqlite.foreign_keys import ForeignKeys
from holdfast.stores.sqlite.queries import QUERIES, fetch
from holdfast.stores.sqlite.user_tables import SqlRow, UserTable
from holdfast.stores.sqlite.writing import MAX_SEQ, SPACE_SHIFT, history_row, write_batch

logger = logging.getLogger("holdfast.stores")


class Catalog(NamedTuple):
    """What the store knows of its tables while it is open. `ids` holds tables of earlier schemas too."""

    tables: dict[str, UserTable]
    ids: dict[str, int]
    foreign_keys: ForeignKeys
    question: Question | None = None
    watched: frozenset[str] = frozenset()
    """The tables that the question reads."""
    counts: str = ""
    """The name under which increments are counted."""


class SqliteTransaction:
    """What `stores.base.Transaction` says, on one connection that is in a transaction."""

    def __init__(
        self, connection: apsw.Connection, catalog: Catalog, new_epoch: Callable[[], str], *, write: bool
    ) -> None:
        self._db = connection
        self._catalog = catalog
        self._names = {number: name for name, number in catalog.ids.items()}
        self._new_epoch = new_epoch
        self._write = write
        self._open = True
        self._streams: list[apsw.Cursor] = []

    def end(self) -> None:
        """Close the streams that are still open; nothing more can be read or written here."""
        self._open = False
        for stream in self._streams:
            stream.close(True)
        self._streams.clear()

    @property
    def _reader(self) -> apsw.Connection:
        if not self._open:
            raise HoldfastError("transaction_closed", "This transaction has ended; open another one.")
        return self._db

    @property
    def _writer(self) -> apsw.Connection:
        if not self._write:
            raise HoldfastError("transaction_read_only", "This transaction only reads; open it with write=True.")
        return self._reader

    def _one(self, query: str, *values: Any) -> Any:
        return self._reader.execute(QUERIES[query], values).get

    def _each(self, query: str, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        return self._reader.executemany(QUERIES[query], [(name,) for name in names])

    def hub(self) -> HubState:
        """The hub's identity and clock."""
        hub, hlc = self._one("hub")
        return HubState(hub, hlc, self._catalog.counts)

    def spaces(self, names: Sequence[str]) -> dict[str, Space]:
        """Heads of the named spaces; a space that was never written is absent."""
        return {row[1]: Space(*row[1:]) for row in self._each("spaces", names) if row[3] > 0}

    def all_spaces(self) -> list[str]:
        """Names of all spaces, in order."""
        return [name for (name,) in fetch(self._reader, QUERIES["all_spaces"])]

    def chain_at(self, space: str, head: int) -> str | None:
        """The chain that the space had at that head; None if it never stood there."""
        if head == 0:
            return INITIAL_CHAIN if self.spaces([space]) else None
        chain: str | None = self._one("chain_at", space, head)
        return chain

    def origins(self, origins: Sequence[str]) -> dict[str, Origin]:
        """Known origins among those named."""
        return {row[0]: Origin(*row) for row in self._each("origins", origins)}

    def results(self, origins: Sequence[str]) -> list[StoredResult]:
        """All kept results of the origins, in order of (origin, n)."""
        return [StoredResult(*row) for row in self._each("results", sorted(set(origins)))]

    def rows(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredRow]:
        """Feed rows by (table, key), leave marks excluded."""
        ids, names = self._catalog.ids, self._names
        wanted = [(ids[table], key) for table, key in keys if table in ids]
        found: dict[tuple[str, str], StoredRow] = {}
        for number, key, space, seq, life, image, kept in self._reader.executemany(QUERIES["rows"], wanted):
            table = names[number]
            found[table, key] = StoredRow(table, key, space, seq, life, image, kept)
        return found

    def feed(self, space: str, after: int, until: int, *, patches: bool = False) -> Iterator[tuple[int, bytes]]:
        """(seq, image) with after < seq <= until, in order; a stream that ends with the transaction."""
        known = fetch(self._reader, QUERIES["spaces"], (space,))
        if not known:
            return iter(())
        first = known[0][0] << SPACE_SHIFT
        stream = self._reader.cursor()
        self._streams.append(stream)
        return stream.execute(
            QUERIES["changes" if patches else "feed"], (first + max(after, 0), first + max(0, min(until, MAX_SEQ)))
        )

    def history(self, table: str, key: str, *, newest: int | None = None) -> list[HistoryEntry]:
        """Entries of one row, oldest first."""
        number, limit = self._catalog.ids.get(table), -1 if newest is None else newest
        found = fetch(self._reader, QUERIES["history"], (history_row(key), number, key, limit))
        return [HistoryEntry(space, table, key, *rest) for space, *rest in reversed(found)]

    def digest(self, space: str) -> dict[int, tuple[int, int]]:
        """bucket -> (count, sum) of the buckets that are not empty."""
        known = fetch(self._reader, QUERIES["spaces"], (space,))
        if not known:
            return {}
        return {
            bucket: (count, s0 | s1 << 32 | s2 << 64 | s3 << 96)
            for bucket, count, s0, s1, s2, s3 in fetch(self._reader, QUERIES["digest"], (known[0][0],))
        }

    def has_dirty(self) -> bool:
        """Whether any row waits to be sequenced."""
        return bool(self._one("has_dirty"))

    def noted(self, names: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of the rows that wait to be sequenced."""
        if not self.has_dirty():
            return set()
        return {(table, key) for table, key in self._reader.executemany(QUERIES["noted"], names)}

    def aside(self) -> list[Aside]:
        """Rows that wait aside, oldest first."""
        return [Aside(*row) for row in fetch(self._reader, QUERIES["aside"])]

    def dirty(self, limit: int) -> list[DirtyRow]:
        """Up to `limit` rows that other programs wrote, oldest note first.

        A row that does not fit the schema is logged and left out, so that it never holds up the others; a write
        transaction also sets its note aside until somebody writes the row again.
        """
        while True:
            notes = fetch(self._reader, QUERIES["dirty"], (limit,))
            problems: dict[int, str] = {}
            values: dict[int, tuple[list[Any], list[Any]]] = {}
            for name, table in self._catalog.tables.items():
                own = [(mark, key) for mark, tbl, key in notes if tbl == name]
                if own:
                    self._read_native(table, own, values, problems)
            self._put_aside(problems)
            found = [DirtyRow(tbl, key, mark, values.get(mark)) for mark, tbl, key in notes if mark not in problems]
            if not problems or not self._write:
                return found

    def current(self, names: Sequence[tuple[str, str]]) -> list[DirtyRow]:
        """What the user tables hold now of these rows; one that does not fit the schema is left out."""
        problems: dict[int, str] = {}
        values: dict[int, tuple[list[Any], list[Any]]] = {}
        for name in {table for table, _ in names}:
            own = [(number, key) for number, (table, key) in enumerate(names) if table == name]
            self._read_native(self._catalog.tables[name], own, values, problems)
        found = enumerate(names)
        return [DirtyRow(table, key, 0, values.get(n)) for n, (table, key) in found if n not in problems]

    def children(
        self, table: str, columns: Sequence[str], values: Sequence[Sequence[Any]], span: Span | None = None
    ) -> list[str]:
        """Keys of the rows that hold one of these value tuples in the columns."""
        return self._catalog.tables[table].children(self._reader, columns, values, span)

    def keys(self, table: str) -> Iterator[str]:
        """Keys of all rows of a user table; a stream that ends with the transaction."""
        stream = self._reader.cursor()
        self._streams.append(stream)
        return self._catalog.tables[table].keys(stream)

    def _read_native(
        self,
        table: UserTable,
        notes: Sequence[tuple[int, str]],
        values: dict[int, tuple[list[Any], list[Any]]],
        problems: dict[int, str],
    ) -> None:
        """Put the wire forms of the noted rows into `values`, and what cannot be read into `problems`, by mark."""
        keys = []
        for mark, key in notes:
            try:
                keys.append((*table.to_key(key_values(table.table, key)), mark))
            except InvalidValue as problem:
                problems[mark] = f"row {key!r} of {table.name}: {problem.message}"
        for mark, row in table.read(self._reader, keys).items():
            try:
                values[mark] = table.from_row(row)
                self._rewrite(table, row, table.canonical(values[mark]))
            except InvalidValue as problem:
                problems[mark] = f"row {dict(notes)[mark]!r} of {table.name}: {problem.message}"

    def _rewrite(self, table: UserTable, row: SqlRow, canonical: SqlRow) -> None:
        """Put the canonical form in the place of an accepted one, so that hub and devices hold the same."""
        if row == canonical or not self._write:
            return
        self._writer.execute("UPDATE holdfast_hub SET applying = 1")
        try:
            table.put(self._writer, [canonical])
        except apsw.ConstraintError as error:
            raise InvalidValue("unique", f"in canonical form it breaks a constraint ({error})") from error
        finally:
            self._writer.execute("UPDATE holdfast_hub SET applying = 0")

    def set_aside(self, notes: Sequence[tuple[DirtyRow, str]]) -> None:
        """These rows wait aside, with the reason."""
        self._writer.executemany(QUERIES["set_aside"], [(reason, note.mark) for note, reason in notes])

    def look_again(self, names: Sequence[tuple[str, str]]) -> None:
        """These rows wait aside no more: they are noted again."""
        self._writer.executemany(QUERIES["look_again"], names)

    def _put_aside(self, problems: dict[int, str]) -> None:
        for mark, problem in problems.items():
            logger.warning("a row written by another program does not fit the schema and is not synced: %s", problem)
            if self._write:
                self._writer.execute(QUERIES["set_aside"], (problem, mark))

    def write(self, batch: Batch) -> dict[str, Space]:
        """Write everything or, when a constraint refuses it, nothing; give the new heads of the spaces that changed."""
        catalog = self._catalog
        if self._one("has_aside"):
            written = [(row.table, row.key) for row in batch.rows if not row.foreign]
            self._writer.executemany(QUERIES["drop_aside"], written)
        parts = (catalog.tables, catalog.ids, catalog.foreign_keys)
        heads = write_batch(self._writer, *parts, self._new_epoch, batch)
        access.count(self._writer, catalog.watched, [row.table for row in batch.rows])
        return heads

    def answer(self, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows that the application's question gives; see `stores.base.AnsweringTransaction`."""
        assert self._catalog.question is not None
        return access.answer(self._reader, self._catalog.question, values)

    def access_version(self) -> int:
        """Another number when a table that the question reads may have changed."""
        return int(self._one("access_version"))

    def lease(self, table: str, device: str, ask: str, size: int) -> list[tuple[int, int]]:
        """Keys for a device, from the counter of the table; the same for the same `ask`."""
        known: Any = self._writer.execute(QUERIES["lease"], (table, device)).fetchone()
        if known is not None and known[0] == ask:
            return [(first, last) for first, last in json.loads(known[1])]
        first: int = self._writer.execute(next_of_counter(self._catalog.tables[table].table)).get
        self._writer.execute(QUERIES["set_key"], (first + size, table))
        ranges = [(first, first + size - 1)]
        self._writer.execute(QUERIES["put_lease"], (table, device, ask, json.dumps(ranges)))
        return ranges

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part that is undone alone when an exception leaves it."""
        self._writer.execute("SAVEPOINT holdfast_part")
        try:
            yield
        except BaseException:
            self._undo()
            raise
        self._writer.execute("RELEASE holdfast_part")

    def _undo(self) -> None:
        # After a full disk SQLite may have ended the whole transaction by itself; then there is nothing left to undo.
        if self._db.in_transaction:
            self._db.execute("ROLLBACK TO holdfast_part")
            self._db.execute("RELEASE holdfast_part")

    def histories(self, table: str) -> Iterator[HistoryEntry]:
        """Entries of all rows of a table, oldest first; a stream that ends with the transaction."""
        stream = self._reader.cursor()
        self._streams.append(stream)
        for key, space, *rest in stream.execute(QUERIES["histories"], (self._catalog.ids.get(table),)):
            yield HistoryEntry(space, table, key, *rest)

    def collect(self, space: str, before: int, limit: int) -> int:
        """Forget dead rows, leave marks and chains of before that time; see `stores.base`."""
        writer = self._writer
        known = fetch(writer, QUERIES["spaces"], (space,))
        if not known:
            return 0
        number, floor = known[0][0], known[0][5]
        ((found,),) = fetch(writer, QUERIES["old_head"], (number, limit + 1, before))
        floor = max(floor, found or 0)
        writer.execute(QUERIES["set_floor"], (number, floor))
        total = writer.total_changes()
        writer.execute(QUERIES["forget_commits"], (number, floor, limit))
        writer.execute(QUERIES["forget_dead"], (number << 40, (number << 40) + floor, limit))
        return writer.total_changes() - total

    def forget_history(self, table: str, before: int, limit: int) -> int:
        """Delete some entries of a table from before that time; gives how many."""
        self._writer.execute(QUERIES["forget_history"], (self._catalog.ids.get(table), before, limit))
        return self._writer.changes()

    def forget(self, results: Sequence[tuple[str, int]]) -> None:
        """Delete acknowledged results; unknown ones are ignored."""
        self._writer.executemany(QUERIES["forget"], results)

    def clean(self, notes: Sequence[DirtyRow]) -> None:
        """Delete these notes, but no newer ones of the same rows."""
        self._writer.executemany(QUERIES["clean"], [(note.mark, note.table, note.key) for note in notes])
