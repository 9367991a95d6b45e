"""The clock as SQL sees it: for a device whose clock was handed in, `julianday('now')` asks that clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw

DAY_MS = 86_400_000
JULIAN_2020 = 2_458_849.5
"""The Julian day number of 2020-01-01T00:00:00Z."""


def set_clock(db: apsw.Connection, now: Callable[[], int]) -> None:
    """Let `julianday('now')` on this connection follow `now` (milliseconds since 2020-01-01 UTC).

    Capture and the default of a key read the time so. Any other argument keeps SQLite's own meaning. Half a millisecond
    is added, because a double of that size is exact to 0.04 ms only and its readers cut it off.
    """

    def julianday(*arguments: Any) -> Any:
        if arguments in ((), ("now",)):
            return JULIAN_2020 + (now() + 0.5) / DAY_MS
        with apsw.Connection(":memory:") as plain:
            return plain.execute(f"SELECT julianday({', '.join('?' * len(arguments))})", arguments).get

    db.create_scalar_function("julianday", julianday, -1, deterministic=True)
