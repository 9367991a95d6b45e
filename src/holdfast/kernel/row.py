"""Rows: what an operation does to one, and how two states of one become one.

Specification: `spec/merge.md`. Vectors: `spec/vectors/rows`. The same code decides on the hub and shows on the device
what the hub would answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from holdfast.kernel.clock import after, origin_of
from holdfast.kernel.column import Cell, Column, Table, default_of
from holdfast.kernel.merges import BY_NAME
from holdfast.kernel.merges.merge_text import MergeText
from holdfast.kernel.values import same

Base = dict[int, str] | list[str | None]


@dataclass(slots=True)
class Row:
    """The state of one row. `life`: 0 never existed, odd alive, even dead (a dead row keeps its cells).

    `values` and `stamps` by slot, both possibly shorter than the table: missing cells hold the default and no stamp.
    `states`: slot -> state of the merge type, where it is not the initial one. The contents are never changed in place.
    """

    life: int
    values: list[Any]
    stamps: list[str | None]
    states: dict[int, Any] = field(default_factory=dict)

    def copy(self) -> Row:
        """An independent row that shares the (immutable) cells."""
        return Row(self.life, self.values.copy(), self.stamps.copy(), self.states.copy())


class Op(NamedTuple):
    """An operation on one row. `kind` is "insert", "update" or "delete"; `life` the one that its writer had seen.

    `changes`: slot -> change, in canonical form (`Merge.check`). `base`: the stamps that the writer had seen, by slot:
    a dict for an update, the list of the whole row for a delete, empty for an insert. `named`: the stamp that the
    writer gave, when the hub has replaced it (merge.md, section 6), else empty.
    """

    kind: str
    key: str
    stamp: str
    life: int
    changes: dict[int, Any]
    base: Base
    named: str = ""


class Conflict(NamedTuple):
    """Two writes, neither of which had seen the other. `winner` is "mine" (the operation) or "theirs" (the row).

    `rule` is the merge type with the slot, and the new value against the current one; or "revived", "kept", "deleted"
    with slot None, and the cells in question (slot -> change or value) against None for the deletion.
    """

    slot: int | None
    rule: str
    mine: Any
    theirs: Any
    winner: str


class Outcome(NamedTuple):
    """What became of an operation. `status` is "applied", "merged", "ignored" or "missing" (merge.md, section 3)."""

    row: Row | None
    status: str
    conflicts: tuple[Conflict, ...] = ()


def apply(table: Table, row: Row | None, op: Op, hub: str) -> Outcome:
    """Apply `op` at `hub` (its id; `counter.PENDING` on a device) to `row`; None or life 0: it never existed.

    Never changes `row`. Raises InvalidValue (`value_range`) when a counter would leave its range; ValueError for a kind
    that does not exist.
    """
    exists = row is not None and row.life > 0
    if op.kind == "update":
        return _update(table, row, op, hub) if row is not None and exists else Outcome(row, "missing")
    if op.kind == "insert":
        if row is None or not exists:
            return Outcome(_start(table, None, op, hub, _odd_after(op.life)), _status(op, False))
        if row.life % 2 == 0:
            fresh = _start(table, row, op, hub, _odd_after(max(row.life, op.life)))
            return Outcome(fresh, _status(op, op.life != row.life))
        return _insert_again(table, row, op, hub)
    if op.kind == "delete":
        return _delete(table, row, op) if row is not None and row.life % 2 == 1 else Outcome(row, "ignored")
    raise ValueError(f"no such kind of operation: {op.kind!r}")


def follows(current: str | None, base: str | None, stamp: str) -> bool:
    """Whether a write with `stamp`, whose writer had seen `base`, follows the current stamp of a cell.

    The four rules of merge.md, section 2; a write that does not follow is concurrent.
    """
    if current is None or current == base:
        return True
    origin = current[15:]
    return origin == stamp[15:] or (base is not None and origin == base[15:] and current <= base)


def join(table: Table, a: Row, b: Row) -> Row:
    """The least upper bound of two states of one row: the larger life, and cell by cell (merge.md, section 5)."""
    result = Row(max(a.life, b.life), [], [], {})
    for slot in range(max(len(a.values), len(b.values))):
        column = table.cells[slot]
        cell_a, cell_b = _cell(column, a, slot), _cell(column, b, slot)
        if cell_a.stamp is None or cell_b.stamp is None:
            cell = cell_a if cell_b.stamp is None else cell_b
        else:
            cell = BY_NAME[column.merge].join(column, cell_a, cell_b)
        result.values.append(cell.value)
        result.stamps.append(cell.stamp)
        if cell.state is not None:
            result.states[slot] = cell.state
    return result


def _status(op: Op, differs: bool) -> str:
    # A replaced stamp is a difference by itself: the device must take the row from the hub.
    return "merged" if differs or op.named else "applied"


def _odd_after(life: int) -> int:
    return life + 1 if life % 2 == 0 else life + 2


def _cell(column: Column, row: Row, slot: int) -> Cell:
    """The cell in a slot; the default without a stamp where the row is shorter."""
    stamp = row.stamps[slot] if slot < len(row.stamps) else None
    if slot < len(row.values):
        return Cell(row.values[slot], stamp, row.states.get(slot))
    return Cell(default_of(column, BY_NAME[column.merge].empty), stamp)


def _lengthen(table: Table, row: Row, size: int) -> None:
    """Fill `row` up with defaults to at least `size` cells, and its stamps to as many as its values."""
    for slot in range(len(row.values), size):
        column = table.cells[slot]
        row.values.append(default_of(column, BY_NAME[column.merge].empty))
    row.stamps.extend([None] * (len(row.values) - len(row.stamps)))


def _put(row: Row, slot: int, cell: Cell) -> None:
    row.values[slot] = cell.value
    row.stamps[slot] = cell.stamp
    if cell.state is not None:
        row.states[slot] = cell.state
    elif row.states:
        row.states.pop(slot, None)


def _start(table: Table, dead: Row | None, op: Op, hub: str, life: int) -> Row:
    """The row that an insert makes, every cell written; `dead` is the row that it replaces."""
    row = Row(life, [], [], {})
    changes, stamp, stamps = op.changes, op.stamp, dead.stamps if dead is not None else ()
    for slot, column in enumerate(table.cells):
        old = stamps[slot] if slot < len(stamps) else None
        if column.merge == "register" and (old is None or old < stamp):
            # What `_start_cell` does for a register, said shortly: most cells of most rows are made here.
            row.values.append(changes[slot] if slot in changes else default_of(column, None))
            row.stamps.append(stamp)
            continue
        cell = _start_cell(column, op, slot, hub, life, old)
        row.values.append(cell.value)
        row.stamps.append(cell.stamp)
        if cell.state is not None:
            row.states[slot] = cell.state
    return row


def _start_cell(column: Column, op: Op, slot: int, hub: str, epoch: int, old: str | None) -> Cell:
    """A new cell. `old` is the stamp of the cell of an earlier life: a register, which has no epoch, must be later."""
    merge = BY_NAME[column.merge]
    if slot in op.changes:
        change = op.changes[slot]
    else:
        change = merge.difference(column, merge.empty, None, default_of(column, merge.empty))
    stamp = op.stamp
    if old is not None and old >= stamp and not merge.lossless:
        stamp = after(old, origin_of(stamp))
    return merge.apply(column, Cell(merge.empty, None, merge.initial(epoch)), change, stamp, op.named or op.stamp, hub)


def _insert_again(table: Table, row: Row, op: Op, hub: str) -> Outcome:
    """Two inserts of one key: the changed cells are merged with no base."""
    result = row.copy()
    conflicts: list[Conflict] = []
    _lengthen(table, result, 1 + max(op.changes, default=-1))
    for slot in op.changes:
        if result.stamps[slot] is None:
            _put(result, slot, _start_cell(table.cells[slot], op, slot, hub, 1, None))
        else:
            _merge_cell(table, result, slot, op, None, hub, conflicts)
    return Outcome(result, "merged", tuple(conflicts))


def _update(table: Table, row: Row, op: Op, hub: str) -> Outcome:
    conflicts: list[Conflict] = []
    differs = op.life != row.life
    if row.life % 2 == 0:
        if table.on_delete == "delete":
            return Outcome(row, "merged", (Conflict(None, "deleted", op.changes, None, "theirs"),))
        conflicts.append(Conflict(None, "revived", op.changes, None, "mine"))
    result = row.copy()
    if result.life % 2 == 0:
        result.life += 1
    base: Any = op.base
    _lengthen(table, result, 1 + max(op.changes, default=-1))
    for slot in op.changes:
        if _merge_cell(table, result, slot, op, base.get(slot), hub, conflicts):
            differs = True
    return Outcome(result, _status(op, differs), tuple(conflicts))


def _merge_cell(
    table: Table, row: Row, slot: int, op: Op, base: str | None, hub: str, conflicts: list[Conflict]
) -> bool:
    """Merge one change into `row`; True when the result is not what the writer saw."""
    column = table.cells[slot]
    merge = BY_NAME[column.merge]
    change = op.changes[slot]
    cell = Cell(row.values[slot], row.stamps[slot], row.states.get(slot))
    current, stamp = cell.stamp, op.stamp
    following = follows(current, base, stamp)
    differs = not following
    if current is not None and not merge.lossless:
        if following and stamp <= current:
            # What has seen the current value replaces it, even when its writer's clock is behind.
            stamp, differs = after(current, origin_of(stamp)), True
        elif not following and not same(cell.value, change):
            winner = "mine" if stamp > current and not merge.decided else "theirs"
            conflicts.append(Conflict(slot, column.merge, change, cell.value, winner))
        if not following and merge.decided:
            return True
    if isinstance(merge, MergeText):
        merged = merge.merged(cell, change, stamp, op.named or op.stamp, hub)
        if merged.conflict is not None:
            conflicts.append(Conflict(slot, column.merge, *merged.conflict))
        _put(row, slot, merged.cell)
        return differs
    _put(row, slot, merge.apply(column, cell, change, stamp, op.named or op.stamp, hub))
    return differs


def _delete(table: Table, row: Row, op: Op) -> Outcome:
    base: Any = op.base
    unseen = {
        slot: row.values[slot]
        for slot, current in enumerate(row.stamps)
        if not follows(current, base[slot] if slot < len(base) else None, op.stamp)
    }
    # Without a written cell only the life tells that somebody else made the row again.
    made_again = op.life < row.life and not any(row.stamps)
    if (unseen or made_again) and table.on_delete != "delete":
        return Outcome(row, "merged", (Conflict(None, "kept", None, unseen, "theirs"),))
    result = row.copy()
    result.life += 1
    if unseen or made_again:
        return Outcome(result, "merged", (Conflict(None, "deleted", None, unseen, "mine"),))
    return Outcome(result, _status(op, op.life != row.life))
