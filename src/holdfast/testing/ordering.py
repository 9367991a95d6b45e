"""The order in which a device sends, judged from the requests alone (invariant 21).

A device gives its stamps in the order of writing. So of two operations on one row, or on a row and one that refers to
it, the one with the earlier stamp must be in the earlier request, or before the other in the same one.
"""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.kernel import clock
from holdfast.protocol import messages as m
from holdfast.protocol.codec import decode_request, is_short
from holdfast.schema.key import key_text
from holdfast.schema.model import Schema
from holdfast.testing.invariants import Name, Violation


class SendingOrder:
    """Follows the requests of all devices. What is sent again is known by its stamps."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._known: set[str] = set()
        self._excused: set[str] = set()
        self._written: dict[tuple[str, Name], int] = {}
        self._referred: dict[tuple[str, Name], int] = {}

    def excuse(self, operations: Iterable[dict[str, object]]) -> None:
        """Somebody had these (in wire form) sent again by hand: they go after what was written since."""
        self._excused |= {str(op["stamp"]) for op in operations if "stamp" in op}

    def sent(self, device: str, body: bytes) -> None:
        """A request leaves a device. Raises `Violation`."""
        for transaction in () if is_short(body) else decode_request(body).transactions:
            new = [op for op in transaction.ops if op.stamp not in self._known]
            for op in new:
                self._check(device, op)
            for op in new:
                self._note(device, op)
            self._known |= {op.stamp for op in new}

    def _check(self, device: str, op: m.AnyOperation) -> None:
        if op.stamp in self._excused:
            return
        row, hlc = (device, (op.table, op.key)), clock.hlc_of(op.stamp)
        if self._written.get(row, 0) > hlc:
            raise Violation(21, f"{device} sends {op} after a later operation on the same row")
        if not isinstance(op, m.Update) and self._referred.get(row, 0) > hlc:
            raise Violation(21, f"{device} sends {op} after a later operation that refers to the row")
        for parent in self._parents(op):
            if self._written.get((device, parent), 0) > hlc:
                raise Violation(21, f"{device} sends {op} after a later operation on {parent}, to which it refers")

    def _note(self, device: str, op: m.AnyOperation) -> None:
        hlc = clock.hlc_of(op.stamp)
        row = (device, (op.table, op.key))
        self._written[row] = max(self._written.get(row, 0), hlc)
        for parent in self._parents(op):
            self._referred[device, parent] = max(self._referred.get((device, parent), 0), hlc)

    def _parents(self, op: m.AnyOperation) -> list[Name]:
        """The rows to which what the operation writes refers by their keys."""
        if isinstance(op, m.Delete):
            return []
        found = []
        for reference in self._schema.by_name[op.table].foreign_keys:
            parent = self._schema.by_name[reference.parent]
            values = [op.set.get(name) for name in reference.columns]
            if None not in values and reference.parent_columns == parent.key_names:
                found.append((parent.name, key_text(parent, values)))
        return found
