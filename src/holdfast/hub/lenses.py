"""The cells that lenses derive: whoever writes one side of a lens has the other side written, in the same operation.

A device sees the columns of its own version only. What another version writes reaches it as a derived cell, stamped by
who wrote the other side, so that all of it is merged, compared and kept like anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.hub.operations import Refusal
from holdfast.kernel.column import default_of
from holdfast.kernel.merges import BY_NAME
from holdfast.kernel.row import Op, Row, apply
from holdfast.kernel.values import same
from holdfast.protocol import messages as m
from holdfast.schema.migrations import Function, carried
from holdfast.schema.model import MISSING, Column, Schema, Table
from holdfast.schema.versions import BoundLens

Side = tuple[tuple[int, ...], tuple[int, ...], Function, tuple[Column, ...]]
"""Slots that were written, slots to derive from them, the function that does it, and what the derived columns take."""


def complete(schema: Schema, op: m.Insert) -> None:
    """Give an insert the columns of all versions: `set` gets what the lenses make of what its writer knew. Raises
    `Refusal` `lens_failed`."""
    table = schema.by_name.get(op.table)
    if table is None or table.name not in schema.lenses:
        return
    for sources, targets, function, takes in _ways(schema.lenses[table.name]):
        given = [table.cells[slot].name in op.set for slot in sources]
        if not any(given) or any(table.cells[slot].name in op.set for slot in targets):
            continue
        values = [op.set.get(column.name, _default(column)) for column in (table.cells[slot] for slot in sources)]
        columns = [table.cells[slot] for slot in targets]
        for column, value in zip(columns, _carried(table, op.key, function, values, takes), strict=True):
            op.set[column.name] = value


def settle(
    schema: Schema, table: Table, key: str, before: Row | None, row: Row, hub: str, given: Iterable[int] | None = None
) -> tuple[Row, dict[int, Any]]:
    """The row with the other sides of all lenses derived from what has changed since `before`, and the derived values
    by slot. `before` None: the row is new; `given` are the slots that its writer gave, None: those that do not show
    their default. A side that was given is never derived. Raises `Refusal` `lens_failed`."""
    lenses = schema.lenses.get(table.name, ())
    if not lenses or row.life % 2 == 0:
        return row, {}
    changed = (
        set(given) if given is not None else {n for n in range(len(table.cells)) if _changed(table, before, row, n)}
    )
    derived: dict[int, Any] = {}
    for way in _ways(lenses):
        sources, targets = way[:2]
        if not changed.isdisjoint(targets):
            continue
        if changed.isdisjoint(sources):
            # Two sides of a new row that nobody gave shall agree. What is null may be so for want of a default.
            if before is not None or all(_value(table, row, slot) is None for slot in sources):
                continue
            changed.update(sources)
        row, made = derive(table, key, row, way, hub)
        derived |= made
        changed.update(made)
    return row, derived


def derive(table: Table, key: str, row: Row, way: Side, hub: str) -> tuple[Row, dict[int, Any]]:
    """One side of a lens written from the other one, with the latest stamp of that; the values that this changed."""
    sources, targets, function, takes = way
    values = _carried(table, key, function, [_value(table, row, slot) for slot in sources], takes)
    made = {
        slot: value for slot, value in zip(targets, values, strict=True) if not same(value, _value(table, row, slot))
    }
    # Cells that were never written show their defaults: they are as old as the row.
    stamp = latest(row, sources) or latest(row, range(len(row.stamps)))
    if not made or not stamp:
        return row, {}
    base = {slot: seen for slot in made if (seen := _stamp(row, slot)) is not None}
    done = apply(table, row, Op("update", key, stamp, row.life, made, base), hub).row
    assert done is not None, "the row is there"
    return done, made


def filled(schema: Schema, table: Table, key: str, row: Row, hub: str) -> Row:
    """A row that may have been written before its lenses were there, or by a hub that did not know them: each side that
    is older than the other one, and does not say the same, is derived. Raises `Refusal` `lens_failed`."""
    for lens in schema.lenses.get(table.name, ()):
        forth, back = _forth(lens), _back(lens)
        old, new = latest(row, lens.old), latest(row, lens.new)
        if row.life % 2 == 0 or (old == new and old):
            continue
        if new and _says(table, key, row, back):
            continue
        row, _ = derive(table, key, row, back if new > old else forth, hub)
    return row


def latest(row: Row, slots: Sequence[int]) -> str:
    """The latest stamp of these cells, "" if none was ever written."""
    return max((_stamp(row, slot) or "" for slot in slots), default="")


def _says(table: Table, key: str, row: Row, way: Side) -> bool:
    sources, targets, function, takes = way
    values = _carried(table, key, function, [_value(table, row, slot) for slot in sources], takes)
    return all(same(value, _value(table, row, slot)) for slot, value in zip(targets, values, strict=True))


def _ways(lenses: Sequence[BoundLens]) -> Iterator[Side]:
    """Towards later versions, then back towards earlier ones: a write spreads from its own version both ways."""
    yield from map(_forth, lenses)
    yield from map(_back, reversed(lenses))


def _forth(lens: BoundLens) -> Side:
    return lens.old, lens.new, lens.forward, lens.takes_new


def _back(lens: BoundLens) -> Side:
    return lens.new, lens.old, lens.backward, lens.takes_old


def _carried(table: Table, key: str, function: Function, values: Sequence[Any], takes: Sequence[Column]) -> list[Any]:
    try:
        return carried(function, values, takes)
    except HoldfastError as error:
        raise Refusal(error.code, f"{table.name}: {error.message}", table.name, key) from None


def _changed(table: Table, before: Row | None, row: Row, slot: int) -> bool:
    earlier = _shown_default(table, slot) if before is None else _value(table, before, slot)
    return not same(earlier, _value(table, row, slot))


def _value(table: Table, row: Row, slot: int) -> Any:
    return row.values[slot] if slot < len(row.values) else _shown_default(table, slot)


def _shown_default(table: Table, slot: int) -> Any:
    column = table.cells[slot]
    return default_of(column, BY_NAME[column.merge].empty)


def _stamp(row: Row, slot: int) -> str | None:
    return row.stamps[slot] if slot < len(row.stamps) else None


def _default(column: Any) -> Any:
    return None if column.default is MISSING else column.default
