"""The text that the writer of a merged text had seen, where his edit does not bring it because it is long.

The history keeps what each edit replaced, so the text is found by going back from the one that stands
(`spec/merge.md`, section 12).
"""

from __future__ import annotations

from typing import Any

from holdfast.hub.record import Record, recalled
from holdfast.hub.trace import Trace
from holdfast.kernel import clock, operational
from holdfast.kernel.row import Op, Row
from holdfast.kernel.values import InvalidValue
from holdfast.schema.model import Column, Table


def with_seen_texts(trace: Trace, table: Table, op: Op, row: Row | None) -> Op:
    """The operation with the texts that its writer had seen, in edits that met others and say none."""
    found: dict[int, Any] = {}
    for slot, change in op.changes.items() if row is not None and op.kind == "update" else ():
        column = table.cells[slot]
        if column.merge != "merge_text" or row is None or slot >= len(row.stamps):
            continue
        if "text" in change or change.get("after", "") in ("", row.stamps[slot]):
            continue
        seen = _text_at(trace, table, op.key, column, row.values[slot], change["after"])
        if seen is not None:
            found[slot] = {**change, "text": seen}
    return op._replace(changes={**op.changes, **found}) if found else op


def _text_at(trace: Trace, table: Table, key: str, column: Column, shown: str, version: str) -> str | None:
    """The text of a version that a writer names: one of the cell, or one that his own copy had after edits of his that
    were still on their way. None when the history does not go back to it.
    """
    value, own = shown, list[Any]()
    for entry, record in trace.newest((table.name, key)):
        if column.name in record.set or record.op == "insert":
            if version == record.versions.get(column.name, entry.stamp):
                return _after(value, own)
            # What came back after a loss is a text, and no edit that somebody may have built on.
            change = record.set.get(column.name) if record.op != "restore" else None
            if change is not None and version == _name(record, entry.stamp, change):
                own.append(change["op"])
                if "text" in change:
                    return _after(change["text"], own)
                version = change.get("after", "")
        if column.name in record.old:
            value = recalled(column, record.old[column.name], value)
        elif record.op == "insert":
            return None
    return None


def _name(record: Record, stamp: str, change: Any) -> str:
    """The version that the writer's own copy got with this edit."""
    dot, base = record.named or stamp, change.get("after", "")
    return dot if dot > base else clock.after(base, clock.origin_of(dot))


def _after(text: str, own: list[Any]) -> str | None:
    try:
        for edit in reversed(own):
            text = operational.apply(text, edit)
    except InvalidValue:
        return None
    return text
