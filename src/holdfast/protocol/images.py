"""Between a row of the kernel and its image on the wire (`spec/encoding.md` section 5)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from holdfast.kernel.column import Table as KernelTable
from holdfast.kernel.column import default_of
from holdfast.kernel.merges import BY_NAME
from holdfast.kernel.row import Row
from holdfast.kernel.stamps import decode_stamps, encode_stamps
from holdfast.protocol.messages import Image, decode_image, encode


class Table(KernelTable, Protocol):
    """What an image needs to know of a table: its cells, and how many key columns come before them."""

    @property
    def key(self) -> Sequence[Any]: ...


def row_of(table: Table, image: Image) -> Row:
    """The kernel's row from an image. A dead image has no cells: where it has stamps, the row gets the defaults, since
    an operation that waits may bring it back before the hub says what it was.
    """
    states = {int(slot): state for slot, state in image.states.items()}
    values, stamps = image.values[len(table.key) :], decode_stamps(image.stamps)
    if image.life % 2 == 0:
        missing = table.cells[len(values) : len(stamps)]
        values += [default_of(column, BY_NAME[column.merge].empty) for column in missing]
    return Row(image.life, values, stamps, states)


def row_from_bytes(table: Table, image: bytes) -> Row:
    """The kernel's row from the stored bytes of an image."""
    return row_of(table, decode_image(image))


def image_of(table: str, key_values: Sequence[Any], row: Row) -> bytes:
    """The whole image of a row, with its cells whether it lives or not (that of a dead row is what a store keeps)."""
    parts: list[Any] = [table, row.life, [*key_values, *row.values], encode_stamps(row.stamps)]
    if row.states:
        parts.append({str(slot): row.states[slot] for slot in sorted(row.states)})
    return encode(parts)


def patch_of(table: str, key_values: Sequence[Any], row: Row, slots: Sequence[int]) -> bytes:
    """The image of a row for somebody who has everything of it but these slots."""
    values = [*key_values, *(row.values[slot] for slot in slots)]
    states = {str(slot): row.states[slot] for slot in sorted(row.states)}
    return encode([table, row.life, values, encode_stamps(row.stamps), states, list(slots)])


def patched(table: Table, before: Row, image: Image) -> Row:
    """The row that a patch makes of the one before it. Raises InvalidValue for malformed stamps."""
    keys = len(table.key)
    values = list(before.values)
    slots = image.slots or []
    values.extend(default_of(c, BY_NAME[c.merge].empty) for c in table.cells[len(values) : max(slots, default=-1) + 1])
    for slot, value in zip(slots, image.values[keys:], strict=True):
        values[slot] = value
    states = {int(slot): state for slot, state in image.states.items()}
    return Row(image.life, values, decode_stamps(image.stamps), states)


def dead_image(table: str, key_values: Sequence[Any], row: Row) -> bytes:
    """The wire image of a dead row: key, life and stamps, without its cells."""
    return encode([table, row.life, list(key_values), encode_stamps(row.stamps)])


def leave_image(table: str, key_values: Sequence[Any]) -> bytes:
    """The mark that a row has left a space."""
    return encode([table, 0, list(key_values), ""])


def layout_hash(tables: dict[str, list[str]]) -> str:
    """The name of a layout: 16 hexadecimal digits of a hash over its canonical JSON."""
    text = msgspec.json.encode(sorted(tables.items()))
    return hashlib.blake2s(text, digest_size=8).hexdigest()
