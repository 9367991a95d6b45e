"""Between a row of the kernel and its image on the wire (`spec/encoding.md` section 5)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from holdfast.kernel.column import Cell, default_of
from holdfast.kernel.column import Table as KernelTable
from holdfast.kernel.merges import BY_NAME, document
from holdfast.kernel.row import Row
from holdfast.kernel.stamps import decode_stamps, encode_stamps
from holdfast.kernel.values import InvalidValue
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


def patch_of(
    name: str,
    table: Table,
    key_values: Sequence[Any],
    row: Row,
    slots: Sequence[int],
    added: Mapping[int, Sequence[str]],
) -> bytes:
    """The image of a row for somebody who has everything of it but these slots. `added`: slot of a document -> the
    updates that he lacks; of documents that did not change nothing is said.
    """
    values = [*key_values, *(None if slot in added else row.values[slot] for slot in slots)]
    states: dict[str, Any] = {}
    for slot in sorted(row.states):
        if slot in added:
            states[str(slot)] = [row.states[slot][0], list(added[slot])]
        elif slot in slots or document(table.cells[slot]) is None:
            states[str(slot)] = row.states[slot]
    return encode([name, row.life, values, encode_stamps(row.stamps), states, list(slots)])


def added_to(table: Table, before: Row, image: Image) -> None:
    """Make a patch say all of its documents: what was added to those in `before`, whose values need not be filled in,
    becomes whole, and those that it leaves out stand as they stood. Raises InvalidValue when the outcome is not what
    the stamps of the patch name.
    """
    stamps, places = decode_stamps(image.stamps), {slot: i for i, slot in enumerate(image.slots or (), len(table.key))}
    for slot, column in enumerate(table.cells):
        found = document(column)
        if found is None:
            continue
        state = image.states.get(str(slot))
        if slot not in places:
            if slot in before.states:
                image.states[str(slot)] = before.states[slot]
            continue
        if state is None or not isinstance(state[1], list):
            continue
        stamp = before.stamps[slot] if slot < len(before.stamps) else None
        cell = found.extended(column, Cell(None, stamp, before.states.get(slot)), state[1], stamps[slot] or "")
        if cell.stamp != stamps[slot]:
            raise InvalidValue("document_gap", "what was added to a document does not make it what it should be")
        image.values[places[slot]] = cell.value
        if cell.state is None:
            del image.states[str(slot)]
        else:
            image.states[str(slot)] = cell.state


def patched(table: Table, before: Row, image: Image) -> Row:
    """The row that a patch makes of the one before it. Raises InvalidValue for malformed stamps and for documents that
    do not become what the stamps name.
    """
    added_to(table, before, image)
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
