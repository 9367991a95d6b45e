"""What of a space is read for a device, and in which order: a first load goes by the priorities of tables.

A first load of several classes of tables reads each class up to the head at which it began (`base`), one class after
the other, and then everything that came in between. A row that moves on meanwhile is met in that last part, so it is
sent at least once; an answer that breaks off goes on from the cursor, which names the class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from holdfast.hub.cursor import Cursor, is_behind, is_ours, parse_cursor
from holdfast.hub.identity import Access
from holdfast.protocol import messages as m
from holdfast.schema.model import Schema
from holdfast.schema.space import SpaceRule
from holdfast.stores.base import Space, Transaction

COUNT_FROM = 2_000
Classes = Sequence[tuple[int, frozenset[str]]]


class Reading(NamedTuple):
    """A part of a feed: after < seq <= until, without the rows in `skip`, which the device has already.

    `patches`: the device has everything that the space held when its head was `after`, so changes of rows will do.
    `level` and `base` as in the cursor; `last` is the number of the last class. `tables`: only these (or, in the last
    class, all but these). `loaded`: what has been sent when this begins.
    """

    space: Space
    after: int
    until: int
    patches: bool = False
    priority: int = 0
    level: int = 0
    base: int = 0
    last: int = 0
    tables: frozenset[str] = frozenset()
    skip: frozenset[int] = frozenset()
    loaded: int | None = None
    version: int = 0

    def takes(self, image: bytes) -> bool:
        """Whether a row, in wire form, is of the class that is read."""
        if not self.level:
            return True
        named = image[2 : image.index(b'"', 2)].decode() in self.tables
        return named != (self.level == self.last)

    def behind_own(self) -> Reading:
        """The same without the rows at its beginning that the device has already: what it has just pushed is mostly all
        that is new."""
        after = self.after
        while not self.level and after < self.until and after + 1 in self.skip:
            after += 1
        return self._replace(after=after)

    def cursor(self, seq: int) -> str:
        """The cursor after a row of this part."""
        place = (self.space.epoch, seq, self.space.head, self.space.chain)
        return Cursor(*place, self.level, self.base, self.version).text()

    def end(self) -> str:
        """The cursor after this part: where the next one begins."""
        if 0 < self.level < self.last:
            return self._replace(level=self.level + 1).cursor(0)
        return self._replace(level=0).cursor(self.until)


def plan_space(
    tx: Transaction,
    space: Space | None,
    text: str | None,
    classes: Classes,
    priority: int,
    version: int = 0,
    introduced: Callable[[int], Mapping[str, int]] = lambda _: {},
) -> tuple[list[Reading], bool]:
    """What to read of a space for a device with this cursor, and whether the cursor is of this history.

    `priority` is what the device says of the space; that of a part is the greater of it and the one of its tables.
    A device that has read under an earlier `version` goes back to where the next one was `introduced`: it reads what
    has the columns that are new to it.
    """
    cursor = parse_cursor(text) if text is not None else None
    known = cursor is not None and is_ours(cursor, space, tx)
    if space is None or cursor is None or not known:
        cursor = None
    if space is None:
        return [], known
    older = cursor is not None and cursor.version < version
    if cursor is not None and older:
        known_since = min(cursor.seq, introduced(cursor.version).get(space.name, 0))
        cursor = None if cursor.level else cursor._replace(seq=known_since)
    if cursor is not None and not cursor.level:
        patches = cursor.seq == cursor.head and not is_behind(cursor, space) and not older
        whole = Reading(space, cursor.seq, space.head, patches, priority, version=version)
        return [whole] if cursor.seq < space.head else [], known
    if cursor is None and len(classes) < 2:
        return [Reading(space, 0, space.head, False, priority, version=version)] if space.head else [], known
    level, base = (cursor.level, cursor.base) if cursor is not None else (1, space.head)
    readings = []
    for number in range(level, len(classes) + 1):
        of_tables, tables = classes[number - 1]
        if number == len(classes):
            tables = frozenset().union(*(named for _, named in classes[:-1]))
        after = cursor.seq if cursor is not None and number == level else 0
        of_part = max(priority, of_tables)
        parts = (space, after, base, False, of_part, number, base, len(classes), tables)
        readings.append(Reading(*parts, version=version))
    if base < space.head:
        last = max([priority, *(part for part, _ in classes)])
        readings.append(Reading(space, base, space.head, False, last, version=version))
    return readings, known


def behind(space: Space | None, text: str | None) -> bool:
    """Whether a device with this cursor cannot learn from the feed everything that is gone."""
    cursor = parse_cursor(text) if text is not None else None
    return space is not None and cursor is not None and is_behind(cursor, space)


def marked(readings: Sequence[Reading]) -> Iterator[Reading]:
    """Each reading with what has been sent before it, where priorities differ."""
    loaded: int | None = None
    for before, reading in zip([None, *readings], readings, strict=False):
        if before is not None and before.priority < reading.priority:
            loaded = reading.priority - 1
        yield reading._replace(loaded=loaded)


def rows_ahead(tx: Transaction, readings: Iterable[Reading]) -> int:
    """At most so many rows will be sent: no more than numbers follow, and no more than the spaces hold.

    Numbers are sparse where rows were written often, so a long way is measured by the counts of the digest. The parts
    of one space share its rows.
    """
    total, seen = 0, set()
    for reading in readings:
        numbers = reading.until - reading.after
        if reading.level and reading.space.name in seen:
            continue
        seen.add(reading.space.name)
        if numbers > COUNT_FROM:
            numbers = min(numbers, sum(count for count, _ in tx.digest(reading.space.name).values()))
        total += numbers
    return total


def cursor_at(space: Space, seq: int, version: int = 0) -> str:
    """The cursor after the row `seq`, read in the snapshot in which `space` is the head."""
    return Cursor(space.epoch, seq, space.head, space.chain, version=version).text()


def wanted(spaces: dict[str, Access], want: m.Want | None, templates: Mapping[str, SpaceRule]) -> dict[str, Access]:
    """Those of the spaces that a device may read that it wants. What it may write does not depend on that. `templates`
    are those of the schema, by their text; `requested.check_want` has held the request to them.
    """
    if want is None:
        return spaces
    without = frozenset(want.without)
    written = [templates[text] for text in want.upload]
    return {
        name: access
        for name, access in spaces.items()
        if name not in without
        and (not want.only or name in want.spaces)
        and not any(rule.may_name(name) for rule in written)
    }


def templates_of(schema: Schema) -> dict[str, SpaceRule]:
    """The templates that name the spaces of the declared tables."""
    return {rule.template: rule for table in schema.declared if (rule := table.naming) is not None}


def classes_of(schema: Schema) -> list[tuple[int, frozenset[str]]]:
    """The tables by priority, lowest first; none when all have the same."""
    by_priority: dict[int, set[str]] = {}
    for table in schema.tables:
        by_priority.setdefault(table.priority, set()).add(table.name)
    return [(priority, frozenset(names)) for priority, names in sorted(by_priority.items())]
