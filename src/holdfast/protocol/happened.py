"""What happened to a row, as the hub tells it."""

from __future__ import annotations

from typing import Any, NamedTuple


class Happened(NamedTuple):
    """One operation that had an effect on a row: who, on which device (empty: another program at the hub), when it was
    accepted (milliseconds since 2020-01-01 UTC), under which label; the changes, the values before, whether the row
    was there before and after; the conflicts that it met (id, rule, winner, column), the columns in which it lost
    (`kept`), and those that became something else than was written (`after`).
    """

    table: str
    key: str
    at: int
    user: str
    device: str
    op: str
    changes: dict[str, Any]
    old: dict[str, Any]
    was_there: bool
    is_there: bool
    label: str
    conflicts: list[dict[str, Any]]
    kept: list[str]
    after: dict[str, Any]
    space: str
    stamp: str
