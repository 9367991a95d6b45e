"""Giving pages that are free back to the disk, a few at a time, so that nobody has to wait for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import apsw

STEP_PAGES = 200
"""So many pages are given back in one transaction: a writer waits for one step at most, a few milliseconds."""
SPARE_PART = 10
"""One free page in so many is left by the compaction that comes by itself: a file that shrinks and grows again gains
nothing."""
LEAST_PAGES = 256
REBUILT_A_SECOND = 20 * 1024 * 1024
"""Bytes that VACUUM rewrites in a second on a slow device, at least."""


class Compacted(NamedTuple):
    """What a compaction did: `freed` bytes went back to the disk, `left` bytes of the file are free still. `rebuilt`:
    the file was of an earlier version, which could not give back single pages, and was written anew.
    """

    freed: int
    left: int
    rebuilt: bool


def worth_while(db: apsw.Connection) -> bool:
    """Whether so much is free that the compaction that comes by itself should run; cheap."""
    pages, free = int(db.execute("PRAGMA page_count").get), int(db.execute("PRAGMA freelist_count").get)
    return free > max(LEAST_PAGES, pages // SPARE_PART) and int(db.execute("PRAGMA auto_vacuum").get) == 2


def compact(
    db: apsw.Connection, path: str, seconds: float, clock: Callable[[], float], *, spare: bool = False
) -> Compacted:
    """Give free pages back for up to about so many seconds, outside of a transaction; with `spare` some are left.

    A file of before there was compaction is rebuilt once, if the time and the disk allow it.
    """
    until = clock() + seconds
    size = int(db.execute("PRAGMA page_size").get)
    before = int(db.execute("PRAGMA page_count").get)
    rebuilt = (
        int(db.execute("PRAGMA auto_vacuum").get) != 2 and not spare and _rebuild(db, path, seconds, before * size)
    )
    target = int(db.execute("PRAGMA page_count").get) // SPARE_PART if spare else 0
    while clock() < until:
        free = int(db.execute("PRAGMA freelist_count").get)
        if free <= target:
            break
        db.execute(f"PRAGMA incremental_vacuum({min(STEP_PAGES, free - target)})").fetchall()
        if int(db.execute("PRAGMA freelist_count").get) == free:
            break  # a file that cannot give back single pages
    # Until the log is written back into the file, the file keeps its length.
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    after, free = int(db.execute("PRAGMA page_count").get), int(db.execute("PRAGMA freelist_count").get)
    return Compacted(max(0, before - after) * size, free * size, rebuilt)


def _rebuild(db: apsw.Connection, path: str, seconds: float, size: int) -> bool:
    """Write the file anew, so that it can give back pages, if that takes less than the seconds and the disk has room
    for two copies more.
    """
    if size > seconds * REBUILT_A_SECOND or shutil.disk_usage(Path(path).absolute().parent).free < 3 * size:
        return False
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("VACUUM")
    return True
