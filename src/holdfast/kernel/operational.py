"""Operational transformation of texts: edits that were made side by side, one after the other.

An operation is an array of components from the start of the text: a number keeps so many code points, a text is
inserted, `{"d": text}` deletes that text. Canonical: no component is empty, no two of a kind stand side by side, of an
insertion and a deletion at one place the insertion stands first, nothing is kept at the end.

Source: Ellis, Gibbs, *Concurrency Control in Groupware Systems*, 1989; the components are those of the text types of
ottypes. Specification: `spec/merge.md`, section 12.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from holdfast.kernel.edit_script import edits
from holdfast.kernel.values import MAX_INT, InvalidValue, check

Operation = list[Any]


class Edit(NamedTuple):
    """`removed` at `start` gives way to `inserted`."""

    start: int
    removed: str
    inserted: str


class _Writer:
    """Puts components together in canonical form."""

    def __init__(self) -> None:
        self._parts: Operation = []
        self._kept = 0
        self._inserted = ""
        self._removed = ""

    def keep(self, count: int) -> None:
        if count and (self._inserted or self._removed):
            self._close()
        self._kept += count

    def insert(self, text: str) -> None:
        self._inserted += text

    def remove(self, text: str) -> None:
        self._removed += text

    def done(self) -> Operation:
        self._close()
        return self._parts

    def _close(self) -> None:
        if self._inserted or self._removed:
            if self._kept:
                self._parts.append(self._kept)
            if self._inserted:
                self._parts.append(self._inserted)
            if self._removed:
                self._parts.append({"d": self._removed})
            self._kept, self._inserted, self._removed = 0, "", ""


def between(old: str, new: str) -> Operation:
    """The operation that leads from one text to another."""
    return written([Edit(start, old[start:end], new[first:last]) for start, end, first, last in edits(old, new)])


def written(changes: list[Edit]) -> Operation:
    """The operation that makes those edits, which are in rising order."""
    writer, at = _Writer(), 0
    for edit in changes:
        writer.keep(edit.start - at)
        writer.insert(edit.inserted)
        writer.remove(edit.removed)
        at = edit.start + len(edit.removed)
    return writer.done()


def checked(operation: Any) -> Operation:
    """The canonical form of a foreign operation. Raises InvalidValue."""
    if not isinstance(operation, list):
        raise InvalidValue("value_type", "an operation on a text is an array of components")
    writer = _Writer()
    for part in operation:
        if isinstance(part, str):
            writer.insert(check("text", part))
        elif isinstance(part, dict) and part.keys() == {"d"}:
            writer.remove(check("text", part["d"]))
        elif type(part) is int and 0 <= part <= MAX_INT:
            writer.keep(part)
        else:
            raise InvalidValue("value_type", 'a component is a number, a text or {"d": text}')
    canonical = writer.done()
    if any(type(part) is int and part > MAX_INT for part in canonical):
        raise InvalidValue("value_range", f"numbers side by side keep at most {MAX_INT} code points")
    return canonical


def edits_of(operation: Operation) -> list[Edit]:
    """The edits that an operation makes, places in the text before it."""
    found: list[Edit] = []
    at, inserted, start = 0, "", -1
    for part in operation:
        if isinstance(part, str):
            inserted, start = part, at
            found.append(Edit(start, "", inserted))
        elif isinstance(part, dict):
            if found and start == at:
                found[-1] = Edit(at, part["d"], inserted)
            else:
                found.append(Edit(at, part["d"], ""))
            at += len(part["d"])
        else:
            at += part
    return found


def apply(text: str, operation: Operation) -> str:
    """The text after the operation. Raises InvalidValue (`edit_misfit`) when the operation was made on another text."""
    parts, at = [], 0
    for edit in edits_of(operation):
        end = edit.start + len(edit.removed)
        if end > len(text) or text[edit.start : end] != edit.removed:
            raise InvalidValue("edit_misfit", "the edit was made on another text than the one that it names")
        parts += [text[at : edit.start], edit.inserted]
        at = end
    return "".join([*parts, text[at:]])


def transform(operation: Operation, other: Operation, *, first: bool) -> Operation:
    """`operation` as it reads after `other`; both were made on one text. `first`: of two insertions at one place its
    own stands first. The same replacement in both counts once.

    TP1: applying a and then transform(b, a, first=False) gives what b and then transform(a, b, first=True) gives.
    """
    theirs = set(edits_of(other))
    mine = written([edit for edit in edits_of(operation) if not (edit.removed and edit in theirs)])
    writer, left, right = _Writer(), _Cursor(mine), _Cursor(other)
    while not left.at_end:
        if left.inserts and (first or not right.inserts):
            writer.insert(left.whole())
        elif right.inserts:
            writer.keep(len(right.whole()))
        else:
            size = min(left.size, right.size)
            removed, gone = left.take(size), right.take(size)
            if gone is None and removed is None:
                writer.keep(size)
            elif gone is None and removed is not None:
                writer.remove(removed)
    return writer.done()


def overlap(operation: Operation, other: Operation) -> bool:
    """Whether two operations on one text meet: both replace some of the same text, not by the same, or one inserts into
    what the other deletes.
    """
    theirs = edits_of(other)
    return any(_meets(edit, before) for edit in edits_of(operation) for before in theirs)


def _meets(a: Edit, b: Edit) -> bool:
    if a == b or not (a.inserted or b.inserted):
        return False
    end_a, end_b = a.start + len(a.removed), b.start + len(b.removed)
    if a.removed and b.removed:
        return a.start < end_b and b.start < end_a
    return (b.start < a.start < end_b) or (a.start < b.start < end_a)


def rebased(old: str, new: str, seen: str) -> str:
    """The text that results when what was done to `old` to make `new` is done to `seen`."""
    if old == seen:
        return new
    return apply(seen, transform(between(old, new), between(old, seen), first=False))


class _Cursor:
    """Walks over the components, which may be taken in pieces; after the last one everything is kept."""

    def __init__(self, operation: Operation) -> None:
        self._parts = operation
        self._index = 0
        self._used = 0

    @property
    def at_end(self) -> bool:
        return self._index == len(self._parts)

    @property
    def inserts(self) -> bool:
        return not self.at_end and isinstance(self._parts[self._index], str)

    @property
    def size(self) -> int:
        """How much of the text the present component still covers."""
        if self.at_end:
            return MAX_INT
        part = self._parts[self._index]
        return (part if isinstance(part, int) else len(part["d"])) - self._used

    def whole(self) -> str:
        """The present insertion."""
        part: str = self._parts[self._index]
        self._index += 1
        return part

    def take(self, count: int) -> str | None:
        """Go on by `count` code points; gives what is deleted of them, None when they are kept."""
        if self.at_end:
            return None
        part = self._parts[self._index]
        found = None if isinstance(part, int) else part["d"][self._used : self._used + count]
        self._used += count
        if self._used == (part if isinstance(part, int) else len(part["d"])):
            self._index, self._used = self._index + 1, 0
        return found
