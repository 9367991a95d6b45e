"""Rows of a query, readable by index and by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar


class ResultRow(tuple[Any, ...]):
    """One row: `row[0]`, `row["status"]`, unpacking, comparison with a plain tuple."""

    __slots__ = ()
    names: ClassVar[dict[str, int]] = {}

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, str):
            try:
                index = self.names[index]
            except KeyError:
                raise KeyError(f"{index!r}; the columns are {', '.join(self.names)}") from None
        return tuple.__getitem__(self, index)

    def keys(self) -> Sequence[str]:
        """The column names, in order; so `dict(row)` works."""
        return list(self.names)


def result_rows(description: Iterable[tuple[str, Any]], rows: Iterable[Sequence[Any]]) -> list[ResultRow]:
    """The rows with the names of their columns; of two columns of one name the first is found by it."""
    names: dict[str, int] = {}
    for index, column in enumerate(description):
        names.setdefault(column[0], index)
    kind = type("Row", (ResultRow,), {"__slots__": (), "names": names})
    return [kind(row) for row in rows]
