"""A conflict as people read it, from its row in `holdfast_conflict`, and what a decision about it does to its row.

The same for devices and for the hub: only how the row is read and written differs (`spec/merge.md`, section 8).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import msgspec

from holdfast.errors import HoldfastError
from holdfast.kernel.values import InvalidValue, same
from holdfast.protocol.members import ABSENT, END, alike, member, split, steps_of, with_member
from holdfast.schema.model import Column, Schema, Table
from holdfast.schema.wire import wire_of

JSON = "json"
"""The rule of conflicts about a member of a JSON document."""


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
    path: str = ""
    deleted: Literal["", "mine", "theirs"] = ""


def conflict_of(row: Mapping[str, Any], device: str | None) -> Conflict:
    """A conflict as `device` sees it, from its row; None: as the hub shows it to who has no device, so that `mine` is
    the value that lost."""
    sides = [(row[side], _writer(row, side)) for side in ("mine", "theirs")]
    winner = str(row["winner"])
    turned = {"mine": "theirs", "theirs": "mine"}
    asks_second = device not in (None, "", row["mine_device"]) and device == row["theirs_device"]
    bystander = device is None or device not in (row["mine_device"], row["theirs_device"])
    if asks_second or (bystander and winner == "mine"):
        sides.reverse()
        winner = turned.get(winner, winner)
    (mine, mine_by), (theirs, theirs_by) = sides
    column, path = split(row["column_name"])
    gone: Literal["", "mine", "theirs"] = "mine" if mine is None else "theirs" if theirs is None else ""
    return Conflict(
        id=row["id"],
        table=row["table_name"],
        key=row["row_key"],
        column=column,
        base=_value(row["base"]),
        has_base=row["base"] is not None,
        mine=_value(mine),
        theirs=_value(theirs),
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
        path=path,
        deleted=gone if row["rule"] == JSON else "",
    )


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _writer(row: Mapping[str, Any], side: str) -> Writer:
    return Writer(row[f"{side}_user"], row[f"{side}_device"], row[f"{side}_at"])


class Writing(msgspec.Struct):
    """A `Writer` over HTTP."""

    user: str
    device: str
    at: int | None


class Shown(msgspec.Struct):
    """A `Conflict` over HTTP: member by member the same."""

    id: str
    table: str
    key: str
    column: str
    base: Any
    has_base: bool
    mine: Any
    theirs: Any
    rule: str
    winner: Literal["mine", "theirs", "merged"]
    state: Literal["auto", "open", "resolved"]
    mine_by: Writing
    theirs_by: Writing
    result: Any
    resolved_by: str | None
    resolved_at: int | None
    error: str
    space: str
    path: str = ""
    deleted: Literal["", "mine", "theirs"] = ""


class ConflictPage(msgspec.Struct):
    """A part of a list of conflicts; `next` is what to ask `after` for the following one, null at the end."""

    conflicts: list[Shown]
    next: str | None


class Decision(msgspec.Struct):
    """What somebody decides over HTTP: one of the two, or a value in wire form; exactly one member is given."""

    choice: Literal["mine", "theirs"] | msgspec.UnsetType = msgspec.UNSET
    value: Any = msgspec.UNSET


def shown_over_http(conflict: Conflict) -> Shown:
    """The conflict as the HTTP interface gives it."""
    members = conflict._asdict()
    return Shown(**members | {side: Writing(*members[side]) for side in ("mine_by", "theirs_by")})


def decode_decision(body: bytes) -> Choice:
    """The choice that a request's body names. Raises `request_malformed`."""
    try:
        decision = msgspec.json.decode(body, type=Decision)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise HoldfastError("request_malformed", f"the decision is not what it must be: {error}") from None
    if isinstance(decision.choice, str) == (decision.value is not msgspec.UNSET):
        raise HoldfastError("request_malformed", 'a decision has exactly one member: "choice" or "value"')
    return decision.choice if isinstance(decision.choice, str) else Other(decision.value)


class Other(NamedTuple):
    """A value that is neither of the two, in the Python type of its column or in wire form."""

    value: Any


Choice = Literal["mine", "theirs"] | Other


def chosen(choice: Any) -> Choice:
    """A choice as applications give it: "mine", "theirs", or a value."""
    if isinstance(choice, Other):
        return choice
    if isinstance(choice, str) and choice in ("mine", "theirs"):
        return "mine" if choice == "mine" else "theirs"
    return Other(choice)


class Decided(NamedTuple):
    """What a choice comes to: the result that the conflict shows (`ABSENT`: a member of JSON that is not there), and
    what makes it true: nothing, an update of the cell, a delete or an insert of the row with these wire values by
    column."""

    result: Any
    effect: Literal["none", "update", "delete", "insert"]
    values: Mapping[str, Any] = MappingProxyType({})


def decided(schema: Schema, conflict: Conflict, choice: Choice, shown: Mapping[str, Any] | None) -> Decided:
    """What a choice does. `shown` holds the wire values of the row as it stands, at least that of the column; None when
    the row is not there.

    Raises `HoldfastError`: `conflict_gone` when the row of a column is not there, `conflict_choice`, or what the column
    refuses.
    """
    table = schema.table(conflict.table)
    if not conflict.column:
        return _about_life(table, conflict, choice, there=shown is not None)
    column = table.column(conflict.column)
    if shown is None:
        message = f"the row {conflict.key!r} of {conflict.table} is not there; nothing can be written into it"
        raise HoldfastError("conflict_gone", message, table=conflict.table, key=conflict.key)
    if conflict.rule == JSON:
        return _about_member(column, conflict, choice, shown[column.name])
    value = _chosen(column, conflict, choice)
    if same(shown[column.name], value):
        return Decided(value, "none")
    return Decided(value, "update", {column.name: value})


def _about_member(column: Column, conflict: Conflict, choice: Choice, shown: Any) -> Decided:
    """A member of a JSON document: everything else in the document stays as it is."""
    if isinstance(choice, Other):
        value = choice.value
    else:
        value = ABSENT if conflict.deleted == choice else conflict.mine if choice == "mine" else conflict.theirs
    if alike(member(shown, conflict.path), value):
        return Decided(value, "none")
    whole = with_member(shown, conflict.path, value)
    moved = any(step.isdecimal() or step == END for step in steps_of(conflict.path)) and _elsewhere(conflict, shown)
    if whole is ABSENT or moved:
        message = f"what stood at {conflict.path} of {conflict.table}.{column.name} has moved or gone; write it anew"
        raise HoldfastError("conflict_gone", message, table=conflict.table, key=conflict.key, path=conflict.path)
    try:
        whole = column.accept(whole)
    except InvalidValue as error:
        raise HoldfastError(error.code, f"{conflict.table}.{column.name}: {error.message}") from None
    return Decided(member(whole, conflict.path), "update", {column.name: whole})


def _elsewhere(conflict: Conflict, shown: Any) -> bool:
    """Whether an element has another place by now, as far as one can tell: there stands neither of the two, nor what
    was decided. What is put behind the end of an array has no place yet.
    """
    if steps_of(conflict.path)[-1] == END:
        return False
    return not any(
        alike(member(shown, conflict.path), known) for known in (conflict.mine, conflict.theirs, conflict.result)
    )


def losing_side(conflict: Conflict) -> Literal["mine", "theirs"]:
    """Which value lost. Raises `conflict_choice` when neither did."""
    if conflict.winner == "merged":
        message = "neither value lost; use resolve() to choose one"
        raise HoldfastError("conflict_choice", message, table=conflict.table, key=conflict.key)
    return "theirs" if conflict.winner == "mine" else "mine"


def _chosen(column: Column, conflict: Conflict, choice: Choice) -> Any:
    if not isinstance(choice, Other):
        side = conflict.mine if choice == "mine" else conflict.theirs
        return _text_of_edit(conflict, side) if column.merge == "merge_text" and isinstance(side, dict) else side
    try:
        wire = None if choice.value is None else wire_of(column.type, choice.value, column.element)
        return column.accept(wire)
    except InvalidValue as error:
        raise HoldfastError(error.code, f"{conflict.table}.{column.name}: {error.message}") from None


def _text_of_edit(conflict: Conflict, change: Mapping[str, Any]) -> str:
    """What an edit typed whose text nobody knows any more (`spec/merge.md`, section 12, apply, 3). One that also kept
    or deleted something is no text of its own: a person has to say what shall stand.
    """
    if not all(isinstance(part, str) for part in change["op"]):
        message = "this side is an edit of a text that is not kept; choose the other side, or give the text to stand"
        raise HoldfastError("conflict_choice", message, table=conflict.table, key=conflict.key)
    return "".join(change["op"])


def _about_life(table: Table, conflict: Conflict, choice: Choice, *, there: bool) -> Decided:
    if isinstance(choice, Other):
        message = 'a deletion met an edit: choose "mine" or "theirs"; the value of None is the deletion'
        raise HoldfastError("conflict_choice", message, table=conflict.table, key=conflict.key)
    edit = conflict.mine if choice == "mine" else conflict.theirs
    if edit is None:
        return Decided(None, "delete" if there else "none")
    if there:
        return Decided({"alive": True}, "none")
    if not conflict.has_base:
        message = f"what the row {conflict.key!r} of {conflict.table} held is not known; write it anew"
        raise HoldfastError("conflict_gone", message, table=conflict.table, key=conflict.key)
    image = {**conflict.base, **_plain(table, edit)}
    names = [column.name for column in table.cells if column.name in image and not column.read_only]
    return Decided({"alive": True}, "insert", {name: image[name] for name in names})


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
