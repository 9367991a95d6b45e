"""Writing a batch: user tables, then the counters, then feeds, history, digests and the rest, few statements each."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import errors

from holdfast.stores.base import Batch, HistoryEntry, Question, RowsLocked, RowWrite, Space, StoreConflict
from holdfast.stores.chain import INITIAL_CHAIN, next_chain
from holdfast.stores.postgres.failures import Constraints, violation
from holdfast.stores.postgres.queries import QUERIES
from holdfast.stores.postgres.undo import Connection, undo_to
from holdfast.stores.postgres.user_tables import Change, Record, UserTable, as_json

logger = logging.getLogger("holdfast.stores")

_LIMB = 0xFFFFFFFF
_MODULUS = 2**128

_PROGRAMS = 100
"""Milliseconds that a batch waits for a row that another program's transaction holds. Short against the second after
which PostgreSQL looks for deadlocks, of which such a wait may be a part."""


class Catalog(NamedTuple):
    """What the store knows of its tables while it is open. `tables` are in parents-first order; `ids` holds tables of
    earlier schemas too.
    """

    tables: dict[str, UserTable]
    ids: dict[str, int]
    constraints: Constraints
    rewritten: frozenset[str]
    """Tables in which a trigger of the application may store something else than what the hub writes."""
    question: Question | None = None


Statement = tuple[bytes, Sequence[Any]]
_Spaces = dict[str, tuple[int, Space]]


class _Sent:
    """The answers of one exchange: `written` whether rows were noted, or wait aside, then the counters `locked`."""

    def __init__(self) -> None:
        self.written: psycopg.Cursor[tuple[Any, ...]] | None = None
        self.locked: psycopg.Cursor[tuple[Any, ...]] | None = None

    def written_answer(self) -> tuple[bool, bool]:
        """Whether a row has a note that is not known, and whether one waits aside."""
        assert self.written is not None
        ((noted, aside),) = self.written.fetchall()
        return noted, aside


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


class Writing(NamedTuple):
    """The transaction that a batch is written in. `known_marks` are the notes of foreign writes that it has read, None
    when it did not look for any; `patience` is its lock timeout; `send_waiting` sends what waits for an exchange.
    """

    db: Connection
    catalog: Catalog
    new_epoch: Callable[[], str]
    patience: str
    known_marks: Sequence[int] | None
    send_waiting: Callable[[], None]


def write_batch(writing: Writing, batch: Batch) -> tuple[dict[str, Space], list[Statement]]:
    """Write the user tables of a batch and take its counters; the new heads of the spaces that changed, and the
    statements that write everything else, of which nobody waits for an answer.

    Raises `Violation`; `RowsLocked`; `StoreConflict` when an unknown foreign write was faster with one of the rows.
    """
    changed = {row.space for row in batch.rows} | {row.left for row in batch.rows if row.left is not None}
    names = sorted(changed | {*batch.digests})
    tables = _UserTables(writing, names)
    spaces = tables.write(batch.rows)
    feeds = _Feeds(writing.catalog.ids, _complete(writing, names, spaces))
    heads = feeds.write(batch)
    return heads, tables.statements + feeds.statements


def _complete(writing: Writing, names: Sequence[str], found: _Spaces) -> _Spaces:
    """The locked spaces, with those that were missing until now."""
    missing = [name for name in names if name not in found]
    if not missing:
        return found
    new = [{"name": name, "epoch": writing.new_epoch(), "chain": INITIAL_CHAIN} for name in missing]
    with writing.db.pipeline():
        writing.send_waiting()
        writing.db.execute(QUERIES["add_spaces"], (as_json(new),))
        locked = writing.db.execute(QUERIES["lock_spaces"], (list(names),))
    return _spaces(locked)


def _spaces(locked: psycopg.Cursor[tuple[Any, ...]]) -> _Spaces:
    return {space[0]: (number, Space(*space)) for number, *space in locked.fetchall()}


class _UserTables:
    """Writes the rows of a batch into the user tables, and locks the counters `spaces`, last and in order of name:
    both in one exchange. `statements`: what is to be sent later.
    """

    def __init__(self, writing: Writing, spaces: list[str]) -> None:
        self._db = writing.db
        self._catalog = writing.catalog
        self._patience = writing.patience
        self._known_marks = writing.known_marks
        self._send_waiting = writing.send_waiting
        self._names = spaces
        self._locked_spaces: _Spaces = {}
        self.statements: list[Statement] = []

    def write(self, rows: Sequence[RowWrite]) -> _Spaces:
        """Write them; what other programs and triggers have to say about it is heard. Gives the counters."""
        changes = _changes(self._catalog.tables, rows)
        if not changes:
            if self._names:
                with self._db.pipeline():
                    self._send_waiting()
                    locked = self._db.execute(QUERIES["lock_spaces"], (self._names,))
                return _spaces(locked)
            return {}
        names = as_json([{"tbl": row.table, "key": row.key} for row in rows if not row.foreign])
        noted, aside = self._apply(changes, names)
        # Every row is locked now: whoever wrote one before us has committed, and his note is visible or there is none.
        if self._known_marks is not None and noted:
            raise StoreConflict("another program wrote one of the rows, and its write comes first")
        if aside:
            for found in self._db.execute(QUERIES["drop_aside"], (names,)):
                logger.warning("%s %r, which waited aside, was written by a device: %s", *found)
        if not self._known_marks:
            # What the application's triggers made of the rows is news for the drainer. What the drainer itself writes
            # is not noted again: he and a trigger that insists would never come to an end.
            rewritten = self._catalog.rewritten
            own = [{"tbl": row.table, "key": row.key} for row in rows if row.table in rewritten and row.values]
            if own:
                self.statements.append((QUERIES["note"], (as_json(own),)))
        return self._locked_spaces

    def _apply(self, changes: Sequence[Change], names: str) -> tuple[bool, bool]:
        """Write the changes; once more and with care where unique values may only have changed hands. Whether a row has
        a note that is not known, and whether one waits aside. Raises `Violation`, `RowsLocked`."""
        careful: set[str] = set()
        while True:
            sent = _Sent()
            try:
                self._write_changes(changes, careful, names, sent)
                self._locked_spaces = _spaces(sent.locked) if sent.locked is not None else {}
                return sent.written_answer()
            except psycopg.Error as error:
                if sent.written is not None and sent.written.description is not None:
                    raise  # the tables are written; it is a counter that cannot be had
                if isinstance(error, errors.LockNotAvailable):
                    undo_to(self._db, "holdfast_tables")
                    message = f"another program's transaction holds rows that are to be written ({error})"
                    raise RowsLocked(message, self._locked(changes)) from error
                found = violation(error, self._catalog.constraints)
                if found is None:
                    raise
                swapped = next((change.table for change in changes if change.table.name == found.table), None)
                if found.kind != "unique" or swapped is None or swapped.park is None or swapped.name in careful:
                    raise found from error
                undo_to(self._db, "holdfast_tables")
                careful.add(swapped.name)

    def _write_changes(self, changes: Sequence[Change], careful: Collection[str], names: str, sent: _Sent) -> None:
        """Write the changes in one exchange, under a savepoint, and lock the counters behind it.

        Inserts and updates go parents first, deletes children first: so foreign keys hold at every statement,
        deferrable or not. What can be deferred is checked at the end, here and not at the commit, where nobody could be
        refused.
        """
        db = self._db
        with db.pipeline():
            self._send_waiting()
            db.execute(b"SAVEPOINT holdfast_tables")
            db.execute(QUERIES["wait_for_programs"], (f"{_PROGRAMS}ms",))
            _send_changes(db, changes, careful)
            sent.written = db.execute(QUERIES["noted_since"], (self._known_marks or [], names))
            db.execute(QUERIES["wait_for_programs"], (self._patience,))
            db.execute(b"RELEASE SAVEPOINT holdfast_tables")
            if self._names:
                sent.locked = db.execute(QUERIES["lock_spaces"], (self._names,))

    def _locked(self, changes: Sequence[Change]) -> list[tuple[str, str]]:
        """Which of the rows other transactions hold. None: it is something else that they hold, such as a parent."""
        found: list[tuple[str, str]] = []
        for change in changes:
            table = change.table
            for sql, keys, names in (
                (table.locked_alive, change.alive_keys, change.alive_names),
                (table.locked_dead, change.dead, change.dead_names),
            ):
                for number, key in enumerate(keys):
                    key["n"] = number
                found += [(table.name, names[number]) for number in self._held(sql, keys)]
        return found

    def _held(self, sql: bytes, keys: Sequence[Record]) -> Sequence[int]:
        """Numbers of the rows that others hold; all when they hold the table."""
        if not keys:
            return []
        records = as_json(keys)
        try:
            self._db.execute(QUERIES["wait_for_programs"], (f"{_PROGRAMS}ms",))
            return [number for (number,) in self._db.execute(sql, (records, records))]
        except errors.LockNotAvailable:
            undo_to(self._db, "holdfast_tables")
            return range(len(keys))
        finally:
            self._db.execute(QUERIES["wait_for_programs"], (self._patience,))


def _changes(tables: Mapping[str, UserTable], rows: Sequence[RowWrite]) -> list[Change]:
    """The changes by table, parents first. Rows in key order, in which all processes lock them."""
    changes: dict[str, Change] = {}
    for row in sorted((row for row in rows if not row.foreign), key=lambda row: row.key):
        change = changes.get(row.table)
        if change is None:
            change = changes[row.table] = Change(tables[row.table], [], [], [], [], [])
        if row.values is None:
            change.dead.append(change.table.to_key(row.key_values, len(change.dead)))
            change.dead_names.append(row.key)
        else:
            change.alive_keys.append(change.table.to_key(row.key_values, len(change.alive)))
            change.alive.append(change.table.to_record(row))
            change.alive_names.append(row.key)
    return [changes[name] for name in tables if name in changes]


def _send_changes(db: Connection, changes: Sequence[Change], careful: Collection[str]) -> None:
    db.execute(b"SET CONSTRAINTS ALL DEFERRED")
    for change in changes:
        table = change.table
        if table.name in careful and table.park is not None:
            keys = [*change.alive_keys, *change.dead]
            for number, key in enumerate(keys, 1):
                key["n"] = number
            db.execute(table.park, (as_json(keys),))
    for change in changes:
        if change.alive:
            db.execute(change.table.upsert, (as_json(change.alive),))
    for change in reversed(changes):
        if change.dead:
            db.execute(change.table.delete, (as_json(change.dead),))
    db.execute(b"SET CONSTRAINTS ALL IMMEDIATE")


class _Feeds:
    """Gives the rows of a batch their places in the feeds, and makes the `statements` that write everything that goes
    with them. `spaces`: the counters, locked."""

    def __init__(self, ids: Mapping[str, int], spaces: _Spaces) -> None:
        self._ids = ids
        self._spaces = spaces
        self._last: dict[str, int] = {}
        self.statements: list[Statement] = []

    def write(self, batch: Batch) -> dict[str, Space]:
        """Feeds, digests, history, results, origins and heads; gives the new heads."""
        self._write_rows(batch.rows)
        self._write_digests(batch.digests)
        self._write_history(batch.history)
        self._write_rest(batch)
        return self._write_heads(batch)

    def _run(self, query: str, *values: Any) -> None:
        self.statements.append((QUERIES[query], values))

    def _place(self, name: str) -> tuple[int, int]:
        number, space = self._spaces[name]
        seq = self._last.get(name, space.head) + 1
        self._last[name] = seq
        return number, seq

    def _write_rows(self, rows: Sequence[RowWrite]) -> None:
        contents = {True: _Bytes(), False: _Bytes()}
        records: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
        returned: list[dict[str, Any]] = []

        def add(fresh: bool, row: RowWrite, mark: int, place: tuple[int, int], life: int, image: bytes) -> None:
            start, length = contents[fresh].add(image)
            kept = row.kept if mark == 0 else None
            kept_start, kept_length = (None, None) if kept is None else contents[fresh].add(kept)
            names = ("tbl", "key", "mark", "space", "seq", "life", "a", "n", "k", "m")
            cells = (self._ids[row.table], row.key, mark, *place, life, start, length, kept_start, kept_length)
            record = dict(zip(names, cells, strict=True))
            if row.patch is not None and mark == 0 and not fresh:
                record["p"], record["q"] = contents[fresh].add(row.patch)
                record["before"] = row.before
            records[fresh].append(record)

        for row in rows:
            add(row.fresh, row, 0, self._place(row.space), row.life, row.image)
            if row.left is not None:
                mark, seq = self._place(row.left)
                add(False, row, mark, (mark, seq), 0, row.left_image or b"")
                here = self._spaces[row.space][0]
                returned.append({"tbl": self._ids[row.table], "key": row.key, "mark": here})
        if returned:
            self._run("drop_marks", as_json(returned))
        for fresh, query in ((True, "add_rows"), (False, "put_rows")):
            if records[fresh]:
                # In key order: two processes that add the same rows wait for each other instead of dead-locking.
                records[fresh].sort(key=lambda record: (record["tbl"], record["key"], record["mark"]))
                self._run(query, contents[fresh].whole(), as_json(records[fresh]))

    def _write_digests(self, digests: Mapping[str, Mapping[int, tuple[int, int]]]) -> None:
        records = []
        for name in sorted(digests):
            number = self._spaces[name][0]
            for bucket, (count, change) in sorted(digests[name].items()):
                total = change % _MODULUS
                limbs = (total & _LIMB, total >> 32 & _LIMB, total >> 64 & _LIMB, total >> 96)
                record = {"space": number, "bucket": bucket, "count": count}
                record.update({f"s{place}": limb for place, limb in enumerate(limbs)})
                records.append(record)
        if records:
            self._run("add_digests", as_json(records))

    def _write_history(self, entries: Sequence[HistoryEntry]) -> None:
        content, records = _Bytes(), []
        names = ("h", "tbl", "key", "space", "stamp", "device", "u", "at", "a", "n")
        for entry in entries:
            cells = (history_row(entry.key), self._ids[entry.table], entry.key, entry.space, entry.stamp, entry.device)
            records.append(dict(zip(names, (*cells, entry.user, entry.at, *content.add(entry.body)), strict=True)))
        if records:
            self._run("add_history", content.whole(), as_json(records))

    def _write_rest(self, batch: Batch) -> None:
        if batch.results:
            content, records = _Bytes(), []
            for origin, n, body in batch.results:
                start, length = content.add(body)
                records.append({"origin": origin, "n": n, "a": start, "l": length})
            self._run("put_results", content.whole(), as_json(records))
        if batch.origins:
            names = ("origin", "device", "u", "last_n", "seen")
            origins = [dict(zip(names, origin, strict=True)) for origin in sorted(batch.origins)]
            self._run("put_origins", as_json(origins))

    def _write_heads(self, batch: Batch) -> dict[str, Space]:
        heads: dict[str, Space] = {}
        records = []
        for name in sorted(self._last):
            number, space = self._spaces[name]
            head = self._last[name]
            chain = next_chain(space.chain, head, batch.content.get(name, b""))
            records.append({"id": number, "head": head, "chain": chain})
            heads[name] = Space(name, space.epoch, head, chain)
        if records:
            self._run("set_heads", as_json(records))
            self._run("add_commits", batch.now, as_json(records))
        return heads
