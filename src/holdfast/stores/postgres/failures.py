"""What PostgreSQL says when something fails, in the terms of a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout

from holdfast.errors import HoldfastError
from holdfast.stores.base import StoreConflict, StoreUnavailable, Violation

_ALTERED = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.UndefinedFunction,
    errors.DatatypeMismatch,
    errors.CannotCoerce,
    errors.InvalidSchemaName,
)
"""What statements meet whose tables were altered since they were made."""

Constraints = Mapping[tuple[str, str], Sequence[str]]
"""(table, constraint or unique index) -> columns."""

_KINDS = {
    "23505": "unique",
    "23P01": "unique",  # an exclusion constraint
    "23503": "foreign_key",
    "23001": "foreign_key",  # ON DELETE RESTRICT, from PostgreSQL 18 on
    "23514": "check",
    "23502": "not_null",
    "54000": "check",  # a value that an index does not take
    "44000": "check",  # WITH CHECK OPTION of a view
    "P0001": "check",  # RAISE EXCEPTION in a trigger of the application
}
_SHOWS_A_ROW = ("23514", "23502", "44000", "23P01")
"""What PostgreSQL adds to these is the whole row with all columns, those too that devices never hear of, or the values
of another row."""
_DATA_ERRORS = "22"
"""Class of the values that a type does not take: too long for varchar(20), too large for smallint."""


def violation(error: psycopg.Error, constraints: Constraints) -> Violation | None:
    """The violation that a statement on user tables met; None when the error is something else."""
    state = error.sqlstate or ""
    kind = _KINDS.get(state) or ("check" if state.startswith(_DATA_ERRORS) else None)
    if kind is None:
        return None
    found = error.diag
    table, constraint = found.table_name or "", found.constraint_name or ""
    columns = constraints.get((table, constraint), [found.column_name] if found.column_name else [])
    message = found.message_primary or str(error)
    if found.message_detail and state not in _SHOWS_A_ROW:
        message = f"{message}: {found.message_detail}"
    return Violation(kind, message, table, columns, constraint)


def translate(error: Exception, name: str) -> Exception:
    """The error that a store raises for an error of psycopg that is no violation. `name` tells which database."""
    if isinstance(error, errors.SerializationFailure | errors.DeadlockDetected):
        return StoreConflict(f"{name}: two processes wrote the same rows at the same moment ({_first_line(error)})")
    if isinstance(error, errors.UniqueViolation) and error.diag.constraint_name == "row_key":
        return StoreConflict(f"{name}: another process was the first to write one of the rows ({_first_line(error)})")
    if isinstance(error, errors.DiskFull):
        return StoreUnavailable(
            f"{name}: the database server has no space left ({_first_line(error)}); nothing was stored. Free space or "
            "enlarge its disk: the hub goes on by itself"
        )
    if isinstance(error, errors.DuplicatePreparedStatement | errors.InvalidSqlStatementName):
        return StoreUnavailable(
            f"{name} is behind a pooler that hands out other sessions ({_first_line(error)}). Pass `listen=` with a "
            "connection string that leads around the pooler: the hub then keeps nothing in a session"
        )
    if isinstance(error, errors.LockNotAvailable):
        return StoreUnavailable(f"{name}: another program holds a row for too long ({_first_line(error)})")
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return StoreUnavailable(f"{name} is read-only now, as a standby is; connect to the primary")
    if isinstance(error, PoolTimeout | PoolClosed):
        return StoreUnavailable(f"{name}: no connection is free ({error}); raise the size of the pool")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        reason = f"{name} cannot work now: {_first_line(error)}. The hub goes on by itself when the server is back"
        return StoreUnavailable(reason)
    if isinstance(error, _ALTERED):
        message = (
            f"{name} was changed while the hub was running: {_first_line(error)}. Undo the change, or deploy the schema"
            " that fits and start the hub again."
        )
        return HoldfastError("store_failed", message, database=name)
    if isinstance(error, errors.InsufficientPrivilege):
        message = (
            f"{name}: the hub's role lacks a right: {_first_line(error)}. Grant it (rights on the hub's own tables: "
            "`holdfast migrate FILE --grant ROLE`); the hub goes on by itself then."
        )
        return HoldfastError("store_failed", message, database=name)
    return HoldfastError("store_failed", f"{name} failed: {_first_line(error)}", database=name)


def refused_open(error: psycopg.Error, name: str) -> HoldfastError:
    """Why the store cannot be opened, with the remedy."""
    if isinstance(error, errors.InsufficientPrivilege):
        reason = (
            f"the role lacks a right ({_first_line(error)}). To make the database ready a role needs CREATE on the "
            "database and TRIGGER on the synced tables: let one that has both run `holdfast migrate FILE --grant ROLE`,"
            " where ROLE is the one that the hub uses"
        )
    elif isinstance(error, psycopg.OperationalError):
        reason = f"{_first_line(error)}. Check address, role and password, and that the server runs"
    else:
        reason = _first_line(error)
    return HoldfastError("store_open", f"The store {name} cannot be opened: {reason}.", database=name)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
