"""Last-writer-wins register: the later stamp wins, never the value.

Source: Shapiro et al., *A comprehensive study of Convergent and Commutative Replicated Data Types*, 2011, section
3.2.1.
"""

# ruff: noqa: ARG002 (one interface for all merge types; each uses what it needs of it)

from __future__ import annotations

from typing import Any

from holdfast.kernel.column import Cell, Column
from holdfast.kernel.values import canonical_json, same


class Register:
    """State: none."""

    lossless = False
    decided = False
    empty: Any = None

    def initial(self, epoch: int) -> Any:
        """A register has no state, hence no epoch: its stamps go on through the lives of a row."""
        return None

    def check(self, column: Column, change: Any) -> Any:
        """The canonical form of a foreign change: the new value. Raises InvalidValue."""
        return column.accept(change)

    def difference(self, column: Column, old_value: Any, old_state: Any, new_value: Any) -> Any:
        """The change that writing `new_value` stands for: the value itself."""
        return new_value

    def apply(self, column: Column, cell: Cell, change: Any, stamp: str, dot: str, hub: str) -> Cell:
        """The cell after writing `change` at `stamp`."""
        return Cell(change, stamp) if cell.stamp is None or stamp > cell.stamp else cell

    def join(self, column: Column, a: Cell, b: Cell) -> Cell:
        """The least upper bound of two written cells."""
        if a.stamp != b.stamp:
            return a if (a.stamp or "") > (b.stamp or "") else b
        # One stamp names one write. Should a broken peer have used it twice, every hub still keeps the same value.
        if same(a.value, b.value) or canonical_json(a.value) > canonical_json(b.value):
            return a
        return b
