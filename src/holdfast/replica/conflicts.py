"""The conflict inbox of a device: rows of `holdfast_conflict`, read from the side of who asks, and answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from holdfast.errors import HoldfastError
from holdfast.kernel.values import InvalidValue, canonical_json, same
from holdfast.replica.tables import quoted
from holdfast.schema import sqlite_values
from holdfast.schema.built_in import CONFLICTS
from holdfast.schema.key import key_values
from holdfast.schema.model import Column, Schema, Table
from holdfast.schema.wire import wire_of

Execute = Callable[[str, Sequence[Any]], list[Any]]
_COLUMNS = ", ".join(quoted(column.name) for column in CONFLICTS.columns)


class Writer(NamedTuple):
    """Who wrote a value, on which device (empty: another program at the hub), when, in milliseconds since 2020-01-01
    UTC."""

    user: str
    device: str
    at: int | None


class Conflict(NamedTuple):
    """Two writes, neither of which had seen the other.

    `mine` is the value of the device that asks or, if it wrote neither, of the writer that lost; `theirs` the other
    one. `base` is what the first of the two writers had seen, if `has_base`. `column` is empty when a deletion met an
    edit: the values are then objects column -> value, or None for the deletion. `winner` says which of them the row
    shows: "mine", "theirs" or "merged" (a function of the application made a value of both). `state` is "auto" (decided
    by `rule`), "open" (somebody has to decide) or "resolved" (somebody did: `resolved_by`, `resolved_at`); `result` is
    what was decided. `error` says why a function of the application did not decide.
    """

    id: str
    table: str
    key: str
    column: str
    base: Any
    has_base: bool
    mine: Any
    theirs: Any
    rule: str
    winner: str
    state: str
    mine_by: Writer
    theirs_by: Writer
    result: Any
    resolved_by: str | None
    resolved_at: int | None
    error: str
    space: str


def conflict_of(row: Mapping[str, Any], device: str) -> Conflict:
    """A conflict as `device` sees it, from its row."""
    sides = [(_value(row[side]), _writer(row, side)) for side in ("mine", "theirs")]
    winner = str(row["winner"])
    turned = {"mine": "theirs", "theirs": "mine"}
    asks_second = device not in ("", row["mine_device"]) and device == row["theirs_device"]
    bystander = device not in (row["mine_device"], row["theirs_device"])
    if asks_second or (bystander and winner == "mine"):
        sides.reverse()
        winner = turned.get(winner, winner)
    (mine, mine_by), (theirs, theirs_by) = sides
    return Conflict(
        id=row["id"],
        table=row["table_name"],
        key=row["row_key"],
        column=row["column_name"],
        base=_value(row["base"]),
        has_base=row["base"] is not None,
        mine=mine,
        theirs=theirs,
        rule=row["rule"],
        winner=winner,
        state=row["state"],
        mine_by=mine_by,
        theirs_by=theirs_by,
        result=_value(row["result"]),
        resolved_by=row["resolved_by"],
        resolved_at=row["resolved_at"],
        error=row["error"],
        space=row["space"],
    )


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _writer(row: Mapping[str, Any], side: str) -> Writer:
    return Writer(row[f"{side}_user"], row[f"{side}_device"], row[f"{side}_at"])


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


Choice = Literal["mine", "theirs"]


def answer(schema: Schema, conflict: Conflict, choice: Any, shown: Sequence[Any] | None) -> tuple[Any, list[Statement]]:
    """The result of a choice, and the writes on the row that make it true.

    `choice` is "mine", "theirs" or a value of the column. `shown` is the row as the device shows it, in image order and
    SQL form, None when it is not there. Raises `HoldfastError`: `conflict_gone` when the row of a column is not there,
    or what the column refuses.
    """
    table = schema.table(conflict.table)
    if not conflict.column:
        return _answer_life(table, conflict, choice, shown)
    column = table.column(conflict.column)
    if shown is None:
        message = f"the row {conflict.key!r} of {conflict.table} is not there; nothing can be written into it"
        raise HoldfastError("conflict_gone", message, table=conflict.table, key=conflict.key)
    value = _chosen(column, conflict, choice)
    place = table.row_columns.index(column)
    if same(sqlite_values.from_sql(column, shown[place]), value):
        return value, []
    write = f"UPDATE {quoted(table.name)} SET {quoted(column.name)} = ? WHERE {_where(table)}"
    return value, [Statement(write, (_sql(column, value), *_key(table, conflict.key)))]


def _chosen(column: Column, conflict: Conflict, choice: Any) -> Any:
    if isinstance(choice, str) and choice in ("mine", "theirs"):
        return conflict.mine if choice == "mine" else conflict.theirs
    try:
        return column.accept(None if choice is None else wire_of(column.type, choice, column.element))
    except InvalidValue as error:
        raise HoldfastError(error.code, f"{conflict.table}.{column.name}: {error.message}") from None


def _answer_life(
    table: Table, conflict: Conflict, choice: Any, shown: Sequence[Any] | None
) -> tuple[Any, list[Statement]]:
    if choice not in ("mine", "theirs"):
        message = 'a deletion met an edit: choose "mine" or "theirs"; the value of None is the deletion'
        raise HoldfastError("conflict_choice", message, table=conflict.table, key=conflict.key)
    edit = conflict.mine if choice == "mine" else conflict.theirs
    if edit is None:
        gone = Statement(f"DELETE FROM {quoted(table.name)} WHERE {_where(table)}", _key(table, conflict.key))
        return None, [gone] if shown is not None else []
    if shown is not None:
        return {"alive": True}, []
    if not conflict.has_base:
        message = f"what the row {conflict.key!r} of {conflict.table} held is not known; write it anew"
        raise HoldfastError("conflict_gone", message, table=conflict.table, key=conflict.key)
    image = {**conflict.base, **_plain(table, edit)}
    columns = [column for column in table.cells if column.name in image]
    names = ", ".join(quoted(column.name) for column in (*table.key, *columns))
    marks = ", ".join("?" * (len(table.key) + len(columns)))
    values = (*_key(table, conflict.key), *(_sql(column, image[column.name]) for column in columns))
    return {"alive": True}, [Statement(f"INSERT INTO {quoted(table.name)} ({names}) VALUES ({marks})", values)]


def _plain(table: Table, edit: Mapping[str, Any]) -> dict[str, Any]:
    """The edited values; a change of a type that sends differences says nothing without the row it was made on."""
    kept = {}
    for name, value in edit.items():
        column = table.column(name)
        try:
            kept[name] = column.accept(value)
        except InvalidValue:
            continue
        if column.merge == "counter":
            del kept[name]
    return kept


def _where(table: Table) -> str:
    return " AND ".join(f"{quoted(column.name)} = ?" for column in table.key)


def _key(table: Table, key: str) -> tuple[Any, ...]:
    return tuple(_sql(column, value) for column, value in zip(table.key, key_values(table, key), strict=True))


def _sql(column: Column, value: Any) -> Any:
    convert = sqlite_values.to_sql(column)
    return value if convert is None else convert(value)


def answered(conflict: str, result: Any, user: str, now: int) -> Statement:
    """The write on the conflict itself."""
    sql = """UPDATE holdfast_conflict SET state = 'resolved', result = ?, resolved_by = ?, resolved_at = ?
             WHERE id = ?"""
    return Statement(sql, (canonical_json(result), user, now, conflict))
