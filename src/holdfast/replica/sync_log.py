"""The sync log: one line for each round, kept in the device's file within a limit.

It is written after the round, without waiting for the disk and without waiting for anybody: a line that cannot be
written now is written with the next one.
"""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import apsw

LIMIT = 1_000
"""So many lines are kept."""
BUSY_TIMEOUT_MS = 10_000


class LogLine(NamedTuple):
    """One round. `began` in milliseconds since 2020-01-01 UTC by the device's own clock; `trigger` is what caused it.

    `plain_*` are bytes before compression, `bytes_*` what crossed the wire. `retries` counts the failures in a row
    before it. `complete`: afterwards everything was answered and everything new was here. `error` is a code, or empty.
    """

    began: int
    trigger: str
    milliseconds: int
    transactions: int = 0
    accepted: int = 0
    refused: int = 0
    conflicts: int = 0
    rows: int = 0
    plain_sent: int = 0
    plain_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    retries: int = 0
    complete: bool = False
    error: str = ""
    message: str = ""


_COLUMNS = ", ".join(LogLine._fields)
_PLACES = ", ".join("?" * len(LogLine._fields))


class SyncLog:
    """Writes the log, on the connection that syncs, between its transactions."""

    def __init__(self, db: apsw.Connection, limit: int = LIMIT) -> None:
        self._db = db
        self._limit = limit
        self._waiting: list[LogLine] = []

    def add(self, line: LogLine) -> None:
        """Note a round. Never raises for what happens to the file, never waits for another writer."""
        self._waiting = [*self._waiting[1 - self._limit :], line]
        with contextlib.suppress(apsw.Error):
            self._db.set_busy_timeout(0)
            try:
                self._db.execute("PRAGMA synchronous = NORMAL")
                self._write()
            finally:
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.set_busy_timeout(BUSY_TIMEOUT_MS)

    def _write(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(f"INSERT INTO holdfast_log ({_COLUMNS}) VALUES ({_PLACES})", self._waiting)
            last = self._db.last_insert_rowid()
            self._db.execute("DELETE FROM holdfast_log WHERE id <= ?", (last - self._limit,))
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._waiting = []


def read_log(db: apsw.Connection, limit: int) -> list[LogLine]:
    """The latest lines, newest first."""
    rows: list[Any] = db.execute(f"SELECT {_COLUMNS} FROM holdfast_log ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
    return [log_line(row) for row in rows]


def log_line(row: Any) -> LogLine:
    """A line as it stands in the file."""
    line = LogLine(*row)
    return line._replace(complete=bool(line.complete))
