"""Collecting what nobody needs any more: dead rows and chains behind the horizon, history that a table keeps no longer.

It goes in steps, each a short transaction, so rounds never wait for it. A device that was away for longer than the
horizon finds out by comparing digests, so a clock that jumps costs a comparison and never a row.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

from holdfast.hub.history import Forgotten, collect
from holdfast.observe.logs import event
from holdfast.schema.model import Schema
from holdfast.stores.base import StoreUnavailable, Transaction

log = logging.getLogger("holdfast.hub")

HORIZON_DAYS = 90
STEP = 500
"""So many records go in one transaction."""
LOOK_SECONDS = 60.0
DUE_SECONDS = 6 * 60 * 60.0
"""How often a hub that runs collects by itself, in a minute without rounds; after four times as long in any minute."""

Change = Callable[[Callable[[Transaction], int]], int]


class Collected(NamedTuple):
    """`records` are dead rows, leave marks and chains that went, `conflicts` those that were decided long ago, in
    `spaces` spaces."""

    records: int
    conflicts: int
    spaces: int


def collect_spaces(change: Change, names: list[str], before: int, pause: Callable[[], bool]) -> int:
    """Collect what was committed before that time, space by space and step by step; gives the number of records.

    `change` does some work in a write transaction; `pause` is called between two steps and ends all when it is true.
    """
    total = 0
    for name in names:
        while count := change(lambda tx, name=name: tx.collect(name, before, STEP)):  # type: ignore[misc]
            total += count
            if pause():
                return total
    return total


def forget_old(
    change: Callable[[Callable[[Transaction], Forgotten]], Forgotten],
    schema: Schema,
    now: Callable[[], int],
    pause: Callable[[], bool],
) -> int:
    """Forget the entries and decided conflicts that each table keeps no longer, step by step; gives the number of
    conflicts. `change` and `pause` as for `collect_spaces`.
    """
    total = 0
    for table in schema.declared:
        while any(gone := change(lambda tx, table=table: collect(tx, schema, table, now()))):  # type: ignore[misc]
            total += gone.conflicts
            if pause():
                return total
    return total


class Housekeeper:
    """Collects in a thread of its own while nothing else is to be done. `rounds()` counts the rounds so far, `work`
    does everything that is due, step by step."""

    def __init__(self, rounds: Callable[[], int], work: Callable[[Callable[[], bool]], Collected]) -> None:
        self._rounds = rounds
        self._work = work
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="holdfast-housekeeping", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        waited, before = DUE_SECONDS, self._rounds()
        while not self._stop.wait(LOOK_SECONDS):
            waited += LOOK_SECONDS
            quiet, before = self._rounds() == before, self._rounds()
            if is_due(waited, quiet=quiet):
                waited = 0.0
                self._collect()

    def _collect(self) -> None:
        try:
            done = self._work(lambda: self._stop.wait(0.02))
            event(log, "hub.collected", **done._asdict())
        except StoreUnavailable as error:
            log.warning("what is behind the horizon waits: %s", error)
        except Exception:
            log.exception("what is behind the horizon could not be collected")

    def stop(self) -> None:
        """End after the step that runs; idempotent."""
        self._stop.set()
        self._thread.join()


def is_due(waited: float, *, quiet: bool) -> bool:
    """Whether it is time to collect, `waited` seconds after the last time, in a minute that was `quiet` or not."""
    return waited >= (DUE_SECONDS if quiet else 4 * DUE_SECONDS)
