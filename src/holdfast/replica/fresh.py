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


def fresh_stamps(user: UserTable, op: m.AnyOperation) -> str:
    """The stamps of the row that the hub has made of such an insert: life 1, every cell with the insert's stamp."""
    return f"{op.stamp}*{len(user.table.cells)}" if user.table.cells else ""
