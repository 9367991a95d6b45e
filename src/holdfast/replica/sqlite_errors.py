"""SQLite's errors in Holdfast's words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from holdfast.errors import HoldfastError

_RAISED = re.compile(r"holdfast ([a-z_]+): (.*)", re.DOTALL)
"""What a trigger of ours says when it refuses a write."""


def translated(error: apsw.Error, path: str) -> HoldfastError:
    """The coded error for what SQLite reported about the file at `path`."""
    text = str(error)
    raised = _RAISED.search(text)
    if raised is not None:
        return HoldfastError(raised[1], raised[2], file=path)
    if isinstance(error, apsw.FullError):
        return HoldfastError("disk_full", f"{path}: the disk is full; the transaction was rolled back", file=path)
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return HoldfastError("busy", f"{path}: another process or thread holds the write lock", file=path)
    if isinstance(error, (apsw.NotADBError, apsw.CorruptError)):
        return HoldfastError("file_not_database", f"{path} is not an SQLite database or is damaged: {text}", file=path)
    if isinstance(error, (apsw.CantOpenError, apsw.IOError, apsw.ReadOnlyError, apsw.PermissionsError)):
        return HoldfastError("file_unusable", f"{path} cannot be opened or written: {text}", file=path)
    return HoldfastError("sql", text, file=path, sqlite=type(error).__name__.removesuffix("Error").lower())


@contextmanager
def sqlite_errors(path: str) -> Iterator[None]:
    """Raise what SQLite reports inside as `HoldfastError`."""
    try:
        yield
    except apsw.Error as error:
        raise translated(error, path) from error
