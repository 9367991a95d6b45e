"""Python values as wire values: what a user writes as a default or passes as a parameter."""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import uuid
from collections.abc import Set as AbstractSet
from typing import Any

from holdfast.kernel import values
from holdfast.schema.spans import duration_text


def datetime_text(moment: datetime.datetime) -> str:
    """Canonical text of a moment; without a time zone it is UTC.

    Raises `values.InvalidValue` outside of the years 1 to 9999.
    """
    return str(values.check("datetime", moment.isoformat(timespec="microseconds")))


def decimal_text(number: decimal.Decimal) -> str:
    """Canonical text, the written scale kept.

    Raises `values.InvalidValue` for NaN, infinity and more than 1,000 digits.
    """
    if not number.is_finite():
        raise values.InvalidValue("value_range", f"the decimal {number} must be finite")
    return str(values.check("decimal", str(number)))


def wire_of(type_name: str, value: Any, element: str = "") -> Any:
    """The canonical wire form of a Python value for a column type.

    Takes the Python type of the column (such as `datetime.date` for `date`, a list or set for `set`), an Enum member in
    its place, and the wire form itself. Raises `values.InvalidValue`.
    """
    if isinstance(value, enum.Enum):
        value = value.value
    if type_name == "set" and isinstance(value, (list, tuple, AbstractSet)):
        return values.check("set", [wire_of(element, item) for item in value], element)
    return values.check(type_name, _plain(type_name, value), element)


def _plain(type_name: str, value: Any) -> Any:
    if type_name == "bigint" and isinstance(value, int) and not isinstance(value, bool):
        return str(value) if -(2**64) < value < 2**64 else str(2**64)
    if type_name == "bytes" and isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    if type_name == "datetime" and isinstance(value, datetime.datetime):
        return datetime_text(value)
    if type_name == "date" and isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    if type_name == "decimal" and isinstance(value, decimal.Decimal):
        return decimal_text(value)
    if type_name == "decimal" and type(value) is int:
        return str(decimal.Decimal(value))
    if type_name == "uuid" and isinstance(value, uuid.UUID):
        return str(value)
    if type_name == "text" and isinstance(value, datetime.time):
        return value.isoformat()
    if type_name == "text" and isinstance(value, datetime.timedelta):
        return duration_text(value)
    return value
