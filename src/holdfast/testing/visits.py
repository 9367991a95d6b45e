"""What every visit and photo must show, in the words of each version: kept beside a simulation of upgrades.

A visit has one owner, the device that made it, and only that one writes its texts. So the owner's writes are in an
order that nobody disputes, and what must stand is known exactly, whatever version wrote it. Others add to its counter
and its set, which take everything.
"""

from __future__ import annotations

import json
import random
from typing import Any, NamedTuple

import apsw

from holdfast.kernel.values import canonical_json
from holdfast.testing.version_tables import NO_MEMO, in_hours, in_minutes, joined, split

Shown = dict[str, dict[str, Any]]
"""key -> column -> value as SQLite has it, of one table."""


class Visit(NamedTuple):
    """One visit, in the most exact words of any version."""

    owner: str
    first: str
    last: str
    crew: int
    tags: frozenset[str]
    minutes: int
    memo: str
    status: str
    weather: str | None

    def seen_by(self, version: int) -> dict[str, Any]:
        """What a device of that version shows of it."""
        tags, hours = canonical_json(sorted(self.tags)), in_hours(self.minutes)
        if version == 1:
            name = joined(self.first, self.last)
            texts = {"name": name, "hours": hours, "memo": self.memo, "status": self.status}
            return {**texts, "crew": self.crew, "tags": tags}
        parts = {"first": self.first, "last": self.last, "status": self.status, "weather": self.weather}
        if version == 2:
            return {**parts, "team": self.crew, "tags": tags, "hours": hours}
        return {**parts, "team": self.crew, "labels": tags, "minutes": self.minutes}

    def with_values(self, values: dict[str, Any]) -> Visit:
        """It after its owner has written these columns of whatever version."""
        made = self
        for column, value in values.items():
            if column == "name":
                first, last = split(value)
                made = made._replace(first=first, last=last)
            elif column == "hours":
                made = made._replace(minutes=in_minutes(value))
            else:
                made = made._replace(**{column: value})
        return made


def new_visit(owner: str, version: int) -> Visit:
    """A visit before anything is written in it but its names."""
    return Visit(owner, "", "", 0, frozenset(), 0, "" if version == 1 else NO_MEMO, "open", None)


TEXTS = {
    1: ("name", "hours", "memo", "status"),
    2: ("first", "last", "hours", "status", "weather"),
    3: ("first", "last", "minutes", "status", "weather"),
}
"""The columns of each version that only the owner writes."""
MUST = {1: ("name", "memo"), 2: ("first", "last"), 3: ("first", "last")}
COUNTERS = {1: "crew", 2: "team", 3: "team"}
SETS = {1: "tags", 2: "tags", 3: "labels"}


def some_value(column: str, dice: random.Random) -> Any:
    """A value for one of the texts; with high probability nobody has written it before."""
    number = dice.randrange(100_000)
    if column == "name":
        return f"f{number} l{number}"
    if column == "minutes":
        return number
    if column == "hours":
        return str(number)
    if column == "weather" and number % 7 == 0:
        return None
    return f"{column[0]}{number}"


def columns_of(version: int) -> tuple[str, ...]:
    """Every column that a version shows of a visit."""
    return (*TEXTS[version], COUNTERS[version], SETS[version])


def read_visits(db: apsw.Connection, version: int) -> Shown:
    """The visits that a device of that version shows."""
    columns = columns_of(version)
    rows = db.execute(f"SELECT id, {', '.join(columns)} FROM visit")
    return {str(row[0]): dict(zip(columns, row[1:], strict=True)) for row in rows}


def read_photos(db: apsw.Connection, version: int) -> dict[str, tuple[str, str]]:
    """Its photos: id -> (visit, caption). The first version has none."""
    if version == 1:
        return {}
    return {key: (visit, caption) for key, visit, caption in db.execute("SELECT id, visit_id, caption FROM photo")}


def added(text: str, tag: str) -> str:
    """A set as SQLite has it, with one more member."""
    return canonical_json(sorted({*json.loads(text), tag}))
