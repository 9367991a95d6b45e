"""The hybrid logical clock, and the stamps made of it.

Algorithm: Kulkarni, Demirbas, Madappa, Avva, Leone, *Logical Physical Clocks*, 2014: a clock that never runs
backwards, stays close to physical time, and needs one number. Here the number has 53 bits: 41 of milliseconds since
2020-01-01 UTC, 12 of counter; the counter runs over into the milliseconds by plain addition. Specification:
`spec/encoding.md`, section 3. No function reads a clock or raises because of one.
"""

from __future__ import annotations

import re

EPOCH_MS = 1_577_836_800_000
"""2020-01-01T00:00:00Z in Unix milliseconds: subtract it from a Unix time to get the `ms` used here."""
MAX_MS = 2**41 - 1
MAX_HLC = 2**53 - 1
ORIGIN_LENGTH = 12
STAMP_LENGTH = 27

_COUNTS = 4096
_STAMP = re.compile(r"[0-9a-f]{14}-[0-9a-f]{12}")
_ORIGIN = re.compile(r"[0-9a-f]{12}")
_HLC_DIGITS = 14


def pack(ms: int, counter: int) -> int:
    """The HLC of `ms` (milliseconds since 2020, 0 .. 2^41-1) and `counter` (0 .. 4095)."""
    return ms * _COUNTS + counter


def unpack(hlc: int) -> tuple[int, int]:
    """(milliseconds since 2020, counter) of an HLC."""
    return hlc // _COUNTS, hlc % _COUNTS


def wall(ms: int) -> int:
    """The HLC of a physical time in milliseconds since 2020; 0 for one before 2020 or beyond 41 bits: it is ignored."""
    return pack(ms, 0) if 0 <= ms <= MAX_MS else 0


def tick(last_hlc: int, wall_ms: int) -> int:
    """The HLC of the next event after `last_hlc` at the physical time `wall_ms` (milliseconds since 2020).

    Strictly greater than `last_hlc`, whatever the physical clock does. To receive a remote HLC, pass the greater of
    both as `last_hlc`. At 2^53-1 (the year 2089) it stays there, because no larger number is exact in JSON.
    """
    return min(max(last_hlc + 1, wall(wall_ms)), MAX_HLC)


def stamp(hlc: int, origin: str) -> str:
    """The stamp of an HLC and an origin, 27 characters; stamps order as text like (hlc, origin)."""
    return f"{hlc:014x}-{origin}"


def after(earlier: str, origin: str) -> str:
    """The first stamp of `origin` that is certainly later than the stamp `earlier`."""
    return stamp(min(hlc_of(earlier) + 1, MAX_HLC), origin)


def hlc_of(text: str) -> int:
    """The HLC of a stamp."""
    return int(text[:_HLC_DIGITS], 16)


def origin_of(text: str) -> str:
    """The origin of a stamp."""
    return text[_HLC_DIGITS + 1 :]


def is_stamp(text: str) -> bool:
    """Whether `text` is a well-formed stamp with an HLC of at most 53 bits."""
    return _STAMP.fullmatch(text) is not None and text < "20"


def is_origin(text: str) -> bool:
    """Whether `text` is a well-formed origin: 12 lower-case hexadecimal digits."""
    return _ORIGIN.fullmatch(text) is not None


def new_origin(random_bits: int) -> str:
    """An origin made of the lowest 48 bits of `random_bits`."""
    return f"{random_bits % 2**48:012x}"
