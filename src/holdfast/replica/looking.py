"""Whether it is worth a look at the file: an idle device looks once or twice a second, and nothing has happened."""

from __future__ import annotations

import apsw


class Looking:
    """Remembers the state of the file in which nothing waited."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._quiet: int | None = None

    def vain(self) -> bool:
        """Whether a look would find nothing again: nobody else has written since one found nothing."""
        return self._quiet is not None and self.version() == self._quiet

    def found(self, anything: bool, version: int) -> None:
        """What a look found that was begun at this version of the file. One that only time can change is not kept."""
        sql = """SELECT EXISTS (SELECT 1 FROM holdfast_transaction WHERE state <> 'refused')
                     OR EXISTS (SELECT 1 FROM holdfast_subscription WHERE until IS NOT NULL)"""
        self._quiet = None if anything or self._db.execute(sql).get else version

    def forget(self) -> None:
        """This connection has written, which its version does not show."""
        self._quiet = None

    def version(self) -> int:
        """A number that changes when another connection has written to the file."""
        return int(self._db.execute("PRAGMA data_version").get)
