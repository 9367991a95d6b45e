"""PN-Counter: increments and decrements add up, wherever they were made.

Source: Shapiro et al., 2011, section 3.1.3. The entries belong to hubs, not to devices: a hub applies each operation
once, so thousands of devices do not grow the state.
"""

# ruff: noqa: ARG002 (one interface for all merge types; each uses what it needs of it)

from __future__ import annotations

from typing import Any

from holdfast.kernel.column import Cell, Column, default_of
from holdfast.kernel.values import MAX_INT, InvalidValue, check

PENDING = "~"
"""The entry under which a device shows its own pending changes; it never leaves the device."""
DEFAULT = "="
"""The entry that holds the column's default in a cell that was not written when its row was made."""


class Counter:
    """State: `[epoch, {entry: [p, n]}]`, entries in order of their names; initial `[1, {}]`, kept as None."""

    lossless = True
    decided = False
    empty: Any = 0

    def initial(self, epoch: int) -> Any:
        """The state of a cell that an insert starts."""
        return [epoch, {}]

    def check(self, column: Column, change: Any) -> Any:
        """The canonical form of a foreign change: an integer. Raises InvalidValue."""
        return check("int", change)

    def difference(self, column: Column, old_value: Any, old_state: Any, new_value: Any) -> Any:
        """The change that writing `new_value` stands for: the increment. Raises InvalidValue (`value_range`)."""
        return check("int", new_value - old_value)

    def apply(self, column: Column, cell: Cell, change: Any, stamp: str, dot: str, hub: str) -> Cell:
        """The cell after the hub counted `change`. Raises InvalidValue (`value_range`) beyond ±(2^53-1)."""
        epoch, entries = _state(column, cell)
        p, n = entries.get(hub, (0, 0))
        counted = [p + change, n] if change > 0 else [p, n - change]
        if change:
            entries = _ordered({**entries, hub: counted})
        total = _total(entries)
        if max(counted) > MAX_INT or abs(total) > MAX_INT:
            raise InvalidValue("value_range", "a counter stays within ±(2^53-1)")
        later = stamp if cell.stamp is None or stamp > cell.stamp else cell.stamp
        return Cell(total, later, _kept(epoch, entries))

    def join(self, column: Column, a: Cell, b: Cell) -> Cell:
        """The least upper bound of two written cells. A sum beyond ±(2^53-1) is shown as that limit."""
        epoch_a, entries_a = _state(column, a)
        epoch_b, entries_b = _state(column, b)
        if epoch_a != epoch_b:
            return a if epoch_a > epoch_b else b
        entries = dict(entries_a)
        for name, (p, n) in entries_b.items():
            own = entries.get(name, (0, 0))
            entries[name] = [max(own[0], p), max(own[1], n)]
        entries = _ordered(entries)
        shown = max(-MAX_INT, min(MAX_INT, _total(entries)))
        return Cell(shown, max(a.stamp or "", b.stamp or ""), _kept(epoch_a, entries))


def _state(column: Column, cell: Cell) -> tuple[int, dict[str, list[int]]]:
    if cell.state is not None:
        return cell.state[0], cell.state[1]
    default = default_of(column, 0) if cell.stamp is None else 0
    if default == 0:
        return 1, {}
    return 1, {DEFAULT: [default, 0] if default > 0 else [0, -default]}


def _total(entries: dict[str, list[int]]) -> int:
    # Exact: the sum may pass 2^53 on the way, so JavaScript adds with BigInt.
    return sum(p - n for p, n in entries.values())


def _ordered(entries: dict[str, list[int]]) -> dict[str, list[int]]:
    return {name: entries[name] for name in sorted(entries)}


def _kept(epoch: int, entries: dict[str, list[int]]) -> Any:
    return [epoch, entries] if entries or epoch != 1 else None
