"""From an operation on the wire to one for the kernel: names become slots, and every value is checked."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from holdfast.kernel.merges import BY_NAME
from holdfast.kernel.row import Op, Row, apply
from holdfast.kernel.row import Outcome as KernelOutcome
from holdfast.kernel.stamps import decode_stamps
from holdfast.kernel.values import InvalidValue
from holdfast.protocol.messages import AnyOperation, Delete, Insert, Update
from holdfast.schema.key import key_values
from holdfast.schema.model import MISSING, Table

MAX_LIFE = 2**52
"""The latest life that a writer may have seen: lives go on from what he says, and none may leave what devices read."""


class Refusal(Exception):
    """One transaction cannot be accepted: permanent. Code and place as the device will see them."""

    def __init__(
        self, code: str, message: str, table: str = "", key: str = "", column: str = "", **details: Any
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.table, self.key, self.column, self.details = (
            code,
            message,
            table,
            key,
            column,
            details,
        )


def kernel_operation(table: Table, op: AnyOperation) -> Op:
    """The checked operation. Raises `Refusal`."""
    _check_key(table, op.key)
    if op.life > MAX_LIFE:
        raise Refusal("operation_malformed", f"no row has lived {op.life} times", table.name, op.key)
    if isinstance(op, Delete):
        try:
            return Op("delete", op.key, op.stamp, op.life, {}, decode_stamps(op.base))
        except InvalidValue:
            raise Refusal(
                "operation_malformed", "the base of a delete is not a row's stamps", table.name, op.key
            ) from None
    if isinstance(op, Update) and op.life % 2 == 0:
        raise Refusal("operation_malformed", "an update of a row that its writer saw dead", table.name, op.key)
    changes = {}
    for name, change in op.set.items():
        slot = _slot(table, op.key, name)
        column = table.cells[slot]
        if column.read_only:
            message = f"{table.name}.{name} is made by the hub's database; leave it out"
            raise Refusal("column_read_only", message, table.name, op.key, name)
        try:
            changes[slot] = BY_NAME[column.merge].check(column, change)
        except InvalidValue as error:
            raise Refusal(error.code, f"{table.name}.{name}: {error.message}", table.name, op.key, name) from None
        if changes[slot] is None and column.required:
            raise null_refused(table, op.key, name)
    if isinstance(op, Insert):
        _require_values(table, op)
        return Op("insert", op.key, op.stamp, op.life, changes, {})
    return Op(
        "update", op.key, op.stamp, op.life, changes, {_slot(table, op.key, name): s for name, s in op.base.items()}
    )


def apply_checked(table: Table, row: Row | None, op: Op, hub: str) -> KernelOutcome:
    """The kernel's outcome; a change that overflows its type is a refusal."""
    try:
        return apply(table, row, op, hub)
    except InvalidValue as error:
        raise Refusal(error.code, f"{table.name}: {error.message}", table.name, op.key) from None


def seen_whole(op: Op, row: Row | None) -> Op:
    """A delete whose writer had seen all that an operation did, if he had seen one cell of it: he may know no column of
    the others, which only other versions of the schema have (protocol.md, section 15)."""
    if op.kind != "delete" or row is None or not isinstance(op.base, list):
        return op
    known = frozenset(op.base) - {None}
    base = [*op.base, *[None] * (len(row.stamps) - len(op.base))]
    return op._replace(
        base=[now if seen is None and now in known else seen for seen, now in zip_longest(base, row.stamps)]
    )


def null_refused(table: Table, key: str, column: str) -> Refusal:
    """The refusal of a null that no version of the schema with that column could read."""
    return Refusal(
        "value_null", f"{table.name}.{column} is never null in a version that has it", table.name, key, column
    )


def _require_values(table: Table, op: Insert) -> None:
    """An insert may leave out a column only if the column has a default."""
    for column in table.cells:
        lacks = column.default is MISSING or (column.required and column.default is None)
        if lacks and column.name not in op.set:
            message = f"{table.name}.{column.name} has no default and needs a value"
            raise Refusal("value_null", message, table.name, op.key, column.name)


def _slot(table: Table, key: str, name: str) -> int:
    slot = table.slot.get(name)
    if slot is None:
        raise Refusal("unknown_column", f"the hub's table {table.name} has no column {name}", table.name, key, name)
    return slot


def _check_key(table: Table, key: str) -> None:
    try:
        key_values(table, key)
    except InvalidValue as error:
        raise Refusal(error.code, f"the key of a row of {table.name}: {error.message}", table.name, key) from None
