"""The type that a column has in the hub's database, where it is narrower than its wire type (`spec/encoding.md` 1.3).

A wire type says how a value crosses the wire; `stored` says what PostgreSQL makes of it: `smallint`, `numeric(10,2)`,
`character varying(120)`, `integer[]`. Its limits are part of the column, so that a device refuses what the hub could
not store, and both write one value in one form.
"""

from __future__ import annotations

import decimal
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from holdfast.kernel import values
from holdfast.kernel.values import InvalidValue
from holdfast.schema.spans import interval_text, time_text

Limiter = Callable[[Any], Any]

TIME: Final = "time without time zone"
TIMESTAMP: Final = "timestamp without time zone"
TIMESTAMPTZ: Final = "timestamp with time zone"

_ALIASES: Final[Mapping[str, str]] = {
    "varchar": "character varying",
    "char": "character",
    "int2": "smallint",
    "int4": "integer",
    "int": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "decimal": "numeric",
    "bool": "boolean",
    "time": TIME,
    "timestamp": TIMESTAMP,
    "timestamptz": TIMESTAMPTZ,
}
WIRE_TYPE: Final[Mapping[str, str]] = {
    "smallint": "int",
    "integer": "int",
    "bigint": "bigint",
    "numeric": "decimal",
    "real": "float",
    "double precision": "float",
    "boolean": "bool",
    "text": "text",
    "character varying": "text",
    "character": "text",
    "citext": "text",
    "uuid": "uuid",
    "date": "date",
    TIME: "text",
    TIMESTAMP: "datetime",
    TIMESTAMPTZ: "datetime",
    "interval": "text",
    "bytea": "bytes",
    "json": "json",
    "jsonb": "json",
}
"""Type of the database -> the wire type that holds all of it. (Each integer also goes over the wire as the other one.)
"""
NATURAL: Final[Mapping[str, str]] = {
    "text": "text",
    "int": "bigint",
    "bigint": "bigint",
    "float": "double precision",
    "bool": "boolean",
    "bytes": "bytea",
    "date": "date",
    "datetime": TIMESTAMPTZ,
    "decimal": "numeric",
    "uuid": "uuid",
    "json": "jsonb",
    "set": "jsonb",
}
"""Wire type -> the type of the database that a column gets when nothing is said."""
_LIMITED: Final[Mapping[str, int]] = {
    "character varying": 1,
    "character": 1,
    "numeric": 2,
    TIME: 1,
    TIMESTAMP: 1,
    TIMESTAMPTZ: 1,
    "interval": 1,
}
"""Types that take numbers in brackets, and how many at most."""
_FORM = re.compile(
    r"(?P<name>[a-z_][a-z0-9_. ]*?)\s*(?:\((?P<limits>[0-9]+(?:\s*,\s*[0-9]+)?)\))?"
    r"(?P<zone> with(?:out)? time zone)?(?P<array>\[\])?"
)
_INTEGERS: Final[Mapping[str, int]] = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
MAX_FLOAT4: Final = 3.4028235677973362e38
"""Doubles of this magnitude and beyond round to the infinity of `real`."""


class Stored(NamedTuple):
    """A type of the database: `base` in PostgreSQL's own words, the numbers in brackets, whether it is an array.

    A `base` that is not in `WIRE_TYPE` is the name of an enum type.
    """

    base: str
    limits: tuple[int, ...] = ()
    array: bool = False

    @property
    def is_enum(self) -> bool:
        """Whether it is a type that the application made (CREATE TYPE ... AS ENUM)."""
        return self.base not in WIRE_TYPE

    @property
    def element(self) -> Stored:
        """The type of an array's elements."""
        return self._replace(array=False)

    def text(self) -> str:
        """As PostgreSQL's `format_type` writes it."""
        numbers = f"({','.join(map(str, self.limits))})" if self.limits else ""
        word, space, zone = self.base.partition(" with")
        name = f"{word}{numbers}{space}{zone}" if zone.endswith("time zone") else f"{self.base}{numbers}"
        return name + ("[]" if self.array else "")


def parse(text: str) -> Stored:
    """The type that a text names, such as "varchar(20)" or "timestamp(3) without time zone".

    Raises `ValueError` with a remedy.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not the name of a type; write such as 'varchar(20)', 'numeric(10,2)' or 'int[]'")
    name = " ".join(found["name"].split()) + (found["zone"] or "")
    base = _ALIASES.get(name, name)
    limits = tuple(int(number) for number in (found["limits"] or "").split(",") if number)
    if base == "character" and not limits:
        limits = (1,)
    if base == "numeric" and len(limits) == 1:
        limits = (*limits, 0)
    if len(limits) > _LIMITED.get(base, 0):
        raise ValueError(f"{text!r}: {base} takes {_LIMITED.get(base, 0) or 'no'} numbers in brackets")
    if base not in WIRE_TYPE and not re.fullmatch(r"(?:[a-z_][a-z0-9_]*\.)?[a-z_][a-z0-9_]*", base):
        raise ValueError(f"{text!r} is not the name of a type")
    return Stored(base, limits, found["array"] is not None)


def complaint(stored: Stored, type_name: str, element: str, *, has_choices: bool) -> str:
    """Why a column of this wire type cannot be stored so, with the remedy; empty when it can."""
    if stored.is_enum:
        if stored.array or not has_choices:
            return f"{stored.text()} must be an enum, whose labels are named: use Literal[...] or choices="
        return "" if type_name == "text" else f"the enum {stored.text()} is text; declare it Literal[...]"
    wire = WIRE_TYPE[stored.base]
    if stored.array:
        if wire == "json":
            return "an array of JSON is not supported; use jsonb"
        if type_name == "set":
            same = wire == element or {wire, element} <= {"int", "bigint"}
            exact = not stored.limits and stored.base not in ("real", "character", TIME, "interval")
            return "" if same and exact else f"{stored.text()} cannot hold a set of {element}; declare list[...]"
        return "" if type_name == "json" else f"the array {stored.text()} is declared list[...]"
    fits = wire == type_name or {wire, type_name} <= {"int", "bigint"} or (type_name, stored.base) == ("set", "jsonb")
    return "" if fits else f"{stored.text()} does not go with {type_name}; use a type of {wire}"


def limiter(stored: Stored) -> Limiter | None:
    """The function from a canonical wire value to the form that the database gives back, None when it is the same.

    It raises `InvalidValue` for what the database would refuse, cut off or round.
    """
    if stored.array:
        return _array(stored.element)
    base = stored.base
    if base in ("smallint", "integer"):
        return _integer(base)
    if base == "real":
        return _single
    if base == "numeric" and stored.limits:
        return _scaled(*stored.limits)
    if base in ("character", "character varying") and stored.limits:
        return _short(stored.limits[0], padded=base == "character")
    if base == TIME:
        return lambda value: _precise(stored, time_text(value))
    if base == "interval":
        return lambda value: _precise(stored, interval_text(value))
    if base in (TIMESTAMP, TIMESTAMPTZ) and stored.limits:
        return lambda value: _precise(stored, value)
    return None


def _integer(base: str) -> Limiter:
    limit = _INTEGERS[base]

    def check(value: Any) -> Any:
        if not -limit <= int(value) < limit:
            raise InvalidValue("value_range", f"{base} holds {-limit} to {limit - 1}; {value} is beyond it")
        return value

    return check


def _single(value: float) -> float:
    """The double that is exactly the nearest `real`."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0]) + 0.0
    except OverflowError:
        raise InvalidValue("value_range", f"{value} is beyond the range of real") from None


def _scaled(precision: int, scale: int) -> Limiter:
    bound = decimal.Decimal(1).scaleb(precision - scale)

    def check(value: str) -> str:
        whole, _, fraction = value.partition(".")
        if len(fraction.rstrip("0")) > scale:
            message = f"numeric({precision},{scale}) holds {scale} digits after the point; {value} has more"
            raise InvalidValue("value_range", message)
        if abs(decimal.Decimal(value)) >= bound:
            raise InvalidValue("value_range", f"{value} is too large for numeric({precision},{scale})")
        return f"{whole}.{fraction[:scale]:0<{scale}}" if scale else whole

    return check


def _short(length: int, *, padded: bool) -> Limiter:
    def check(value: str) -> str:
        text = value.rstrip(" ") if padded else value
        if len(text) > length:
            kind = "character" if padded else "varchar"
            raise InvalidValue("value_range", f"{kind}({length}) holds {length} characters; this text has {len(text)}")
        return text

    return check


def _precise(stored: Stored, text: str) -> str:
    """The text, if its seconds have no more digits than the type keeps."""
    fraction = re.search(r"\.([0-9]+)", text)
    if stored.limits and fraction and len(fraction[1].rstrip("0")) > stored.limits[0]:
        message = f"{stored.text()} keeps {stored.limits[0]} digits of a second; {text} has more"
        raise InvalidValue("value_range", message)
    return text


def _array(element: Stored) -> Limiter:
    wire, limit = WIRE_TYPE[element.base], limiter(element)
    check = values.checker(wire)

    def one(value: Any) -> Any:
        if value is None:
            return None
        found = check(value)
        return found if limit is None else limit(found)

    def whole(value: Any) -> Any:
        if not isinstance(value, list):
            raise InvalidValue("value_type", f"expected an array of {element.text()} with one dimension")
        return values.check("json", [one(item) for item in value])

    return whole
