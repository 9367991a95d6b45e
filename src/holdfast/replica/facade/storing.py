"""The room that the device takes: budgets, what leaves, what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.replica.budgets import Level
from holdfast.replica.compaction import Compacted
from holdfast.replica.confirmed import Confirmed, RowName
from holdfast.replica.documents import key_of
from holdfast.replica.eviction import note_used
from holdfast.replica.facade.syncing import Syncing
from holdfast.replica.fetching import Fetching
from holdfast.replica.file import applying, connect
from holdfast.replica.keeper import Pruned
from holdfast.replica.results import ResultRow
from holdfast.replica.scrub import Scrub, ScrubReport, make_absent
from holdfast.replica.sqlite_errors import sqlite_errors
from holdfast.replica.status import Status
from holdfast.replica.usage import StorageReport

SECONDS = 1.0


class Storing(Syncing):
    """The room that the device takes: budgets, what leaves, what comes back."""

    @property
    def storage(self) -> StorageReport:
        """How much room the device takes and for what, measured now: all pages of the file are read (some seconds
        for each GB).
        """
        self._open()
        return self._keeper.report()

    def on_storage(self, callback: Callable[[StorageReport], None]) -> Callable[[], None]:
        """Call `callback(report)` when the level of the whole or of a class has changed ("ok", "warning", "critical",
        "full"), and now if one is not "ok"; gives the function that ends it. Called as callbacks of `on_status` are.
        """
        known: dict[str, Level] = {}

        def changed(status: Status) -> None:
            before, now = dict(known), {name: level for name, level in status.storage.items() if level != "ok"}
            known.clear()
            known.update(now)
            if now != before:
                callback(self.storage)

        self._open()
        return self._observer.add_listener(changed)

    def prune(self) -> Pruned:
        """Let go now what the tables allow: rows past their `keep`, and the least recently used `evictable` ones of a
        class, or a file, that is over its budget. While syncing it happens by itself.

        Never a row with a change that the hub has not confirmed, with an open conflict, or to which another row here
        refers. Rows grow old by the hub's clock as of the last sync: a device without a network lets go of nothing that
        it could not get back, but for `evictable` rows when room is short. Raises `inside_transaction`.
        """
        self._open_outside("prune()")
        pruned = self._keeper.prune()
        self._observer.wake()
        return pruned

    def compact(self, seconds: float = SECONDS) -> Compacted:
        """Give free pages of the file back to the disk for up to about so many seconds; others can work meanwhile. In
        quiet moments between syncs it happens by itself.
        """
        self._open_outside("compact()")
        return self._keeper.compact(seconds)

    def fetch(self, table: str, *keys: Any, timeout: float = 60.0) -> list[ResultRow]:
        """The rows with these keys, in this order; those that have left the device are brought back first, and with
        them the rows that they refer to. They stay a day at least, unless room is short.

        The hub is asked only when a row has left. A connected replica ends what is under way first, and goes on
        afterwards. Raises `row_missing`, `unknown_table`, `busy`, `inside_transaction`, `space_unknown` for a row of a
        space that this device only writes, and what a sync raises, such as `network`.
        """
        self._open()
        self.schema.table(table)
        user = self._tables.by_name[table]
        names = [(user.number, key_of(user, key)) for key in keys]
        if self._have_left(names):
            self._connections.require_outermost("fetch()")
            self._fetch(names, timeout)
        found = []
        for _, key in names:
            rows = self._connections.execute(user.select_sql, user.sql_key(key))
            if not rows:
                raise HoldfastError("row_missing", f"{table} has no row {key!r}", table=table, key=key)
            found.append(rows[0])
        return found

    def scrub(
        self, *, after: str = "", pause: Callable[[], None] = lambda: None, repair: bool = False, timeout: float = 60.0
    ) -> Iterator[ScrubReport]:
        """Compare everything that the file says twice, in pieces; a report after each table, the last one of all.

        `after` is the table behind which a run that broke off goes on, `pause` is called between pieces of 1,000 rows.
        With `repair` confirmed rows that are missing are brought back from the hub; then it raises what a sync raises.
        """
        if repair:
            self._open_outside("scrub(repair=True)")
        self._open()
        with sqlite_errors(self.path):
            db = connect(self.path, read_only=True, now=self._sql_clock)
            try:
                report: ScrubReport | None = None
                for report in Scrub(db, self._tables, pause).run(after):
                    yield report
            finally:
                db.close()
        if repair and report is not None and report.missing:
            names = [(self._tables.by_name[table].number, key) for table, key in report.missing]
            with self._lock.held(timeout), applying(self._sync_db, self.path):
                make_absent(self._sync_db, names)
            self._fetch(names, timeout)
            wrong = report.pages or report.altered or report.totals or report.surplus or report.unreadable
            yield report._replace(ok=not wrong, repaired=len(names))

    def touch(self, table: str, *keys: Any) -> None:
        """These rows are in use: of the `evictable` ones, they leave last. Reading with SQL does not tell it. Raises
        `inside_transaction`."""
        self._open_outside("touch()")
        self.schema.table(table)
        user = self._tables.by_name[table]
        with sqlite_errors(self.path):
            db = connect(self.path, constraints=False, now=self._sql_clock)
            try:
                with applying(db, self.path):
                    offset: int = db.execute("SELECT clock_offset FROM holdfast_state").get
                    note_used(db, [(user.number, key_of(user, key)) for key in keys], self._now() + offset)
            finally:
                db.close()

    def _have_left(self, names: list[RowName]) -> bool:
        with self._connections.reading() as db:
            return bool(Confirmed(db, self._tables).evicted(names))

    def _fetch(self, names: list[RowName], timeout: float) -> None:
        connected = self._loop is not None
        self.disconnect()
        try:
            with self._lock.held(timeout), sqlite_errors(self.path):
                offset: int = self._sync_db.execute("SELECT clock_offset FROM holdfast_state").get
                fetching = Fetching(self._sync_db, self._rounds, self._exchanges, self._reach())
                fetching.run(names, self._now() + offset)
        finally:
            if connected:
                self.connect()
        self._observer.wake()
