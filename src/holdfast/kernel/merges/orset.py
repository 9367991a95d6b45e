"""OR-Set (observed-remove set): a removal removes what its writer had seen, so an unseen add wins.

Source: Shapiro et al., 2011, section 3.3.5. A dot names one add of one element: it is the stamp of the operation as its
writer named it. One operation gives all its elements the same dot, so a dot counts only together with its element.
"""

# ruff: noqa: ARG002 (one interface for all merge types; each uses what it needs of it)

from __future__ import annotations

from typing import Any, ClassVar

from holdfast.kernel.clock import is_stamp
from holdfast.kernel.column import Cell, Column
from holdfast.kernel.values import InvalidValue, check, sort_elements

DEFAULT = "="
"""The dot of the column's default elements in a cell that was not written when its row was made."""

Dots = dict[Any, set[str]]


class OrSet:
    """State: `[epoch, [[element, [dot...]]...], [[element, [removed dot...]]...]]`; the initial one is kept as None.

    Elements in their order, dots as text. The value is the array of the elements that have a dot.
    """

    lossless = True
    decided = False
    empty: ClassVar[Any] = []

    def initial(self, epoch: int) -> Any:
        """The state of a cell that an insert starts."""
        return [epoch, [], []]

    def check(self, column: Column, change: Any) -> Any:
        """The canonical form of a foreign change `{"add": [...], "remove": [[element, [dot...]]...]}`.

        Raises InvalidValue. Both members are optional; an empty one is left out.
        """
        if not isinstance(change, dict) or not change.keys() <= {"add", "remove"}:
            raise InvalidValue("value_type", 'the change of a set is an object with "add" and "remove"')
        canonical: dict[str, Any] = {}
        added = check("set", change.get("add", []), column.element)
        if added:
            canonical["add"] = added
        removed = change.get("remove", [])
        if not isinstance(removed, list):
            raise InvalidValue("value_type", '"remove" is an array of [element, [dot...]]')
        dots: Dots = {}
        for entry in removed:
            if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], list)):
                raise InvalidValue("value_type", '"remove" is an array of [element, [dot...]]')
            for dot in entry[1]:
                if not isinstance(dot, str) or not (is_stamp(dot) or dot == DEFAULT):
                    raise InvalidValue("value_format", "a dot is the stamp of the operation that added the element")
            dots.setdefault(check(column.element, entry[0]), set()).update(entry[1])
        if dots:
            canonical["remove"] = _written(column, dots)
        return canonical

    def difference(self, column: Column, old_value: Any, old_state: Any, new_value: Any) -> Any:
        """The change that writing `new_value` over `old_value` stands for; removals name the dots in `old_state`."""
        old, new = set(old_value), set(new_value)
        change: dict[str, Any] = {}
        if new - old:
            change["add"] = sort_elements(column.element, new - old)
        known = _read(old_state[1]) if old_state is not None else {element: {DEFAULT} for element in old}
        gone = {element: known[element] for element in old - new if element in known}
        if gone:
            change["remove"] = _written(column, gone)
        return change

    def apply(self, column: Column, cell: Cell, change: Any, stamp: str, dot: str, hub: str) -> Cell:
        """The cell after the removals and then the adds of `change`, the adds under the name `dot`."""
        epoch, present, removed = _state(cell)
        for element, dots in change.get("remove", ()):
            removed.setdefault(element, set()).update(dots)
        for element in change.get("add", ()):
            present.setdefault(element, set()).add(dot)
        later = stamp if cell.stamp is None or stamp > cell.stamp else cell.stamp
        return _cell(column, epoch, present, removed, later)

    def join(self, column: Column, a: Cell, b: Cell) -> Cell:
        """The least upper bound of two written cells."""
        epoch_a, present, removed = _state(a)
        epoch_b, other_present, other_removed = _state(b)
        if epoch_a != epoch_b:
            return a if epoch_a > epoch_b else b
        for element, dots in other_present.items():
            present.setdefault(element, set()).update(dots)
        for element, dots in other_removed.items():
            removed.setdefault(element, set()).update(dots)
        return _cell(column, epoch_a, present, removed, max(a.stamp or "", b.stamp or ""))


def _state(cell: Cell) -> tuple[int, Dots, Dots]:
    """(epoch, present, removed) as fresh sets, free to change."""
    if cell.state is not None:
        return cell.state[0], _read(cell.state[1]), _read(cell.state[2])
    present: Dots = {element: {DEFAULT} for element in cell.value} if cell.stamp is None else {}
    return 1, present, {}


def _read(written: list[Any]) -> Dots:
    return {element: set(dots) for element, dots in written}


def _written(column: Column, dots: Dots) -> list[Any]:
    return [[element, sorted(dots[element])] for element in sort_elements(column.element, dots)]


def _cell(column: Column, epoch: int, present: Dots, removed: Dots, stamp: str) -> Cell:
    left = {element: dots - removed.get(element, set()) for element, dots in present.items()}
    entries = _written(column, {element: dots for element, dots in left.items() if dots})
    state = [epoch, entries, _written(column, removed)]
    return Cell([element for element, _ in entries], stamp, None if state == [1, [], []] else state)
