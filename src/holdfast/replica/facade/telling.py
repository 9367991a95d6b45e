"""What happened to a row."""

from __future__ import annotations

from holdfast.errors import HoldfastError
from holdfast.protocol.happened import Happened
from holdfast.replica import asking
from holdfast.replica.facade.syncing import Syncing
from holdfast.replica.sqlite_errors import sqlite_errors


class Telling(Syncing):
    """What happened to a row."""

    def history(self, table: str, key: str, *, timeout: float = 60.0) -> list[Happened]:
        """What happened to a row, oldest first, as far as this user may read it. The hub is asked, in a sync.

        What it said last is kept and given when the hub cannot be reached; without it, `network` is raised. A connected
        replica ends what is under way first, and goes on afterwards. Raises `unknown_table`, `busy`, and what a sync
        raises.
        """
        self._open()
        self.schema.table(table)
        number = self._tables.by_name[table].number
        connected = self._loop is not None
        self.disconnect()
        try:
            with self._lock.held(timeout), sqlite_errors(self.path):
                entries = asking.ask(self._rounds, self._exchanges, self._reach(), table, key)
                asking.keep(self._sync_db, self.path, number, key, entries)
        except HoldfastError as error:
            if error.code not in ("network", "response_incomplete", "no_transport"):
                raise
            kept = self._told(number, key)
            if kept is None:
                raise
            return kept
        finally:
            if connected:
                self.connect()
        return self._told(number, key) or []

    def _told(self, number: int, key: str) -> list[Happened] | None:
        sql = "SELECT body FROM holdfast_told WHERE tbl = ? AND key = ?"
        return asking.read(self._connections.execute(sql, (number, key)))
