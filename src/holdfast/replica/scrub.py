"""Scrubbing a device file: everything that the file says twice is compared, in pieces, without the hub.

What SQLite's own check finds, the checksums of what waits, the total of each space against its rows, and for each table
the rows that are shown against the stamps of what is confirmed. The values of confirmed rows have no checksum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import apsw

from holdfast.kernel import digest
from holdfast.kernel.values import InvalidValue
from holdfast.replica.compare import local_rows, sums_of
from holdfast.replica.confirmed import RowName
from holdfast.replica.file import snapshot
from holdfast.replica.integrity import problems_of
from holdfast.replica.sealed import crc_of
from holdfast.replica.tables import UserTable, UserTables, quoted
from holdfast.schema import sqlite_values
from holdfast.schema.emit.sqlite_text import key_expression

PIECE = 1_000
"""Rows that are looked at between two pauses."""


class ScrubReport(NamedTuple):
    """`ok`: nothing was found. `rows` confirmed rows of `tables` tables were looked at, `last` is the last table: a run
    that broke off goes on after it.

    `pages`: what SQLite's check says. `altered`: operations that are not what was written, as "transaction n".
    `totals`: spaces of which the rows are not those that were counted. `missing`: (table, key) of rows that are
    confirmed and not shown; `repaired` of them were brought back. `surplus`: rows that are shown, and neither confirmed
    nor written here.
    `unreadable`: rows with a value that the column does not take.
    """

    ok: bool
    tables: int
    rows: int
    last: str
    pages: list[str]
    altered: list[str]
    totals: list[str]
    missing: list[tuple[str, str]]
    surplus: list[tuple[str, str]]
    unreadable: list[tuple[str, str]]
    repaired: int = 0


class Scrub:
    """One scrub, on a connection that only reads; `pause` is called between pieces, outside of every transaction."""

    def __init__(self, db: apsw.Connection, tables: UserTables, pause: Callable[[], None]) -> None:
        self._db, self._tables, self._pause = db, tables, pause
        self._report = ScrubReport(True, 0, 0, "", [], [], [], [], [], [])

    def run(self, after: str) -> Iterator[ScrubReport]:
        """A report after each table, in order of names, and the whole one at the end. `after`: the tables up to this
        one are left out, and what is looked at before all tables."""
        if not after:
            self._report.pages.extend(problems_of(self._db, whole=True))
            self._pause()
            with snapshot(self._db):
                self._operations()
                self._totals()
            self._pause()
        for name in sorted(self._tables.by_name):
            if name <= after:
                continue
            user = self._tables.by_name[name]
            rows = self._confirmed(user)
            self._surplus(user)
            found = self._report._replace(tables=self._report.tables + 1, rows=self._report.rows + rows, last=name)
            wrong = found.pages or found.altered or found.totals or found.missing or found.surplus or found.unreadable
            self._report = found._replace(ok=not wrong)
            yield self._report

    def _operations(self) -> None:
        sql = "SELECT txn, body, crc FROM holdfast_operation WHERE crc IS NOT NULL ORDER BY txn, position"
        wrong = {f"transaction {txn}": None for txn, body, crc in self._db.execute(sql) if crc_of(body) != crc}
        self._report.altered.extend(wrong)

    def _totals(self) -> None:
        sql = "SELECT name, total FROM holdfast_space WHERE total IS NOT NULL ORDER BY name"
        known: list[Any] = self._db.execute(sql).fetchall()
        for name, total in known:
            if digest.total(sums_of(local_rows(self._db, self._tables, name))) != int(total, 16):
                self._report.totals.append(name)

    def _confirmed(self, user: UserTable) -> int:
        """Rows that are confirmed, alive, here, and not under anything that waits; gives how many."""
        # Where no row may leave by itself, one that was marked so was missing, and was not brought back.
        sql = f"""SELECT key FROM holdfast_row r WHERE tbl = ?1 AND key > ?2 AND life & 1
                 AND {"NOT evicted" if user.table.retention.evicts else "1"}
                 AND NOT EXISTS (SELECT 1 FROM holdfast_base b WHERE b.tbl = ?1 AND b.key = r.key)
                 ORDER BY key LIMIT ?3"""
        last, count = "", 0
        while True:
            with snapshot(self._db):
                keys: list[Any] = self._db.execute(sql, (user.number, last, PIECE)).fetchall()
                changed = self._captured(user)
                for (key,) in keys:
                    if key not in changed:
                        self._row(user, key)
            count += len(keys)
            if len(keys) < PIECE:
                return count
            last = keys[-1][0]
            self._pause()

    def _captured(self, user: UserTable) -> set[str]:
        return {key for (key,) in self._db.execute("SELECT key FROM holdfast_capture WHERE tbl = ?", (user.number,))}

    def _row(self, user: UserTable, key: str) -> None:
        shown = user.read(self._db, key)
        if shown is None:
            # One with unique columns may have stepped aside for another row's value.
            if not user.replaces:
                self._report.missing.append((user.table.name, key))
            return
        try:
            for column, value in zip(user.table.row_columns, shown, strict=True):
                sqlite_values.from_sql(column, value)
        except (InvalidValue, UnicodeDecodeError):
            self._report.unreadable.append((user.table.name, key))

    def _surplus(self, user: UserTable) -> None:
        key = key_expression(user.table, "t")
        sql = f"""SELECT {key} FROM {quoted(user.table.name)} t
                  WHERE NOT EXISTS (SELECT 1 FROM holdfast_row r WHERE r.tbl = ?1 AND r.key = {key} AND r.life & 1)
                  AND NOT EXISTS (SELECT 1 FROM holdfast_base b WHERE b.tbl = ?1 AND b.key = {key})"""
        with snapshot(self._db):
            changed = self._captured(user)
            found: list[Any] = self._db.execute(sql, (user.number,)).fetchall()
        self._report.surplus.extend((user.table.name, name) for (name,) in found if name not in changed)
        self._pause()


def make_absent(db: apsw.Connection, names: list[RowName]) -> None:
    """Note that confirmed rows are not here, as if they had left to make room, so that they can be fetched; in a
    transaction of the engine."""
    sql = "UPDATE holdfast_row SET evicted = 1, states = NULL WHERE tbl = ? AND key = ? AND life & 1"
    db.executemany(sql, names)
