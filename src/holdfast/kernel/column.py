"""What the kernel reads of a table and its columns. The compiled schema (`holdfast.schema.model`) has this shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol


class Column(Protocol):
    """One non-key column. `default` is a wire value, or anything else (a sentinel) when there is none."""

    @property
    def type(self) -> str: ...

    @property
    def element(self) -> str: ...

    @property
    def default(self) -> Any: ...

    @property
    def merge(self) -> str: ...

    def accept(self, value: Any) -> Any:
        """The canonical form of a foreign wire value for this column; raises values.InvalidValue."""


class Table(Protocol):
    """One table. `cells` are the non-key columns by slot; `on_delete` is "keep_edits" or "delete"."""

    @property
    def cells(self) -> Sequence[Column]: ...

    @property
    def on_delete(self) -> str: ...


class Cell(NamedTuple):
    """One column of one row. `stamp` None: never written. `state`: what the merge type needs, None for the initial one.

    The parts of a cell are never changed in place, so that rows may share them.
    """

    value: Any
    stamp: str | None
    state: Any = None


_WIRE = (str, int, float, list, dict)


def default_of(column: Column, empty: Any) -> Any:
    """The value of a cell that nobody wrote: the column's default, or `empty`, that of its merge type, without one."""
    default = column.default
    return default if isinstance(default, _WIRE) else empty
