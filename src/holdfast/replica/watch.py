"""One watched query: its rows, whenever they have changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import apsw
import apsw.ext

from holdfast.errors import HoldfastError
from holdfast.replica.connections import run_statement, statement_errors
from holdfast.replica.results import ResultRow

log = logging.getLogger("holdfast.replica")

Rows = list[ResultRow]


class Watch:
    """A watched query. Iterate over it, or give a callback; `cancel()` ends both.

    `tables` are the declared tables that it reads; `reads_others`: also some of the application's own or the engine's.
    """

    def __init__(
        self, sql: str, values: Any, callback: Callable[[Rows], None] | None, tables: set[str], *, reads_others: bool
    ) -> None:
        self.sql, self._values = sql, values
        self.callback = callback
        self.tables, self.reads_others = tables, reads_others
        self.runs = 0
        self._changed = threading.Condition()
        self._rows: Rows | None = None
        self._taken = True
        self._error: HoldfastError | None = None
        self.cancelled = False
        self.forget: Callable[[Watch], None] = lambda _: None

    def run(self, db: apsw.Connection) -> bool:
        """Run the query in the snapshot of `db`; gives whether the rows are others than before."""
        self.runs += 1
        try:
            rows, error = run_statement(db, self.sql, self._values), None
        except (apsw.Error, HoldfastError) as failed:
            rows, error = [], HoldfastError("sql", f"a watched query cannot be run any more: {failed}")
            log.warning("%s: %s", error.message, self.sql)
        with self._changed:
            if rows == self._rows and error is None:
                return False
            self._rows, self._error, self._taken = rows, error, False
            self._changed.notify_all()
            return error is None

    def deliver(self) -> None:
        """Call the callback with the rows. Raises what it raises."""
        with self._changed:
            rows = self._rows
        if self.callback is not None and rows is not None and not self.cancelled:
            self.callback(rows)

    def cancel(self) -> None:
        """End it; idempotent. A callback that is running ends by itself, and none begins after this."""
        with self._changed:
            self.cancelled = True
            self._changed.notify_all()
        self.forget(self)

    def next(self, timeout: float | None = None) -> Rows | None:
        """The rows when they are others than the last ones that were given, waiting up to `timeout` seconds (None: for
        ever); None when the time is over or the watch ends. Raises `sql` when the query cannot be run any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.cancelled or not self._taken, timeout)
            if self.cancelled or self._taken:
                return None
            self._taken = True
            if self._error is not None:
                raise self._error
            return self._rows

    def __iter__(self) -> Iterator[Rows]:
        while not self.cancelled:
            rows = self.next()
            if rows is not None:
                yield rows

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()


def tables_read(db: apsw.Connection, sql: str, values: Any) -> set[str]:
    """The tables that a query reads, those behind views too, as SQLite's authorizer tells them. Runs nothing.

    Raises `sql` when it is no query, writes, or is several statements.
    """
    with statement_errors():
        found = apsw.ext.query_info(db, sql, values, actions=True)
    if found.query_remaining or not found.is_readonly or found.is_explain or not found.description:
        raise HoldfastError("sql", "watch() takes one statement that only reads")
    views = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")}
    read = {action.table_name for action in found.actions or [] if action.action_name == "SQLITE_READ"}
    return {name for name in read if name is not None} - views
