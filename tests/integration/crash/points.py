"""The points at which a process may die, counted; at the chosen one it kills itself with SIGKILL.

Three kinds of points, each seen through a public seam of APSW:

- `transactions`: before and after each BEGIN, COMMIT, ROLLBACK, SAVEPOINT and RELEASE, and inside COMMIT before and
  after the commit is in the log; besides these whatever the script names itself (a request sent, a line received);
- `statements`: before and after every statement;
- `files`: before each write, truncation, deletion and sync of a file, and after the first half of each write.

With `moments` there are no points: another process kills this one, at any moment of the day.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import apsw

BASE = apsw.vfs_names()[0]
BOUNDARIES = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


class Points:
    """Counts points of one kind. `chosen` is the number of the one to die at; with 0 the names of all go to `record`.

    `where` limits them to connections whose file name ends so.
    """

    def __init__(self, kind: str, chosen: int, record: Path, where: str = "") -> None:
        self.kind = kind
        self.chosen = chosen
        self.where = where
        self.count = 0
        self.armed = False
        self.thread: int | None = None
        """Only what this thread does counts; None: what any does."""
        self.state = ""
        """What the death left behind, as a hash, if anybody asked."""
        self._record = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if chosen == 0 else -1
        self._vfs: apsw.VFS | None = None

    def install(self) -> None:
        """See every connection that this process opens from now on."""
        if self.kind == "files":
            self._vfs = WatchedFiles(self)
        else:
            apsw.connection_hooks.append(self._watch)

    def arm(self) -> None:
        """Count from now on; or die at a moment that is not known here."""
        self.armed = True
        if self.kind == "moments" and self.chosen:
            kill_later(random.Random(self.chosen).random() * self.day)

    day = 0.0
    """How long a day lasts, in seconds: `moments` lie within it."""

    def passed(self, name: str) -> None:
        """The process stands at a point."""
        if not self.armed or self.thread not in (None, threading.get_ident()):
            return
        self.count += 1
        if self._record >= 0:
            os.write(self._record, f"{name}\n".encode())
        if self.count == self.chosen:
            os.kill(os.getpid(), signal.SIGKILL)

    @property
    def is_next(self) -> bool:
        """Whether the next point is the chosen one."""
        return self.armed and self.count + 1 == self.chosen

    def said(self, name: str) -> None:
        """A point that the script names itself."""
        if self.kind == "transactions":
            self.passed(name)

    def _watch(self, db: apsw.Connection) -> None:
        if not db.filename.endswith(self.where):
            return
        file = Path(db.filename).name

        def traced(event: dict[str, Any]) -> None:
            sql = event["sql"].lstrip() if event.get("sql") else ""
            if self.kind == "statements" or sql.startswith(BOUNDARIES):
                before = event["code"] == apsw.SQLITE_TRACE_STMT
                self.passed(f"{file}: {'before' if before else 'after'} {' '.join(sql.split())[:60]}")

        db.trace_v2(apsw.SQLITE_TRACE_STMT | apsw.SQLITE_TRACE_PROFILE, traced, id=self)
        if self.kind == "transactions":
            db.set_commit_hook(self._committing(file), id=self)
            db.set_wal_hook(self._logged(file))

    def _committing(self, file: str) -> Any:
        def committing() -> bool:
            self.passed(f"{file}: inside COMMIT, before the log")
            return False  # true would roll back

        return committing

    def _logged(self, file: str) -> Any:
        def logged(db: apsw.Connection, name: str, pages: int) -> int:
            self.passed(f"{file}: inside COMMIT, after the log")
            if pages >= 1000:  # a hook takes the place of SQLite's automatic checkpoint, which does this
                db.wal_checkpoint(name, apsw.SQLITE_CHECKPOINT_PASSIVE)
            return apsw.SQLITE_OK

        return logged


def kill_later(seconds: float) -> None:
    """A process of its own kills this one, from outside, unless it has ended by then."""
    target = os.getpid()
    if os.fork():
        return
    time.sleep(seconds)
    if os.getppid() == target:
        os.kill(target, signal.SIGKILL)
    os._exit(0)


class WatchedFiles(apsw.VFS):
    """The file system of SQLite, with a point before each change of a file."""

    def __init__(self, points: Points) -> None:
        self.points = points
        super().__init__("watched", BASE, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return WatchedFile(self.points, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:  # noqa: N802
        self.points.passed(f"{Path(name).name}: before its deletion")
        super().xDelete(name, sync)


class WatchedFile(apsw.VFSFile):
    """One file of SQLite's."""

    def __init__(self, points: Points, name: Any, flags: list[int]) -> None:
        self.points = points
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or "temporary"
        self.name = Path(path).name
        super().__init__(BASE, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self.points.passed(f"{self.name}: before {len(data)} bytes at {offset}")
        if self.points.is_next and len(data) > 1:
            super().xWrite(bytes(data[: len(data) // 2]), offset)
        self.points.passed(f"{self.name}: half of {len(data)} bytes at {offset}")
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self.points.passed(f"{self.name}: before it is cut to {size}")
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self.points.passed(f"{self.name}: before a sync")
        super().xSync(flags)
