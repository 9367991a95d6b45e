"""Wire values in PostgreSQL and back (`spec/encoding.md` 1).

On the way in a row is one JSON object of wire forms, and PostgreSQL itself makes its values of them:
`json_to_recordset` hands the very digits of a number and the very text of a string to the input function of each type.
So nothing passes through a Python type that could round it, and 1,000 rows are one parameter. On the way out each
column is read by an expression that gives the wire form, or something that `from_sql` refuses by name; no setting of
the session matters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from holdfast.kernel import values
from holdfast.schema.emit.postgres_text import TYPES, day_text, moment_text
from holdfast.schema.model import Column

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


def record_type(column: Column) -> str:
    """The type under which `json_to_recordset` reads the wire form of a column."""
    return "text" if column.type == "bytes" else TYPES[column.type]


def write_expression(column: Column, cell: str) -> str:
    """What is stored, from the cell of such a record."""
    return f"decode({cell}, 'base64')" if column.type == "bytes" else cell


def read_expression(column: Column, cell: str) -> str:
    """An expression of type text (double precision for a float, boolean for a bool, bigint for an int) for
    `from_sql`.
    """
    kind = column.type
    if kind == "bytes":
        return f"translate(encode({cell}, 'base64'), E'\\n', '')"
    if kind == "date":
        return _within(cell, "'0001-01-01'::date", "'10000-01-01'::date", day_text(cell))
    if kind == "datetime":
        bounds = ("'0001-01-01 00:00:00+00'::timestamptz", "'10000-01-01 00:00:00+00'::timestamptz")
        return _within(cell, *bounds, moment_text(cell))
    if kind in ("int", "float", "bool"):
        return f"{cell}::{TYPES[kind]}"
    return f"{cell}::text"


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
        return json.loads(text, parse_int=_number)
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


_FROM_SQL: Mapping[str, Callable[[str], Any]] = {"json": _parsed, "set": _parsed}
