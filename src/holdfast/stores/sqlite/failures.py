"""What SQLite says when something fails, in the terms of a store."""

from __future__ import annotations

import re

import apsw

from holdfast.errors import HoldfastError
from holdfast.stores.base import StoreUnavailable, Violation

_KINDS = {
    apsw.SQLITE_CONSTRAINT_UNIQUE: "unique",
    apsw.SQLITE_CONSTRAINT_PRIMARYKEY: "unique",
    apsw.SQLITE_CONSTRAINT_ROWID: "unique",
    apsw.SQLITE_CONSTRAINT_NOTNULL: "not_null",
    apsw.SQLITE_CONSTRAINT_CHECK: "check",
    apsw.SQLITE_CONSTRAINT_DATATYPE: "check",
    apsw.SQLITE_CONSTRAINT_TRIGGER: "check",
    apsw.SQLITE_CONSTRAINT_FOREIGNKEY: "foreign_key",
}
_TEMPORARY = {
    apsw.BusyError: "it is busy: another connection has held it for too long",
    apsw.LockedError: "it is locked by another connection",
    apsw.FullError: "the disk is full: make room, then try again",
    apsw.IOError: "the disk failed",
    apsw.NoMemError: "memory is short",
}
_WRONG_TYPE = re.compile(r"cannot store \w+ value in \w+ column (.+)$")


def violation(error: apsw.ConstraintError, connection: apsw.Connection, table: str) -> Violation:
    """The violation that a statement on a user table met.

    SQLite names the columns of unique and not-null constraints ("UNIQUE constraint failed: t.a, t.b"), the index of an
    index over expressions, and the name or text of a check.
    """
    message = str(error).removeprefix("ConstraintError: ")
    kind = _KINDS.get(getattr(error, "extendedresult", 0), "check")
    named = message.partition("constraint failed: ")[2]
    wrong_type = _WRONG_TYPE.search(message)
    if wrong_type:
        return Violation(kind, message, *_columns(wrong_type[1], table))
    if kind == "check" or not named:
        return Violation(kind, message, table, _check_columns(connection, table, named), named)
    if named.startswith("index '"):
        return Violation(kind, message, table, (), named.removeprefix("index '").removesuffix("'"))
    return Violation(kind, message, *_columns(named, table))


def _columns(named: str, table: str) -> tuple[str, list[str]]:
    """Table and columns of "t.a, t.b"."""
    parts = [part.partition(".") for part in named.split(", ")]
    if not all(dot for _, dot, _ in parts):
        return table, []
    return parts[0][0], [column for _, _, column in parts]


def _check_columns(connection: apsw.Connection, table: str, named: str) -> list[str]:
    """Columns in the text of a failed check, which SQLite gives when the check has no name of its own."""
    words = set(re.findall(r"\w+", named))
    return [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,)) if name in words]


def translate(error: apsw.Error, path: str) -> Exception:
    """The error that a store raises for an error of SQLite that is no violation."""
    for kind, reason in _TEMPORARY.items():
        if isinstance(error, kind):
            return StoreUnavailable(f"the store {path} cannot work now, {reason} ({error})")
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        remedy = "Restore it from a backup; devices send what it has not confirmed to them."
        message = f"The file {path} is damaged ({error}). {remedy}"
        return HoldfastError("store_corrupt", message, file=path)
    return HoldfastError("store_failed", f"SQLite failed on {path}: {error}", file=path)
