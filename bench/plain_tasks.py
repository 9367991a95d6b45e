"""The limits of a device: the same tasks in the same tables without Holdfast, through APSW, with durable settings."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import apsw

from bench import tasks
from bench.seeded import fill_file

INSERT = (
    f"INSERT INTO tasks ({', '.join(tasks.COLUMNS['tasks'])}) VALUES ({', '.join('?' * len(tasks.COLUMNS['tasks']))})"
)
_numbers = itertools.count()


@contextmanager
def plain(folder: Path, shape: tasks.Shape) -> Iterator[apsw.Connection]:
    """A new file with the rows, until the end of the block."""
    file = folder / f"plain-tasks{next(_numbers)}.db"
    fill_file(file, shape)
    db = apsw.Connection(str(file))
    db.execute("PRAGMA synchronous = FULL")
    try:
        yield db
    finally:
        db.close()
        file.unlink()


def together(db: apsw.Connection, sql: str, rows: Sequence[Sequence[object]]) -> float:
    """Milliseconds of a statement for each of the rows, all in one transaction."""
    start = time.perf_counter()
    db.execute("BEGIN IMMEDIATE")
    db.executemany(sql, rows)
    db.execute("COMMIT")
    return (time.perf_counter() - start) * 1000


def insert_ms(folder: Path, count: int) -> float:
    """Milliseconds of inserting so many tasks into a table with its indexes."""
    rows = next(rows for table, rows in tasks.rows(tasks.Shape(count)) if table == "tasks")
    with plain(folder, tasks.Shape(0)) as db:
        return together(db, INSERT, rows)


def rename_ms(folder: Path, size: int, writes: int) -> float:
    """Milliseconds of new titles for so many tasks among `size`."""
    titles = [(f"offline {number}", tasks.task_id(number)) for number in range(1, writes + 1)]
    with plain(folder, tasks.Shape(size)) as db:
        return together(db, tasks.RENAME, titles)


def delete_ms(folder: Path, shape: tasks.Shape, project: str) -> float:
    """Milliseconds of deleting the tasks of a project."""
    with plain(folder, shape) as db:
        return together(db, "DELETE FROM tasks WHERE project_id = ?", [(project,)])


def query_ms(folder: Path, shape: tasks.Shape, sql: str, values: Sequence[object], times: int) -> list[float]:
    """Milliseconds of each of so many runs of a query."""
    db, found = kept(folder, shape), []
    for _ in range(times):
        start = time.perf_counter()
        db.execute(sql, values).fetchall()
        found.append((time.perf_counter() - start) * 1000)
    return found


@cache
def kept(folder: Path, shape: tasks.Shape) -> apsw.Connection:
    """A file with the rows that is only read."""
    file = folder / f"plain-tasks{next(_numbers)}.db"
    fill_file(file, shape)
    return apsw.Connection(str(file))
