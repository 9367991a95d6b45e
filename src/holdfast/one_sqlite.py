"""One SQLite library for one file in one process.

SQLite locks files with POSIX advisory locks, which belong to a process: two copies of the library in one process do not
see each other's locks, and one that closes the file drops the locks of the other (SQLite, *How To Corrupt An SQLite
Database File*, section 2.2.1). Holdfast brings its own SQLite (APSW), Python's `sqlite3` module is another one. Between
processes everything is well; inside one, this guard turns silent damage into a clear error.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from holdfast.errors import HoldfastError

File = tuple[int, int]
"""Device and inode."""

_lock = threading.Lock()
_ours: dict[File, int] = {}
_theirs: set[File] = set()


def enter(path: str) -> File | None:
    """The file at `path` is about to be opened by Holdfast; gives what `leave` takes.

    Raises `two_libraries` when Python's sqlite3 module has it open in this process. None: it does not exist yet, or it
    is no file; call again when it does.
    """
    file = _file(path)
    if file is None:
        return None
    with _lock:
        if file in _theirs and file not in _ours and file in set(_open_files()):
            raise _two_libraries(path)
        _ours[file] = _ours.get(file, 0) + 1
    return file


def leave(file: File | None) -> None:
    """Holdfast has closed the file."""
    with _lock:
        if file is not None and file in _ours:
            _ours[file] -= 1
            if _ours[file] == 0:
                del _ours[file]


def is_open(path: str) -> bool:
    """Whether Holdfast has the file open in this process."""
    file = _file(path)
    with _lock:
        return file in _ours


def _two_libraries(path: str) -> HoldfastError:
    return HoldfastError(
        "two_libraries",
        f"{path} is open in this process both by Holdfast and by Python's sqlite3 module; two SQLite libraries in one "
        "process break each other's locks. Use `replica.execute`, or an APSW connection, or another process",
        file=path,
    )


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "sqlite3.connect":
        return
    path = _path(arguments[0])
    file = _file(path) if path is not None else None
    if file is None:
        return
    with _lock:
        if file in _ours:
            raise _two_libraries(str(path))
        _theirs.add(file)


def _path(database: Any) -> str | None:
    """The file that `sqlite3.connect` was asked for."""
    try:
        text = os.fsdecode(database)
    except TypeError:
        return None
    if text.startswith("file:"):
        return unquote(urlsplit(text).path) or None
    return text


def _file(path: str) -> File | None:
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _open_files() -> Iterator[File]:
    """The files that this process has open, where the system tells; elsewhere all that sqlite3 ever opened count."""
    try:
        descriptors = list(Path("/proc/self/fd").iterdir())
    except OSError:
        yield from _theirs
        return
    for descriptor in descriptors:
        found = _file(str(descriptor))
        if found is not None:
            yield found


# An audit hook cannot be taken back; without an open file of ours it only takes notes.
sys.addaudithook(_audit)
