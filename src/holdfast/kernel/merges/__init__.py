"""The merge types, one file each. Specification: `spec/merge.md`, section 4. Vectors: `spec/vectors/merges`."""

from __future__ import annotations

from typing import Any, Protocol

from holdfast.kernel.column import Cell, Column
from holdfast.kernel.merges.counter import Counter
from holdfast.kernel.merges.decided import Decided
from holdfast.kernel.merges.document import Document
from holdfast.kernel.merges.extremum import Extremum
from holdfast.kernel.merges.grow_set import GrowSet
from holdfast.kernel.merges.json_document import JsonDocument
from holdfast.kernel.merges.merge_text import MergeText
from holdfast.kernel.merges.orset import OrSet
from holdfast.kernel.merges.register import Register
from holdfast.kernel.merges.text import Text


class Merge(Protocol):
    """What a merge type does. It is a value without state of its own; every function is pure.

    `lossless`: concurrent changes are all kept, so that they never make a conflict. `decided`: of concurrent changes
    the one that stands stays until somebody decides otherwise. `empty`: the value before any change. `initial(epoch)`:
    the state of a cell that an insert starts. `check`: the canonical form of a foreign change. `difference`: the change
    that writing a plain value stands for. `apply(column, cell, change, stamp, dot, hub)`: the cell after a change;
    `dot` is the stamp as the writer named it. `join`: the least upper bound of two written cells.
    """

    @property
    def lossless(self) -> bool: ...

    @property
    def decided(self) -> bool: ...

    @property
    def empty(self) -> Any: ...

    def initial(self, epoch: int) -> Any: ...

    def check(self, column: Column, change: Any) -> Any: ...

    def difference(self, column: Column, old_value: Any, old_state: Any, new_value: Any) -> Any: ...

    def apply(self, column: Column, cell: Cell, change: Any, stamp: str, dot: str, hub: str) -> Cell: ...

    def join(self, column: Column, a: Cell, b: Cell) -> Cell: ...


BY_NAME: dict[str, Merge] = {
    "register": Register(),
    "counter": Counter(),
    "set": OrSet(),
    "grow_set": GrowSet(),
    "earliest": Extremum(-1),
    "latest": Extremum(1),
    "text": Text(),
    "json": JsonDocument(),
    "merge_text": MergeText(),
    "server_wins": Decided(),
    "review": Decided(),
    "custom": Decided(),
}

_DOCUMENTS = {name: merge for name, merge in BY_NAME.items() if isinstance(merge, Document)}


def document(column: Column) -> Document | None:
    """The merge type of a document column, None for any other column."""
    return _DOCUMENTS.get(column.merge)


def written(column: Column, old_value: Any, old_state: Any, new_value: Any, writer: str) -> Any:
    """The change that `writer`, an origin, makes by writing `new_value` over `old_value`. Raises InvalidValue."""
    found = document(column)
    if found is not None:
        return found.edit(column, old_value, old_state, new_value, writer)
    return BY_NAME[column.merge].difference(column, old_value, old_state, new_value)


def started(column: Column, life: int) -> Any:
    """The state of a document cell that an insert starts over a row of that life; None for other columns."""
    if document(column) is None:
        return None
    return BY_NAME[column.merge].initial(life + 1 if life % 2 == 0 else life + 2)
