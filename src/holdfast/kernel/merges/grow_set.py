"""Grow-only set: union.

Source: Shapiro et al., 2011, section 3.3.1.
"""

# ruff: noqa: ARG002 (one interface for all merge types; each uses what it needs of it)

from __future__ import annotations

from typing import Any, ClassVar

from holdfast.kernel.column import Cell, Column
from holdfast.kernel.values import InvalidValue, check, sort_elements


class GrowSet:
    """State: `[epoch]`; None when 1. An element that a writer leaves out comes back: nothing can be removed."""

    lossless = True
    decided = False
    empty: ClassVar[Any] = []

    def initial(self, epoch: int) -> Any:
        """The state of a cell that an insert starts."""
        return [epoch]

    def check(self, column: Column, change: Any) -> Any:
        """The canonical form of a foreign change `{"add": [...]}`; an empty member is left out. Raises InvalidValue."""
        if not isinstance(change, dict) or not change.keys() <= {"add"}:
            raise InvalidValue("value_type", 'the change of a grow-only set is an object with "add"')
        added = check("set", change.get("add", []), column.element)
        return {"add": added} if added else {}

    def difference(self, column: Column, old_value: Any, old_state: Any, new_value: Any) -> Any:
        """The change that writing `new_value` stands for: the elements that are new."""
        added = set(new_value) - set(old_value)
        return {"add": sort_elements(column.element, added)} if added else {}

    def apply(self, column: Column, cell: Cell, change: Any, stamp: str, dot: str, hub: str) -> Cell:
        """The cell with the elements of `change` added."""
        value = sort_elements(column.element, [*cell.value, *change.get("add", ())])
        later = stamp if cell.stamp is None or stamp > cell.stamp else cell.stamp
        return Cell(value, later, cell.state if cell.state != [1] else None)

    def join(self, column: Column, a: Cell, b: Cell) -> Cell:
        """The least upper bound of two written cells."""
        epoch_a = a.state[0] if a.state is not None else 1
        epoch_b = b.state[0] if b.state is not None else 1
        if epoch_a != epoch_b:
            return a if epoch_a > epoch_b else b
        value = sort_elements(column.element, [*a.value, *b.value])
        return Cell(value, max(a.stamp or "", b.stamp or ""), a.state)
