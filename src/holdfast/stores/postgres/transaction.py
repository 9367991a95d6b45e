"""One transaction on the PostgreSQL store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from psycopg import errors

from holdfast.errors import HoldfastError
from holdfast.kernel.values import InvalidValue
from holdfast.stores.base import (
    Aside,
    Batch,
    DirtyRow,
    HistoryEntry,
    HubState,
    NotRemembered,
    Origin,
    RowsLocked,
    Space,
    Span,
    StoreConflict,
    StoredResult,
    StoredRow,
    Unforeseen,
)
from holdfast.stores.chain import INITIAL_CHAIN
from holdfast.stores.postgres import access, leases
from holdfast.stores.postgres.ahead import Ahead, Names, Rows, ask_dirty, ask_origins, ask_rows, pages, rows_of
from holdfast.stores.postgres.at_once import at_once, write_at_once
from holdfast.stores.postgres.exchange import Connection, Sender, exchange
from holdfast.stores.postgres.feeds import history_row
from holdfast.stores.postgres.keys import Keys
from holdfast.stores.postgres.memory import Memory
from holdfast.stores.postgres.native import Native, held_tables
from holdfast.stores.postgres.queries import QUERIES
from holdfast.stores.postgres.statements import RELEASE, Statement, Together, Waiting
from holdfast.stores.postgres.undo import undo_to
from holdfast.stores.postgres.user_tables import as_json, can_hold, text_array
from holdfast.stores.postgres.writing import PROGRAMS, Catalog, Writing, write_batch

logger = logging.getLogger("holdfast.stores")

FEED_PAGE = 2_000

Translated = Callable[[], AbstractContextManager[None]]


class PostgresTransaction(Keys):
    """What `stores.base.Transaction` says, on one connection that is in a transaction.

    `translated()` turns errors of psycopg into those of a store.
    """

    def __init__(
        self,
        connection: Connection,
        catalog: Catalog,
        new_epoch: Callable[[], str],
        translated: Translated,
        patience: str,
        ahead: Ahead,
        *,
        write: bool,
    ) -> None:
        self._db = connection
        self._catalog = catalog
        self._new_epoch = new_epoch
        self._translated = translated
        self._state = ahead.state
        self._patience = patience
        self._ahead = ahead
        self._waiting = Waiting()
        self.wrote = False
        self._in_order = False
        self._write = write
        self._open = True
        self._looked = False
        self._has_dirty: bool | None = ahead.has_dirty  # as the first statement saw it; None: ask again
        self._has_aside = ahead.has_aside  # as well, or since then by this transaction
        self._marks: dict[int, list[int]] = {}
        self.hlc = ahead.state.hlc
        """The latest time; the store keeps it at the commit when it was written here."""
        self._news = False
        self._batches: list[tuple[Batch, dict[str, Space]]] = []
        self._undone = False
        self.behind: Ahead | None = None
        """What was read right behind the commit; see `stores.base.Need.then`."""

    def end(self) -> None:
        """Nothing more can be read or written here."""
        self._open = False

    def _writing(self) -> None:
        if not self._write:
            raise HoldfastError("transaction_read_only", "This transaction only reads; open it with write=True.")

    def _run(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._fetch(QUERIES[query], values)

    def _fetch(self, sql: bytes, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._together() as db:
            cursor = db.execute(sql, values, binary=True)
        return cursor.fetchall()

    def _check_open(self) -> None:
        if not self._open:
            raise HoldfastError("transaction_closed", "This transaction has ended; open another one.")

    def _check_asking(self) -> None:
        self._check_open()
        if self._ahead.remembered:
            raise NotRemembered("more is needed than what is remembered of the last writes")
        if self._ahead.only:
            raise Unforeseen

    @contextmanager
    def _together(self) -> Iterator[Sender]:
        """One exchange of everything in the block, after what waits; answers can be read behind it."""
        self._check_asking()
        with self._translated(), at_once(self._ahead.at_once), exchange(self._db) as to:
            self._waiting.send(to)
            yield to

    @contextmanager
    def _using(self) -> Iterator[Connection]:
        """For statements whose answers are read at once."""
        self._check_asking()
        with self._translated(), at_once(self._ahead.at_once):
            if self._waiting:
                with exchange(self._db) as to:
                    self._waiting.send(to)
            yield self._db

    def send_last(self, to: Sender, slot: int, voice: str) -> None:
        """Send what waits, the clock of this process and, if a feed has changed, the news of it from `voice`, in the
        exchange of the caller."""
        last = Together()
        if self.hlc > self._state.hlc:
            last.add("set_clock", slot, self.hlc)
        self._waiting.send_last(to, last, *([voice] if self._news else []))

    def hub(self) -> HubState:
        """The hub's identity and clock."""
        self._check_open()
        return self._state._replace(hlc=self.hlc)

    def spaces(self, names: Sequence[str]) -> dict[str, Space]:
        """Heads of the named spaces; a space that was never written is absent."""
        self._check_open()
        foreseen = self._ahead.spaces(names)
        return foreseen if foreseen is not None else {row[0]: Space(*row) for row in self._run("spaces", list(names))}

    def all_spaces(self) -> list[str]:
        """Names of all spaces, in order."""
        return [name for (name,) in self._run("all_spaces")]

    def chain_at(self, space: str, head: int) -> str | None:
        """The chain that the space had at that head; None if it never stood there."""
        if head == 0:
            return INITIAL_CHAIN if self.spaces([space]) else None
        foreseen = self._ahead.chain(space, head)
        if foreseen is not None:
            return foreseen[0]
        found = self._run("chain_at", space, head)
        return found[0][0] if found else None

    def origins(self, origins: Sequence[str]) -> dict[str, Origin]:
        """Known origins among those named. A write transaction holds them until its end, known or not."""
        foreseen = self._ahead.origins(origins)
        if foreseen is not None or not origins:
            return foreseen or {}
        with self._together() as db:
            found = ask_origins(db, origins, write=self._write)
        return {row[0]: Origin(*row) for row in found.fetchall()}

    def results(self, origins: Sequence[str]) -> list[StoredResult]:
        """All kept results of the origins, in order of (origin, n)."""
        return [StoredResult(*row) for row in self._run("results", list(origins))]

    def rows(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredRow]:
        """Feed rows by (table, key), leave marks excluded. A write transaction locks them, in key order."""
        foreseen = self._ahead.rows(keys)
        if foreseen is not None or not keys:
            return foreseen or {}
        rows: Rows | None = None
        while rows is None:
            with self._together() as db:
                found = ask_rows(db, self._catalog.ids, keys, write=self._write)
            rows = rows_of(found, self._catalog.ids)
        return rows

    def feed(self, space: str, after: int, until: int, *, patches: bool = False) -> Iterator[tuple[int, bytes]]:
        """(seq, image) with after < seq <= until, in order; read in pages, each a range of the index."""
        first = max(after, 0)
        found, more = self._ahead.feed(space, first, until, patches=patches)
        if not more:
            return iter(found)
        known = self._run("space_id", space)
        if not known:
            return iter(())
        place = found[-1][0] if found else first
        values = ("changes" if patches else "feed", (first,) if patches else (), known[0][0], place, until)
        return pages(found, self._pages(*values))

    def _pages(
        self, query: str, values: tuple[int, ...], space: int, after: int, until: int
    ) -> Iterator[tuple[int, bytes]]:
        sql, until = QUERIES[query] + b" LIMIT %s", min(until, 2**62)
        while after < until:
            with self._together() as db:
                if not self._in_order:
                    db.execute(QUERIES["in_order"])
                    self._in_order = True
                cursor = db.execute(sql, (*values, space, after, until, FEED_PAGE), binary=True)
            page: list[Any] = cursor.fetchall()
            yield from page
            if len(page) < FEED_PAGE:
                return
            after = page[-1][0]

    def history(self, table: str, key: str, *, newest: int | None = None) -> list[HistoryEntry]:
        """Entries of one row, oldest first."""
        if not can_hold(key):
            return []
        found = self._run("history", history_row(key), self._catalog.ids.get(table), key, newest)
        return [HistoryEntry(space, table, key, *rest) for space, *rest in reversed(found)]

    def digest(self, space: str) -> dict[int, tuple[int, int]]:
        """bucket -> (count, sum) of the buckets that are not empty."""
        return {
            bucket: (count, s0 | s1 << 32 | s2 << 64 | s3 << 96)
            for bucket, count, s0, s1, s2, s3 in self._run("digest", space)
        }

    def has_dirty(self) -> bool:
        """Whether any row waits to be sequenced."""
        if not self._open or self._has_dirty is None:
            return bool(self._run("has_dirty", [*self._catalog.tables])[0][0])
        return self._has_dirty

    def noted(self, names: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of the rows that wait to be sequenced; `write` looks for those that come later."""
        self._looked = True
        if not self.has_dirty():
            return set()
        wanted = as_json([{"tbl": table, "key": key} for table, key in names if can_hold(table, key)])
        return {(table, key) for table, key in self._run("noted", wanted)}

    def aside(self) -> list[Aside]:
        """Rows that wait aside, oldest first."""
        if not self._has_aside:
            return []
        return [Aside(*row) for row in self._run("aside")]

    def dirty(self, limit: int) -> list[DirtyRow]:
        """Up to `limit` rows that other programs wrote, oldest note first; in a write transaction nobody else does so
        until its end.

        A row that does not fit the schema is logged and left out, so that it never holds up the others; a write
        transaction also sets its note aside until somebody writes the row again.
        """
        if limit <= 0:
            return []
        self._looked = self._looked or self._write
        while True:
            notes = self._notes(limit)
            if self._write:
                self._has_dirty = None
            if not notes:
                return []
            self._marks.update({mark: marks for mark, _, _, marks in notes})
            names = [(tbl, key) for _, tbl, key, _ in notes]
            native = Native(self._catalog.tables, {note[0]: (note[1], note[2]) for note in notes})
            try:
                self._read(native, names)
            except RowsLocked as locked:
                logger.warning("rows that a program wrote wait: %s", locked)
                continue  # with those of other tables
            values, problems = native.take()
            self._put_aside(problems)
            if not problems or not self._write:
                # Those that do not fit are gone when this is done again, so that others come in their places.
                return [
                    DirtyRow(*name, note[0], values.get(note[0]))
                    for note, name in zip(notes, names, strict=True)
                    if note[0] not in problems
                ]

    def _notes(self, limit: int) -> list[tuple[Any, ...]]:
        """The latest note of each row that another program wrote, oldest first."""
        foreseen = self._ahead.dirty(limit)
        if foreseen is not None:
            return foreseen
        if self._write and not self.has_dirty():
            return []
        tables = text_array(self._catalog.busy.without(self._catalog.tables))
        with self._together() as db:
            found = (
                ask_dirty(db, tables, limit)
                if self._write
                else db.execute(QUERIES["dirty"], (tables, limit), binary=True)
            )
        return found.fetchall()

    def answer(self, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows that the application's question gives; see `stores.base.AnsweringTransaction`."""
        assert self._catalog.question is not None
        with self._using() as db:
            return access.answer(db, self._catalog.question, values)

    def access_version(self) -> int:
        """Always 0: triggers announce changes of access, as they do those of rows."""
        return 0

    def current(self, names: Sequence[tuple[str, str]]) -> list[DirtyRow]:
        """What the user tables hold now of these rows; one that does not fit the schema is left out."""
        native = Native(self._catalog.tables, dict(enumerate(names)))
        self._read(native)
        values, problems = native.take()
        found = enumerate(names)
        return [DirtyRow(table, key, 0, values.get(n)) for n, (table, key) in found if n not in problems]

    def children(
        self, table: str, columns: Sequence[str], values: Sequence[Sequence[Any]], span: Span | None = None
    ) -> list[str]:
        """Keys of the rows that hold one of these value tuples in the columns."""
        user, found = self._catalog.tables[table], list[str]()
        part = () if span is None else (span.after, span.before, span.before, span.limit, span.limit)
        asked = (as_json([user.child_record(columns, one) for one in values if can_hold(*one)]), *part)
        with self._near_programs([(table, "")]) as to:
            cursor = to.execute(user.children(columns, part=bool(part)), asked, binary=True)
        for row in cursor.fetchall():
            with suppress(InvalidValue):  # else it is not in any feed
                found.append(user.key_of(row))
        return found

    def _read(self, native: Native, next_rows: Names = ()) -> None:
        """Ask for what user tables hold. `next_rows`: what a writer asks for next is asked with it. Raises
        `RowsLocked` where another program holds a table."""
        with self._near_programs(native.names) as to:
            native.ask(to)
            if next_rows and self._write:
                self._ahead.ask_rows(to, next_rows)

    @contextmanager
    def _near_programs(self, names: Names) -> Iterator[Sender]:
        """One exchange that reads the user tables of these rows. Others may hold them as a whole (ALTER TABLE does, and
        who waits for its turn to do so): a writer waits for no more than a moment, and is whole after it."""
        if not self._write or self._ahead.at_once:
            with self._together() as to:
                yield to
            return
        with self._using() as db:
            try:
                with exchange(db) as to:
                    to.execute(b"SAVEPOINT holdfast_reading")
                    to.execute(QUERIES["wait_for_programs"], (f"{PROGRAMS}ms",))
                    yield to
                    to.execute(QUERIES["wait_for_programs"], (self._patience,))
                    to.execute(b"RELEASE SAVEPOINT holdfast_reading")
            except errors.LockNotAvailable as error:
                undo_to(db, "holdfast_reading")
                held = held_tables(db, self._catalog.tables, {table for table, _ in names})
                self._catalog.busy.add(held)
                message = f"another program holds {', '.join(sorted(held))} ({error})"
                raise RowsLocked(message, [name for name in names if name[0] in held]) from error

    def set_aside(self, notes: Sequence[tuple[DirtyRow, str]]) -> None:
        """These rows wait aside, with the reason; older notes of them are of no use any more."""
        self._writing()
        self._wait_aside({note.mark: reason for note, reason in notes})

    def look_again(self, names: Sequence[tuple[str, str]]) -> None:
        """These rows wait aside no more: they are noted again."""
        self._writing()
        self._has_dirty = None
        records = [{"tbl": table, "key": key} for table, key in names]
        with self._using() as db:
            db.execute(QUERIES["look_again"], (as_json(records),))

    def _put_aside(self, problems: dict[int, str]) -> None:
        for problem in problems.values():
            logger.warning("a row written by another program does not fit the schema and is not synced: %s", problem)
        if problems and self._write:
            self._wait_aside(problems)

    def _wait_aside(self, problems: dict[int, str]) -> None:
        self._has_dirty, self._has_aside = None, True
        records = [{"mark": mark, "problem": problem} for mark, problem in problems.items()]
        older = [older for mark in problems for older in self._marks.get(mark, []) if older != mark]
        with self._together() as db:
            db.execute(QUERIES["clean"], (older,))
            db.execute(QUERIES["set_aside"], (as_json(records),))

    def write(self, batch: Batch) -> dict[str, Space]:
        """Write everything and give the new heads of the spaces that changed; see `stores.base`.

        Raises `StoreConflict` when another process was faster with a row, or another program was: when this
        transaction has asked for foreign writes before (`noted`, `dirty`), and now meets one that it has not seen.
        """
        self._writing()
        self._check_open()
        self._ahead.forget()
        self._has_dirty = None
        marks = [mark for group in self._marks.values() for mark in group] if self._looked else None
        with self._translated(), at_once(self._ahead.at_once):
            write = Writing(self._db, self._catalog, self._new_epoch, self._patience, marks, self._waiting)
            heads = None
            if self._ahead.at_once and not self.wrote:
                heads = write_at_once(write, batch, self._ahead.counters, self._ahead.expected)
            if heads is None:
                self._check_asking()
                if self._waiting.writes:
                    with exchange(self._db) as to:
                        self._waiting.send(to)  # an error of what was written before is not one of what comes now
                heads = write_batch(write, batch)
        self.wrote = True
        self.hlc = max(self.hlc, batch.hlc)
        self._news = self._news or bool(heads)
        self._batches.append((batch, heads))
        return heads

    def remember(self, memory: Memory) -> None:
        """This was committed: the next writer may begin with what it leaves."""
        if len(self._batches) == 1 and not self._undone:
            memory.written(*self._batches[0], self.hlc)
        else:
            memory.forget()

    def lease(self, table: str, device: str, ask: str, size: int) -> list[tuple[int, int]]:
        """Keys for a device, from the sequence of the key column; the same for the same `ask`."""
        self._writing()
        user, number = self._catalog.tables[table], self._catalog.ids[table]
        with self._using() as db:
            return leases.lease(db, user.table, user.within, number, device, ask, size)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part that is undone alone when an exception leaves it."""
        self._writing()
        self._check_open()
        hlc, savepoint = self.hlc, self._waiting.savepoint()
        try:
            yield
        except StoreConflict:
            raise  # nothing of the transaction stays
        except BaseException:
            self.hlc, self._undone = hlc, True
            if not self._waiting.forget_since(savepoint):
                with self._using() as db:
                    undo_to(db, "holdfast_part")
                self._waiting.add(Statement(RELEASE))
            raise
        self._waiting.release(savepoint)

    def histories(self, table: str) -> Iterator[HistoryEntry]:
        """Entries of all rows of a table, oldest first; read in pages."""
        after = 0
        while True:
            found = self._run("histories", self._catalog.ids.get(table), after, FEED_PAGE)
            for _, key, space, *rest in found:
                yield HistoryEntry(space, table, key, *rest)
            if len(found) < FEED_PAGE:
                return
            after = found[-1][0]

    def collect(self, space: str, before: int, limit: int) -> int:
        """Forget dead rows, leave marks and chains of before that time; see `stores.base`."""
        self._writing()
        with self._using() as db:
            found = db.execute(QUERIES["old_head"], (limit + 1, before, space)).fetchall()
            if not found:
                return 0
            ((number, floor),) = found
            db.execute(QUERIES["set_floor"], (floor, number))
            commits = db.execute(QUERIES["forget_commits"], (number, number, floor, limit)).rowcount
            return commits + db.execute(QUERIES["forget_dead"], (number, floor, limit)).rowcount

    def forget_history(self, table: str, before: int, limit: int) -> int:
        """Delete some entries of a table from before that time; gives how many."""
        self._writing()
        with self._using() as db:
            return db.execute(QUERIES["forget_history"], (self._catalog.ids.get(table), before, limit)).rowcount

    def forget(self, results: Sequence[tuple[str, int]]) -> None:
        """Delete acknowledged results; unknown ones are ignored."""
        self._writing()
        self._waiting.add(Statement(QUERIES["forget"], (as_json([{"origin": o, "n": n} for o, n in sorted(results)]),)))

    def clean(self, notes: Sequence[DirtyRow]) -> None:
        """Delete these notes, and older ones of the same rows that were read with them here; no newer ones."""
        self._writing()
        self._has_dirty = None
        marks = [mark for note in notes for mark in self._marks.get(note.mark, [note.mark])]
        self._waiting.join("clean", marks)
