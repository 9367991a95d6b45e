"""Documents in what the hub sends: whole ones in images, and in patches what was added to those that are here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.kernel import operational
from holdfast.kernel.documents.content import decoded
from holdfast.kernel.documents.update import read_update
from holdfast.kernel.merges import document
from holdfast.kernel.stamps import decode_stamps
from holdfast.kernel.values import InvalidValue
from holdfast.protocol import messages as m
from holdfast.schema.model import Column


def is_document_state(state: list[Any], *, text: bool) -> bool:
    """Whether the state of a document, or in a patch what is added to one, can be read. Raises InvalidValue."""
    updates = state[1] if isinstance(state[1], list) else [state[1]] if state[1] else []
    if not all(isinstance(update, str) for update in updates):
        return False
    for update in updates:
        read_update(decoded(update), text=text)
    return True


def is_past(state: list[Any]) -> bool:
    """Whether the state of a merged text has its shape. Raises InvalidValue."""
    return isinstance(state[1], str) and isinstance(state[2], list) and all(map(_is_edit, state[2]))


def _is_edit(entry: Any) -> bool:
    if not (isinstance(entry, list) and len(entry) == 5 and isinstance(entry[0], str) and isinstance(entry[1], list)):
        return False
    names = all(part is None or isinstance(part, str) for part in entry[3:])
    return names and all(part is None or operational.checked(part) == part for part in entry[1:3])


def check_additions(columns: Sequence[Column | None], image: m.Image, keys: int) -> None:
    """Raise InvalidValue unless each document of a patch is there whole, or as what was added to it and no value."""
    stamps = decode_stamps(image.stamps)
    for slot, value in zip(image.slots or (), image.values[keys:], strict=True):
        column = columns[slot]
        if column is None or document(column) is None:
            continue
        state = image.states.get(str(slot))
        added = isinstance(state, list) and len(state) == 2 and isinstance(state[1], list)
        if added != (value is None) or slot >= len(stamps) or stamps[slot] is None:
            raise InvalidValue("value_format", f"a patch says nothing plain of the document {column.name}")
        if not added:
            column.accept(value)
