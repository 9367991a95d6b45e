"""The connections of one process to one device file: one that writes, one for each thread that reads, one that
syncs.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import apsw

from holdfast.errors import HoldfastError
from holdfast.kernel.values import InvalidValue
from holdfast.replica.documents import Documents
from holdfast.replica.file import LEAST_BYTES, WRITER_CACHE_KIB, connect, free_bytes, immediate, snapshot
from holdfast.replica.results import ResultRow, result_rows
from holdfast.replica.sqlite_errors import sqlite_errors
from holdfast.replica.steps import DO, Purpose, note_step
from holdfast.replica.tables import UserTables
from holdfast.schema.sqlite_values import to_parameter

Parameters = Sequence[Any] | Mapping[str, Any]


class Receipt:
    """What `with replica.transaction() as receipt` gives: names the transaction, for `after=` and for the queue.

    `mark` is None until it is committed, and for ever when it wrote nothing that is synced.
    """

    def __init__(self, mark: int | None = None) -> None:
        self.mark = mark


class Connections:
    """Runs the application's SQL. Reads never wait for writes, nor for a sync; writes wait for one another."""

    def __init__(
        self,
        path: str,
        now: Callable[[], int] | None,
        new_documents: Callable[[apsw.Connection], Documents],
        tables: UserTables,
    ) -> None:
        self._path = path
        self._now = now
        self._new_documents = new_documents
        self._tables = tables
        self._opened_writer: apsw.Connection | None = None
        self._closed = False
        self._writing = threading.RLock()
        self._depth = 0
        self._receipt = Receipt()
        self._local = threading.local()
        self._readers: list[apsw.Connection] = []
        self._registering = threading.Lock()
        self.on_commit: Callable[[], None] | None = None
        self.on_write: Callable[[], None] = lambda: None
        self.on_full: Callable[[], int] = lambda: 0
        """Makes room on a full disk and gives how many bytes."""
        self.documents: Documents | None = None

    def execute(self, sql: str, parameters: Parameters = ()) -> list[ResultRow]:
        """One statement: a read in a snapshot of its own, or a write in a transaction of its own."""
        values = sql_parameters(parameters)
        if self._owns_transaction():
            with sqlite_errors(self._path):
                return self._inside(sql, values)
        with sqlite_errors(self._path):
            try:
                return self._read(sql, values)
            except apsw.ReadOnlyError:
                pass
        try:
            with self.transaction():
                return self.execute(sql, parameters)
        except HoldfastError as error:
            if not (error.code == "disk_full" and error.details.get("freed")):
                raise
        with self.transaction():  # there is room now
            return self.execute(sql, parameters)

    def inside(self, sql: str, values: Sequence[Any]) -> list[ResultRow]:
        """A statement inside `transaction()`, with values as SQLite stores them."""
        with sqlite_errors(self._path):
            return self._inside(sql, tuple(values))

    @property
    def _writer(self) -> apsw.Connection:
        """The connection that writes, for who holds `_writing`. Opened at the first write: reading a schema costs some
        milliseconds, and many a program only looks or syncs."""
        if self._opened_writer is None:
            if self._closed:
                raise HoldfastError("closed", f"the replica {self._path} was closed", file=self._path)
            self._opened_writer = connect(self._path, now=self._now, cache_kib=WRITER_CACHE_KIB)
        return self._opened_writer

    @contextmanager
    def writing(self) -> Iterator[apsw.Connection]:
        """The connection of the present transaction of this thread, for statements of the engine in it."""
        with sqlite_errors(self._path), statement_errors():
            yield self._writer

    def _read(self, sql: str, values: Any) -> list[ResultRow]:
        reader = self._reader()
        try:
            return run_statement(reader, sql, values)
        finally:
            if reader.in_transaction:
                reader.execute("ROLLBACK")
                raise own_transactions()

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """A connection of this thread, for reads of one moment. Inside `transaction()` it is the one that writes: what
        was written there is seen."""
        with sqlite_errors(self._path):
            if self._owns_transaction():
                yield self._writer
                return
            reader = self._reader()
            with snapshot(reader):
                yield reader

    def _inside(self, sql: str, values: Any) -> list[ResultRow]:
        """A statement inside `transaction()`; one that ends the transaction is an error, and undoes it."""
        if self.documents is not None:
            self.documents.before_statement()
        changes = self._writer.total_changes()
        rows = run_statement(self._writer, sql, values)
        if not self._writer.in_transaction:
            raise own_transactions()
        if self.documents is not None and self._writer.total_changes() != changes:
            self.documents.after_statement()
        return rows

    def executemany(self, sql: str, rows: Any) -> None:
        """One statement for many parameter rows, in one transaction."""
        with self.transaction(), sqlite_errors(self._path):
            if self.documents is not None:
                self.documents.before_statement()
            self._writer.executemany(sql, (sql_parameters(row) for row in rows))
            if self.documents is not None:
                self.documents.after_statement()

    @contextmanager
    def transaction(self, label: str = "", after: Sequence[Receipt] = (), purpose: Purpose = DO) -> Iterator[Receipt]:
        """One SQL transaction, and one on the wire. Inside another one of the same thread: a savepoint of it."""
        with self._writing:
            if self._depth:
                if after:
                    raise HoldfastError("sql", "after= belongs to the outermost transaction")
                with self._nested():
                    yield self._receipt
                return
            receipt = self._receipt = Receipt()
            if free_bytes(self._path) < LEAST_BYTES:
                self.on_full()
            with self._relieved(), immediate(self._writer, self._path):
                self._depth = 1
                try:
                    first = self._next_op()
                    yield receipt
                    if self.documents is not None:
                        self.documents.end(keep=True)
                    mark = self._mark(first, label, after, purpose)
                finally:
                    self._depth = 0
                    if self.documents is not None:
                        self.documents.end(keep=False)
            receipt.mark = mark
            self.on_write()
            if mark is not None and self.on_commit is not None:
                self.on_commit()

    @contextmanager
    def _relieved(self) -> Iterator[None]:
        """When the disk is full inside, make room by policy; the error says how many bytes: `details["freed"]`."""
        try:
            yield
        except HoldfastError as error:
            if error.code == "disk_full" and self._depth == 0:
                error.details["freed"] = self.on_full()
            raise

    @contextmanager
    def _nested(self) -> Iterator[None]:
        self._depth += 1
        name = f"holdfast_{self._depth}"
        if self.documents is not None:
            self.documents.before_statement()
        self._writer.execute(f"SAVEPOINT {name}")
        try:
            yield
            if self.documents is not None:
                self.documents.before_statement()
        except BaseException:
            self._writer.execute(f"ROLLBACK TO {name}")
            if self.documents is not None:
                self.documents.end(keep=False)
            raise
        finally:
            self._writer.execute(f"RELEASE {name}")
            self._depth -= 1

    def document(self, table: str, key: Any, column: str) -> Any:
        """A document to edit inside the present transaction of this thread. Raises `document_closed` outside of one."""
        if not self._owns_transaction():
            raise HoldfastError("document_closed", "a document is edited inside `with replica.transaction():`")
        if self.documents is None:
            self.documents = self._new_documents(self._writer)
        with sqlite_errors(self._path):
            return self.documents.open(table, key, column)

    def _next_op(self) -> int:
        return int(self._writer.execute("SELECT coalesce(max(op), 0) + 1 FROM holdfast_capture").get)

    def _mark(self, first: int, label: str, after: Sequence[Receipt], purpose: Purpose) -> int | None:
        """Note what this transaction captured, as one transaction on the wire; None when it captured nothing."""
        last = self._next_op() - 1
        if last < first:
            return None
        earlier = [receipt.mark for receipt in after if receipt.mark is not None]
        self._writer.execute(
            "INSERT INTO holdfast_mark (first, last, label, after) VALUES (?, ?, ?, ?)",
            (first, last, label, json.dumps(earlier) if earlier else None),
        )
        mark = self._writer.last_insert_rowid()
        note_step(self._writer, self._tables, mark, (first, last), label, purpose)
        return mark

    def require_outermost(self, call: str) -> None:
        """Raise `inside_transaction` inside a transaction of this thread: `call` writes in one of its own, which would
        wait for the present one.
        """
        if self._owns_transaction():
            message = (
                f"{call} writes in a transaction of its own: leave the present `with replica.transaction():` first"
            )
            raise HoldfastError("inside_transaction", message, call=call)

    def _owns_transaction(self) -> bool:
        """Whether this thread is inside `transaction()`: the lock is re-entrant, so only its owner passes at once."""
        if not self._writing.acquire(blocking=False):
            return False
        try:
            return self._depth > 0
        finally:
            self._writing.release()

    def _reader(self) -> apsw.Connection:
        reader = getattr(self._local, "reader", None)
        if reader is None:
            reader = connect(self._path, read_only=True, now=self._now)
            self._local.reader = reader
            with self._registering:
                self._readers.append(reader)
        return reader

    def close(self) -> None:
        """Close all; a write in progress in another thread ends first."""
        with self._writing:
            if self._depth:
                raise HoldfastError("busy", "close() inside a transaction; leave it first")
            with sqlite_errors(self._path):
                for reader in self._readers:
                    reader.close()
                if self._opened_writer is not None:
                    self._opened_writer.close()
                self._closed = True


def own_transactions() -> HoldfastError:
    """The error for BEGIN, COMMIT and their like in the application's SQL."""
    return HoldfastError("sql", "BEGIN, COMMIT and ROLLBACK are the replica's: use `with replica.transaction():`")


def sql_parameters(parameters: Parameters) -> Any:
    """Python values as SQLite takes them: dates, decimals, UUIDs, lists and so on become their SQL form."""
    try:
        if isinstance(parameters, Mapping):
            return {name: to_parameter(value) for name, value in parameters.items()}
        return tuple(to_parameter(value) for value in parameters)
    except InvalidValue as error:
        raise HoldfastError(error.code, f"a parameter of the statement: {error.message}") from None


def run_statement(db: apsw.Connection, sql: str, values: Any) -> list[ResultRow]:
    """Run one statement to its end, and give its rows."""
    cursor = db.cursor()
    try:
        with statement_errors():
            first = cursor.execute(sql, values).fetchone()
            if first is None:
                return []
            return result_rows(cursor.getdescription(), [first, *cursor.fetchall()])
    finally:
        cursor.close(True)  # one that an error left in the middle would hold its old snapshot


@contextmanager
def statement_errors() -> Iterator[None]:
    """What APSW raises for parameters that SQLite cannot bind, and for text that is not UTF-8, as `HoldfastError`."""
    try:
        yield
    except UnicodeDecodeError as error:
        message = "another program wrote text that is not UTF-8 into a row of this result; the next sync refuses it"
        raise HoldfastError("value_format", message) from error
    except (TypeError, KeyError, UnicodeEncodeError, OverflowError) as error:
        raise HoldfastError("sql", f"the parameters do not fit the statement: {error}") from error
