"""Coalescing changes nothing on the hub: values, stamps, lives, dots and counts are as if every edit had been sent.

Judged by the naive model of `tests/properties/model.py`, which shares no code with the kernel.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel import clock
from holdfast.kernel.merges import BY_NAME
from holdfast.kernel.merges.counter import PENDING
from holdfast.kernel.row import Op, Row, apply
from holdfast.protocol import messages as m
from holdfast.replica.coalesce import compose, groups
from holdfast.replica.confirmed import local_operation
from holdfast.replica.seal import wire_operation
from holdfast.replica.tables import UserTable
from holdfast.schema import sqlite_values
from holdfast.schema.model import MISSING
from tests.properties import model
from tests.properties.convergence.statements import value_for
from tests.properties.convergence.tables import SCHEMA

USERS = {table.name: UserTable(table, number) for number, table in enumerate(SCHEMA.tables)}
STEP = 64
"""Between two stamps of a writer there is room for those that the hub makes after one of them."""
KEYS = {"form": "a", "entry": '["1",1,true]', "pet": "p"}


class Writer:
    """Who edits one row, always seeing what he has: `row` as `Seal` sees it. He edits the cells in `slots`."""

    def __init__(self, user: UserTable, key: str, origin: str, row: Row | None, hlc: int, slots: list[int]) -> None:
        self.user, self.key, self.origin, self.row, self.hlc, self.slots = user, key, origin, row, hlc, slots

    def write(self, draw: st.DrawFn, kind: str) -> m.AnyOperation | None:
        """One more operation on the wire; None when there is nothing to do."""
        self.hlc += draw(st.sampled_from((STEP, STEP, 4096 * 60_000)))
        stamp, table = clock.stamp(self.hlc, self.origin), self.user.table
        alive = self.row is not None and self.row.life % 2 == 1
        if kind == "delete" and alive:
            op = Op("delete", self.key, stamp, self.row.life, {}, list(self.row.stamps))  # type: ignore[union-attr]
        elif kind == "update" and alive:
            changes = self._changes(draw, self.row)
            base = {slot: seen for slot in changes if (seen := self._stamp(slot)) is not None}
            op = Op("update", self.key, stamp, self.row.life, changes, base)  # type: ignore[union-attr]
        elif kind == "insert" and not alive:
            changes = {
                slot: self._value(draw, slot, BY_NAME[column.merge].empty, None)
                for slot, column in enumerate(table.cells)
                if column.default is MISSING or draw(st.booleans())
            }
            op = Op("insert", self.key, stamp, self.row.life if self.row is not None else 0, changes, {})
        else:
            return None
        self.row = apply(table, self.row, op, PENDING).row
        return wire_operation(self.user, op)

    def _changes(self, draw: st.DrawFn, row: Row | None) -> dict[int, Any]:
        assert row is not None
        slots = draw(st.lists(st.sampled_from(self.slots), min_size=1, max_size=3, unique=True))
        return {slot: self._value(draw, slot, row.values[slot], row.states.get(slot)) for slot in slots}

    def _value(self, draw: st.DrawFn, slot: int, old: Any, state: Any) -> Any:
        column = self.user.table.cells[slot]
        new = sqlite_values.from_sql(column, draw(value_for(self.user.table, column)))
        return BY_NAME[column.merge].difference(column, old, state, new)

    def _stamp(self, slot: int) -> str | None:
        assert self.row is not None
        return self.row.stamps[slot] if slot < len(self.row.stamps) else None


@st.composite
def histories(draw: st.DrawFn) -> tuple[UserTable, list[Any], list[m.AnyOperation]]:
    """A table, what the hub has got from others, and what a device has written on one row; the last may have come
    between.
    """
    user = USERS[draw(st.sampled_from(sorted(KEYS)))]
    key = KEYS[user.table.name]
    # Few cells, so that they are edited again and again; those that merge more often than registers.
    every = list(range(len(user.cells)))
    slots = draw(st.lists(st.sampled_from([*every, *sorted(user.merging) * 3]), min_size=1, max_size=3, unique=True))
    other = Writer(user, key, "0" * 11 + "b", None, clock.wall(1000), slots)
    before = [other.write(draw, "insert")] if draw(st.booleans()) else []
    before += [other.write(draw, "update") for _ in range(draw(st.integers(0, 2)))]
    mine = Writer(user, key, "0" * 11 + "a", other.row, other.hlc, slots)
    kinds = draw(st.lists(st.sampled_from(("update",) * 6 + ("insert", "delete")), min_size=2, max_size=8))
    own = [mine.write(draw, kind) for kind in (["insert", *kinds] if other.row is None else kinds)]
    meanwhile = [other.write(draw, draw(st.sampled_from(("update", "delete", "insert")))) for _ in range(3)]
    return user, [op for op in [*before, *meanwhile] if op is not None], [op for op in own if op is not None]


def judged(user: UserTable, operations: list[m.AnyOperation]) -> Any:
    """What the naive model makes of the operations."""
    row = None
    for op in operations:
        wire = msgspec.json.decode(m.encode(op))
        try:
            row, _ = model.apply(user.table, row, {**wire, "named": op.stamp})
        except model.Refused:
            continue  # a counter at its limit, or a row that others have never made
    return row


def settled(row: Any, given_out: set[str]) -> Any:
    """The row without the count of stamps that the hub made itself, for writers whose clocks are behind: it counts one
    on with every edit (merge.md, section 2), so fewer edits are a lower count, of the same origin.
    """
    for cell in row.cells.values() if row is not None else ():
        if cell.stamp is not None and cell.stamp not in given_out:
            cell.stamp = f"made by the hub for {cell.stamp.partition('-')[2]}"
    return row


@given(histories())
def test_the_hub_is_as_if_every_edit_had_been_sent(history: tuple[UserTable, list[Any], list[m.AnyOperation]]) -> None:
    user, others, own = history
    given_out = {op.stamp for op in (*others, *own)}
    wholly = settled(judged(user, [*others, *own]), given_out)
    shortly = settled(judged(user, [*others, *compose(user, own)]), given_out)
    assert wholly == shortly


@given(histories())
def test_the_device_shows_the_same(history: tuple[UserTable, list[Any], list[m.AnyOperation]]) -> None:
    user, _, own = history

    def folded(operations: list[m.AnyOperation]) -> Any:
        row: Row | None = None
        for op in operations:
            row = apply(user.table, row, local_operation(user, op), PENDING).row
        return row

    assert folded(own) == folded(compose(user, own))


def test_edits_of_one_column_become_one_operation() -> None:
    user = USERS["pet"]
    stamps = [clock.stamp(clock.wall(n + 1), "0" * 11 + "a") for n in range(50)]
    edits: list[m.AnyOperation] = [
        m.Update(
            "pet", "p", stamp, 1, {"note": str(n)}, {"note": stamps[n - 1] if n else "01" + "0" * 12 + "-" + "b" * 12}
        )
        for n, stamp in enumerate(stamps)
    ]
    (one,) = compose(user, edits)
    base = {"note": "01" + "0" * 12 + "-" + "b" * 12}
    times = [stamp.partition("-")[0] for stamp in stamps[:-1]]
    assert one == m.Update("pet", "p", stamps[-1], 1, {"note": "49"}, base, times), "it names those for which it stands"


def test_groups_do_not_reach_across_what_others_depend_on() -> None:
    name = (1, "k")
    alone = [(1, ""), (2, ""), (4, ""), (5, "x"), (6, "x"), (7, "")]
    assert [group.txns for group in groups(name, alone, {})] == [[1, 2, 4], [5, 6]]
    assert [group.txns for group in groups(name, alone, {2: [3]})] == [[1, 2], [5, 6]]
    assert [group.txns for group in groups(name, alone, {1: [3], 4: [9]})] == [[1, 2], [5, 6]]
    assert [group.txns for group in groups(name, alone, {2: [4, 8]})] == [[1, 2, 4], [5, 6]]
