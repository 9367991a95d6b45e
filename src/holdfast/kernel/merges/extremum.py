"""Earliest and latest: the smallest or the largest value that anybody wrote.

A total order with its maximum is a join-semilattice (Shapiro et al., 2011, section 2.3).
"""

# ruff: noqa: ARG002 (one interface for all merge types; each uses what it needs of it)

from __future__ import annotations

from typing import Any

from holdfast.kernel.column import Cell, Column
from holdfast.kernel.values import compare


class Extremum:
    """State: `[epoch]`; None when 1. `sign` is -1 for the earliest, 1 for the latest; null loses to anything."""

    lossless = True
    decided = False
    empty: Any = None

    def __init__(self, sign: int) -> None:
        self._sign = sign

    def initial(self, epoch: int) -> Any:
        """The state of a cell that an insert starts."""
        return [epoch]

    def check(self, column: Column, change: Any) -> Any:
        """The canonical form of a foreign change: the new value. Raises InvalidValue."""
        return column.accept(change)

    def difference(self, column: Column, old_value: Any, old_state: Any, new_value: Any) -> Any:
        """The change that writing `new_value` stands for: the value itself."""
        return new_value

    def apply(self, column: Column, cell: Cell, change: Any, stamp: str, dot: str, hub: str) -> Cell:
        """The better of the cell and `change`. A cell never written takes the stamp even if its default wins."""
        state = cell.state if cell.state != [1] else None
        if cell.stamp is None:
            return Cell(change if self._rank(column, change, cell.value) > 0 else cell.value, stamp, state)
        rank = self._rank(column, change, cell.value)
        if rank > 0 or (rank == 0 and stamp > cell.stamp):
            return Cell(change, stamp, state)
        return cell

    def join(self, column: Column, a: Cell, b: Cell) -> Cell:
        """The least upper bound of two written cells: the better value, the later stamp if equal."""
        epoch_a = a.state[0] if a.state is not None else 1
        epoch_b = b.state[0] if b.state is not None else 1
        if epoch_a != epoch_b:
            return a if epoch_a > epoch_b else b
        rank = self._rank(column, a.value, b.value)
        if rank == 0:
            return a if (a.stamp or "") >= (b.stamp or "") else b
        return a if rank > 0 else b

    def _rank(self, column: Column, a: Any, b: Any) -> int:
        """Above 0 when `a` beats `b`, below when `b` beats `a`, 0 when they are equal."""
        if a is None or b is None:
            return int(b is None) - int(a is None)
        return self._sign * compare(column.type, a, b)
