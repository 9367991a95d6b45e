"""Wire values in SQLite storage and back (`spec/encoding.md` 1).

`to_sql` trusts its input, which is canonical. `from_sql` trusts nothing: any program may have written the file.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import json
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from holdfast.kernel import values
from holdfast.schema import wire as wires
from holdfast.schema.model import Column, Table
from holdfast.schema.spans import duration_text

_TO_SQL: Mapping[str, Callable[[Any], Any]] = {
    "bigint": int,
    "bool": int,
    "bytes": base64.b64decode,
    "json": values.canonical_json,
    "set": values.canonical_json,
}


def to_sql(column: Column) -> Callable[[Any], Any] | None:
    """The function from a canonical wire value (or None) to what SQLite stores; None when it is the same."""
    convert = _TO_SQL.get(column.type)
    if convert is None:
        return None
    return lambda value: None if value is None else convert(value)


def row_to_sql(table: Table) -> Callable[[Sequence[Any]], Sequence[Any]] | None:
    """The function from an image's values (key values, then values by slot) to SQLite values in the same order.

    That is the order of `table.row_columns`, so a statement must name its columns. None when every column is the same.
    """
    converters = [(index, to_sql(column)) for index, column in enumerate(table.row_columns)]
    needed = [(index, convert) for index, convert in converters if convert is not None]
    if not needed:
        return None

    def convert_row(row: Sequence[Any]) -> Sequence[Any]:
        found = list(row)
        for index, convert in needed:
            found[index] = convert(found[index])
        return found

    return convert_row


def from_sql(column: Column, value: Any) -> Any:
    """The canonical wire form of what SQLite gave for the column: None, int, float, str or bytes.

    Raises `values.InvalidValue` with a code of `spec/encoding.md` 1. Whether the stored form was canonical shows when
    `to_sql` of the result differs from `value`.
    """
    if value is None:
        return column.accept(None)
    read = _FROM_SQL.get(column.type)
    try:
        return column.accept(value if read is None else read(value))
    except values.InvalidValue as error:
        raise values.InvalidValue(error.code, f"column {column.name}: {error.message}") from error


def reader(column: Column) -> Callable[[Any], Any]:
    """`from_sql` for one column, looked up once; its errors do not name the column."""
    read = _FROM_SQL.get(column.type)
    if read is None:
        return column.accept
    return lambda value: column.accept(None if value is None else read(value))


def from_sql_row(table: Table, row: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """(key values, values by slot) in wire form of a row in declared column order. Raises `values.InvalidValue`."""
    by_name = {column.name: from_sql(column, value) for column, value in zip(table.columns, row, strict=True)}
    return [by_name[column.name] for column in table.key], [by_name[column.name] for column in table.cells]


def to_parameter(value: Any) -> Any:
    """What a user passes for `?`, as SQLite stores it.

    Takes dates, times, durations, datetimes (without a zone: UTC), Decimal, UUID, Enum members, lists, tuples and dicts
    (JSON) and sets (an array in order) besides what SQLite knows. Raises `values.InvalidValue` for NaN and infinity,
    integers beyond 64 bits and JSON that cannot be.
    """
    kind = type(value)
    if value is None or kind is str or kind is bytes:
        return value
    if isinstance(value, enum.Enum):
        return to_parameter(value.value)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise values.InvalidValue("value_range", "an integer in SQLite has at most 64 bits")
        return int(value)
    if isinstance(value, float):
        # SQLite would store NULL for NaN without a word.
        if not math.isfinite(value):
            raise values.InvalidValue("value_range", f"{value} is not finite; use None for a missing number")
        return float(value)
    if isinstance(value, (list, tuple, dict, AbstractSet)):
        return values.canonical_json(values.check("json", _member(value)))
    return _text_form(value)


def _text_form(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return wires.datetime_text(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return wires.decimal_text(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return duration_text(value)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    return value


def _member(value: Any) -> Any:
    """A member of a list, dict or set in wire form."""
    if isinstance(value, enum.Enum):
        return _member(value.value)
    if isinstance(value, dict):
        return {name: _member(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_member(item) for item in value]
    if isinstance(value, AbstractSet):
        return _in_order([_member(item) for item in value])
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    return _text_form(value)


def _in_order(members: list[Any]) -> list[Any]:
    """Members of a Python set: in order if they have one. The column's type decides the final order at capture."""
    try:
        return sorted(members)
    except TypeError:
        return sorted(members, key=values.canonical_json)


def _integer_text(value: Any) -> Any:
    return str(value) if type(value) is int else _wrong("an integer", value)


def _truth(value: Any) -> bool:
    if type(value) is int and value in (0, 1):
        return value == 1
    raise values.InvalidValue("value_type", f"expected 0 or 1, found {_shown(value)}")


def _binary(value: Any) -> str:
    if not isinstance(value, bytes):
        _wrong("a BLOB", value)
    return base64.b64encode(value).decode("ascii")


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        _wrong("JSON as TEXT", value)
    if "\0" in value:
        raise values.InvalidValue("value_nul", "JSON cannot hold U+0000; remove it")
    try:
        return json.loads(value, parse_constant=_no_constant, parse_int=_bounded_int)
    except RecursionError:
        raise values.InvalidValue("value_range", f"JSON is at most {values.MAX_JSON_DEPTH} levels deep") from None
    except ValueError as error:
        raise values.InvalidValue("value_format", f"this is not JSON: {error}") from None


def _no_constant(name: str) -> Any:
    raise values.InvalidValue("value_format", f"{name} is not JSON")


def _bounded_int(digits: str) -> int:
    if len(digits) > 20:
        raise values.InvalidValue("value_range", "an integer in JSON lies within ±(2^53-1)")
    return int(digits)


def _wrong(expected: str, value: Any) -> Any:
    raise values.InvalidValue("value_type", f"expected {expected}, found {_shown(value)}")


def _shown(value: Any) -> str:
    storage = {int: "INTEGER", float: "REAL", str: "TEXT", bytes: "BLOB"}.get(type(value), type(value).__name__)
    return f"{storage} {value!r}" if len(repr(value)) <= 40 else storage


_FROM_SQL: Mapping[str, Callable[[Any], Any]] = {
    "bigint": _integer_text,
    "bool": _truth,
    "bytes": _binary,
    "json": _parsed,
    "set": _parsed,
}
