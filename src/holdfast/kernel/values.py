"""Wire values: what each column type admits, its canonical form, equality and order.

Specification: `spec/encoding.md`, section 1. Vectors: `spec/vectors/values`.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import math
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

MAX_INT = 2**53 - 1
"""Largest magnitude of an `int`: exact in JSON, JavaScript and SQLite."""
MAX_BIGINT = 2**63 - 1
MAX_DECIMAL_DIGITS = 1000
MAX_JSON_DEPTH = 100

SCALAR_TYPES = ("text", "int", "bigint", "float", "bool", "bytes", "date", "datetime", "decimal", "uuid")
"""The types that a set may hold."""
TYPES = (*SCALAR_TYPES, "json", "set")


class InvalidValue(Exception):
    """A value outside its domain.

    `code` is one of value_type, value_format, value_range, value_nul, value_null, value_choice.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def check(type_name: str, wire: Any, element: str = "") -> Any:
    """Return the canonical wire form of `wire` as a value of `type_name` (`element`: the type of a set's elements).

    Accepted forms (encoding.md, section 1) are rewritten. Raises InvalidValue. `None` is refused with `value_null`:
    whether a column admits it, is not a matter of the type.
    """
    if wire is None:
        raise InvalidValue("value_null", "the column is not optional; give a value")
    if type_name == "set":
        return _check_set(wire, element)
    return _CHECKS[type_name](wire)


def checker(type_name: str, element: str = "") -> Callable[[Any], Any]:
    """`check` for one type and any value but None: looked up once for a column that has millions of values."""
    return _CHECKS.get(type_name) or (lambda wire: check(type_name, wire, element))


def _check_string(wire: Any, wanted: str) -> str:
    if not isinstance(wire, str):
        raise InvalidValue("value_type", f"expected {wanted} as a string, found {_kind(wire)}")
    return wire


def _check_text(wire: Any) -> str:
    if type(wire) is str and wire.isascii() and "\0" not in wire:
        return wire
    text = _check_string(wire, "text")
    if "\0" in text:
        raise InvalidValue("value_nul", "a text cannot hold U+0000, because PostgreSQL cannot store it; remove it")
    # Only unpaired surrogates fail here: JSON can write them, UTF-8 and the stores cannot.
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidValue("value_format", "a text cannot hold an unpaired surrogate: not valid Unicode") from None
    return text


def _check_int(wire: Any) -> int:
    if type(wire) is int:
        number = wire
    elif type(wire) is float:
        if not math.isfinite(wire):
            raise InvalidValue("value_range", "an integer cannot be infinite or not a number")
        if wire != math.floor(wire):
            raise InvalidValue("value_type", f"expected an integer, found {wire!r}")
        number = int(wire)
    else:
        raise InvalidValue("value_type", f"expected an integer, found {_kind(wire)}")
    if not -MAX_INT <= number <= MAX_INT:
        raise InvalidValue("value_range", "an int lies within ±(2^53-1); declare the column BigInt for larger ones")
    return number


_BIGINT = re.compile(r"0|-?[1-9][0-9]*")


def _check_bigint(wire: Any) -> str:
    text = _check_string(wire, "a bigint")
    if not _BIGINT.fullmatch(text):
        raise InvalidValue("value_format", "a bigint is written in decimal digits, without leading zeros or a plus")
    # The length is looked at first: converting a number of a million digits takes minutes.
    if len(text) > 20 or not -MAX_BIGINT - 1 <= int(text) <= MAX_BIGINT:
        raise InvalidValue("value_range", "a bigint lies within -2^63 .. 2^63-1")
    return text


def _check_float(wire: Any) -> float:
    if type(wire) is int:
        try:
            number = float(wire)
        except OverflowError:
            raise InvalidValue("value_range", "a float must be finite") from None
    elif type(wire) is float:
        number = wire
    else:
        raise InvalidValue("value_type", f"expected a number, found {_kind(wire)}")
    if not math.isfinite(number):
        raise InvalidValue("value_range", "a float must be finite; use null for a missing measurement")
    return number + 0.0  # turns -0.0 into 0.0 and leaves every other double alone


def _check_bool(wire: Any) -> bool:
    if type(wire) is not bool:
        raise InvalidValue("value_type", f"expected true or false, found {_kind(wire)}")
    return wire


def _check_bytes(wire: Any) -> str:
    text = _check_string(wire, "base64")
    try:
        canonical = base64.b64encode(base64.b64decode(text, validate=True)).decode("ascii")
    except (binascii.Error, ValueError):
        canonical = ""
    # Comparing refuses what decoders let pass: stray bits in the last digit, doubled padding.
    if canonical != text:
        raise InvalidValue("value_format", "bytes are written in base64 with padding (RFC 4648, section 4)")
    return text


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3])(?::[0-9]{2}){2}\.[0-9]{6}Z")
_DATETIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?"
    r"(?:(Z)|([+-])([0-9]{2})(?::?([0-9]{2}))?)?"
)


def _check_date(wire: Any) -> str:
    text = _check_string(wire, "a date")
    try:
        if _DATE.fullmatch(text) is None:
            raise ValueError
        datetime.date.fromisoformat(text)
    except ValueError:
        raise InvalidValue("value_format", "a date is a real day written YYYY-MM-DD, years 0001 to 9999") from None
    return text


def _check_datetime(wire: Any) -> str:
    text = _check_string(wire, "a datetime")
    try:
        if _MOMENT.fullmatch(text) is not None:
            datetime.datetime.fromisoformat(text[:-1])
            return text
        parts = _DATETIME.fullmatch(text)
        if parts is None or int(parts[10] or 0) > 23 or int(parts[11] or 0) > 59:
            raise ValueError
        fraction = (parts[7] or "").ljust(6, "0")
        year, month, day, hour, minute, second = (int(parts[group]) for group in range(1, 7))
        moment = datetime.datetime(year, month, day, hour, minute, second, int(fraction), datetime.UTC)
    except ValueError:
        raise InvalidValue(
            "value_format", "a datetime is a real moment, YYYY-MM-DDTHH:MM:SS.ffffffZ or ISO 8601 with an offset"
        ) from None
    if parts[9]:
        offset = datetime.timedelta(hours=int(parts[10]), minutes=int(parts[11] or 0))
        try:
            moment = moment - offset if parts[9] == "+" else moment + offset
        except OverflowError:
            raise InvalidValue("value_range", "a datetime in UTC lies in the years 0001 to 9999") from None
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


_DECIMAL = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?)0*([0-9]+))?")
_MAX_EXPONENT_DIGITS = 4


def _check_decimal(wire: Any) -> str:
    text = _check_string(wire, "a decimal")
    parts = _DECIMAL.fullmatch(text)
    if parts is None:
        raise InvalidValue("value_format", 'a decimal is written in digits with a point, such as "-12.50"')
    too_long = InvalidValue("value_range", f"a decimal has at most {MAX_DECIMAL_DIGITS} digits without exponent")
    sign, whole, fraction, exponent_sign, exponent = (part or "" for part in parts.groups())
    if len(exponent) > _MAX_EXPONENT_DIGITS:
        raise too_long
    shift = int(exponent or 0) * (-1 if exponent_sign == "-" else 1)
    digits = whole + fraction
    point = len(whole) + shift
    # Moves the point by writing zeros: arithmetic would lose the written scale.
    if point <= 0:
        digits, point = "0" * (1 - point) + digits, 1
    digits = digits.ljust(point, "0")
    whole, fraction = digits[:point].lstrip("0") or "0", digits[point:]
    if len(whole) + len(fraction) > MAX_DECIMAL_DIGITS:
        raise too_long
    minus = "-" if sign == "-" and (whole + fraction).strip("0") else ""
    return f"{minus}{whole}.{fraction}" if fraction else minus + whole


_HEX = "[0-9a-fA-F]"
_UUID = re.compile(rf"({_HEX}{{8}})-({_HEX}{{4}})-({_HEX}{{4}})-({_HEX}{{4}})-({_HEX}{{12}})")
_UUID_PLAIN = re.compile(rf"({_HEX}{{8}})({_HEX}{{4}})({_HEX}{{4}})({_HEX}{{4}})({_HEX}{{12}})")


def _check_uuid(wire: Any) -> str:
    text = _check_string(wire, "a UUID")
    inner = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    parts = _UUID.fullmatch(inner) or _UUID_PLAIN.fullmatch(inner)
    if parts is None:
        raise InvalidValue("value_format", "a UUID is 32 hexadecimal digits in groups of 8-4-4-4-12")
    return "-".join(parts.groups()).lower()


def _check_json(wire: Any) -> Any:
    return _check_json_level(wire, 0)


def _check_json_level(wire: Any, depth: int) -> Any:
    kind = type(wire)
    if wire is None or kind is bool:
        return wire
    if kind is str:
        return _check_text(wire)
    if kind is int:
        return _check_int(wire)
    if kind is float:
        if not math.isfinite(wire):
            raise InvalidValue("value_range", "a number in JSON must be finite")
        return int(wire) if _is_int(wire) else wire
    if kind is not list and kind is not dict:
        raise InvalidValue("value_type", f"expected a JSON value, found {_kind(wire)}")
    if depth == MAX_JSON_DEPTH:
        raise InvalidValue("value_range", f"a JSON value is at most {MAX_JSON_DEPTH} levels deep")
    if kind is list:
        return [_check_json_level(item, depth + 1) for item in wire]
    for name in wire:
        _check_text(name)
    return {name: _check_json_level(wire[name], depth + 1) for name in sorted(wire)}


def _check_set(wire: Any, element: str) -> list[Any]:
    if not isinstance(wire, list):
        raise InvalidValue("value_type", f"expected an array of {element}, found {_kind(wire)}")
    return sort_elements(element, [check(element, item) for item in wire])


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "text": _check_text,
    "int": _check_int,
    "bigint": _check_bigint,
    "float": _check_float,
    "bool": _check_bool,
    "bytes": _check_bytes,
    "date": _check_date,
    "datetime": _check_datetime,
    "decimal": _check_decimal,
    "uuid": _check_uuid,
    "json": _check_json,
}

_KINDS = {
    bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "an array", dict: "an object",
}  # fmt: skip


def _kind(wire: Any) -> str:
    return "null" if wire is None else _KINDS.get(type(wire), type(wire).__name__)


def order_key(type_name: str, wire: Any) -> Any:
    """A key by which canonical values of one scalar type sort (encoding.md, section 1.2). The order is total.

    Decimals that are equal as numbers ("1.5", "1.50") sort by their text. JavaScript compares text by code point too.
    """
    if type_name == "bigint":
        return int(wire)
    if type_name == "decimal":
        return (Decimal(wire), wire)
    return wire


def compare(type_name: str, a: Any, b: Any) -> int:
    """-1, 0 or 1 as the canonical value `a` sorts before, with or after `b`."""
    key_a, key_b = order_key(type_name, a), order_key(type_name, b)
    return int(key_a > key_b) - int(key_a < key_b)


def sort_elements(type_name: str, elements: Iterable[Any]) -> list[Any]:
    """The distinct canonical values of one scalar type in their order, as a set is written."""
    distinct = dict.fromkeys(elements)
    if type_name in ("bigint", "decimal"):
        return sorted(distinct, key=lambda element: order_key(type_name, element))
    return sorted(distinct)


def same(a: Any, b: Any) -> bool:
    """Whether two wire values are one JSON value: 1 is 1.0, true is not 1, the order of members does not count."""
    kind = type(a)
    if kind is dict or kind is list:
        return canonical_json(a) == canonical_json(b)
    return bool(a == b) and (kind is bool) == (type(b) is bool)


def canonical_json(value: Any) -> str:
    """The one JSON text of a wire value (encoding.md, section 1.1).

    Members are sorted by name, because an engine may not keep another order: JavaScript puts "10" before "a". Numbers
    are written as ECMAScript does it (ECMA-262, Number::toString), except that an integral one beyond ±(2^53-1) always
    has an exponent (Number.prototype.toExponential), so that no reader takes it for an integer.
    """
    kind = type(value)
    if kind is str:
        return json.dumps(value, ensure_ascii=False)
    if kind is float:
        return _number_text(value)
    if kind is list:
        return "[" + ",".join([canonical_json(item) for item in value]) + "]"
    if kind is dict:
        members = [json.dumps(name, ensure_ascii=False) + ":" + canonical_json(value[name]) for name in sorted(value)]
        return "{" + ",".join(members) + "}"
    return json.dumps(value)


def _is_int(number: float) -> bool:
    return -MAX_INT <= number <= MAX_INT and number == math.floor(number)


def _number_text(number: float) -> str:
    if _is_int(number):
        return str(int(number))
    # Python finds the same shortest digits as ECMAScript and only places the point by other limits.
    mantissa, _, exponent_text = repr(number).partition("e")
    sign = "-" if number < 0 else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    exponent = int(exponent_text or 0)
    if abs(number) > MAX_INT:
        digits = (whole + fraction if fraction != "0" else whole).rstrip("0")
        exponent += len(whole) - 1
        return f"{sign}{digits[0]}{'.' if len(digits) > 1 else ''}{digits[1:]}e+{exponent}"
    if not exponent_text:
        return sign + whole + "." + fraction
    if exponent >= -6:
        return sign + "0." + "0" * (-exponent - 1) + whole + fraction
    return f"{sign}{whole}{'.' if fraction else ''}{fraction}e{exponent}"
