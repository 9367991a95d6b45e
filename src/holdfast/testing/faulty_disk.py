"""A disk that fails at a chosen operation: an SQLite VFS over the real file system.

    disk = FaultyDisk("faulty")          # every SQLite file opened from now on in this process lies on it
    disk.fail(17, "full")                # the 17th operation from now on fails
    disk.fail(17, "power", seed=3)       # or: the machine loses power there; ends the process

Operations are the writes, truncations, syncs and deletions of files. A power failure keeps what was synced; of what was
written since, each write stays or is lost by itself, and one may be torn: the first sectors are new, the rest is old
(what disks promise, in the words of SQLite's *Atomic Commit*, sections 2 and 3). The process is killed at once, so
that nothing can tidy up.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import apsw

Fault = Literal["power", "input/output", "full"]
SECTOR = 512
"""Bytes that a disk writes as a whole."""
_FAILURES: dict[str, type[apsw.Error]] = {"input/output": apsw.IOError, "full": apsw.FullError}


class Unsynced(NamedTuple):
    """One write or truncation that no sync has followed. `new` None: truncated to `offset`."""

    offset: int
    old: bytes
    old_size: int
    new: bytes | None


class FaultyDisk(apsw.VFS):
    """The file system of every connection that this process opens from now on. `where`: only files whose name ends so.

    `operations` counts what could have failed so far; `record`, if given, is called with the name of each.
    """

    def __init__(self, name: str, where: str = "", record: Callable[[str], None] | None = None) -> None:
        self.operations = 0
        self._where = where
        self._record = record
        self._fail_at = 0
        self._until = 0
        self._fault: Fault = "power"
        self._chance = random.Random(0)
        self._files: dict[str, list[Unsynced]] = {}
        self._base = apsw.vfs_names()[0]
        super().__init__(name, self._base, makedefault=True)

    def fail(self, operation: int, fault: Fault, *, times: int = 1, seed: int = 0) -> None:
        """Let the `operation`-th one from now on fail, and with `times` those after it too."""
        self._fail_at = self.operations + operation
        self._until = self._fail_at + times
        self._fault = fault
        self._chance = random.Random(seed)

    def heal(self) -> None:
        """No operation fails any more."""
        self._fail_at = self._until = 0

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        """SQLite opens a file."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        return _File(self, self._base, path, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:  # noqa: N802 - SQLite's name
        """SQLite deletes a file; whole and at once, in this model."""
        self.operation(name, "delete")
        self._files.pop(name, None)
        super().xDelete(name, sync)

    def watched(self, path: str | None) -> bool:
        """Whether the file at `path` may fail."""
        return path is not None and path.removesuffix("-wal").removesuffix("-journal").endswith(self._where)

    def operation(self, path: str | None, what: str) -> None:
        """Something is about to be done to a file: raises the fault, if it is due, or loses power."""
        if not self.watched(path):
            return
        self.operations += 1
        if self._record is not None:
            self._record(f"{Path(path or '').name}: {what}")
        if self._fail_at <= self.operations < self._until:
            if self._fault == "power":
                self.lose_power()
            raise _FAILURES[self._fault](f"planted: {what}")

    def wrote(self, path: str, write: Unsynced) -> None:
        """A write or truncation was done and is not synced."""
        self._files.setdefault(path, []).append(write)

    def synced(self, path: str) -> None:
        """Everything written to a file is safe now."""
        self._files.pop(path, None)

    def lose_power(self) -> None:
        """Leave on disk what a power failure might, and end the process."""
        for path, writes in self._files.items():
            with Path(path).open("r+b") as file:
                for write in reversed(writes):
                    file.truncate(write.old_size)
                    file.seek(write.offset)
                    file.write(write.old)
                for write in writes:
                    self._keep(file, write)
        os.kill(os.getpid(), signal.SIGKILL)

    def _keep(self, file: Any, write: Unsynced) -> None:
        """Write again what happened to reach the disk: all, nothing, or the first sectors."""
        fate = self._chance.choice(("kept", "lost", "torn"))
        if fate == "lost":
            return
        if write.new is None:
            file.truncate(write.offset)
            return
        sectors = -(-len(write.new) // SECTOR)
        kept = len(write.new) if fate == "kept" else self._chance.randrange(sectors) * SECTOR
        file.seek(write.offset)
        file.write(write.new[:kept])


class _File(apsw.VFSFile):
    """One open file on a `FaultyDisk`."""

    def __init__(self, disk: FaultyDisk, base: str, path: str | None, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._path = path
        super().__init__(base, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.operation(self._path, f"write {len(data)} bytes at {offset}")
        self._note(offset, bytes(data))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.operation(self._path, f"truncate to {size}")
        self._note(size, None)
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.operation(self._path, "sync")
        super().xSync(flags)
        if self._path is not None:
            self._disk.synced(self._path)

    def _note(self, offset: int, new: bytes | None) -> None:
        """Keep what a write is about to replace."""
        if self._path is None or not self._disk.watched(self._path):
            return
        size = self.xFileSize()
        end = size if new is None else min(size, offset + len(new))
        old = super().xRead(end - offset, offset) if offset < end else b""
        self._disk.wrote(self._path, Unsynced(offset, old, size, new))
