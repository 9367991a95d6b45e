"""The slots of a table's columns: rows name no columns, so a schema must have them in the order that the rows have."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.errors import HoldfastError
from holdfast.schema.model import Table

Renames = Sequence[tuple[str, str, str]]
"""(table, old, new), in the order in which the versions of a schema brought them."""


def with_added(table: Table, known: Sequence[str]) -> list[str]:
    """Names by slot: those that have a slot keep it, new columns get the next ones.

    Raises `schema_changed` when the schema has its columns in other slots. It is then another one than it says: one
    whose columns were moved without a new version, or one from before a column was renamed. Such a hub would read the
    values of one column as those of another.
    """
    declared = [column.name for column in table.cells]
    names = [*known, *(name for name in declared if name not in known)]
    if names[: len(declared)] == declared:
        return names
    has, says = ", ".join(known), ", ".join(declared)
    message = (
        f"The rows of {table.name} hold the columns {has}, in this order; the schema says {says}. Raise `version=` "
        "when columns are moved or taken away, and run no hub of a version from before a column was renamed. Nothing "
        "was changed."
    )
    raise HoldfastError("schema_changed", message, table=table.name, expected=has, found=says)


def renamings(table: Table, known: Sequence[str], renames: Renames) -> list[tuple[str, str]]:
    """(old, new) of the columns that have other names by now, one after the other: `new` is free at its turn.

    Slot by slot, not name by name: a name that one column had may be that of another one since, or its own again.
    """
    own = [(old, new) for name, old, new in renames if name == table.name]
    wanted = {
        old: column.name
        for old, column in zip(known, table.cells, strict=False)
        if old != column.name and any(_later(old, own[start:]) == column.name for start in range(len(own)))
    }
    names, steps = set(known), list[tuple[str, str]]()
    while taken := [old for old, new in wanted.items() if new in names - wanted.keys()]:
        del wanted[taken[0]]  # `with_added` says what is wrong
    while wanted:
        free = next((old for old, new in wanted.items() if new not in names), None)
        # Names that only change places: one of them steps aside.
        old = free if free is not None else next(iter(wanted))
        new = wanted[old] if free is not None else f"holdfast_{old}"
        steps.append((old, new))
        names = (names - {old}) | {new}
        target = wanted.pop(old)
        if free is None:
            wanted[new] = target
    return steps


def _later(name: str, renames: Sequence[tuple[str, str]]) -> str:
    for old, new in renames:
        name = new if name == old else name
    return name
