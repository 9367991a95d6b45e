"""Work that another copy of a device's file has brought before: it is known again, and has no second effect.

A file that is copied, or put back from a backup, holds transactions without a name which its other copy may have sent
under one that this copy knows nothing of. What both have in common is the device, and the hybrid times that sealing
gives to what was captured, which depend on nothing but the file (`spec/protocol.md`, section 18). The history of a row
has both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from holdfast.hub.operations import Refusal
from holdfast.hub.record import Record
from holdfast.hub.trace import Trace
from holdfast.kernel.column import Cell
from holdfast.kernel.documents.content import decoded, encoded, joined
from holdfast.kernel.documents.update import read_update, write_ranges
from holdfast.kernel.merges import document
from holdfast.kernel.row import Op, Row
from holdfast.protocol import messages as m
from holdfast.schema.model import Column, Table

SHOWN = 200
"""So many characters of what was typed are told."""
TWICE = frozenset({"counter", "text", "json"})
"""Merge types in which a change that comes in two operations counts twice."""


class Sender(NamedTuple):
    """Which device sent a transaction, under which origin, and whether it says that its file may have a copy."""

    device: str
    origin: str
    copied: bool


def time_of(stamp: str) -> str:
    """The hybrid time of a stamp, as text."""
    return stamp.partition("-")[0]


def joined_in(given: m.AnyOperation) -> list[str]:
    """The hybrid times of the earlier edits for which an operation stands, too."""
    return given.joined if isinstance(given, m.Update) else []


def left_to_do(trace: Trace, table: Table, given: m.AnyOperation, op: Op, row: Row | None, sender: Sender) -> Op | None:
    """What an operation has still to do to the row: all of it, mostly; nothing (None), or next to it, when another copy
    of the file has sent it before. Of one that stands for several edits, of which some came before, the others.

    Raises `Refusal` (`sent_in_part`) when these cannot be told apart.
    """
    times = {time_of(op.stamp), *joined_in(given)}
    if row is None or not _may_have_come(op, row, times, copied=sender.copied):
        return op
    found: list[tuple[set[str], Record]] = []
    for entry, record in trace.newest((table.name, op.key)):
        if entry.device != sender.device or record.origin == sender.origin:
            continue
        came = time_of(record.named or entry.stamp)
        if (came == time_of(op.stamp) and record.op == op.kind) or time_of(op.stamp) in record.joined:
            return _ground(table, op, row)
        covers = {came, *record.joined}
        if covers & times:
            found.append((covers, record))
    return _without(table, op, times, found) if found else op


def _may_have_come(op: Op, row: Row, times: set[str], *, copied: bool) -> bool:
    """Whether the history has to be asked. An operation that came before has moved the stamps that its writer had seen;
    unless somebody has written after it, they have its own time now."""
    stamps = row.stamps
    if not copied:
        return any(slot < len(stamps) and (now := stamps[slot]) and time_of(now) in times for slot in op.changes)
    if op.kind == "insert" or row.life != op.life:
        return True
    if isinstance(op.base, dict):
        return any(slot < len(stamps) and stamps[slot] != op.base.get(slot) for slot in op.changes)
    return list(op.base) != stamps


def _ground(table: Table, op: Op, row: Row) -> Op | None:
    """What is left of an operation that came before: what it typed is put into texts and taken out at once, because
    later edits of this copy stand on its own letters, not on those of the other one. None when there is no such text.
    """
    changes: dict[int, Any] = {}
    for slot, change in op.changes.items():
        column = table.cells[slot]
        found = document(column) if column.merge == "text" and row.life % 2 == 1 and slot < len(row.stamps) else None
        if found is None:
            continue
        data, cell = decoded(change), Cell(row.values[slot], row.stamps[slot], row.states.get(slot))
        update, known = read_update(data, text=True), found.open(column, cell).vector()
        hidden = {client: list(ranges) for client, ranges in update.deletes.items()}
        for client, (first, end) in update.structs.items():
            begin = max(first, known.get(client, 0))
            if begin < end:
                hidden[client] = joined(sorted([*hidden.get(client, ()), (begin, end - begin)]))
        if hidden != update.deletes:
            changes[slot] = encoded(data[: update.deletes_at] + write_ranges(hidden))
    return Op("update", op.key, op.stamp, row.life, changes, {}) if changes else None


def _without(table: Table, op: Op, times: set[str], found: Iterable[tuple[set[str], Record]]) -> Op:
    """The operation without the increments that came before; what only says what a cell shall be may come again."""
    changes: dict[int, Any] = dict(op.changes)
    for covers, record in found:
        for slot, column in enumerate(table.cells):
            if slot not in changes or column.merge not in TWICE or column.name not in record.set:
                continue
            if column.merge != "counter" or not covers <= times:
                raise Refusal("sent_in_part", _in_part(column, changes[slot]), table.name, op.key, column.name)
            changes[slot] -= record.set[column.name]
    return op._replace(changes=changes)


def _in_part(column: Column, change: Any) -> str:
    message = "another copy of this device's file has sent a part of this; look at the row, and write the rest"
    if column.merge == "counter":
        return message
    typed = "".join(read_update(decoded(change), text=column.merge == "text").typed)[:SHOWN]
    return f"{message}; it typed {typed!r}"
