"""From an operation on the wire to one for the kernel: names become slots, and every value is checked."""

from __future__ import annotations

from typing import Any

from holdfast.kernel.row import Op
from holdfast.kernel.stamps import decode_stamps
from holdfast.kernel.values import InvalidValue, check
from holdfast.protocol.messages import AnyOperation, Delete, Insert, Update
from holdfast.schema.key import key_text, key_values
from holdfast.schema.model import Column, Table


class Refusal(Exception):
    """One transaction cannot be accepted: permanent. Code and place as the device will see them."""

    def __init__(self, code: str, message: str, table: str = "", key: str = "", column: str = "", **details: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.table, self.key, self.column, self.details = code, message, table, key, column, details


def kernel_operation(table: Table, op: AnyOperation) -> Op:
    """The checked operation. Raises `Refusal`."""
    _check_key(table, op.key)
    if isinstance(op, Delete):
        try:
            return Op("delete", op.key, op.stamp, op.life, {}, decode_stamps(op.base))
        except ValueError:
            raise Refusal("operation_malformed", "the base of a delete is not a row's stamps", table.name, op.key) from None
    if isinstance(op, Update) and op.life % 2 == 0:
        raise Refusal("operation_malformed", "an update of a row that its writer saw dead", table.name, op.key)
    changes = {}
    for name, change in op.set.items():
        slot = _slot(table, op.key, name)
        try:
            changes[slot] = check_change(table.cells[slot], change)
        except InvalidValue as error:
            raise Refusal(error.code, f"{table.name}.{name}: {error.message}", table.name, op.key, name) from None
    if isinstance(op, Insert):
        return Op("insert", op.key, op.stamp, op.life, changes, {})
    return Op("update", op.key, op.stamp, op.life, changes, {_slot(table, op.key, name): s for name, s in op.base.items()})


def check_change(column: Column, change: Any) -> Any:
    """The change in canonical form. Raises `InvalidValue`."""
    if column.merge in ("set", "grow_set"):
        return _check_set_change(column, change)
    if change is None:
        if not column.nullable:
            raise InvalidValue("value_null", "NULL in a column that is not optional")
        return None
    value = check(column.type, change, column.element)
    if column.choices is not None and value not in column.choices:
        raise InvalidValue("value_choice", f"{value!r} is not one of {', '.join(map(repr, column.choices))}")
    return value


def _check_set_change(column: Column, change: Any) -> dict[str, Any]:
    if not isinstance(change, dict) or not set(change) <= {"add", "remove"}:
        raise InvalidValue("operation_malformed", "the change of a set is an object with add and remove")
    checked: dict[str, Any] = {}
    if change.get("add"):
        checked["add"] = check("set", change["add"], column.element)
    if change.get("remove"):
        if column.merge == "grow_set":
            raise InvalidValue("operation_malformed", "a grow-only set cannot remove")
        checked["remove"] = [_check_removal(column, item) for item in change["remove"]]
    return checked


def _check_removal(column: Column, item: Any) -> list[Any]:
    if not isinstance(item, list) or len(item) != 2 or not isinstance(item[1], list):
        raise InvalidValue("operation_malformed", "a removal is [element, [dots]]")
    if not all(isinstance(dot, str) and len(dot) == 27 for dot in item[1]):
        raise InvalidValue("operation_malformed", "a dot is a stamp")
    return [check(column.element, item[0]), item[1]]


def _slot(table: Table, key: str, name: str) -> int:
    slot = table.slot.get(name)
    if slot is None:
        raise Refusal("unknown_column", f"the hub's table {table.name} has no column {name}", table.name, key, name)
    return slot


def _check_key(table: Table, key: str) -> None:
    try:
        canonical = key_text(table, key_values(table, key))
    except InvalidValue as error:
        raise Refusal(error.code, f"the key of a row of {table.name}: {error.message}", table.name, key) from None
    if canonical != key:
        raise Refusal("value_format", f"the key of a row of {table.name} is not in canonical form", table.name, key)
