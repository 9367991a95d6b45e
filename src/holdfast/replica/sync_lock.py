"""One syncer at a time for one device file, over threads and processes.

The lock is an SQLite transaction on an empty database beside the file: SQLite knows how to lock on every platform,
and the operating system gives the lock back when a process dies.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from holdfast.errors import HoldfastError
from holdfast.replica.sqlite_errors import sqlite_errors

SLICE_MS = 50
"""SQLite waits for so long at once, so that waiting can be given up."""


class SyncLock:
    """`path` is that of the device file; the lock stands in `<path>-sync`."""

    def __init__(self, path: str) -> None:
        self._path = f"{path}-sync"
        self._thread = threading.Lock()
        self._given_up = False
        self._db: apsw.Connection | None = None

    @contextmanager
    def held(self, timeout: float) -> Iterator[None]:
        """Hold the lock, waiting up to `timeout` seconds. Raises `busy`."""
        if not self._thread.acquire(timeout=timeout):
            raise HoldfastError("busy", "another thread is syncing this file")
        try:
            db = self._open(timeout)
            try:
                yield
            finally:
                self._let_go(db)
        finally:
            self._thread.release()

    def _open(self, timeout: float) -> apsw.Connection:
        with sqlite_errors(self._path):
            if self._db is None:
                self._db = apsw.Connection(self._path)
                self._db.set_busy_timeout(SLICE_MS)
            until = time.monotonic() + timeout
            while True:
                try:
                    # Nothing is ever written to it: a journal would only be made and deleted. Setting that waits, too.
                    self._db.execute("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE").fetchall()
                except apsw.BusyError:
                    if time.monotonic() >= until or self._given_up:
                        raise HoldfastError("busy", "another process is syncing this file", file=self._path) from None
                else:
                    return self._db

    def give_up(self, given_up: bool = True) -> None:
        """Who waits for another process stops waiting, until `give_up(False)`."""
        self._given_up = given_up

    def _let_go(self, db: apsw.Connection) -> None:
        """Let others sync. A disk that fails here must neither fail the sync that is done nor keep the lock."""
        try:
            db.execute("ROLLBACK")
        except apsw.Error:
            self._db = None
            db.close()

    def close(self) -> None:
        """Close the lock's file."""
        with self._thread:
            if self._db is not None:
                self._db.close()
                self._db = None
