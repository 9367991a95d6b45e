"""What a device may give up of a table when room is short: its class of storage, how long rows stay, what may go.

Like the queue it is the device's matter: the hub need not know it, and the hash of the schema does not depend on it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from holdfast.errors import HoldfastError

HOURS: Final = {"hour": 1, "day": 24, "week": 168}
_SPAN = re.compile(r"([1-9][0-9]{0,5}) (hour|day|week)s?")
DATES: Final = ("date", "datetime")


class _Column(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Retention:
    """`storage` is the name of the table's class (empty: that of the table). Rows whose date in `by` is more than
    `hours` ago leave the device, but the newest `last` stay; 0 is no limit. `evictable` rows leave, the least recently
    used first, when their class or the whole file is over its budget.
    """

    storage: str = ""
    hours: int = 0
    by: str = ""
    last: int = 0
    evictable: bool = False

    @property
    def evicts(self) -> bool:
        """Whether rows of the table may leave a device."""
        return bool(self.hours or self.last or self.evictable)

    def to_json(self) -> dict[str, Any]:
        """JSON form, complete."""
        return asdict(self)


ALL: Final = Retention()
"""What tables have that declare nothing: every row stays."""


@dataclass(frozen=True, slots=True)
class RetentionOptions:
    """What the keywords of a table were given."""

    storage: Any
    keep: Any
    keep_by: Any
    keep_last: Any
    evictable: Any

    def retention(self, columns: Sequence[_Column]) -> Retention:
        """The checked form. Raises `HoldfastError` `schema_invalid`."""
        name, last = self.storage, self.keep_last
        if not isinstance(name, str) or (name and not name.isidentifier()) or name == "total":
            raise _bad(f"storage={name!r}: write the name of a class, such as 'photos'; 'total' is the whole file")
        if type(self.evictable) is not bool:
            raise _bad(f"evictable={self.evictable!r}: use True or False")
        if type(last) is not int or last < 0:
            raise _bad(f"keep_last={last!r}: use an int, how many of the newest rows stay")
        hours = self._hours()
        by = self._by(columns) if hours or last else ""
        if self.keep_by and not (hours or last):
            raise _bad(f"keep_by={self.keep_by!r} without keep= or keep_last=; add one of them")
        return Retention(name, hours, by, last, self.evictable)

    def _hours(self) -> int:
        if self.keep == "":
            return 0
        found = _SPAN.fullmatch(self.keep) if isinstance(self.keep, str) else None
        if found is None:
            raise _bad(f"keep={self.keep!r}: write a number of hours, days or weeks, such as '30 days'")
        return int(found[1]) * HOURS[found[2]]

    def _by(self, columns: Sequence[_Column]) -> str:
        dates = [column.name for column in columns if column.type in DATES]
        if self.keep_by:
            if self.keep_by not in dates:
                raise _bad(f"keep_by={self.keep_by!r}: name a date or datetime column; there is {dates or 'none'}")
            return str(self.keep_by)
        if len(dates) != 1:
            raise _bad(f"keep_by= must name the column that says how old a row is; dates are {dates or 'none'}")
        return dates[0]


def retention_from_json(form: dict[str, Any] | None) -> Retention:
    """The retention of a JSON form; without one every row stays."""
    return ALL if form is None else Retention(**form)


def _bad(message: str) -> HoldfastError:
    return HoldfastError("schema_invalid", message)
