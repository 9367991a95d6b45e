"""Rows that wait aside because no feed had their parent, and are taken up when it has come."""

from __future__ import annotations

from collections.abc import Collection

from holdfast.hub.workspace import RowName
from holdfast.kernel.values import InvalidValue
from holdfast.schema.model import Schema
from holdfast.schema.placing import parent_of
from holdfast.stores.base import Transaction


def take_up(tx: Transaction, schema: Schema, arrived: Collection[RowName]) -> bool:
    """Note the rows that wait aside for one of these parents, which have just come into a feed; whether there are
    any."""
    children = {table.name for name, _ in arrived for table in schema.offspring.get(name, ())}
    waiting = _waiting(tx, schema, children) if children else {}
    return _look_again(tx, [child for child, parent in waiting.items() if parent in arrived])


def take_up_all(tx: Transaction, schema: Schema) -> None:
    """Note the rows that wait aside and whose parent is in a feed: one that came from a device just when its child was
    put aside has not seen it."""
    children = {table.name for tables in schema.offspring.values() for table in tables}
    waiting = _waiting(tx, schema, children) if children else {}
    found = tx.rows(sorted(set(waiting.values())))
    _look_again(tx, [child for child, parent in waiting.items() if parent in found])


def _waiting(tx: Transaction, schema: Schema, tables: Collection[str]) -> dict[RowName, RowName]:
    """Child -> parent of the rows of these tables that wait aside."""
    waiting = [(one.table, one.key) for one in tx.aside() if one.table in tables]
    found: dict[RowName, RowName] = {}
    for note in tx.current(waiting) if waiting else ():
        try:
            name = (note.table, note.key)
            parent = parent_of(schema, name, note.values[1]) if note.values is not None else None
        except InvalidValue:
            continue
        if parent is not None:
            found[name] = parent
    return found


def _look_again(tx: Transaction, names: Collection[RowName]) -> bool:
    if names:
        tx.look_again(sorted(names))
    return bool(names)
