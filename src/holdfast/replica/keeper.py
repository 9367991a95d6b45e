"""Keeps a device file within its budgets: lets rows go by policy, gives free pages back, makes room on a full disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import apsw

from holdfast.errors import HoldfastError
from holdfast.replica.budgets import Level, Storage, class_of
from holdfast.replica.compaction import Compacted, compact, worth_while
from holdfast.replica.eviction import Candidate, Eviction, forget_unused
from holdfast.replica.file import LEAST_BYTES, applying, connect, free_bytes, snapshot
from holdfast.replica.sqlite_errors import sqlite_errors
from holdfast.replica.tables import UserTable, UserTables
from holdfast.replica.usage import StorageReport, in_use, keep, measure, read_kept, size_of
from holdfast.schema.model import Schema

log = logging.getLogger("holdfast.replica")

BATCH = 500
"""Rows that leave in one transaction."""
FOUND = 20_000
"""So many of the least recently used are looked for at once, which reads all rows of a table; nobody waits for it."""
SMALL_BATCH = 50
"""The same on a full disk, where the log may have room for a few pages only."""
GOAL = 0.9
"""Rows leave until so much of a budget is used."""
PASSES = 8
RELIEF_BYTES = 1024 * 1024
RELIEF_SECONDS = 2.0
VAIN_SECONDS = 1.0
QUIET_SECONDS = 0.05
"""What is done by itself between two rounds takes about so long at most."""
EXPIRY_MS = 3_600_000
"""Rows that are past their time are looked for once in so long, by the hub's clock."""
QUIET_BUSY_MS = 20
_OFFSET = "SELECT clock_offset FROM holdfast_state"
STEPS = 50
"""The classes are measured again when the bytes in use have changed by this part of the smallest budget."""


class Pruned(NamedTuple):
    """Rows that left, by table, and about the bytes of their values."""

    rows: dict[str, int]
    bytes: int


class Keeper:
    """Works on connections of its own; `last_synced` gives the hub's time at the last sync, in milliseconds since
    2020-01-01 UTC: rows grow old by the hub's clock only, so a device without a network
    loses nothing. `now` is the device's clock.
    """

    def __init__(
        self,
        path: str,
        schema: Schema,
        tables: UserTables,
        storage: Storage,
        sql_clock: Callable[[], int] | None,
        last_synced: Callable[[], int | None],
        now: Callable[[], int],
    ) -> None:
        self._path, self._schema, self._tables = path, schema, tables
        self._storage, self._sql_clock, self._last_synced = storage, sql_clock, last_synced
        self._now = now
        children_first = [tables.by_name[table.name] for table in reversed(schema.declared)]
        self._leaving = [user for user in children_first if user.table.retention.evicts]
        self._looked_at: int | None = None
        self._measured: int | None = None
        self._vain_until = float("-inf")
        self.clock = time.monotonic

    @contextmanager
    def _connection(self, busy_ms: int) -> Iterator[apsw.Connection]:
        with sqlite_errors(self._path):
            db = connect(self._path, constraints=False, now=self._sql_clock, busy_ms=busy_ms)
            try:
                yield db
            finally:
                db.close()

    def report(self) -> StorageReport:
        """The room that the device takes, measured now."""
        with self._connection(1_000) as db:
            return self._report(db)

    def _report(self, db: apsw.Connection) -> StorageReport:
        with snapshot(db):
            return measure(db, self._path, self._schema, self._storage)

    def prune(self) -> Pruned:
        """Let go what the policy says: rows past their retention, and the least recently used ones of what is over its
        budget.
        """
        with self._connection(10_000) as db:
            return self._prune(db, float("inf"))

    def _prune(self, db: apsw.Connection, until: float) -> Pruned:
        """As far as it goes until then; something of each table in any case."""
        gone: list[Candidate] = []
        eviction = Eviction(db, self._tables)
        moment = self._last_synced()
        for user in self._leaving if moment is not None else ():
            while True:
                with applying(db, self._path):
                    found = eviction.expired(user, moment or 0, BATCH)
                    eviction.evict(found)
                gone += found
                if len(found) < BATCH or self.clock() >= until:
                    break
        for _ in range(PASSES if self._leaving else 0):
            if not self._over(db, eviction, gone, until) or self.clock() >= until:
                break
        if gone:
            with applying(db, self._path):
                forget_unused(db)
        return self._pruned(gone)

    def _over(self, db: apsw.Connection, eviction: Eviction, gone: list[Candidate], until: float) -> bool:
        """Let rows go of what is over its budget; gives whether any went."""
        report = self._report(db) if self._storage.classes else None
        before = len(gone)
        for name, budget in self._storage.classes.items():
            used = report.classes[name].bytes if report is not None else 0
            if used >= budget:
                members = [user for user in self._leaving if class_of(user.table) == name]
                gone += self._let_go(db, eviction, members, used - int(budget * GOAL), until)
        used = in_use(db)
        if used >= self._storage.total:
            gone += self._let_go(db, eviction, self._leaving, used - int(self._storage.total * GOAL), until)
        return len(gone) > before

    def _let_go(
        self, db: apsw.Connection, eviction: Eviction, members: list[UserTable], need: int, until: float
    ) -> list[Candidate]:
        """Let the least recently used rows of some tables go until so many bytes of values are gone, or the time is
        over.
        """
        gone: list[Candidate] = []
        while (need > 0 and self.clock() < until) or not gone:
            with snapshot(db):
                found, now = self._least_used(db, eviction, members, FOUND), self._corrected(db)
            before = len(gone)
            for place in range(0, len(found), BATCH):
                taken = self._take(db, eviction, found[place : place + BATCH], need, now)
                need -= sum(candidate.size for candidate in taken)
                gone += taken
                if need <= 0 or self.clock() >= until:
                    break
            if len(gone) == before:
                break
        return gone

    def _let_some_go(self, db: apsw.Connection, eviction: Eviction, need: int) -> list[Candidate]:
        """One small transaction of that, of all tables, whatever is in use: the disk is full."""
        found = self._least_used(db, eviction, self._leaving, SMALL_BATCH, urgent=True)
        return self._take(db, eviction, found, need, None)

    def _least_used(
        self, db: apsw.Connection, eviction: Eviction, members: list[UserTable], limit: int, *, urgent: bool = False
    ) -> list[Candidate]:
        now = None if urgent else self._corrected(db)
        return sorted(candidate for user in members for candidate in eviction.least_used(user, now, limit))[:limit]

    def _take(
        self, db: apsw.Connection, eviction: Eviction, found: list[Candidate], need: int, now: int | None
    ) -> list[Candidate]:
        """Let those of the rows go that may go still, until so many bytes are gone."""
        taken: list[Candidate] = []
        with applying(db, self._path):
            for candidate in eviction.still(found, now):
                if need <= 0:
                    break
                need -= candidate.size
                taken.append(candidate)
            eviction.evict(taken)
        return taken

    def _corrected(self, db: apsw.Connection) -> int:
        return self._now() + int(db.execute(_OFFSET).get)

    def _pruned(self, gone: list[Candidate]) -> Pruned:
        rows: dict[str, int] = {}
        for candidate in gone:
            name = self._tables.by_number[candidate.name[0]].table.name
            rows[name] = rows.get(name, 0) + 1
        pruned = Pruned(rows, sum(candidate.size for candidate in gone))
        if gone:
            log.info("%s: %d rows left the device: %s", self._path, len(gone), rows)
        return pruned

    def compact(self, seconds: float) -> Compacted:
        """Give free pages back to the disk for up to about so many seconds."""
        with self._connection(max(1, min(10_000, round(seconds * 1000)))) as db:
            return compact(db, self._path, seconds, self.clock)

    def relieve(self) -> int:
        """The disk is full, or nearly: make room by policy. Gives about how many bytes; 0 when nothing may go. What was
        in vain is not tried again for a moment.
        """
        if self.clock() < self._vain_until:
            return 0
        gone: list[Candidate] = []
        undo = 0
        try:
            with self._connection(1_000) as db:
                eviction, need = Eviction(db, self._tables), RELIEF_BYTES
                while need > 0:
                    # The log is emptied, not cut off: what it had of the disk is what there is to write with.
                    db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
                    found = self._some_expired(db, eviction)
                    found = found or self._let_some_go(db, eviction, need)
                    if not found:
                        break
                    need -= sum(candidate.size for candidate in found)
                    gone += found
                if need > 0:
                    undo = self._give_up_undo(db)
                if gone or undo:
                    compact(db, self._path, RELIEF_SECONDS, self.clock)
        except HoldfastError as error:
            log.warning("%s: room on the full disk: %s", self._path, error)
        self._vain_until = self.clock() + (0 if gone or undo else VAIN_SECONDS)
        return self._pruned(gone).bytes + undo

    def _give_up_undo(self, db: apsw.Connection) -> int:
        """The copies that undo needs go when nothing else may: unsent work needs the room. Gives how many bytes."""
        before = in_use(db)
        with applying(db, self._path):
            db.execute("DELETE FROM holdfast_done")
            db.execute("DELETE FROM holdfast_step")
        freed = before - in_use(db)
        if freed:
            log.warning("%s: the disk is full; what could be undone cannot be any more", self._path)
        return freed

    def _some_expired(self, db: apsw.Connection, eviction: Eviction) -> list[Candidate]:
        moment = self._last_synced()
        for user in self._leaving if moment is not None else ():
            with applying(db, self._path):
                found = eviction.expired(user, moment or 0, SMALL_BATCH)
                eviction.evict(found)
            if found:
                return found
        return []

    def tend(self, looking: apsw.Connection) -> None:
        """Between two rounds: what is due of all this, for a moment only; `looking` is read, to see what is. Never
        raises for what the file does: it is tried again later.
        """
        try:
            with sqlite_errors(self._path):
                due = self._due(looking)
                if due[1] and self._all_well(looking):
                    self._measured, due = in_use(looking), (due[0], False)
                idle = not worth_while(looking) and free_bytes(self._path) >= LEAST_BYTES
            if any(due) or not idle:
                with self._connection(QUIET_BUSY_MS) as db:
                    self._tend(db, *due, self.clock() + QUIET_SECONDS)
        except HoldfastError as error:
            log.debug("%s: pruning waits: %s", self._path, error)

    def _due(self, db: apsw.Connection) -> tuple[bool, bool]:
        """Whether rows have to be looked for that are past their time, and whether the file has to be measured."""
        moment, used = self._last_synced() if self._leaving else None, in_use(db)
        is_due = moment is not None and (self._looked_at is None or moment - self._looked_at >= EXPIRY_MS)
        step = min([self._storage.total, *self._storage.classes.values()]) // STEPS
        return is_due, self._measured is None or abs(used - self._measured) >= step

    def _tend(self, db: apsw.Connection, is_due: bool, has_changed: bool, until: float) -> None:
        moment, unfinished = self._last_synced() if self._leaving else None, False
        if self._leaving and (is_due or (has_changed and self._is_over(db))):
            pruned = self._prune(db, until)
            if self.clock() < until:
                self._looked_at = moment
            elif pruned.rows:
                unfinished = True
        if has_changed:
            self._tell(db)
            self._measured = None if unfinished else in_use(db)
        if free_bytes(self._path) < LEAST_BYTES:
            self.relieve()
        elif worth_while(db):
            compact(db, self._path, max(0.0, until - self.clock()), self.clock, spare=True)

    def _is_over(self, db: apsw.Connection) -> bool:
        if in_use(db) >= self._storage.total:
            return True
        return bool(self._storage.classes) and any(c.level == "full" for c in self._report(db).classes.values())

    def _all_well(self, db: apsw.Connection) -> bool:
        """Whether the file has room, no class has a budget, and nobody was told otherwise: seen without a connection of
        its own, which would read the whole schema first.
        """
        return not self._storage.classes and self._level(db) == "ok" and read_kept(db) is None

    def _level(self, db: apsw.Connection) -> Level:
        return self._storage.level(in_use(db) + size_of(f"{self._path}-wal"), self._storage.total)

    def _tell(self, db: apsw.Connection) -> None:
        """Keep the levels where everybody sees them. All well, and no budgets: nothing is written."""
        if self._all_well(db):
            return
        levels = self._report(db).levels if self._storage.classes else {"total": self._level(db)}
        with applying(db, self._path):
            keep(db, self._storage, levels)
