"""Disks of simulated devices: every connection to their files is seen, so that a process can die at any commit.

A crash is honest: the files are copied as they stand at that moment, the process is unwound and its connections are
closed, whatever that writes, and then the copies are put back. What was not committed is in the log without its commit
record, as after a real end; SQLite recovers from it when the file is opened again.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from pathlib import Path

import apsw

UNLIMITED = 2**30


class Crash(BaseException):
    """A simulated process ends here. Nothing may catch it but the simulation."""


Image = dict[str, bytes]
"""The files of one device: suffix ("" or "-wal") -> content."""


class Disk:
    """The files of one device (`path` and its write-ahead log) and all connections to them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.commits = 0
        self.version = 0
        """Another number whenever what the file says may have changed."""
        self._crash_at: int | None = None
        self._image: Image | None = None
        self._tail: Image | None = None
        self._unsynced = False
        self._room: int | None = None
        self._connections: weakref.WeakSet[apsw.Connection] = weakref.WeakSet()

    def opened(self, connection: apsw.Connection) -> None:
        """A new connection to the file: watch its commits, give it the room that is left."""
        self._connections.add(connection)
        connection.set_commit_hook(self._committing)
        if self._room is not None:
            self._limit(connection)

    def crash_at_commit(self, count: int | None) -> None:
        """Let the process die before its `count`-th commit from now on (None: not any more)."""
        self._crash_at = None if count is None else self.commits + count

    def _committing(self) -> bool:
        self.commits += 1
        self.version += 1
        if self.commits == self._crash_at:
            self.crash()
        if not self._unsynced:
            self._tail = None
        return False

    def crash(self) -> None:
        """The process dies now: raises `Crash`."""
        self._crash_at = None
        self._image = self.copy()
        raise Crash

    def copy(self) -> Image:
        """The files as they stand, without the shared memory beside them."""
        found = {suffix: self.path.with_name(self.path.name + suffix) for suffix in ("", "-wal")}
        return {suffix: path.read_bytes() for suffix, path in found.items() if path.exists()}

    def abandon(self) -> None:
        """What is in the log stays there when the connections are closed: the process died, or nobody needs it."""
        for connection in list(self._connections):
            with suppress(apsw.ConnectionClosedError):
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)

    def recover(self) -> None:
        """After the connections are closed: put back what the disk held at the crash."""
        image, self._image = self._image, None
        self.put_back(image if image is not None else self.copy())

    def put_back(self, image: Image) -> None:
        """Replace the files by a copy. Nobody may have them open."""
        self.version += 1
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        for suffix, content in image.items():
            self.path.with_name(self.path.name + suffix).write_bytes(content)

    def begin_unsynced(self) -> None:
        """What is committed from now on reaches the disk only with the next commit after `end_unsynced`."""
        if self._tail is None:
            self._tail = self.copy()
        self._unsynced = True

    def end_unsynced(self) -> None:
        """Commits are durable again."""
        self._unsynced = False

    def take_tail(self) -> Image | None:
        """The files without their unsynced tail, if there is one: what a power loss leaves."""
        tail, self._tail = self._tail, None
        return tail

    def fill(self, pages: int) -> None:
        """The disk has room for so many more pages (of 4 KiB)."""
        self._room = self.path.stat().st_size // 4096 + pages
        for connection in list(self._connections):
            self._limit(connection)

    def free(self) -> None:
        """The disk has room again."""
        if self._room is None:
            return
        self._room = UNLIMITED
        for connection in list(self._connections):
            self._limit(connection)
        self._room = None

    def _limit(self, connection: apsw.Connection) -> None:
        try:
            connection.execute(f"PRAGMA max_page_count = {self._room}").fetchall()
        except apsw.ConnectionClosedError:
            self._connections.discard(connection)


class Disks:
    """All disks of a simulation, by path. Sees connections through APSW's own hook while it is entered."""

    def __init__(self) -> None:
        self._by_path: dict[str, Disk] = {}

    def disk(self, path: Path) -> Disk:
        """A new disk for the file at `path`."""
        found = self._by_path[str(path)] = Disk(path)
        return found

    def start(self) -> None:
        """Watch connections from now on."""
        apsw.connection_hooks.append(self._opened)

    def stop(self) -> None:
        """Watch no more."""
        apsw.connection_hooks.remove(self._opened)

    def _opened(self, connection: apsw.Connection) -> None:
        disk = self._by_path.get(connection.filename)
        if disk is not None:
            disk.opened(connection)
