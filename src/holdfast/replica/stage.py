"""Pages that wait for the end of their answer: in memory while they are few, in the file beyond that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import apsw

from holdfast.replica.apply import StagedPage
from holdfast.replica.file import immediate

MEMORY_BYTES = 4 * 1024 * 1024


class Stage:
    """Staged pages in the order of their arrival, over several answers and over a restart. `keeps` is called before
    pages of an answer that is not whole yet go into the file.
    """

    def __init__(self, db: apsw.Connection, path: str, keeps: Callable[[], None]) -> None:
        self._db = db
        self._path = path
        self._keeps = keeps
        self._pages: list[StagedPage] = []
        self._size = 0

    def add(self, page: StagedPage) -> None:
        """Keep a page; beyond 4 MiB in memory all move into the file."""
        self._pages.append(page)
        self._size += len(page.rows)
        if self._size > MEMORY_BYTES:
            self.spill()

    def spill(self) -> None:
        """Move what is in memory into the file, so that a restart goes on from there."""
        if not self._pages:
            return
        self._keeps()
        with immediate(self._db, self._path):
            write_stage(self._db, self._pages)
        self.clear()

    def drop(self, spaces: list[str]) -> None:
        """Forget the pages of those spaces: they are of a history that is gone, or not ours to read any more."""
        self._pages = [page for page in self._pages if page.space not in spaces]
        self._db.executemany("DELETE FROM holdfast_stage WHERE space = ?", ((space,) for space in spaces))

    def give_up(self) -> None:
        """Forget all pages, here and in the file: they cannot be applied, and the hub will be asked for them again."""
        self.clear()
        with immediate(self._db, self._path):
            give_up_pages(self._db)

    def clear(self) -> None:
        """Forget what is in memory."""
        self._pages, self._size = [], 0

    def __iter__(self) -> Iterator[StagedPage]:
        return self.pages()

    def pages(self) -> Iterator[StagedPage]:
        """All pages, those in the file first."""
        for space, cursor, rows in self._db.execute("SELECT space, cursor, rows FROM holdfast_stage ORDER BY position"):
            yield StagedPage(space, cursor, rows)
        yield from self._pages

    def cursors(self) -> dict[str, str]:
        """How far the staged pages reach, by space."""
        sql = "SELECT space, cursor FROM holdfast_stage WHERE cursor <> '' ORDER BY position"
        rows: list[Any] = self._db.execute(sql).fetchall()
        found: dict[str, str] = dict(rows)
        found.update((page.space, page.cursor) for page in self._pages)
        return {space: cursor for space, cursor in found.items() if cursor}


def write_stage(db: apsw.Connection, pages: list[StagedPage]) -> None:
    """Append pages to the stage, inside the caller's transaction."""
    db.executemany("INSERT INTO holdfast_stage (space, cursor, rows) VALUES (?, ?, ?)", pages)


def give_up_pages(db: apsw.Connection) -> None:
    """Forget the pages in the file, inside the caller's transaction; the hub is asked for them again."""
    # A page without a cursor is the rest of one whose space has moved on: the space is read from its start.
    db.execute(
        """UPDATE holdfast_space SET cursor = NULL
           WHERE name IN (SELECT space FROM holdfast_stage WHERE cursor = '')"""
    )
    db.execute("DELETE FROM holdfast_stage")
