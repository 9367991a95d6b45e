"""The sync log: one line for each round, kept within a limit in a small database beside the device's file.

It is a file of its own, `<file>-log`: a line after each round must lock no other program out of the device's file, nor
look like a change of it. It is written without waiting for the disk and for nobody; a line that cannot be written now
is written with the next one. A log that a power loss has damaged begins anew.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from contextlib import closing
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import msgspec
from msgspec import Struct

from holdfast.observe.logs import event as log_record
from holdfast.replica.events import ImageEnded, RoundEnded, StateChanged, SyncEvent
from holdfast.replica.progress import Progress, Transfer

LIMIT = 1_000
"""So many lines are kept."""
READ_TIMEOUT_MS = 1_000
TELL_SECONDS = 1.0

logger = logging.getLogger("holdfast.replica")


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


class Running(Struct):
    """What the process that syncs a file says of itself. Progress is that of `Status`, without what still waits."""

    state: str
    channel: str
    url: str
    upload_error: str
    download_error: str
    retry_at: int | None
    progress: Progress | None
    uploading: bool
    downloading: bool


class SyncLog:
    """Writes the log of the device file at `path`. Opens at the first line; used under the file's sync lock."""

    def __init__(self, path: str, device: str, limit: int = LIMIT) -> None:
        self._path = log_path(path)
        self._device = device
        self._limit = limit
        self._waiting: list[LogLine] = []
        self._db: apsw.Connection | None = None
        self._failures = 0
        self._lock = threading.Lock()
        self._state: StateChanged | None = None
        self._told = 0.0

    def hears(self, event: SyncEvent, transfer: Transfer, *, complete: bool, now: int) -> None:
        """Keep what a sync event says: a line for a round, and for those who look at the file what is going on now
        (about once a second while data move). `now` in milliseconds by the device's clock."""
        if isinstance(event, RoundEnded):
            self._told = time.monotonic()
            self.note(event, complete=complete, running=running_of(self._state, transfer, now))
            return
        if isinstance(event, StateChanged):
            self._state = event
        elif time.monotonic() - self._told < TELL_SECONDS:
            return
        self._told = time.monotonic()
        self._tell(running_of(self._state, transfer, now))

    def _tell(self, running: Running) -> None:
        with self._lock:
            try:
                db = self._db = self._db or _open(self._path, self._device)
                _write_running(db, running)
            except apsw.Error as error:
                logger.debug("who looks at the file does not see what is going on: %s", error)

    def note(self, event: RoundEnded, *, complete: bool, running: Running | None = None) -> None:
        """Note a round that has ended, with the failures in a row before it, and what is going on now."""
        line = line_of(event, complete=complete)._replace(retries=max(self._failures, event.attempt - 1))
        self.add(line, running)
        self._failures = self._failures + 1 if event.error is not None else 0

    def add(self, line: LogLine, running: Running | None = None) -> None:
        """Note a round. Never raises for what happens to the file, never waits for a reader or another writer."""
        with self._lock:
            self._waiting = [*self._waiting, line][-self._limit :]
            try:
                self._write(running)
                self._waiting = []
            except (apsw.NotADBError, apsw.CorruptError):
                self.close()
                with contextlib.suppress(OSError):
                    Path(self._path).unlink()
            except apsw.Error as error:
                logger.debug("the sync log waits for the next round: %s", error)

    def _write(self, running: Running | None) -> None:
        db = self._db = self._db or _open(self._path, self._device)
        db.execute("BEGIN IMMEDIATE")
        try:
            db.executemany(f"INSERT INTO holdfast_log ({_COLUMNS}) VALUES ({_PLACES})", self._waiting)
            db.execute("DELETE FROM holdfast_log WHERE id <= ?", (db.last_insert_rowid() - self._limit,))
            if running is not None:
                _write_running(db, running)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._db is not None:
            self._db.close()
            self._db = None


def _write_running(db: apsw.Connection, running: Running) -> None:
    sql = "INSERT OR REPLACE INTO holdfast_now (id, process, body) VALUES (1, ?, ?)"
    db.execute(sql, (os.getpid(), msgspec.json.encode(running).decode()))


def _open(path: str, device: str) -> apsw.Connection:
    db = apsw.Connection(path)
    try:
        db.execute("PRAGMA synchronous = OFF")
        db.execute(_tables())
        db.execute("INSERT OR IGNORE INTO holdfast_device (device) VALUES (?)", (device,))
    except BaseException:
        db.close()
        raise
    return db


@cache
def _tables() -> str:
    return resources.files("holdfast.replica").joinpath("log.sql").read_text("utf-8")


def log_path(path: str) -> str:
    """Where the log of a device file is."""
    return f"{path}-log"


def read_log(path: str, limit: int) -> list[LogLine]:
    """The latest lines of the log of the device file at `path`, newest first; none while there is no readable log."""
    rows = _read(path, f"SELECT {_COLUMNS} FROM holdfast_log ORDER BY id DESC LIMIT ?", (limit,))
    lines = [LogLine(*row) for row in rows]
    return [line._replace(complete=bool(line.complete)) for line in lines]


def read_device(path: str) -> str:
    """The id of the device, as the log beside the file says it; "" if it does not, or says several."""
    found = {str(device) for (device,) in _read(path, "SELECT device FROM holdfast_device", ())}
    return found.pop() if len(found) == 1 else ""


def read_running(path: str) -> Running | None:
    """What the process that syncs the device file at `path` says of itself; None when there is none."""
    for process, body in _read(path, "SELECT process, body FROM holdfast_now", ()):
        try:
            if sys.platform != "win32":  # there, signal 0 is no question
                os.kill(process, 0)
            running = msgspec.json.decode(body, type=Running)
        except (ProcessLookupError, msgspec.MsgspecError):
            return None
        except PermissionError:
            running = msgspec.json.decode(body, type=Running)
        return running if running.state != "stopped" or running.progress is not None else None
    return None


def _read(path: str, sql: str, values: tuple[Any, ...]) -> list[Any]:
    """Rows of the log's file; none while there is no readable one."""
    if not Path(log_path(path)).is_file():
        return []
    try:
        with closing(apsw.Connection(log_path(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
            db.set_busy_timeout(READ_TIMEOUT_MS)
            return db.execute(sql, values).fetchall()
    except apsw.Error as error:
        logger.debug("the sync log cannot be read: %s", error)
        return []


def running_of(state: StateChanged | None, transfer: Transfer, now: int) -> Running:
    """What the latest change of state, None without a loop, and the transfer come to."""
    progress = transfer.progress(0, 0)
    moving = (progress, transfer.uploading, transfer.downloading)
    if state is None:
        return Running("syncing" if transfer.busy else "stopped", "poll", "", "", "", None, *moving)
    errors = [str(error) if error is not None else "" for error in (state.upload_error, state.download_error)]
    retry_at = None if state.retry_in is None else now + round(state.retry_in * 1000)
    return Running(state.state, state.channel, state.url, errors[0], errors[1], retry_at, *moving)


def line_of(event: RoundEnded, *, complete: bool) -> LogLine:
    """A round as the log keeps it."""
    return LogLine(
        event.started,
        event.trigger,
        round(event.seconds * 1000),
        event.transactions,
        event.pushed,
        event.refused,
        event.conflicts,
        event.rows,
        event.plain_sent,
        event.plain_received,
        event.sent,
        event.received,
        event.attempt - 1,
        complete,
        event.error.code if event.error is not None else "",
        event.error.message if event.error is not None else "",
    )


def log_event(file: str, told: SyncEvent) -> None:
    """The same, and changes of state, as structured logs (`observe/logs.py`)."""
    if isinstance(told, RoundEnded):
        line = line_of(told, complete=False)._asdict()
        same = ("transactions", "accepted", "refused", "conflicts", "rows", "plain_sent", "plain_received", "trigger")
        log_record(
            logger,
            "device.round",
            **{name: line[name] for name in (*same, "bytes_sent", "bytes_received", "milliseconds", "error")},
            file=file,
            channel=told.channel,
            url=told.url,
            attempt=told.attempt,
        )
    elif isinstance(told, ImageEnded):
        log_record(
            logger,
            "device.image",
            file=file,
            image=told.name,
            bytes_received=told.received,
            rows=told.rows,
            milliseconds=round(told.seconds * 1000),
            error=told.error.code if told.error is not None else "",
        )
    elif isinstance(told, StateChanged):
        error = told.download_error or told.upload_error
        log_record(
            logger,
            "device.state",
            file=file,
            state=told.state,
            channel=told.channel,
            url=told.url,
            error=error.code if error is not None else "",
            retry_in=told.retry_in,
        )
