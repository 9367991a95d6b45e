"""The key of a row as text (`spec/encoding.md` 2)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from holdfast.kernel import values
from holdfast.schema.model import Column, Table

KEY_LIMIT = 1024


def key_text(table: Table, key_values: Sequence[Any]) -> str:
    """The key of a row from the wire values of its key columns, in key order.

    The values are taken as checked. Raises `values.InvalidValue` `key_too_long` above 1,024 characters.
    """
    if len(table.key) == 1:
        value = key_values[0]
        text = value if isinstance(value, str) else values.canonical_json(value)
    else:
        text = values.canonical_json(list(key_values))
    _check_length(table, text)
    return text


def key_values(table: Table, text: str) -> list[Any]:
    """The wire values of the key columns, in key order; the inverse of `key_text`.

    Raises `values.InvalidValue`: `key_too_long`, `value_format` for a text that is no canonical key of this table, or
    what a column refuses.
    """
    _check_length(table, text)
    if len(table.key) == 1 and table.key[0].type not in ("int", "bool"):
        if table.key[0].is_plain_text and text.isascii() and "\0" not in text:
            return [text]
        if table.key[0].accept(text) != text:
            raise _not_a_key(table, text)
        return [text]
    found = [_single(table.key[0], text)] if len(table.key) == 1 else _several(table, text)
    wires = [column.accept(value) for column, value in zip(table.key, found, strict=True)]
    if key_text(table, wires) != text:
        raise _not_a_key(table, text)
    return wires


def _check_length(table: Table, text: str) -> None:
    if len(text) > KEY_LIMIT:
        message = f"a key of {table.name} has {len(text)} characters, {KEY_LIMIT} are allowed"
        raise values.InvalidValue("key_too_long", message)


def _single(column: Column, text: str) -> Any:
    if column.type == "bool":
        return {"true": True, "false": False}.get(text, text)
    if column.type == "int" and text.removeprefix("-").isdecimal() and len(text) <= 17:
        return int(text)
    return text


def _several(table: Table, text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_a_key(table, text) from error
    if not isinstance(found, list) or len(found) != len(table.key):
        raise _not_a_key(table, text)
    return found


def _not_a_key(table: Table, text: str) -> values.InvalidValue:
    names = ", ".join(column.name for column in table.key)
    return values.InvalidValue("value_format", f"{text!r} is not a key of {table.name} ({names})")
