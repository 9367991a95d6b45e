"""The history: who changed what, when, from what, by which rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from holdfast.hub.hooks import Context
from holdfast.kernel.merges import BY_NAME
from holdfast.kernel.row import Op, Row
from holdfast.kernel.values import same
from holdfast.protocol.messages import Transaction, encode
from holdfast.schema.model import Column, Table
from holdfast.stores.base import HistoryEntry


class Decision(Struct, omit_defaults=True):
    """A conflict that the operation met: the key of its row in `holdfast_conflict`, and how it was decided."""

    conflict: str
    rule: str
    winner: str
    column: str = ""


class Record(Struct, omit_defaults=True):
    """One operation as the history keeps it. `set` are the changes, `old` the values before, `life` before and after.

    `kept` names the columns whose cell stayed as it was, since the change lost; `after` the value and the stamp of
    cells that became something else than the change at the operation's stamp. `named` is the stamp that the writer
    gave, when the hub replaced it. `versions` are those that merged texts got, where it is not the operation's stamp.
    `joined` are the hybrid times of earlier edits for which it stood, too.
    """

    op: str
    origin: str
    n: int
    life: tuple[int, int]
    set: dict[str, Any] = {}
    old: dict[str, Any] = {}
    label: str = ""
    conflicts: list[Decision] = []
    kept: list[str] = []
    after: dict[str, tuple[Any, str]] = {}
    named: str = ""
    versions: dict[str, str] = {}
    joined: list[str] = []


decode_record = msgspec.json.Decoder(Record).decode


WHOLE_TEXT = 1024
"""A text of up to so many code points is kept whole in every entry of its history."""


def remembered(column: Column, old: Any, new: Any) -> Any:
    """The old value as an entry keeps it. Of a longer text that many edit it is what an edit replaced:
    `{"at": place, "was": text, "is": length}`: with `was` in place of the `is` code points at `at` it is the old text.
    """
    if column.merge not in ("text", "merge_text") or len(old) <= WHOLE_TEXT:
        return old
    start, end, limit = 0, 0, min(len(old), len(new))
    while start < limit and old[start] == new[start]:
        start += 1
    while end < limit - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return {"at": start, "was": old[start : len(old) - end], "is": len(new) - end - start}


def recalled(column: Column, kept: Any, new: Any) -> Any:
    """The old value again, from what an entry keeps of it and the value after the entry."""
    if column.merge not in ("text", "merge_text") or not isinstance(kept, dict):
        return kept
    return new[: kept["at"]] + kept["was"] + new[kept["at"] + kept["is"] :]


def history_entry(
    table: Table,
    op: Op,
    before: Row | None,
    after: Row,
    conflicts: Sequence[Decision],
    transaction: Transaction,
    context: Context,
    joined: Sequence[str] = (),
) -> HistoryEntry:
    """The entry of one operation. `joined` as in `messages.Update`."""
    cells = table.cells
    old: dict[str, Any] = {}
    record = Record(
        op.kind,
        transaction.origin,
        transaction.n,
        (before.life if before is not None else 0, after.life),
        {cells[slot].name: change for slot, change in op.changes.items()},
        old,
        transaction.label,
        list(conflicts),
        named=op.named,
        joined=list(joined),
    )
    if before is not None:
        slots = op.changes if op.kind == "update" else range(min(len(before.values), len(cells)))
        whole = op.kind != "update"
        for slot in slots:
            if slot < len(before.values):
                value = before.values[slot]
                old[cells[slot].name] = value if whole else remembered(cells[slot], value, after.values[slot])
        if op.kind != "delete":
            _outcomes(table, op, before, after, record)
    return HistoryEntry(
        context.space, table.name, op.key, op.stamp, context.device, context.identity.user, context.now, encode(record)
    )


def _outcomes(table: Table, op: Op, before: Row, after: Row, record: Record) -> None:
    """Note what became of the changes of types that keep one value, where it was not simply written."""
    for slot in op.changes if op.kind == "update" else range(len(after.stamps)):
        stamp, column = after.stamps[slot], table.cells[slot]
        if column.merge == "merge_text" and stamp not in (None, op.stamp):
            record.versions[column.name] = stamp
        if stamp is None or stamp == op.stamp or BY_NAME[column.merge].lossless:
            continue
        if slot < len(before.stamps) and stamp == before.stamps[slot]:
            if slot in op.changes and not same(op.changes[slot], after.values[slot]):
                record.kept.append(column.name)
        else:
            record.after[column.name] = (after.values[slot], stamp)
