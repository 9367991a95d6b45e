"""Times of day and intervals as text: the forms that PostgreSQL gives back (`spec/encoding.md` 1.3)."""

from __future__ import annotations

import datetime
import re

from holdfast.kernel.values import InvalidValue

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]{1,6}))?)?")
_NUMBER = r"([+-]?[0-9]{1,19})"
_INTERVAL = re.compile(
    rf"P(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}W)?(?:{_NUMBER}D)?"
    rf"(?:T(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:([+-]?)([0-9]{{1,19}})(?:\.([0-9]{{1,6}}))?S)?)?"
)
_MICROSECONDS = 1_000_000


def time_text(text: str) -> str:
    """Canonical text of a time of day: HH:MM:SS and then the fraction, if any, without zeros at its end.

    Takes HH:MM and up to six digits after the seconds. Raises `InvalidValue`.
    """
    if text == "24:00:00":
        return text
    parts = _TIME.fullmatch(text)
    if parts is None:
        raise InvalidValue("value_format", "a time is written HH:MM:SS or HH:MM:SS.ffffff")
    fraction = (parts[4] or "").rstrip("0")
    return f"{parts[1]}:{parts[2]}:{parts[3] or '00'}" + (f".{fraction}" if fraction else "")


def interval_text(text: str) -> str:
    """Canonical text of an interval: ISO 8601 as PostgreSQL writes it, such as P1Y2M3DT4H5M6.5S.

    Months, days and seconds are three numbers of their own; each is written in the largest units that it fills. Raises
    `InvalidValue`.
    """
    parts = _INTERVAL.fullmatch(text)
    if parts is None or text[-1] in "PT":
        raise InvalidValue("value_format", "an interval is written as ISO 8601 durations are, such as P1Y2M3DT4H5M6.5S")
    years, months, weeks, days, hours, minutes = (int(parts[group] or 0) for group in range(1, 7))
    fraction = int(parts[8] or 0) * _MICROSECONDS + int((parts[9] or "").ljust(6, "0"))
    seconds = -fraction if parts[7] == "-" else fraction
    months, days = years * 12 + months, weeks * 7 + days
    micros = (hours * 3600 + minutes * 60) * _MICROSECONDS + seconds
    if not (-(2**31) <= months < 2**31 and -(2**31) <= days < 2**31 and -(2**63) <= micros < 2**63):
        raise InvalidValue("value_range", "an interval has months and days of 32 bits and microseconds of 64")
    sign, rest = ("-", -micros) if micros < 0 else ("", micros)
    whole, part = divmod(rest, _MICROSECONDS)
    dated = _units((_whole(months, 12), "Y"), (_rest(months, 12), "M"), (days, "D"))
    timed = "".join(f"{sign}{n}{unit}" for n, unit in ((whole // 3600, "H"), (whole // 60 % 60, "M")) if n)
    if whole % 60 or part:
        timed += f"{sign}{whole % 60}" + (f".{part:06d}".rstrip("0") if part else "") + "S"
    return f"P{dated}" + (f"T{timed}" if timed else "") if dated or timed else "PT0S"


def _whole(number: int, unit: int) -> int:
    return -(-number // unit) if number < 0 else number // unit


def _rest(number: int, unit: int) -> int:
    return number - _whole(number, unit) * unit


def _units(*parts: tuple[int, str]) -> str:
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def duration_text(duration: datetime.timedelta) -> str:
    """The interval of a Python duration: days, and seconds of the day, as it keeps them."""
    seconds = f"{duration.seconds}.{duration.microseconds:06d}"
    return interval_text(f"P{duration.days}DT{seconds}S")
