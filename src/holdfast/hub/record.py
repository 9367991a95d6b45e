"""The history: who changed what, when, from what, by which rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from holdfast.hub.hooks import Context
from holdfast.kernel.row import Op, Row
from holdfast.protocol.messages import ConflictNote, Transaction, encode
from holdfast.schema.model import Table
from holdfast.stores.base import HistoryEntry


class Record(Struct, omit_defaults=True):
    """One operation as the history keeps it. `set` are the changes, `old` the values before, `life` before and
    after.
    """

    op: str
    origin: str
    n: int
    life: tuple[int, int]
    set: dict[str, Any] = {}
    old: dict[str, Any] = {}
    label: str = ""
    conflicts: list[ConflictNote] = []


def history_entry(
    table: Table,
    op: Op,
    before: Row | None,
    after: Row,
    conflicts: Sequence[ConflictNote],
    transaction: Transaction,
    context: Context,
) -> HistoryEntry:
    """The entry of one operation."""
    cells = table.cells
    old: dict[str, Any] = {}
    if before is not None:
        slots = op.changes if op.kind == "update" else range(len(before.values))
        old = {cells[slot].name: before.values[slot] for slot in slots if slot < len(before.values)}
    record = Record(
        op.kind,
        transaction.origin,
        transaction.n,
        (before.life if before is not None else 0, after.life),
        {cells[slot].name: change for slot, change in op.changes.items()},
        old,
        transaction.label,
        list(conflicts),
    )
    return HistoryEntry(
        context.space, table.name, op.key, op.stamp, context.device, context.identity.user, context.now, encode(record)
    )
