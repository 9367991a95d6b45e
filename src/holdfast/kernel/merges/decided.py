"""Values that the hub decides: server wins, review, custom. Of two concurrent writes the one that stands stays.

No source: what is new is never taken for better by itself. `row.py` leaves the cell as it is and reports the conflict;
under review a person decides afterwards, under custom a function of the application at the hub. A write whose writer
had seen the current value replaces it, as in a register.
"""

from __future__ import annotations

from holdfast.kernel.merges.register import Register


class Decided(Register):
    """A register whose concurrent writes are not decided by their stamps. State: none."""

    decided = True
