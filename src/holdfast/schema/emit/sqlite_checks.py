"""CHECK conditions by which SQLite itself refuses a wrong value at the moment it is written.

Each condition is true or NULL for NULL, uses nothing newer than SQLite 3.38, and admits every form that
`spec/encoding.md` 1 accepts. It may admit a few texts that cannot be judged in an expression (a decimal in exponent
form that is too long, JSON that is too deep); those are refused when the write is prepared for sending.
"""

from __future__ import annotations

from holdfast.schema.emit.sqlite_stored import stored_condition
from holdfast.schema.emit.sqlite_text import literal, no_nul, quote, valid_json
from holdfast.schema.key import KEY_LIMIT
from holdfast.schema.model import Column

_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_CLOCK = "[0-9][0-9]:[0-5][0-9]:[0-5][0-9]"
_SIXTH = ".[0-9][0-9][0-9][0-9][0-9][0-9]Z"
_UUID = "????????-????-????-????-????????????"


def condition(column: Column, *, key: bool) -> str:
    """The CHECK condition of a column, empty if its storage class says everything.

    A key column holds the canonical form only, because its text is the name of the row.
    """
    found = _condition(column, key)
    # json_valid(NULL) is 0 before SQLite 3.45, NULL from there on.
    return f"{quote(column.name)} IS NULL OR ({found})" if column.nullable and "json_valid" in found else found


def _condition(column: Column, key: bool) -> str:
    narrow = stored_condition(column, key=key) if column.stored and column.choices is None else ""
    if narrow and column.type in ("decimal", "float"):
        return f"{_plain_condition(column, key)} AND {narrow}"
    return narrow or _plain_condition(column, key)


def _plain_condition(column: Column, key: bool) -> str:
    name = quote(column.name)
    if column.choices is not None:
        return f"{name} IN ({', '.join(literal(column.type, choice) for choice in column.choices)})"
    if column.type == "datetime":
        return _datetime_key(name) if key else _datetime(name)
    if column.type == "decimal":
        return _decimal_key(name) if key else _decimal(name)
    if column.type == "uuid":
        return _uuid_key(name) if key else _uuid(name)
    if column.type == "json":
        return valid_json(name) if column.nullable else f"{valid_json(name)} AND json_type({name}) <> 'null'"
    if column.type == "text" and key:
        return f"{no_nul(name)} AND length({name}) <= {KEY_LIMIT}"
    plain = {
        "text": no_nul(name),
        "int": f"{name} BETWEEN -9007199254740991 AND 9007199254740991",
        "float": f"{name} > -9e999 AND {name} < 9e999",
        "bool": f"{name} IN (0, 1)",
        "date": f"{name} GLOB '{_DAY}' AND {_real_day(name)} AND {name} >= '0001'",
        "set": f"{valid_json(name)} AND json_type({name}) = 'array'",
    }
    return plain.get(column.type, "")


def _real_day(text: str) -> str:
    # Without a modifier date() gives 2023-02-29 back as it is before SQLite 3.46.
    return f"date({text}, '+0 days') IS {text}"


def _real_moment(name: str) -> str:
    return f"{_real_day(f'substr({name}, 1, 10)')} AND substr({name}, 12, 2) < '24' AND {name} >= '0001'"


def _datetime_key(name: str) -> str:
    return f"length({name}) = 27 AND {name} GLOB '{_DAY}T{_CLOCK}{_SIXTH}' AND {no_nul(name)} AND {_real_moment(name)}"


def _datetime(name: str) -> str:
    rest = f"substr({name}, 20)"
    # Without regular expressions: what stands before the offset is a fraction if it makes a JSON number after a zero.
    fraction = (
        f"length({name}) - 19 - CASE WHEN {rest} GLOB '*Z' THEN 1 "
        f"WHEN {rest} GLOB '*[-+][01][0-9]:[0-5][0-9]' THEN 6 "
        f"WHEN {rest} GLOB '*[-+][01][0-9][0-5][0-9]' THEN 5 "
        f"WHEN {rest} GLOB '*[-+][01][0-9]' THEN 3 ELSE 0 END"
    )
    return (
        f"{name} GLOB '{_DAY}[T ]{_CLOCK}*' AND {no_nul(name)} AND {_real_moment(name)} "
        f"AND {rest} NOT GLOB '*[^-+.:Z0-9]*' AND {fraction} <= 7 AND json_valid('0' || substr({name}, 20, {fraction}))"
    )


def _decimal_key(name: str) -> str:
    return (
        f"{name} NOT GLOB '*[^-.0-9]*' AND {no_nul(name)} AND json_valid({name}) "
        f"AND NOT ({name} GLOB '-*' AND {name} NOT GLOB '*[1-9]*') "
        f"AND length(ltrim(replace({name}, '.', ''), '-')) <= 1000"
    )


def _decimal(name: str) -> str:
    unsigned = f"CASE WHEN {name} GLOB '[-+]*' THEN substr({name}, 2) ELSE {name} END"
    bare = f"ltrim({unsigned}, '0')"
    return (
        f"{name} NOT GLOB '*[^-+.0-9eE]*' AND {no_nul(name)} AND {unsigned} GLOB '[0-9]*' "
        f"AND json_valid('1' || {unsigned}) AND CASE WHEN {name} GLOB '*[eE]*' "
        f"THEN length({name}) <= 1002 AND {name} NOT GLOB '*[eE]*[0-9][0-9][0-9][0-9]*' "
        f"ELSE length(replace({bare}, '.', '')) + ({bare} GLOB '.*') <= 1000 END"
    )


def _hexadecimal(text: str, digits: str) -> str:
    bare = f"replace({text}, '-', '')"
    return f"{text} GLOB '{_UUID}' AND length({bare}) = 32 AND {bare} NOT GLOB '*[^{digits}]*'"


def _uuid_key(name: str) -> str:
    return f"{_hexadecimal(name, '0-9a-f')} AND {no_nul(name)}"


def _uuid(name: str) -> str:
    inner = f"CASE WHEN {name} GLOB '{{*}}' THEN substr({name}, 2, length({name}) - 2) ELSE {name} END"
    plain = f"length({inner}) = 32 AND {inner} NOT GLOB '*[^0-9a-fA-F]*'"
    return f"{no_nul(name)} AND (({plain}) OR ({_hexadecimal(inner, '0-9a-fA-F')}))"
