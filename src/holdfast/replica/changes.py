"""Which declared tables have changed since somebody looked, whoever changed them, told by counters in the file.

Two counters a table say it. `version` grows with each transaction of the engine that wrote in the table (`file.py`).
What programs write, triggers have captured: a captured change has the number `op`, which begins again when all is
sealed, so `holdfast_state.sealed` counts on, and sealing notes the last change of each table in `captured`.
"""

from __future__ import annotations

from typing import Any

import apsw


def note_sealed(db: apsw.Connection) -> None:
    """What is captured will be sealed in this transaction: keep what the counters say."""
    last = db.execute("SELECT max(op) FROM holdfast_capture").get
    if last is None:
        return
    db.execute(
        """UPDATE holdfast_table SET captured = (SELECT sealed FROM holdfast_state) + found.op
           FROM (SELECT tbl, max(op) AS op FROM holdfast_capture GROUP BY tbl) AS found WHERE found.tbl = id"""
    )
    db.execute("UPDATE holdfast_state SET sealed = sealed + ?", (last,))


class Changes:
    """What one observer has seen of the counters."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}
        self._sealed = self._op = 0

    def since(self, db: apsw.Connection) -> set[str]:
        """The tables that have changed since the last call; all at the first. `db` is inside a transaction."""
        sealed = int(db.execute("SELECT sealed FROM holdfast_state").get)
        if sealed != self._sealed:
            self._op = 0
        sql = "SELECT tbl, max(op) FROM holdfast_capture WHERE op > ? GROUP BY tbl"
        captured: dict[int, int] = dict(_rows(db, sql, (self._op,)))
        found = {
            name: (version, max(last, sealed + captured[number] if number in captured else 0))
            for number, name, version, last in _rows(db, "SELECT id, name, version, captured FROM holdfast_table", ())
        }
        for name, (version, last) in found.items():
            found[name] = version, max(last, self._seen.get(name, (0, 0))[1])
        changed = {name for name, counters in found.items() if self._seen.get(name) != counters}
        self._seen, self._sealed, self._op = found, sealed, max([self._op, *captured.values()])
        return changed


def _rows(db: apsw.Connection, sql: str, values: tuple[Any, ...]) -> list[Any]:
    return db.execute(sql, values).fetchall()
