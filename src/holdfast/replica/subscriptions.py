"""Which of the spaces that it may read a device wants, in which order, and for how long."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import apsw

from holdfast.protocol import messages as m


class Subscription(NamedTuple):
    """`wanted` False: the space is left out. `priority`: lower comes first. `until` in milliseconds since 2020-01-01
    UTC by the device's clock; None: for ever.
    """

    space: str
    wanted: bool
    priority: int
    until: int | None


def subscribe(db: apsw.Connection, space: str, priority: int, until: int | None) -> None:
    """Want a space, from now on, or with another priority or until another time."""
    db.execute(
        """INSERT INTO holdfast_subscription (space, wanted, priority, until) VALUES (?, 1, ?, ?)
           ON CONFLICT (space) DO UPDATE SET wanted = 1, priority = excluded.priority, until = excluded.until""",
        (space, priority, until),
    )


def unsubscribe(db: apsw.Connection, space: str) -> None:
    """Do not want a space any more."""
    db.execute(
        """INSERT INTO holdfast_subscription (space, wanted, priority) VALUES (?, 0, 0)
           ON CONFLICT (space) DO UPDATE SET wanted = 0, until = NULL""",
        (space,),
    )


def subscriptions(db: apsw.Connection, now: int) -> dict[str, Subscription]:
    """All of them; one whose time is over counts as ended."""
    sql = "SELECT space, wanted, priority, until FROM holdfast_subscription"
    return {
        space: Subscription(space, bool(wanted) and (until is None or now < until), priority, until)
        for space, wanted, priority, until in db.execute(sql)
    }


def ended(db: apsw.Connection, since: int, now: int) -> bool:
    """Whether the time of a subscription was over between the two moments."""
    sql = "SELECT EXISTS (SELECT 1 FROM holdfast_subscription WHERE wanted = 1 AND until > ? AND until <= ?)"
    return bool(db.execute(sql, (since, now)).get)


def want(db: apsw.Connection, now: int, *, only: bool, upload: Collection[str] = ()) -> m.Want | None:
    """What the request says of them; None: everything, in any order. `upload`: templates of spaces that are only
    written."""
    known = subscriptions(db, now)
    wanted = {one.space: one.priority for one in known.values() if one.wanted}
    without = [] if only else sorted(one.space for one in known.values() if not one.wanted)
    if not only and not without and not any(wanted.values()) and not upload:
        return None
    return m.Want(wanted, without, only, sorted(upload))
