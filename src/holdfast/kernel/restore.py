"""What becomes of a row at a hub that has lost a part of its history, when a device brings its copy of it back.

Specification: `spec/merge.md`, section 13. Vectors: `spec/vectors/rows/restore.json`. All copies of one row come from
one history, in which each of them is a moment; only what was written since the loss is concurrent with them.
"""

from __future__ import annotations

from holdfast.kernel.column import Table
from holdfast.kernel.row import Conflict, Outcome, Row, join
from holdfast.kernel.stamps import encode_stamps


def restore(table: Table, row: Row | None, given: Row) -> Outcome:
    """Join `given`, a device's confirmed copy, into `row`; None or life 0: the hub has nothing of it.

    A dead copy has no values; its stamps are those that its deleter had seen. The status is "ignored" when the row
    contains the copy already, else "merged". Commutes with other copies and does nothing the second time. Never changes
    its arguments.
    """
    if row is None or row.life == 0:
        return Outcome(given.copy(), "merged")
    if given.life % 2 == 0:
        return _died(table, row, given) if given.life > row.life else Outcome(row, "ignored")
    joined = join(table, given, row)
    conflicts: tuple[Conflict, ...] = ()
    if row.life % 2 == 0 and given.life < row.life:
        _fill(joined, row, given)
        unseen = {slot: given.values[slot] for slot in _later(given.stamps, row.stamps)}
        if unseen and table.on_delete == "delete":
            conflicts = (Conflict(None, "deleted", unseen, None, "theirs"),)
        elif unseen:
            joined.life += 1
            conflicts = (Conflict(None, "revived", unseen, None, "mine"),)
    if _same(joined, row):
        return Outcome(row, "ignored")
    return Outcome(joined, "merged", conflicts)


def _fill(joined: Row, row: Row, given: Row) -> None:
    """Take the cells that both have at one stamp from the copy: of a death that came back alone, the row has the stamps
    that the deleter had seen, but not the values.
    """
    for slot, stamp in enumerate(given.stamps):
        if stamp is not None and row.stamps[slot : slot + 1] == [stamp]:
            joined.values[slot] = given.values[slot]
            joined.states.pop(slot, None)
            if slot in given.states:
                joined.states[slot] = given.states[slot]


def _died(table: Table, row: Row, given: Row) -> Outcome:
    """The copy knows of a death that the hub has lost. The cells stay, with the stamps that the deleter had seen; those
    written since the loss are an edit that he had not seen.
    """
    later = _later(row.stamps, given.stamps) if row.life % 2 == 1 else []
    unseen = {slot: row.values[slot] for slot in later}
    result = row.copy()
    result.life = given.life
    if unseen and table.on_delete != "delete":
        result.life += 1
        return Outcome(result, "merged", (Conflict(None, "kept", None, unseen, "theirs"),))
    size = len(row.values)
    result.stamps += [None] * (size - len(result.stamps))
    for slot, stamp in enumerate(given.stamps[:size]):
        result.stamps[slot] = max(stamp or "", result.stamps[slot] or "") or None
    if unseen:
        return Outcome(result, "merged", (Conflict(None, "deleted", None, unseen, "mine"),))
    return Outcome(result, "merged")


def _later(one: list[str | None], other: list[str | None]) -> list[int]:
    """The slots in which `one` has a later stamp than `other`."""
    seen = [*other, *[None] * (len(one) - len(other))]
    return [slot for slot, stamp in enumerate(one) if (stamp or "") > (seen[slot] or "")]


def _same(a: Row, b: Row) -> bool:
    shown = a.life == b.life and a.values == b.values and a.states == b.states
    return shown and encode_stamps(a.stamps) == encode_stamps(b.stamps)
