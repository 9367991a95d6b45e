"""Values for simulated writes, from the whole domain of each column type, in SQLite's own types."""

from __future__ import annotations

import datetime
import decimal
import json
import random
import struct
import uuid
from collections.abc import Callable
from typing import Any

from holdfast.schema.model import Column

MAX_INT = 2**53 - 1
FEW_TEXTS = ("", "a", "b", "é", "e\u0301", "🏗", '"', "\\u0000 is not it", "\ud7ff\ue000", "'; --", "x" * 300)
FEW_INTS = (0, 1, 2, 3, -1, MAX_INT, -MAX_INT)
FEW_FLOATS = (0.0, -0.0, 0.1 + 0.2, 1e308, 5e-324, -1.5, 1e21, 9007199254740993.0)
DECIMALS = ("0", "1.5", "1.50", "-0.0", "1e3", "+007", "-12.50", "9" * 40 + ".1")
MOMENTS = ("2026-02-03 04:05:06", "2026-02-03T04:05:06.7+02:00", "0001-01-01T00:00:00.000000Z")


def text(choose: random.Random) -> str:
    """Any text without U+0000 and surrogates, mostly a short one that others write, too."""
    if choose.random() < 0.7:
        return choose.choice(FEW_TEXTS)
    return "".join(chr(choose.choice((0x20, 0x7F, 0x300, 0x3042, 0x1F600)) + choose.randrange(64)) for _ in range(4))


def _int(choose: random.Random) -> int:
    return choose.choice(FEW_INTS) if choose.random() < 0.5 else choose.randint(-MAX_INT, MAX_INT)


def _float(choose: random.Random) -> float:
    if choose.random() < 0.5:
        return choose.choice(FEW_FLOATS)
    number: float = struct.unpack("<d", choose.randbytes(8))[0]
    return number if number - number == 0 else 0.5


def _date(choose: random.Random) -> str:
    return str(datetime.date.fromordinal(choose.randint(1, 3_652_059)))


def _moment(choose: random.Random) -> str:
    if choose.random() < 0.3:
        return choose.choice(MOMENTS)
    return f"{_date(choose)}T{choose.randrange(24):02}:{choose.randrange(60):02}:00.{choose.randrange(10**6):06}Z"


def _decimal(choose: random.Random) -> str:
    if choose.random() < 0.5:
        return choose.choice(DECIMALS)
    return str(decimal.Decimal(choose.randint(-(10**9), 10**9)).scaleb(-choose.randrange(6)))


def _uuid(choose: random.Random) -> str:
    found = str(uuid.UUID(int=choose.getrandbits(128)))
    return found if choose.random() < 0.5 else "{" + found.upper() + "}"


def json_value(choose: random.Random, depth: int = 2) -> Any:
    """Any JSON value, up to `depth` arrays and objects inside each other."""
    kind = choose.randrange(7 if depth else 5)
    if kind < 5:
        return (None, choose.random() < 0.5, _int(choose), _float(choose), text(choose))[kind]
    if kind == 5:
        return [json_value(choose, depth - 1) for _ in range(choose.randrange(3))]
    return {text(choose): json_value(choose, depth - 1) for _ in range(choose.randrange(3))}


def _json(choose: random.Random) -> str:
    return ' { "b" : 1.0, "a" : [ ] } ' if choose.random() < 0.1 else json.dumps(json_value(choose))


OF_TYPE: dict[str, Callable[[random.Random], Any]] = {
    "text": text,
    "int": _int,
    "bigint": lambda choose: choose.randint(-(2**63), 2**63 - 1),
    "float": _float,
    "bool": lambda choose: choose.randrange(2),
    "bytes": lambda choose: choose.randbytes(choose.randrange(6)),
    "date": _date,
    "datetime": _moment,
    "decimal": _decimal,
    "uuid": _uuid,
    "json": _json,
}


def value_for(column: Column, choose: random.Random) -> Any:
    """A value that may be written into a column, as SQLite takes it."""
    if column.nullable and choose.random() < 0.2:
        return None
    if column.choices is not None:
        return choose.choice(column.choices)
    if column.merge == "counter":
        return choose.randint(-(2**40), 2**40) if choose.random() < 0.2 else choose.randint(-5, 5)
    if column.type == "set":
        few = FEW_TEXTS if column.element == "text" else (0, 1, 2, 3)
        return json.dumps([choose.choice(few) for _ in range(choose.randrange(4))])
    value = OF_TYPE[column.type](choose)
    return value if value != "null" or column.nullable else "{}"
