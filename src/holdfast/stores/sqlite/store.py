"""The SQLite store: one file, one writer at a time, readers beside it on snapshots."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NoReturn

import apsw

from holdfast import one_sqlite
from holdfast.errors import HoldfastError
from holdfast.schema.model import Schema
from holdfast.stores.base import Question, StoreUnavailable
from holdfast.stores.kept import Kept
from holdfast.stores.migrating import Phase, Step
from holdfast.stores.sqlite import access
from holdfast.stores.sqlite.adopt import adopt, check_file
from holdfast.stores.sqlite.closed import leave_name, take_name
from holdfast.stores.sqlite.failures import translate
from holdfast.stores.sqlite.listener import Listener
from holdfast.stores.sqlite.queries import QUERIES, fetch
from holdfast.stores.sqlite.removal import removal
from holdfast.stores.sqlite.transaction import Catalog, SqliteTransaction

_IDLE_READERS = 16
"""Connections kept for readers: opening one costs as much as a round that brings nothing."""
_WRITER_CACHE_KIB = 65_536
_CHECKPOINT_PAGES = 4_000  # the default of 1,000 makes every batch of 1,000 rows with random keys wait for a checkpoint


class SqliteStore:
    """Keeps everything of a hub in the SQLite file `path`, which may hold tables of an application already.

    Any thread may use it, and other processes may open the same file. `random(bits)` gives a random integer of that
    many bits and names the hub and its spaces: pass a seeded one to repeat a simulation. `patience` is how long a
    writer waits for another one, in seconds, before it gives up with `StoreUnavailable`.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, random: Callable[[int], int] = secrets.randbits, patience: float = 30.0
    ) -> None:
        self._path = os.fspath(path)
        self._random = random
        self._patience = patience
        self._turn = Lock()
        self._mutex = Lock()
        self._writer: apsw.Connection | None = None
        self._idle: list[apsw.Connection] = []
        self._catalog: Catalog | None = None
        self._trigger_version: object = None
        self._file: one_sqlite.File | None = None
        self._question: Question | None = None

    def ask(self, question: Question) -> None:
        """Set the question that the application answers; see `stores.base.Answering`."""
        self._question = question

    def open(self, schema: Schema) -> dict[str, list[str]]:
        """Create or check everything that the schema needs and give the layout; nothing is changed when this raises.

        Raises `HoldfastError`: `store_open`, `store_format`, `schema_mismatch_table`, `schema_changed`;
        `StoreUnavailable` when another process holds the file for too long.
        """
        with self._taking_turns():
            if self._writer is None:
                self._writer = self._connect_writer()
            with self._translated(), _transaction(self._writer, "BEGIN IMMEDIATE"):
                catalog, layout = adopt(self._writer, schema, self._name)
                if self._question is not None:
                    watched = access.prepare(self._writer, self._question)
                    catalog = catalog._replace(question=self._question, watched=watched)
                self._catalog = catalog._replace(counts=self._counting())
        return layout

    def versions(self) -> list[Kept]:
        """The versions of the schema that were kept; see `stores.kept`."""
        with self._taking_turns():
            if self._writer is None:
                self._writer = self._connect_writer()
            with self._translated():
                if not fetch(self._writer, "SELECT 1 FROM sqlite_schema WHERE name = 'holdfast_version'"):
                    return []
                rows = fetch(self._writer, "SELECT body FROM holdfast_version ORDER BY version")
                return [Kept.of(body, self._path) for (body,) in rows]

    def keep_version(self, kept: Kept) -> Kept:
        """Keep a version of the schema; see `stores.kept`."""
        number = kept.schema.version
        with self._taking_turns(), self._translated():
            assert self._writer is not None, "the store is open"
            with _transaction(self._writer, "BEGIN IMMEDIATE"):
                found = fetch(self._writer, "SELECT body FROM holdfast_version WHERE version = ?", (number,))
                now = kept.after(Kept.of(found[0][0], self._path) if found else None)
                sql = "INSERT OR REPLACE INTO holdfast_version (version, body) VALUES (?, ?)"
                self._writer.execute(sql, (number, now.text()))
        return now

    def plan(self, schema: Schema, grant: str | None = None) -> list[Step]:  # noqa: ARG002 (see `Migrating`)
        """Nothing: a file is opened by hubs of one machine, and `open` makes it ready in one transaction."""
        return []

    def migrate(
        self, schema: Schema, phases: Collection[Phase], grant: str | None, done: Callable[[Step], None]
    ) -> None:
        """Nothing: see `plan`."""

    def removal(self) -> list[Step]:
        """What takes everything of the hub out of the file; see `stores.migrating.Migrating`."""
        with self._alone() as connection:
            return removal(connection)

    def remove(self) -> list[Step]:
        """Take everything of the hub out of the file; see `stores.migrating.Migrating`. The store must not be open.

        Raises `store_open`; `StoreUnavailable` when another process holds the file for too long.
        """
        with self._alone() as connection, _transaction(connection, "BEGIN IMMEDIATE"):
            steps = removal(connection)
            for statement in (statement for step in steps for statement in step.statements):
                connection.execute(statement)
            return steps

    def script(self, steps: Sequence[Step]) -> str:
        """The steps as SQL for the `sqlite3` shell."""
        lines = [line for step in steps for line in (f"-- {step.title}", *(f"{sql};" for sql in step.statements))]
        return "\n".join(["BEGIN IMMEDIATE;", *lines, "COMMIT;", ""])

    @contextmanager
    def _alone(self) -> Iterator[apsw.Connection]:
        """A writing connection of its own, for as long as the store is not open."""
        with self._taking_turns(), self._translated():
            connection = self._connect_writer()
            try:
                yield connection
            finally:
                connection.close()
                one_sqlite.leave(self._file)

    def _counting(self) -> str:
        """The name under which increments are counted while the file is open: the one of before, if this is the file
        that was closed then; that of the hub, if it is new."""
        assert self._writer is not None
        if self._catalog is not None:
            return self._catalog.counts
        fresh = not fetch(self._writer, QUERIES["any_space"])
        hub: str = fetch(self._writer, QUERIES["hub"])[0][0]
        return hub if fresh else take_name(self._path) or self._name()

    def _name(self) -> str:
        return f"{self._random(48):012x}"

    def _connect_writer(self) -> apsw.Connection:
        path = self._path
        if path == ":memory:" or not path:
            self._refuse("a hub's store is a file; use holdfast.stores.memory.MemoryStore to keep nothing")
        folder = Path(path).absolute().parent
        if not folder.is_dir():
            self._refuse(f"the folder {folder} does not exist; make it first")
        if Path(path).is_dir():
            self._refuse("it is a folder, not a file")
        file = one_sqlite.enter(path)
        try:
            writer = self._connect(path)
        except BaseException:
            one_sqlite.leave(file)
            raise
        self._file = file or one_sqlite.enter(path)
        return writer

    def _connect(self, path: str) -> apsw.Connection:
        try:
            return self._prepare(apsw.Connection(path))
        except apsw.NotADBError:
            self._refuse("it is a file, but not a SQLite database; nothing was overwritten")
        except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError) as error:
            self._refuse(f"it cannot be written ({error}); check the rights on the file and its folder")
        except apsw.Error as error:
            raise translate(error, path) from error

    def _prepare(self, connection: apsw.Connection) -> apsw.Connection:
        try:
            connection.set_busy_timeout(int(self._patience * 1000))
            check_file(connection, self._path)
            if connection.readonly("main"):
                self._refuse("it is read-only; check the rights on the file and its folder")
            if connection.pragma("journal_mode", "wal") != "wal":
                self._refuse("its file system does not support write-ahead logging; use a local disk")
            connection.pragma("synchronous", "FULL")
            connection.pragma("foreign_keys", False)  # see foreign_keys.py
            connection.pragma("temp_store", "MEMORY")
            connection.pragma("cache_size", -_WRITER_CACHE_KIB)
            connection.pragma("wal_autocheckpoint", _CHECKPOINT_PAGES)
        except BaseException:
            connection.close()
            raise
        return connection

    def _refuse(self, reason: str) -> NoReturn:
        raise HoldfastError("store_open", f"The store {self._path} cannot be opened: {reason}.", file=self._path)

    @contextmanager
    def _taking_turns(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=self._patience):
            raise StoreUnavailable(f"another writer has held {self._path} for more than {self._patience:g} seconds")
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except apsw.Error as error:
            raise translate(error, self._path) from error
        except UnicodeDecodeError as error:
            message = f"The file {self._path} is damaged: it holds text that is not UTF-8 ({error})."
            raise HoldfastError("store_corrupt", message, file=self._path) from error

    def _opened(self) -> Catalog:
        if self._catalog is None:
            raise HoldfastError("store_closed", f"The store {self._path} is not open; call open(schema) first.")
        return self._catalog

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[SqliteTransaction]:
        """A transaction: commits on leaving, rolls back on an exception.

        Raises `StoreUnavailable` when the file is busy, the disk is full or failed: nothing of it was kept.
        """
        with self._translated(), self._write() if write else self._read() as transaction:
            yield transaction

    @contextmanager
    def _write(self) -> Iterator[SqliteTransaction]:
        with self._taking_turns():
            catalog = self._opened()
            if self._writer is None:
                raise HoldfastError("store_closed", f"The store {self._path} was closed.")
            with _transaction(self._writer, "BEGIN IMMEDIATE"):
                self._match_triggers(self._writer)
                transaction = SqliteTransaction(self._writer, catalog, self._name, write=True)
                try:
                    yield transaction
                finally:
                    transaction.end()

    def _match_triggers(self, writer: apsw.Connection) -> None:
        """Switch triggers off on the writer unless an application has its own on some table.

        Ours do nothing while the hub writes, but their presence alone makes SQLite keep a journal of each statement:
        17,000 against 105,000 rows/s in batches of 1,000. Nobody can add a trigger before this transaction ends.
        """
        version = writer.pragma("schema_version")
        if version != self._trigger_version:
            needed = bool(fetch(writer, QUERIES["application_triggers"])[0][0])
            writer.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, int(needed))
            self._trigger_version = version

    @contextmanager
    def _read(self) -> Iterator[SqliteTransaction]:
        catalog = self._opened()
        connection = self._take_reader()
        try:
            with _transaction(connection, "BEGIN"):
                # SQLite takes the snapshot at the first read, not at BEGIN.
                fetch(connection, QUERIES["hub"])
                transaction = SqliteTransaction(connection, catalog, self._name, write=False)
                try:
                    yield transaction
                finally:
                    transaction.end()
        finally:
            self._give_back(connection)

    def _take_reader(self) -> apsw.Connection:
        with self._mutex:
            if self._idle:
                return self._idle.pop()
        connection = apsw.Connection(self._path, flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(int(self._patience * 1000))
        connection.pragma("query_only", True)
        return connection

    def _give_back(self, connection: apsw.Connection) -> None:
        with self._mutex:
            if self._catalog is not None and len(self._idle) < _IDLE_READERS:
                self._idle.append(connection)
                return
        connection.close()

    def listen(self, heard: Callable[[], None], beat: Callable[[], None]) -> Callable[[], None]:  # noqa: ARG002
        """Call `heard` after commits of other processes and connections; see `stores.base.Announcing`. (No `beat`: who
        dies in a transaction here leaves nothing that others have waited for.)"""
        self._opened()
        seen = self._data_version()

        def changed() -> bool:
            nonlocal seen
            before, seen = seen, self._data_version() or seen
            return seen != before

        return Listener(changed, heard).stop

    def _data_version(self) -> int:
        """SQLite's count of the commits that were not made by the writer; 0 while the writer is busy or closed."""
        if not self._turn.acquire(blocking=False):
            return 0
        try:
            return int(self._writer.pragma("data_version")) if self._writer is not None else 0
        finally:
            self._turn.release()

    def close(self) -> None:
        """Close all connections; idempotent. Waits for the writer; a reader under way closes its own at its end."""
        with self._taking_turns():
            with self._mutex:
                counts = self._catalog.counts if self._catalog is not None else ""
                self._catalog = None
                idle, self._idle = self._idle, []
            for connection in idle:
                connection.close()
            if self._writer is not None:
                self._writer.close()
                self._writer = None
                if counts:
                    leave_name(self._path, counts)
                self._trigger_version = None
                one_sqlite.leave(self._file)


@contextmanager
def _transaction(connection: apsw.Connection, begin: str) -> Iterator[None]:
    """Commit on leaving, roll back on an exception."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After a full disk SQLite may have rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
