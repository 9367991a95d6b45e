"""A plain text that the hub merges: each edit is transformed over those that its writer had not seen, one by one.

The edits are put in line at the hub, so the transformation needs TP1 only (Ressel, Nitsche-Ruhland, Gunzenhäuser, *An
Integrating, Transformation-Oriented Approach to Concurrency Control and Undo in Group Editors*, 1996). Never against a
composed history: a deletion in it would hide where the text stood that it deleted. Specification: `spec/merge.md`,
section 12.
"""

# ruff: noqa: ARG002 (one interface for all merge types; each uses what it needs of it)

from __future__ import annotations

from typing import Any, NamedTuple

from holdfast.kernel import operational
from holdfast.kernel.clock import after, is_stamp, origin_of
from holdfast.kernel.column import Cell, Column
from holdfast.kernel.fingerprint import fingerprint
from holdfast.kernel.merges.counter import PENDING
from holdfast.kernel.operational import Operation
from holdfast.kernel.values import InvalidValue, check

KEPT_EDITS = 32
KEPT_LENGTH = 4096
"""How much of its past a cell keeps: so many edits, and so many code points in them."""
BASE_LENGTH = 4096
"""Up to this length a change carries the text that its writer saw."""


class Entry(NamedTuple):
    """An edit in the past of a cell. `version` is the stamp that the cell got, `sent` the operation as its writer made
    it, `done` as it was applied; `name` is the version that its writer's own copy got, `base` the one before it there.
    """

    version: str
    sent: Operation
    done: Operation
    name: str
    base: str


class Merged(NamedTuple):
    """The cell after an edit, and whether it met edits that its writer had not seen: (mine, theirs, winner)."""

    cell: Cell
    conflict: tuple[Any, Any, str] | None


class MergeText:
    """State: `[epoch, version before the first kept edit, [edit...]]`; the initial one, `[1, "", []]`, is kept as None.

    An edit: `[version, sent, done, name, base]`, `done`, `name` and `base` null where they are `sent`, `version` and
    the version before. The stamp of the cell is its version.
    """

    lossless = True
    decided = False
    empty: Any = ""

    def initial(self, epoch: int) -> Any:
        """The state of a cell that an insert starts."""
        return [epoch, "", []]

    def check(self, column: Column, change: Any) -> Any:
        """The canonical form of a foreign change `{"op": [...], "after": stamp, "text": seen}`. Raises InvalidValue."""
        if not isinstance(change, dict) or not {"op"} <= change.keys() <= {"op", "after", "text"}:
            raise InvalidValue("value_type", 'the change of a merged text is an object with "op"')
        canonical: dict[str, Any] = {"op": operational.checked(change["op"])}
        if "after" in change:
            if not isinstance(change["after"], str) or not is_stamp(change["after"]):
                raise InvalidValue("value_format", '"after" is the stamp of the text that the writer saw')
            canonical["after"] = change["after"]
        if "text" in change:
            canonical["text"] = check("text", change["text"])
        return canonical

    def difference(self, column: Column, old_value: Any, old_state: Any, new_value: Any) -> Any:
        """The change that writing `new_value` stands for."""
        change: dict[str, Any] = {"op": operational.between(old_value, new_value)}
        entries = _entries(old_state)
        version = entries[-1].version if entries else old_state[1] if old_state is not None else ""
        if version:
            change["after"] = version
        if old_value and len(old_value) <= BASE_LENGTH:
            change["text"] = old_value
        return change

    def apply(self, column: Column, cell: Cell, change: Any, stamp: str, dot: str, hub: str) -> Cell:
        """The cell after the edit. Raises InvalidValue (`edit_misfit`); on a device such an edit shows nothing."""
        return self.merged(cell, change, stamp, dot, hub).cell

    def merged(self, cell: Cell, change: Any, stamp: str, dot: str, hub: str) -> Merged:
        """The cell after the edit, and what it met. Raises InvalidValue (`edit_misfit`)."""
        try:
            return _merged(cell, change, stamp, dot)
        except InvalidValue:
            if hub != PENDING:
                raise
            return Merged(Cell(cell.value, cell.stamp or stamp, cell.state), None)

    def join(self, column: Column, a: Cell, b: Cell) -> Cell:
        """The later one: one hub puts the edits of a cell in line, the others follow it."""
        key_a, key_b = (_epoch(a), a.stamp or ""), (_epoch(b), b.stamp or "")
        if key_a == key_b:
            return a if a.value >= b.value else b
        return a if key_a > key_b else b


def _merged(cell: Cell, change: Any, stamp: str, dot: str) -> Merged:
    sent: Operation = change["op"]
    base, current = change.get("after", ""), cell.stamp or ""
    name = dot if dot > base else after(base, origin_of(dot))
    if base == current or cell.stamp is None:
        version = stamp if stamp > current else after(current, origin_of(stamp))
        text = operational.apply(cell.value, sent)
        return Merged(_cell(cell, text, Entry(version, sent, sent, name, base)), None)
    # Not of the writer's origin: his own clock may give the same stamp to an edit of his that is still on its way.
    version = after(max(stamp, current), fingerprint(current, name))
    unseen = _unseen(cell, base)
    seen = change.get("text", "" if not base else None)
    if unseen is None and seen is None:
        kept = _cell(cell, cell.value, Entry(version, sent, [], name, base))
        return Merged(kept, (change, cell.value, "theirs"))
    if unseen is None or (not base and operational.apply("", sent) == cell.value):
        unseen = [operational.between(seen or "", cell.value)]
    mine = operational.apply(seen, sent) if seen is not None else change
    done, meets = sent, False
    for other in unseen if mine != cell.value else ():
        meets = meets or operational.overlap(done, other)
        done = operational.transform(done, other, first=False)
    if mine == cell.value:
        done = []
    text = operational.apply(cell.value, done)
    conflict = (mine, cell.value, "mine") if meets else None
    return Merged(_cell(cell, text, Entry(version, sent, done, name, base)), conflict)


def _unseen(cell: Cell, base: str) -> list[Operation] | None:
    """The edits that a writer who wrote on the version `base` had not seen, as they read for him, in order; None when
    the past that is kept does not tell.
    """
    entries = _entries(cell.state)
    versions = [cell.state[1], *(entry.version for entry in entries)] if cell.state is not None else [""]
    names = {entry.name: index for index, entry in enumerate(entries)}
    own: set[int] = set()
    while base not in versions:
        index = names.get(base)
        if index is None or index in own:
            return None
        own.add(index)
        base = entries[index].base
    unseen: list[Operation] = []
    for index in range(versions.index(base), len(entries)):
        if index not in own:
            unseen.append(entries[index].done)
            continue
        mine, moved = entries[index].sent, []
        for other in unseen:
            moved.append(operational.transform(other, mine, first=True))
            mine = operational.transform(mine, other, first=False)
        if mine != entries[index].done:
            return None  # it was merged as a whole text, with nothing between that could be followed
        unseen = moved
    return unseen


def _entries(state: Any) -> list[Entry]:
    found: list[Entry] = []
    before = state[1] if state is not None else ""
    for version, sent, done, name, base in state[2] if state is not None else ():
        found.append(
            Entry(version, sent, sent if done is None else done, name or version, before if base is None else base)
        )
        before = version
    return found


def _epoch(cell: Cell) -> int:
    return int(cell.state[0]) if cell.state is not None else 1


def _cell(cell: Cell, text: str, entry: Entry) -> Cell:
    """The cell with one edit more in its past, and of the past as much as is kept."""
    before = cell.stamp or ""
    written: list[Any] = [
        entry.version,
        entry.sent,
        None if entry.done == entry.sent else entry.done,
        None if entry.name == entry.version else entry.name,
        None if entry.base == before else entry.base,
    ]
    start, past = (cell.state[1], [*cell.state[2], written]) if cell.state is not None else (before, [written])
    room = KEPT_LENGTH
    for index in range(len(past) - 1, -1, -1):
        room -= _length(past[index][1]) + _length(past[index][2] or [])
        if room < 0 or len(past) - index > KEPT_EDITS:
            return Cell(text, entry.version, [_epoch(cell), past[index][0], past[index + 1 :]])
    return Cell(text, entry.version, [_epoch(cell), start, past])


def _length(operation: Operation) -> int:
    return sum(
        len(part) if isinstance(part, str) else len(part["d"]) if isinstance(part, dict) else 0 for part in operation
    )
