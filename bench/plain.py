"""The limits of SQLite: the same rows in an equal plain table, through APSW, with durable settings."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import apsw

from bench import forms


class PlainTable:
    """A file with the form table alone: no triggers, no checks, WAL, synchronous=FULL. A context manager."""

    def __init__(self, path: Path) -> None:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        self._db = apsw.Connection(str(path))
        self._db.execute("PRAGMA journal_mode = WAL").fetchall()
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(forms.RAW_TABLE)

    def __enter__(self) -> PlainTable:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def seconds_of(self, sql: str, rows: Iterable[Sequence[object]]) -> float:
        """Seconds that one statement for each of the rows takes, all in one transaction."""
        start = time.perf_counter()
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(sql, rows)
        self._db.execute("COMMIT")
        return time.perf_counter() - start

    def seconds_each(self, sql: str, rows: Iterable[Sequence[object]]) -> list[float]:
        """Seconds of each row, in a durable transaction of its own."""
        seconds = []
        for row in rows:
            start = time.perf_counter()
            self._db.execute(sql, row)
            seconds.append(time.perf_counter() - start)
        return seconds


def insert_seconds(folder: Path, rows: Iterable[Sequence[object]]) -> tuple[float, float]:
    """(seconds, processor seconds) of inserting the rows into an empty plain table in one transaction."""
    with PlainTable(folder / "plain.db") as plain:
        before = time.process_time()
        return plain.seconds_of(forms.INSERT, rows), time.process_time() - before
