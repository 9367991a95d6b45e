"""What the hub sends, checked before it is kept: a page that cannot be applied must not stand in the way of later ones.

The hub has checked every value; here is what tells an answer of a hub from something else, or from a damaged one, at
little cost: the JSON types column by column, keys, stamps, and the shape of states. (The connection that applies pages
leaves CHECK constraints alone, and STRICT tables convert 7 to "7" without a word.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import apsw

from holdfast.errors import HoldfastError
from holdfast.kernel.merges import document
from holdfast.kernel.stamps import decode_stamps
from holdfast.kernel.values import InvalidValue
from holdfast.protocol import messages as m
from holdfast.replica.document_arrival import check_additions, is_document_state, is_past
from holdfast.replica.tables import UserTable, UserTables
from holdfast.schema.key import KEY_LIMIT
from holdfast.schema.model import Column

_UNIFORM = re.compile(r"[0-9a-f]{14}-[0-9a-f]{12}\*([1-9][0-9]{0,4})").fullmatch
_KINDS: dict[str, frozenset[type]] = {
    "int": frozenset({int}),
    "float": frozenset({float, int}),
    "bool": frozenset({bool}),
    "set": frozenset({list}),
}
_TEXT = frozenset({str})
_NULL = frozenset({type(None)})
MAX_INT = 2**53 - 1
_STATE_LENGTHS = {
    "counter": 2, "set": 3, "grow_set": 1, "earliest": 1, "latest": 1, "text": 2, "json": 2, "merge_text": 3,
}  # fmt: skip


@contextmanager
def content_of_hub() -> Iterator[None]:
    """What fails inside because of what the hub sent is raised as `response_malformed`."""
    try:
        yield
    except InvalidValue as error:
        raise malformed(error.message) from error
    except (apsw.ConstraintError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise malformed(str(error)) from error


def malformed(reason: str, **details: Any) -> HoldfastError:
    """The error for an answer that no hub gives."""
    return HoldfastError("response_malformed", f"the hub sent a row that cannot be taken: {reason}", **details)


class Arrival:
    """Checks pages. `layout` gives the hub's column names by slot for each table, empty while it is not known."""

    def __init__(self, tables: UserTables, layout: dict[str, list[str]]) -> None:
        self._tables = tables
        self._layout = layout
        self._columns: dict[str, list[Column | None]] = {}

    def check(self, images: Sequence[m.Image]) -> None:
        """Raise `response_malformed` unless every row of the page can be one of ours."""
        groups: dict[str, list[m.Image]] = {}
        for image in images:
            groups.setdefault(image.table, []).append(image)
        for name, group in groups.items():
            user = self._tables.by_name.get(name)
            if user is None and name in self._tables.keys:
                with content_of_hub():
                    check_unseen(group, self._tables.keys[name])
                continue
            if user is None:
                raise HoldfastError("response_malformed", f"the hub sent a row of the unknown table {name}", table=name)
            with content_of_hub():
                self._check_table(user, group)

    def _check_table(self, user: UserTable, images: Sequence[m.Image]) -> None:
        columns = self._in_hub_order(user)
        keys = len(user.table.key)
        alive = [image.values for image in images if image.life % 2 and image.slots is None]
        _check_values(user, columns, alive, keys)
        self._check_patches(user, [image for image in images if image.slots is not None])
        dead = [image.values for image in images if image.life % 2 == 0]
        if dead:
            _check_values(user, columns[:keys], dead, keys)
        for stamps in {image.stamps for image in images}:
            uniform = _UNIFORM(stamps)
            count = int(uniform[1]) if uniform else len(decode_stamps(stamps))
            if count > len(columns) - keys:
                raise InvalidValue("value_format", f"{count} stamps are too many for {user.table.name}")
        for image in images:
            if image.states:
                _check_states(user, columns[keys:], image.states)

    def _check_patches(self, user: UserTable, images: Sequence[m.Image]) -> None:
        """Patches are of living rows, name slots of the table in rising order, and have a value for each."""
        columns = self._in_hub_order(user)
        keys = len(user.table.key)
        by_slots: dict[tuple[int, ...], list[list[Any]]] = {}
        for image in images:
            slots = tuple(image.slots or ())
            rising = all(a < b for a, b in pairwise(slots))
            if image.life % 2 == 0 or not rising or len(image.values) != keys + len(slots):
                raise InvalidValue("value_format", f"a patch of {user.table.name} has a wrong shape")
            by_slots.setdefault(slots, []).append(image.values)
        for slots, rows in by_slots.items():
            chosen = [columns[keys + slot] for slot in slots]
            _check_values(user, [*columns[:keys], *map(_but_documents, chosen)], rows, keys)
        for image in images if user.has_documents else ():
            check_additions(columns[keys:], image, keys)

    def _in_hub_order(self, user: UserTable) -> list[Column | None]:
        """Key columns, then the column of each slot of the hub; None for one that this device does not have."""
        found = self._columns.get(user.table.name)
        if found is None:
            own = {column.name: column for column in user.table.cells}
            names = self._layout.get(user.table.name, list(own))
            found = [*user.table.key, *(own.get(name) for name in names)]
            self._columns[user.table.name] = found
        return found


def check_unseen(images: Sequence[m.Image], keys: int) -> None:
    """Rows of a table that this version does not have: their keys and stamps are kept."""
    for image in images:
        if len(image.values) < keys or not all(isinstance(part, (str, int)) for part in image.values[:keys]):
            raise InvalidValue("value_format", f"a row of {image.table} has no key")
        decode_stamps(image.stamps)


def _check_values(user: UserTable, columns: Sequence[Column | None], rows: list[list[Any]], keys: int) -> None:
    """Number and JSON types of the values, column by column, and the length of the keys."""
    widths = set(map(len, rows))
    for width in widths:
        if not keys <= width <= len(columns):
            raise InvalidValue("value_format", f"a row of {user.table.name} has {width} values")
        same_width = rows if len(widths) == 1 else [values for values in rows if len(values) == width]
        for column, values in zip(columns, zip(*same_width, strict=True), strict=False):
            if column is not None and column.type != "json":
                _check_column(f"{user.table.name}.{column.name}", column, values)
    if max(map(len, map(user.key_of, rows)), default=0) > KEY_LIMIT:
        raise InvalidValue("key_too_long", f"a key of {user.table.name} is too long")


def _but_documents(column: Column | None) -> Column | None:
    """The column, unless it is a document: a patch says what was added to it."""
    return None if column is None or document(column) is not None else column


def _check_column(name: str, column: Column, values: Sequence[Any]) -> None:
    expected = _KINDS.get(column.type, _TEXT)
    found = set(map(type, values))
    if not found <= (expected | _NULL if column.nullable else expected):
        raise InvalidValue("value_type", f"{name} has a value of another type")
    present = [value for value in values if value is not None] if type(None) in found else values
    if expected is _TEXT and "\0" in "".join(present):
        raise InvalidValue("value_nul", f"{name} has a text with U+0000")
    if column.type == "int" and present and not -MAX_INT <= min(present) <= max(present) <= MAX_INT:
        raise InvalidValue("value_range", f"{name} has a number beyond 2^53-1")
    if column.type == "set":
        for value in present:
            column.accept(value)


def _check_states(user: UserTable, columns: Sequence[Column | None], states: dict[str, Any]) -> None:
    """The shape of the merge states, deep enough for the kernel to read them."""
    for slot, state in states.items():
        column = columns[int(slot)] if slot.isdecimal() else None
        if slot.isdecimal() and column is None:
            continue
        if column is None or not _is_state(column.merge, state):
            raise InvalidValue("value_format", f"a row of {user.table.name} has a state of a wrong shape")


def _is_state(merge: str, state: Any) -> bool:
    if not isinstance(state, list) or len(state) != _STATE_LENGTHS.get(merge, 0) or not _is_count(state[0], 1):
        return False
    if merge in ("text", "json"):
        return is_document_state(state, text=merge == "text")
    if merge == "merge_text":
        return is_past(state)
    if merge == "counter":
        return isinstance(state[1], dict) and all(_is_pair(entry) for entry in state[1].values())
    return all(isinstance(part, list) and all(map(_is_dotted, part)) for part in state[1:])


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and all(_is_count(number, 0) for number in entry)


def _is_dotted(entry: Any) -> bool:
    return (
        isinstance(entry, list)
        and len(entry) == 2
        and not isinstance(entry[0], (list, dict))
        and isinstance(entry[1], list)
        and all(isinstance(dot, str) for dot in entry[1])
    )


def _is_count(number: Any, least: int) -> bool:
    return type(number) is int and least <= number <= MAX_INT
