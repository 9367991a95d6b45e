"""CHECK conditions for columns whose type in the hub's database is narrower than their wire type.

They admit every form that `Column.accept` takes; a few texts that an expression cannot judge (a decimal in exponent
form, the parts of an interval) are refused when the write is prepared for sending.
"""

from __future__ import annotations

from holdfast.schema import stored
from holdfast.schema.emit.sqlite_text import no_nul, quote, valid_json
from holdfast.schema.key import KEY_LIMIT
from holdfast.schema.model import Column

_CLOCK = "[0-2][0-9]:[0-5][0-9]"


def stored_condition(column: Column, *, key: bool) -> str:
    """The condition; empty when the type adds nothing to the wire type. A key column holds the canonical form only."""
    kind, name = column.database_type, quote(column.name)
    if kind.array:
        return f"{valid_json(name)} AND json_type({name}) = 'array'"
    if kind.base in ("smallint", "integer"):
        bound = 2**15 if kind.base == "smallint" else 2**31
        return f"{name} BETWEEN {-bound} AND {bound - 1}"
    if kind.base == "real":
        return f"abs({name}) < {stored.MAX_FLOAT4!r}"
    if kind.base == "numeric" and kind.limits:
        return _numeric(name, *kind.limits, key=key)
    if kind.base in ("character varying", "character"):
        return _text(name, kind, key=key)
    if kind.base == stored.TIME:
        return _time(name, kind)
    return f"{name} GLOB 'P[-+T0-9]*' AND {no_nul(name)}" if kind.base == "interval" else ""


def _text(name: str, kind: stored.Stored, *, key: bool) -> str:
    length = kind.limits[0] if kind.limits else None
    if key:
        length = min(length or KEY_LIMIT, KEY_LIMIT)
    padded = kind.base == "character"
    trimmed = f"rtrim({name}, ' ')" if padded else name
    parts = [no_nul(name)]
    if length is not None:
        parts.append(f"length({trimmed}) <= {length}")
    if key and padded:
        parts.append(f"{name} = {trimmed}")
    return " AND ".join(parts)


def _numeric(name: str, precision: int, scale: int, *, key: bool) -> str:
    fraction = f"CASE instr({name}, '.') WHEN 0 THEN '' ELSE substr({name}, instr({name}, '.') + 1) END"
    whole = f"ltrim(CASE instr({name}, '.') WHEN 0 THEN {name} ELSE substr({name}, 1, instr({name}, '.') - 1) END"
    fits = f"length({whole}, '-+0')) <= {max(precision - scale, 0)}"
    if key:
        return f"length({fraction}) = {scale} AND {fits}"
    return f"({name} GLOB '*[eE]*' OR (length(rtrim({fraction}, '0')) <= {scale} AND {fits}))"


def _time(name: str, kind: stored.Stored) -> str:
    digits = kind.limits[0] if kind.limits else 6
    seconds = f"{name} GLOB '{_CLOCK}:[0-5][0-9]'"
    fraction = f"rtrim(substr({name}, 10), '0')"
    fractional = (
        f"{name} GLOB '{_CLOCK}:[0-5][0-9].[0-9]*' AND substr({name}, 10) NOT GLOB '*[^0-9]*' "
        f"AND length({name}) <= 15 AND length({fraction}) <= {digits}"
    )
    forms = f"{name} GLOB '{_CLOCK}' OR {seconds} OR ({fractional})"
    return f"{no_nul(name)} AND ({name} = '24:00:00' OR ({name} < '24' AND ({forms})))"
