"""What text and JSON documents have in common: a CRDT of the Yjs family that merges by itself.

Source: Nicolaescu, Jahns, Derntl, Klamma, *Near Real-Time Peer-to-Peer Shared Editing on Extensible Data Types*, 2016
(YATA), as Yjs implements it. Specification: `spec/documents.md`.
"""

# ruff: noqa: ARG002 (one interface for all merge types; each uses what it needs of it)

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from holdfast.kernel import clock
from holdfast.kernel.column import Cell, Column, default_of
from holdfast.kernel.documents.content import NOTHING, Content, client_of, decoded, encoded
from holdfast.kernel.documents.update import read_update
from holdfast.kernel.merges.counter import PENDING
from holdfast.kernel.values import InvalidValue, canonical_json, same


class LiveState(list[Any]):
    """A state that was just made, with the content that it was written from: the next change of the same cell need not
    read it again. It is what any other list of the same items is; whoever takes the content leaves the items.
    """

    __slots__ = ("_content",)

    def __init__(self, items: list[Any], content: Content) -> None:
        super().__init__(items)
        self._content: Content | None = content

    def take(self) -> Content | None:
        """The content, once."""
        content, self._content = self._content, None
        return content


class Document(ABC):
    """State: `[epoch, update]`, the whole document as one update in base64 (empty text: nothing in it); `[1, ""]` is
    kept as None.

    The stamp of a written cell is the latest HLC of all changes in it, with the name of its content in place of an
    origin: equal stamps mean equal content, in whatever order the changes came.
    """

    lossless = True
    decided = False
    text = True
    empty: ClassVar[Any] = ""

    def initial(self, epoch: int) -> Any:
        """The state of a cell that an insert starts."""
        return [epoch, ""]

    def check(self, column: Column, change: Any) -> Any:
        """The canonical form of a foreign change: an update in base64. Raises InvalidValue."""
        if not isinstance(change, str):
            raise InvalidValue("value_type", "the change of a document is an update in base64")
        read_update(decoded(change), text=self.text)
        return change

    def difference(self, column: Column, old_value: Any, old_state: Any, new_value: Any) -> Any:
        """The change that a declared default stands for: the same bytes on every device. What somebody writes has a
        writer: `edit`.
        """
        return self.edit(column, old_value, old_state, new_value, "")

    def edit(self, column: Column, old_value: Any, old_state: Any, new_value: Any, writer: str) -> Any:
        """The change that `writer`, an origin, makes by writing `new_value`: a minimal edit. No writer: a default.

        Without a state the cell was never written and shows its default, or `old_value` is the empty value and there is
        no cell yet.
        """
        if old_state is None and same(old_value, self.empty):
            old_state = self.initial(1)
        epoch = old_state[0] if old_state is not None else 1
        client = client_of("writer", writer, str(epoch)) if writer else client_of("default", canonical_json(new_value))
        content = self.open(column, Cell(old_value, None if old_state is None else "", old_state), client)
        updates: list[bytes] = []
        # What this edit alone adds and deletes: since a state vector, all deletions there ever were would go too.
        subscription = content.doc.observe(lambda event: updates.append(event.update))
        with content.doc.transaction():
            self.write(content, new_value)
        content.doc.unobserve(subscription)
        return encoded(updates[0] if updates else NOTHING)

    def open(self, column: Column, cell: Cell, client: int = 0) -> Content:
        """The content of a cell, ready to be changed by `client`. Raises InvalidValue for a state that is none."""
        content = Content(text=self.text, client=client)
        if cell.state is not None:
            content.load(decoded(cell.state[1]) if cell.state[1] else b"")
        elif cell.stamp is None:
            default = default_of(column, self.empty)
            if default != self.empty:
                content.load(decoded(self.difference(column, self.empty, [1, ""], default)))
        return content

    @abstractmethod
    def write(self, content: Content, value: Any) -> None:
        """Bring the content to a plain value, by as few edits as tell what was meant."""

    @abstractmethod
    def read(self, column: Column, content: Content) -> Any:
        """The plain value. Raises InvalidValue when it is none that the column can hold."""

    def apply(self, column: Column, cell: Cell, change: Any, stamp: str, dot: str, hub: str) -> Cell:
        """The cell after the update. Raises InvalidValue (`document_gap`, `document_malformed`, `value_range`); on a
        device, where a pending change may build on one that was refused, such a change shows nothing.
        """
        content = (cell.state.take() if isinstance(cell.state, LiveState) else None) or self.open(column, cell)
        try:
            content.apply(decoded(change))
        except InvalidValue as problem:
            if hub != PENDING or problem.code != "document_gap":
                raise
        latest = stamp if cell.stamp is None else max(stamp, cell.stamp)
        return self._cell(column, content, self._epoch(cell), latest)

    def join(self, column: Column, a: Cell, b: Cell) -> Cell:
        """The least upper bound of two written cells."""
        epoch = self._epoch(a)
        if epoch != self._epoch(b):
            return a if epoch > self._epoch(b) else b
        content = self.open(column, a)
        if b.state is not None and b.state[1]:
            content.load(decoded(b.state[1]))
        return self._cell(column, content, epoch, max(a.stamp or "", b.stamp or ""))

    def extended(self, column: Column, cell: Cell, updates: list[str], stamp: str) -> Cell:
        """The cell after several updates at once: what a patch brings. Raises InvalidValue."""
        content = self.open(column, cell)
        for update in updates:
            content.apply(decoded(update))
        return self._cell(column, content, self._epoch(cell), stamp)

    def _epoch(self, cell: Cell) -> int:
        return int(cell.state[0]) if cell.state is not None else 1

    def _cell(self, column: Column, content: Content, epoch: int, latest: str) -> Cell:
        value = self.read(column, content)
        data = content.state()
        state = [epoch, "" if data == NOTHING else encoded(data)]
        named = clock.stamp(clock.hlc_of(latest), content.name())
        return Cell(value, named, None if state == [1, ""] else LiveState(state, content))
