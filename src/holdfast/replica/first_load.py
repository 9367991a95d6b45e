"""Whether the first load is done, wholly or up to a priority."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LOOK_SECONDS = 0.05
"""How often somebody who waits for it looks."""


def first_load_done(execute: Callable[..., list[Any]], now: int, priority: int | None) -> bool:
    """Whether everything is here for the first time that the device wants and has, with `priority`, at most this one.

    `execute(sql, parameters)` reads the device's file; `now` in milliseconds by the device's clock.
    """
    if not execute("SELECT hub <> '' FROM holdfast_state")[0][0]:
        return False
    if priority is None:
        synced = execute("SELECT last_synced IS NOT NULL FROM holdfast_state")[0][0]
        waits = execute("SELECT EXISTS (SELECT 1 FROM holdfast_space WHERE access <> '' AND NOT ready)")[0][0]
        return bool(synced) and not waits
    waits = execute(
        """SELECT EXISTS (
               SELECT 1 FROM holdfast_space s LEFT JOIN holdfast_subscription w ON w.space = s.name
               WHERE s.access <> '' AND NOT s.ready AND coalesce(s.loaded < ?1, 1) AND coalesce(w.priority, 0) <= ?1
                   AND (w.until IS NULL OR w.until > ?2))
           OR (SELECT last_synced IS NULL FROM holdfast_state) AND NOT EXISTS (
               SELECT 1 FROM holdfast_space WHERE access <> '')""",
        (priority, now),
    )[0][0]
    return not waits
