"""What a device file remembers of its comparisons with the hub: the last one, the next one, and what is doubted."""

from __future__ import annotations

from typing import Any, NamedTuple

import apsw
import msgspec


class Verified(NamedTuple):
    """The last verification that came to its end: when (milliseconds since 2020-01-01 UTC, corrected), and what it
    found: spaces and rows compared, rows repaired here, rows lost at the hub.
    """

    at: int
    ok: bool
    spaces: int
    rows: int
    repaired: int
    lost: int


class Plan(NamedTuple):
    """`due`: when the next verification is (as `at`); None: none is planned. `doubted` are spaces whose total is not
    the hub's."""

    due: int | None
    last: Verified | None
    doubted: list[str]


def read_plan(db: apsw.Connection) -> Plan:
    """What the file says; nothing in one of an earlier release that nobody has opened since."""
    if not db.execute("SELECT 1 FROM pragma_table_info('holdfast_space') WHERE name = 'doubt'").get:
        return Plan(None, None, [])
    due, last = db.execute("SELECT verify_due, verified FROM holdfast_state").get
    doubted: list[Any] = db.execute("SELECT name FROM holdfast_space WHERE doubt ORDER BY name").fetchall()
    found = msgspec.json.decode(last, type=Verified) if last else None
    return Plan(due, found, [name for (name,) in doubted])


def note_verified(db: apsw.Connection, found: Verified) -> None:
    """A verification came to its end; in a transaction of the engine."""
    db.execute("UPDATE holdfast_state SET verified = ?", (msgspec.json.encode(found).decode(),))
