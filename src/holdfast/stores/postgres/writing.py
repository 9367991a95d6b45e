"""Writing a batch: user tables, then the counters, then feeds, history, digests and the rest, few statements each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import psycopg
from psycopg import errors

from holdfast.stores.base import Batch, Question, RowsLocked, RowWrite, Space, StoreConflict
from holdfast.stores.chain import INITIAL_CHAIN
from holdfast.stores.postgres.exchange import Answer, Connection, exchange
from holdfast.stores.postgres.failures import Constraints, violation
from holdfast.stores.postgres.feeds import Feeds, Spaces
from holdfast.stores.postgres.native import BusyTables
from holdfast.stores.postgres.queries import QUERIES
from holdfast.stores.postgres.statements import Statement, Waiting
from holdfast.stores.postgres.undo import undo_to
from holdfast.stores.postgres.user_tables import Change, Record, UserTable, as_json

logger = logging.getLogger("holdfast.stores")

PROGRAMS = 100
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
    busy: BusyTables
    question: Question | None = None
    tells_place: bool = True
    """Whether the server says on which timeline it is."""


class _Sent:
    """The answers of one exchange: `written` whether rows were noted, or wait aside, then the counters `locked`."""

    def __init__(self) -> None:
        self.written: Answer | None = None
        self.locked: Answer | None = None

    def written_answer(self) -> tuple[bool, bool]:
        """Whether a row has a note that is not known, and whether one waits aside."""
        assert self.written is not None
        ((noted, aside),) = self.written.fetchall()
        return noted, aside


class Writing(NamedTuple):
    """The transaction that a batch is written in. `known_marks` are the notes of foreign writes that it has read, None
    when it did not look for any; `patience` is its lock timeout; `waiting` is what waits for an exchange.
    """

    db: Connection
    catalog: Catalog
    new_epoch: Callable[[], str]
    patience: str
    known_marks: Sequence[int] | None
    waiting: Waiting


def write_batch(writing: Writing, batch: Batch) -> dict[str, Space]:
    """Write the user tables of a batch and take its counters, and let everything else wait, of which nobody needs an
    answer. Gives the new heads of the spaces that changed.

    Raises `Violation`; `RowsLocked`; `StoreConflict` when an unknown foreign write was faster with one of the rows.
    """
    names = spaces_of(batch)
    spaces = _UserTables(writing, names).write(batch.rows)
    feeds = Feeds(writing.catalog.ids, _complete(writing, names, spaces))
    heads = feeds.write(batch)
    if feeds.together:
        writing.waiting.add(feeds.together)
    return heads


def spaces_of(batch: Batch) -> list[str]:
    """The spaces whose counters a batch needs, in order of name."""
    changed = {row.space for row in batch.rows} | {row.left for row in batch.rows if row.left is not None}
    return sorted(changed | {*batch.digests})


def _complete(writing: Writing, names: Sequence[str], found: Spaces) -> Spaces:
    """The locked spaces, with those that were missing until now."""
    missing = [name for name in names if name not in found]
    if not missing:
        return found
    new = [{"name": name, "epoch": writing.new_epoch(), "chain": INITIAL_CHAIN} for name in missing]
    with exchange(writing.db) as to:
        writing.waiting.send(to)
        to.execute(QUERIES["add_spaces"], (as_json(new),))
        locked = to.execute(QUERIES["lock_spaces"], (list(names),))
    return _spaces(locked)


def _spaces(locked: Answer) -> Spaces:
    return {space[0]: (number, Space(*space)) for number, *space in locked.fetchall()}


class _UserTables:
    """Writes the rows of a batch into the user tables, and locks the counters `spaces`, last and in order of name:
    both in one exchange.
    """

    def __init__(self, writing: Writing, spaces: list[str]) -> None:
        self._db = writing.db
        self._catalog = writing.catalog
        self._patience = writing.patience
        self._known_marks = writing.known_marks
        self._waiting = writing.waiting
        self._names = spaces
        self._locked_spaces: Spaces = {}

    def write(self, rows: Sequence[RowWrite]) -> Spaces:
        """Write them; what other programs and triggers have to say about it is heard. Gives the counters."""
        changes = changes_of(self._catalog.tables, rows)
        if not changes:
            if self._names:
                with exchange(self._db) as to:
                    self._waiting.send(to)
                    locked = to.execute(QUERIES["lock_spaces"], (self._names,))
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
            self._waiting.add(*note_rewritten(self._catalog, rows))
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
                if sent.written is not None and sent.written.result is not None:
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
        with exchange(self._db) as to:
            self._waiting.send(to)
            to.execute(b"SAVEPOINT holdfast_tables")
            to.execute(QUERIES["wait_for_programs"], (f"{PROGRAMS}ms",))
            for sql, values in statements_of(changes, careful):
                to.execute(sql, values)
            to.execute(b"SET CONSTRAINTS ALL IMMEDIATE")
            sent.written = to.execute(QUERIES["noted_since"], (self._known_marks or [], names))
            to.execute(QUERIES["wait_for_programs"], (self._patience,))
            to.execute(b"RELEASE SAVEPOINT holdfast_tables")
            if self._names:
                sent.locked = to.execute(QUERIES["lock_spaces"], (self._names,))

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
            self._db.execute(QUERIES["wait_for_programs"], (f"{PROGRAMS}ms",))
            return [number for (number,) in self._db.execute(sql, (records, records))]
        except errors.LockNotAvailable:
            undo_to(self._db, "holdfast_tables")
            return range(len(keys))
        finally:
            self._db.execute(QUERIES["wait_for_programs"], (self._patience,))


def note_rewritten(catalog: Catalog, rows: Sequence[RowWrite]) -> list[Statement]:
    """Notes of the rows in which triggers of the application may store something else."""
    rewritten = catalog.rewritten
    own = [{"tbl": row.table, "key": row.key} for row in rows if row.table in rewritten and row.values]
    return [Statement(QUERIES["note"], (as_json(own),))] if own else []


def changes_of(tables: Mapping[str, UserTable], rows: Sequence[RowWrite]) -> list[Change]:
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


def statements_of(changes: Sequence[Change], careful: Collection[str]) -> list[Statement]:
    """The statements that write the changes: parents first, and of deletes children first. In the tables named by
    `careful` unique values are taken away before others come."""
    statements = [Statement(b"SET CONSTRAINTS ALL DEFERRED")]
    for change in changes:
        table = change.table
        if table.name in careful and table.park is not None:
            keys = [*change.alive_keys, *change.dead]
            for number, key in enumerate(keys, 1):
                key["n"] = number
            statements.append(Statement(table.park, (as_json(keys),)))
    written = [Statement(change.table.upsert, (as_json(change.alive),)) for change in changes if change.alive]
    deleted = [Statement(change.table.delete, (as_json(change.dead),)) for change in reversed(changes) if change.dead]
    return statements + written + deleted
