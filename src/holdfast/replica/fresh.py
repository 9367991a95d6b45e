"""New rows, sealed and confirmed by the short way: most of what a device sends.

A row of registers that nobody knew before becomes, by `kernel.apply`, what its insert says, with one stamp on every
cell. So nothing need be asked of the kernel. A property test compares this way with the kernel's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from holdfast.kernel.row import Row
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


def new_row(user: UserTable, operations: Sequence[m.AnyOperation]) -> Row | None:
    """Life and values of a row that one insert has made in a table with registers only, without asking the kernel; None
    for any other.
    """
    op = operations[0]
    if len(operations) != 1 or not isinstance(op, m.Insert) or op.life != 0 or user.fresh_forms is None:
        return None
    cells = user.table.cells
    return Row(1, [op.set.get(c.name, c.default) for c in cells], [None] * len(cells), {})
