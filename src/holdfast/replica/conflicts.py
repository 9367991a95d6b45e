"""The conflict inbox of a device: rows of `holdfast_conflict`, read from the side of who asks, and answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import apsw

from holdfast.protocol.conflicts import Conflict, chosen, conflict_of, decided
from holdfast.protocol.members import text_of
from holdfast.replica.tables import quoted
from holdfast.schema import sqlite_values
from holdfast.schema.built_in import CONFLICTS
from holdfast.schema.key import key_values
from holdfast.schema.model import Column, Schema, Table

Execute = Callable[[str, Sequence[Any]], list[Any]]
_COLUMNS = ", ".join(quoted(column.name) for column in CONFLICTS.columns)


def read_conflicts(execute: Execute, device: str, *, waiting: bool | None = None, only: str = "") -> list[Conflict]:
    """The conflicts in the file, oldest first: all, those that wait for a decision, or those that do not."""
    conditions = {None: "true", True: "state = 'open'", False: "state <> 'open'"}
    where, values = (conditions[waiting], ()) if not only else ("id = ?", (only,))
    rows = execute(f"SELECT {_COLUMNS} FROM holdfast_conflict WHERE {where} ORDER BY id", values)
    return [conflict_of(_named(row), device) for row in rows]


def arrived(execute: Execute, keys: Iterable[str], device: str, user: str, *, first_load: bool) -> list[Conflict]:
    """The new conflicts among those keys that concern who uses this device: he wrote one of the values.

    In the first load of a space only those of this very device: the others are old.
    """
    found = []
    for key in keys:
        for conflict in read_conflicts(execute, device, only=key):
            sides = (conflict.mine_by, conflict.theirs_by)
            if any(by.device == device or (not first_load and by.user == user) for by in sides):
                found.append(conflict)
    return found


def _named(row: Any) -> dict[str, Any]:
    return {column.name: value for column, value in zip(CONFLICTS.columns, row, strict=True)}


class Statement(NamedTuple):
    """One SQL statement with its parameters."""

    sql: str
    parameters: tuple[Any, ...]


def answer(schema: Schema, conflict: Conflict, choice: Any, shown: Sequence[Any] | None) -> tuple[Any, list[Statement]]:
    """The result of a choice, and the writes on the row that make it true.

    `choice` is "mine", "theirs" or a value of the column. `shown` is the row as the device shows it, in image order and
    SQL form, None when it is not there. Raises what `decided` raises.
    """
    table = schema.table(conflict.table)
    cells = None
    if shown is not None:
        cells = {
            column.name: sqlite_values.from_sql(column, shown[place])
            for place, column in enumerate(table.row_columns)
            if column.name == conflict.column
        }
    found = decided(schema, conflict, chosen(choice), cells)
    return found.result, [] if found.effect == "none" else [_statement(table, conflict.key, found.effect, found.values)]


def _statement(table: Table, key: str, effect: str, values: Mapping[str, Any]) -> Statement:
    cells = {name: _sql(table.column(name), value) for name, value in values.items()}
    where = " AND ".join(f"{quoted(column.name)} = ?" for column in table.key)
    if effect == "delete":
        return Statement(f"DELETE FROM {quoted(table.name)} WHERE {where}", _key(table, key))
    if effect == "update":
        sets = ", ".join(f"{quoted(name)} = ?" for name in cells)
        return Statement(f"UPDATE {quoted(table.name)} SET {sets} WHERE {where}", (*cells.values(), *_key(table, key)))
    names = ", ".join(map(quoted, (*(column.name for column in table.key), *cells)))
    marks = ", ".join("?" * (len(table.key) + len(cells)))
    row = (*_key(table, key), *cells.values())
    return Statement(f"INSERT INTO {quoted(table.name)} ({names}) VALUES ({marks})", row)


def _key(table: Table, key: str) -> tuple[Any, ...]:
    return tuple(_sql(column, value) for column, value in zip(table.key, key_values(table, key), strict=True))


def _sql(column: Column, value: Any) -> Any:
    convert = sqlite_values.to_sql(column)
    return value if convert is None else convert(value)


def answered(conflict: str, result: Any, user: str, now: int) -> Statement:
    """The write on the conflict itself."""
    sql = """UPDATE holdfast_conflict SET state = 'resolved', result = ?, resolved_by = ?, resolved_at = ?
             WHERE id = ?"""
    return Statement(sql, (text_of(result), user, now, conflict))


def arrived_in(db: apsw.Connection, device: str, first_load: Sequence[str], later: Sequence[str]) -> list[Conflict]:
    """The conflicts with these keys, of a first load and of what came later, that concern who uses the device."""
    if not (first_load or later):
        return []
    user = db.execute("SELECT user FROM holdfast_state").get

    def execute(sql: str, values: Any) -> list[Any]:
        return db.execute(sql, values).fetchall()

    found = arrived(execute, first_load, device, user, first_load=True)
    return found + arrived(execute, later, device, user, first_load=False)
