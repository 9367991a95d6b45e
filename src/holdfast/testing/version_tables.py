"""Three versions of one application: columns renamed, split in two, of another type, dropped, and added."""

from __future__ import annotations

from holdfast.schema import Counter, Schema, Set, Table, drop, lens, migrate, rename


class Visit1(Table, name="visit", space="site"):
    """What the first application knows of a visit."""

    name: str
    crew: Counter = 0
    tags: Set[str]
    hours: str = "0"
    memo: str
    status: str = "open"


class Visit2(Table, name="visit", space="site"):
    """The second one: another order, a name in two parts, no memo, the weather."""

    status: str = "open"
    weather: str | None = None
    first: str
    last: str
    team: Counter = 0
    tags: Set[str]
    hours: str = "0"


class Photo(Table, space="site"):
    """A table that the first application does not know."""

    visit_id: str
    caption: str = ""


class Visit3(Table, name="visit", space="site"):
    """The third one: minutes, which are more exact than hours."""

    first: str
    last: str
    team: Counter = 0
    labels: Set[str]
    minutes: int = 0
    status: str = "open"
    weather: str | None = None


NO_MEMO = "(none)"
"""What the first application sees for a memo in visits that later ones made."""


def split(name: str) -> tuple[str, str]:
    """A name as first and last name."""
    first, _, last = name.partition(" ")
    return first, last


def joined(first: str, last: str) -> str:
    """The name again."""
    return f"{first} {last}"


def in_minutes(hours: str) -> int:
    """Hours as minutes."""
    return int(hours or 0) * 60


def in_hours(minutes: int) -> str:
    """Minutes as whole hours."""
    return str(minutes // 60)


FIRST = migrate(
    1, 2, rename("visit", "crew", "team"), lens("visit", "name", ["first", "last"], split, joined),
    drop("visit", "memo", fill=NO_MEMO),
)  # fmt: skip
SECOND = migrate(2, 3, rename("visit", "tags", "labels"), lens("visit", "hours", "minutes", in_minutes, in_hours))
V1 = Schema(Visit1, version=1)
V2 = Schema(Visit2, Photo, version=2, migrations=[FIRST])
V3 = Schema(Visit3, Photo, version=3, migrations=[FIRST, SECOND])
VERSIONS = {schema.version: schema for schema in (V1, V2, V3)}
