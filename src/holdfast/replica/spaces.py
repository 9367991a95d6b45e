"""The spaces that a device holds: access, cursor, readiness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import apsw


class LocalSpace(NamedTuple):
    """`number` names the space in this file; `access` is "r", "rw" or "" (not granted yet); `ready` after its first
    load; `lost` is above 0 from when the hub says that it has lost the history until the space has arrived anew: 1, or
    2 when it is another hub.
    """

    number: int
    name: str
    access: str
    cursor: str | None
    ready: bool
    lost: int


class LocalSpaces:
    """Reads and writes of `holdfast_space`."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def all(self) -> dict[str, LocalSpace]:
        """All spaces that are read, by name."""
        sql = "SELECT id, name, access, cursor, ready, lost FROM holdfast_space WHERE upload = 0"
        return {
            name: LocalSpace(number, name, access, cursor, bool(ready), lost)
            for number, name, access, cursor, ready, lost in self._db.execute(sql)
        }

    def names(self) -> dict[int, str]:
        """All spaces of which rows may be here, those that are only written too, by number."""
        return dict(self._db.execute("SELECT id, name FROM holdfast_space"))

    def number(self, name: str, *, upload: bool = False) -> int:
        """The number of a space; a new one is noted without access. `upload`: it is only written."""
        found = self._db.execute("SELECT id FROM holdfast_space WHERE name = ?", (name,)).get
        if found is not None:
            return int(found)
        self._db.execute("INSERT INTO holdfast_space (name, access, upload) VALUES (?, '', ?)", (name, upload))
        return self._db.last_insert_rowid()

    def only_upload(self, name: str) -> None:
        """The space is only written from now on: its rows stay, and are not read any more."""
        self._db.execute(
            "UPDATE holdfast_space SET upload = 1, access = '', cursor = NULL, ready = 0, lost = 0, behind = 0, "
            "total = NULL, doubt = 0 "
            "WHERE name = ?",
            (name,),
        )

    def grant(self, access: Mapping[str, str]) -> None:
        """The hub says that these are what the device may read. One that was only written may hold rows that are gone
        at the hub without a trace.
        """
        self._db.executemany(
            """INSERT INTO holdfast_space (name, access) VALUES (?, ?)
               ON CONFLICT (name) DO UPDATE SET access = excluded.access, upload = 0, behind = max(behind, upload)
               WHERE access <> excluded.access""",
            access.items(),
        )

    def move(self, cursors: Mapping[str, str]) -> None:
        """The device has read so far."""
        sql = "UPDATE holdfast_space SET cursor = ? WHERE name = ?"
        self._db.executemany(sql, ((cursor, name) for name, cursor in cursors.items()))

    def lose(self, names: Iterable[str], *, other_hub: bool = False) -> None:
        """The hub has lost the history of these spaces: they are read from the start. What is here stays readable until
        they have arrived; noted durably, because the response may be cut off (trap 2).
        """
        sql = "UPDATE holdfast_space SET cursor = NULL, lost = ?, total = NULL, doubt = 0 WHERE name = ?"
        self._db.executemany(sql, ((2 if other_hub else 1, name) for name in names))

    def fall_behind(self, names: Iterable[str]) -> None:
        """Rows of these spaces may be gone at the hub without a trace: they are compared when everything is here."""
        self._db.executemany("UPDATE holdfast_space SET behind = 1 WHERE name = ?", ((name,) for name in names))

    def behind(self) -> list[str]:
        """The spaces that are to be compared, in order."""
        sql = "SELECT name FROM holdfast_space WHERE behind = 1 AND lost = 0 AND access <> '' ORDER BY name"
        return [name for (name,) in self._db.execute(sql)]

    def caught_up(self, names: Iterable[str]) -> None:
        """These spaces hold what the hub holds."""
        self._db.executemany("UPDATE holdfast_space SET behind = 0 WHERE name = ?", ((name,) for name in names))

    def complete(self, names: Iterable[str]) -> None:
        """These spaces have arrived."""
        sql = "UPDATE holdfast_space SET ready = 1, lost = 0 WHERE name = ? AND (ready = 0 OR lost > 0)"
        self._db.executemany(sql, ((name,) for name in names))

    def load(self, priority: int) -> None:
        """Everything up to this priority is here of the spaces that are not ready."""
        self._db.execute("UPDATE holdfast_space SET loaded = ? WHERE ready = 0", (priority,))

    def forget(self, names: Iterable[str]) -> None:
        """These spaces are gone."""
        self._db.executemany("DELETE FROM holdfast_space WHERE name = ?", ((name,) for name in names))
