"""New rows, sealed and confirmed by the short way: most of what a device sends.

A row of registers that nobody knew before becomes, by `kernel.apply`, what its insert says, with one stamp on every
cell. So nothing need be asked of the kernel. A property test compares this way with the kernel's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from holdfast.kernel.values import same
from holdfast.protocol import messages as m
from holdfast.replica.tables import UserTable
from holdfast.schema.key import key_values
from holdfast.schema.model import MISSING


class FreshInsert(NamedTuple):
    """An insert in wire form; `odd`: SQLite stores a value in another form than the canonical one."""

    body: bytes
    odd: bool


def fresh_insert(user: UserTable, key: str, stored: tuple[Any, ...], stamp: str) -> FreshInsert:
    """The insert of a row that nobody knew, of a table with registers only; `stored` by slot, as SQLite has them.

    Raises `values.InvalidValue`.
    """
    key_values(user.table, key)
    changes: dict[str, Any] = {}
    odd = False
    for (name, simple, read, write, default), given in zip(user.fresh_forms or (), stored, strict=False):
        if simple and type(given) is str and given.isascii() and "\0" not in given:
            value: Any = given
        else:
            value = read(given)
            odd = odd or (value if write is None else write(value)) != given
        if default is MISSING or not same(value, default):
            changes[name] = value
    return FreshInsert(m.encode(m.Insert(user.table.name, key, stamp, 0, changes)), odd)


class FreshRow(NamedTuple):
    """What the hub has made of such an insert: life 1, every cell with the insert's stamp, no states."""

    space: str
    stamps: str


def fresh_row(user: UserTable, op: m.AnyOperation, user_name: str) -> FreshRow:
    """The confirmed row of an insert that the hub took plainly, whose row it did not have before."""
    table = user.table
    given: dict[str, Any] = op.set  # type: ignore[union-attr]
    named: dict[str, Any] = {}
    for name in table.space.columns:
        slot = table.slot.get(name)
        if slot is None:
            continue
        named[name] = given[name] if name in given else table.cells[slot].default
    if len(named) < len(table.space.columns):
        named.update(zip(table.key_names, key_values(table, op.key), strict=True))
    stamps = f"{op.stamp}*{len(table.cells)}" if table.cells else ""
    return FreshRow(table.space.name_for(named, user_name), stamps)
