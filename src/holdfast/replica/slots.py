"""Where the cells of this device's version of a table stand in the rows of the hub, which hold those of all versions.

In a device file, stamps and states stand in the hub's order, which never changes. The engine works in the device's own
order: first its own columns as they are declared, then the cells of which it has no column, whose stamps it keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.kernel.stamps import decode_stamps, encode_stamps


class SlotOrder:
    """The order of one table. `names` are the hub's column names by slot ("": none of ours), `own` the device's."""

    def __init__(self, names: Sequence[str], own: Sequence[str]) -> None:
        place = {name: slot for slot, name in enumerate(own)}
        self._own_of: list[int] = []
        unknown = len(own)
        for name in names:
            if name in place:
                self._own_of.append(place[name])
            else:
                self._own_of.append(unknown)
                unknown += 1
        self._hub_of = {mine: slot for slot, mine in enumerate(self._own_of)}
        self._width = len(own)

    def values(self, cells: Sequence[Any], defaults: Sequence[Any]) -> list[Any]:
        """The values of our columns, from those of a whole row of the hub, which may be short."""
        found = list(defaults)
        for slot, value in enumerate(cells):
            if self._own_of[slot] < self._width:
                found[self._own_of[slot]] = value
        return found

    def own_slot(self, slot: int) -> int | None:
        """Our slot for one of the hub's; None: we have no such column."""
        mine = self._own_of[slot]
        return mine if mine < self._width else None

    def own_stamps(self, stamps: Sequence[str | None]) -> list[str | None]:
        """Stamps of the hub in our order."""
        found: list[str | None] = [None] * (max((self._own_of[s] for s in range(len(stamps))), default=-1) + 1)
        for slot, stamp in enumerate(stamps):
            found[self._own_of[slot]] = stamp
        return found

    def hub_stamps(self, stamps: Sequence[str | None]) -> list[str | None]:
        """Our stamps in the order of the hub; of a column that it does not have yet there is none."""
        found: list[str | None] = [None] * len(self._own_of)
        for mine, stamp in enumerate(stamps):
            if mine in self._hub_of:
                found[self._hub_of[mine]] = stamp
        while found and found[-1] is None:
            found.pop()
        return found

    def own_text(self, stamps: str) -> str:
        """The same for row stamps as text."""
        return encode_stamps(self.own_stamps(decode_stamps(stamps)))

    def hub_text(self, stamps: str) -> str:
        """The same for row stamps as text."""
        return encode_stamps(self.hub_stamps(decode_stamps(stamps)))

    def own_states(self, states: Mapping[Any, Any]) -> dict[int, Any]:
        """States of the hub, by slot, in our order."""
        return {self._own_of[int(slot)]: state for slot, state in states.items()}

    def hub_states(self, states: Mapping[Any, Any]) -> dict[int, Any]:
        """Our states, by slot, in the order of the hub."""
        return {self._hub_of[int(mine)]: state for mine, state in states.items() if int(mine) in self._hub_of}
