"""Values from the whole domain of each type, and from just outside of it."""

from __future__ import annotations

import base64
import math
import random
import struct
from typing import Any

from holdfast.kernel.values import SCALAR_TYPES

# One entry a kind of trouble: empty, NUL, controls, quotes, beyond the BMP, joiners, combining marks, direction marks,
# line separators of JavaScript, the last code points, names of Object.prototype, texts that look like numbers.
PIECES = (
    "", "a", "b", "Z", "é", "e\u0301", "\u0301", "\x00", "\x01", "\x1f", "\x7f", '"', "\\", "/",
    "\n", "\r\n", "\t", "\b",
    "🧱", "👷🏽‍♀️", "🇩🇪", "\u200d", "\u202e", "\u2028", "\u2029", "\ufeff", "\ud7ff", "\ue000", "\uff5e", "\uffff",
    "\U00010000", "\U0010ffff", "__proto__", "constructor", "toString", "10", "9", "-0", "1.0", "1e5", "null",
    "ß", "İ", "ﬁ",
    "한국", "\u0645\u0631", " ", "0123456789abcdef0", "\\u0041",
)  # fmt: skip
SURROGATES = ("\ud800", "\udbff", "\udc00", "\udfff")
EDGES = [sign * (2**power + step) for power in (0, 1, 31, 32, 52, 53, 54, 62, 63, 64, 70) for step in (-1, 0, 1)
         for sign in (1, -1)]  # fmt: skip


def text(rng: random.Random, *, valid: bool = False) -> str:
    pieces = rng.choices(PIECES, k=rng.choice((0, 1, 1, 2, 3, 5, 40)))
    if not valid and rng.random() < 0.05:
        pieces.insert(rng.randrange(len(pieces) + 1), rng.choice(SURROGATES))
    drawn = "".join(pieces)
    return drawn.replace("\x00", "") if valid else drawn


def integer(rng: random.Random) -> int:
    return rng.choice(
        (rng.randint(-3, 3), rng.choice(EDGES), rng.randint(-(2**53), 2**53), rng.randint(-(10**6), 10**6))
    )


def small(rng: random.Random) -> int:
    """An integer within ±(2^53-1), often at the limit."""
    return max(-(2**53) + 1, min(2**53 - 1, integer(rng)))


def double(rng: random.Random) -> float:
    kind = rng.randrange(5)
    if kind == 0:
        return rng.choice(
            (0.0, -0.0, 0.1, 0.5, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e21, 1e-7, 1e-6)
        )
    if kind == 1:
        return float(rng.choice(EDGES))
    if kind == 2:
        return rng.randint(-(10**6), 10**6) / 10 ** rng.randrange(8)
    if kind == 3:
        return float(rng.randint(-9, 9)) * 10.0 ** rng.randint(-30, 30)
    while True:
        number: float = struct.unpack("<d", rng.randbytes(8))[0]
        if math.isfinite(number):
            return number


def digits(rng: random.Random, most: int = 6) -> str:
    return "".join(rng.choices("0123456789", k=rng.randint(1, most)))


def decimal(rng: random.Random) -> str:
    written = rng.choice(("", "", "-", "+")) + rng.choice(
        (digits(rng), "0", "00", digits(rng, 40), "9" * rng.randint(990, 1001))
    )
    if rng.random() < 0.6:
        written += "." + rng.choice((digits(rng), "0", "50", digits(rng, 30)))
    if rng.random() < 0.3:
        written += (
            rng.choice("eE") + rng.choice(("", "+", "-")) + rng.choice((digits(rng, 2), digits(rng, 5), "0000000001"))
        )
    return written


def date(rng: random.Random) -> str:
    year = rng.choice((rng.randint(1, 9999), rng.randint(1990, 2040), 0, 1, 4, 99, 100, 1900, 2000, 9999, 10000))
    day = rng.choice((rng.randint(1, 28), 28, 29, 30, 31, 32, 0, 1))
    return f"{year:04d}-{rng.randint(0, 13) if rng.random() < 0.1 else rng.randint(1, 12):02d}-{day:02d}"


def datetime(rng: random.Random) -> str:
    hour, minute, second = (
        rng.choice((rng.randint(0, most), 0, most, most + (rng.random() < 0.05))) for most in (23, 59, 59)
    )
    written = f"{date(rng)}{rng.choice('TTTT t')}{hour:02d}:{minute:02d}:{second:02d}"
    written += rng.choice(("", "", "." + digits(rng, 7), ".000000"))
    zone = rng.choice(("", "Z", "Z", "+", "-"))
    if zone in ("+", "-"):
        zone += f"{rng.randint(0, 24):02d}" + rng.choice(
            ("", f"{rng.randint(0, 60):02d}", f":{rng.randint(0, 60):02d}")
        )
    return written + zone


def uuid(rng: random.Random) -> str:
    hexadecimal = rng.randbytes(16).hex()
    written = "-".join((hexadecimal[:8], hexadecimal[8:12], hexadecimal[12:16], hexadecimal[16:20], hexadecimal[20:]))
    return rng.choice((written, written, written.upper(), hexadecimal, "{" + written + "}", "{" + hexadecimal + "}"))


def blob(rng: random.Random) -> str:
    return base64.b64encode(rng.randbytes(rng.choice((0, 1, 2, 3, 4, 5, 30)))).decode()


def json_value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(8 if depth < 4 else 6)
    if kind == 6:
        return [json_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 7:
        return {text(rng): json_value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return (None, rng.random() < 0.5, integer(rng), double(rng), text(rng), text(rng, valid=True))[kind]


def nested(rng: random.Random) -> Any:
    """A JSON value about as deep as is allowed."""
    value: Any = 1
    for _ in range(rng.randint(97, 103)):
        value = [value] if rng.random() < 0.5 else {text(rng, valid=True): value}
    return value


FORMS = {
    "text": text, "int": integer, "bigint": lambda rng: str(integer(rng)), "float": double, "bytes": blob, "date": date,
    "bool": lambda rng: rng.random() < 0.5, "datetime": datetime, "decimal": decimal, "uuid": uuid, "json": json_value,
}  # fmt: skip
DAMAGE = ("0", "-", "+", " ", ":", ".", "=", "é", "١", "\n", "Z", "e", "_")


def near(rng: random.Random, type_name: str, element: str = "") -> Any:
    """A value of the type, of its edge, or (one in six) of something else."""
    if rng.random() < 0.06:
        return json_value(rng)
    if type_name == "set":
        return [near(rng, element) for _ in range(rng.randrange(6))]
    if type_name == "json" and rng.random() < 0.02:
        return nested(rng)
    value = FORMS[type_name](rng)
    if type_name == "float" and rng.random() < 0.3:
        value = integer(rng)
    if type_name == "int" and rng.random() < 0.3:
        value = double(rng)
    if isinstance(value, str) and type_name not in ("text", "json") and rng.random() < 0.1:
        at = rng.randrange(len(value) + 1)
        value = value[:at] + rng.choice((*DAMAGE, "")) + value[at + rng.randrange(2) :]
    return value


def type_of(rng: random.Random) -> tuple[str, str]:
    """A column type, and the type of the elements when it is a set."""
    type_name = rng.choice((*SCALAR_TYPES, *SCALAR_TYPES, "json", "json", "set", "set", "set"))
    return type_name, rng.choice(SCALAR_TYPES) if type_name == "set" else ""


ORIGINS = ("000000000000", "26fd53dc5345", "aaaaaaaaaaaa", "ffffffffffff")


def stamp(rng: random.Random) -> str:
    hlc = rng.choice((rng.randint(0, 9), rng.randint(0, 9), rng.randrange(2**53), 2**53 - 1, 2**53 - 2))
    return f"{hlc:014x}-{rng.choice(ORIGINS)}"
