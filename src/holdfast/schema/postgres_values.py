"""Wire values in PostgreSQL and back (`spec/encoding.md` 1).

On the way in a row is one JSON object of wire forms, and PostgreSQL itself makes its values of them:
`json_to_recordset` hands the very digits of a number and the very text of a string to the input function of each type.
So nothing passes through a Python type that could round it, and 1,000 rows are one parameter. On the way out each
column is read by an expression that gives the wire form, or something that `from_sql` refuses by name; no setting of
the session matters.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from holdfast.kernel import values
from holdfast.schema.emit.postgres_text import day_text, local_moment_text, moment_text, type_name
from holdfast.schema.model import Column
from holdfast.schema.stored import NATURAL, TIMESTAMP, TIMESTAMPTZ, WIRE_TYPE

FITTING: Mapping[str, frozenset[str]] = {
    "text": frozenset({"text", "character varying"}),
    "int": frozenset({"bigint", "integer", "smallint"}),
    "bigint": frozenset({"bigint"}),
    "float": frozenset({"double precision"}),
    "bool": frozenset({"boolean"}),
    "bytes": frozenset({"bytea"}),
    "date": frozenset({"date"}),
    "datetime": frozenset({"timestamp with time zone"}),
    "decimal": frozenset({"numeric"}),
    "uuid": frozenset({"uuid"}),
    "json": frozenset({"jsonb"}),
    "set": frozenset({"jsonb"}),
}
"""Column type -> types of the database that hold every value of it that they accept, unchanged. (`numeric` without a
scale: `numeric(10,2)` would round 1.555 and write 1.5 as 1.50.)"""


_LOOSE: Mapping[str, str] = {"character": "bpchar"}
"""`character` alone is `character(1)`."""


def record_type(column: Column) -> str:
    """The type under which `json_to_recordset` reads the wire form of a column."""
    kind = column.database_type
    if kind.array:
        return "json"
    # An enum's name would have to be looked up, a length would cut off: both are done by `write_expression`.
    loose = column.type == "bytes" or kind.is_enum or kind.limits or kind.base in ("character", "citext")
    return ("numeric" if column.type == "decimal" else "text") if loose else kind.text()


def write_expression(column: Column, cell: str, within: str) -> str:
    """What is stored, from the cell of such a record; also what a key is compared with.

    No cast names a length: a text that is too long must be refused, and a cast would cut it off.
    """
    kind = column.database_type
    if kind.array:
        element = _element(column)
        one = write_expression(element, "e", within)
        one = one if one != "e" else f"e::{_LOOSE.get(kind.base, kind.base)}"
        listed = f"ARRAY(SELECT {one} FROM json_array_elements_text({cell}) WITH ORDINALITY AS u(e, n) ORDER BY n)"
        return f"CASE WHEN {cell} IS NOT NULL THEN {listed}::{_LOOSE.get(kind.base, kind.base)}[] END"
    if column.type == "bytes":
        return f"decode({cell}, 'base64')"
    if kind.is_enum:
        return f"{cell}::{type_name(column, within)}"
    cast = kind.base == "character" or (kind.limits and kind.base not in ("numeric", "character varying"))
    return f"{cell}::{_LOOSE.get(kind.base, kind.base)}" if cast else cell


def _element(column: Column) -> Column:
    kind = column.database_type.element
    return Column("element", WIRE_TYPE[kind.base], nullable=True, stored=kind.text())


def read_expression(column: Column, cell: str) -> str:
    """An expression of type text (double precision for a float, boolean for a bool, bigint for an int) for
    `from_sql`.
    """
    kind = column.database_type
    if kind.array:
        one = f"json_agg({read_expression(_element(column), 'u.e')} ORDER BY u.n)"
        listed = f"(SELECT coalesce({one}, '[]')::text FROM unnest({cell}) WITH ORDINALITY AS u(e, n))"
        # One of several dimensions becomes a JSON string, which is no array and is refused by name.
        flat = f"WHEN array_ndims({cell}) > 1 THEN to_json({cell}::text)::text"
        return f"CASE WHEN {cell} IS NULL THEN NULL {flat} ELSE {listed} END"
    if kind.base in _SPECIAL:
        return _SPECIAL[kind.base](cell)
    return f"{cell}::{NATURAL[column.type]}" if column.type in ("int", "float", "bool") else f"{cell}::text"


def _day(cell: str) -> str:
    return _within(cell, "'0001-01-01'::date", "'10000-01-01'::date", day_text(cell))


def _moment(cell: str) -> str:
    bounds = ("'0001-01-01 00:00:00+00'::timestamptz", "'10000-01-01 00:00:00+00'::timestamptz")
    return _within(cell, *bounds, moment_text(cell))


def _local_moment(cell: str) -> str:
    return _within(cell, "'0001-01-01'::timestamp", "'10000-01-01'::timestamp", local_moment_text(cell))


def _interval(cell: str) -> str:
    """ISO 8601, whatever `intervalstyle` says."""

    def unit(field: str, letter: str) -> str:
        return f"nullif(extract({field} FROM {cell})::bigint, 0) || '{letter}'"

    seconds = f"nullif(trim_scale(extract(second FROM {cell})::numeric), 0) || 'S'"
    dated = f"concat({unit('year', 'Y')}, {unit('month', 'M')}, {unit('day', 'D')})"
    timed = f"'T' || nullif(concat({unit('hour', 'H')}, {unit('minute', 'M')}, {seconds}), '')"
    return (
        f"CASE WHEN {cell} IS NULL THEN NULL WHEN NOT isfinite({cell}) THEN {cell}::text "
        f"ELSE coalesce('P' || nullif(concat({dated}, {timed}), ''), 'PT0S') END"
    )


def _bytes(cell: str) -> str:
    return f"translate(encode({cell}, 'base64'), E'\\n', '')"


_SPECIAL: Mapping[str, Callable[[str], str]] = {
    "bytea": _bytes,
    "date": _day,
    TIMESTAMPTZ: _moment,
    TIMESTAMP: _local_moment,
    "interval": _interval,
}


def _within(cell: str, low: str, high: str, text: str) -> str:
    """`to_char` writes the year 44 BC and infinity as if they were years of ours; their own text is refused later."""
    return f"CASE WHEN {cell} >= {low} AND {cell} < {high} THEN {text} ELSE {cell}::text END"


def from_sql(column: Column, value: Any) -> Any:
    """The canonical wire form of what `read_expression` gave: None, int, float, bool or str.

    Raises `values.InvalidValue` with a code of `spec/encoding.md` 1: any program may have written the row.
    """
    if value is None:
        return column.accept(None)
    read = _FROM_SQL.get(column.type)
    try:
        return column.accept(value if read is None else read(value))
    except values.InvalidValue as error:
        raise values.InvalidValue(error.code, f"column {column.name}: {error.message}") from error


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_int=_number, parse_float=_double)
    except RecursionError:
        raise values.InvalidValue("value_range", f"JSON is at most {values.MAX_JSON_DEPTH} levels deep") from None


def _number(digits: str) -> int | float:
    """jsonb writes 1e22 as 10000000000000000000000: it is that double again if those are the digits of the double."""
    if len(digits) <= 17 and abs(int(digits)) <= values.MAX_INT:
        return int(digits)
    number = float(digits)
    if number in (float("inf"), float("-inf")) or Decimal(repr(number)) != Decimal(digits):
        raise values.InvalidValue("value_range", "an integer in JSON lies within ±(2^53-1)")
    return number


def _double(digits: str) -> float:
    """A number with more digits than a double keeps must not be rounded on its way to a device and back."""
    number = float(digits)
    if math.isinf(number) or Decimal(repr(number)) != Decimal(digits):
        raise values.InvalidValue("value_range", f"the number {digits[:40]} in JSON is beyond what a double holds")
    return number


_FROM_SQL: Mapping[str, Callable[[str], Any]] = {"json": _parsed, "set": _parsed}
