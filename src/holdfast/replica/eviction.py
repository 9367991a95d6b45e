"""Rows that leave a device to make room (`spec/storage.md`): which may go, in what order, and their going.

A row that leaves goes out of its user table only. Its life and stamps stay in `holdfast_row`, so digests, comparisons
and the hub's patches go on as if it were here. Nothing of it is captured: to leave is no change of the row.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import apsw

from holdfast.kernel import clock
from holdfast.replica.confirmed import RowName, name_list
from holdfast.replica.steps import HAS_LEFT
from holdfast.replica.tables import UserTable, UserTables, quoted
from holdfast.schema.emit.sqlite_states import state_view_name
from holdfast.schema.emit.sqlite_text import key_expression
from holdfast.schema.model import ForeignKey, Table

GRACE_MS = 24 * 3_600_000
"""A row that somebody fetched or used stays so long, however old it is."""
USE_MS = 60_000
"""So long it stays also when a budget is full."""
HOUR_MS = 3_600_000
_UNUSED = "coalesce(u.at NOT BETWEEN :from AND :to, 1)"
"""Nobody said lately, or by a clock that was wrong, that the row is in use."""
ROW_OVERHEAD = 40
"""Bytes that a row takes beside its values, about."""


class Candidate(NamedTuple):
    """A row that may leave: when it was last used (milliseconds since 2020-01-01 UTC), its name, about its bytes, and
    where it stands in its table.
    """

    used: int
    name: RowName
    size: int
    rowid: int


class Eviction:
    """On one connection of the engine; reads in one snapshot, writes inside a transaction of the engine."""

    def __init__(self, db: apsw.Connection, tables: UserTables) -> None:
        self._db = db
        self._tables = tables
        db.create_scalar_function("holdfast_written", written_at, 1, deterministic=True)

    def expired(self, user: UserTable, now: int, limit: int) -> list[Candidate]:
        """Rows that are past the retention of their table at `now` (corrected), in any order."""
        retention = user.table.retention
        if not (retention.hours or retention.last):
            return []
        dated, key = f"t.{quoted(retention.by)}", key_expression(user.table, "t")
        conditions, values = [f"{dated} IS NOT NULL"], dict[str, object]()
        if retention.hours:
            conditions.append(f"{dated} < :cutoff")
            values["cutoff"] = cutoff(user.table, retention.by, now - retention.hours * HOUR_MS)
        if retention.last:
            newest = (
                f"SELECT {key} FROM {quoted(user.table.name)} t WHERE {dated} IS NOT NULL "
                f"ORDER BY {dated} DESC, {key} DESC LIMIT :last"
            )
            conditions.append(f"r.key NOT IN ({newest})")
            values["last"] = retention.last
        conditions.append(_UNUSED)
        values |= {"from": now - GRACE_MS, "to": now + GRACE_MS, "limit": limit}
        return self._candidates(user, conditions, "", values)

    def least_used(self, user: UserTable, now: int | None, limit: int) -> list[Candidate]:
        """Evictable rows of a table, the least recently used first; none that is in use at `now`, if that is given."""
        if not user.table.retention.evictable:
            return []
        if now is None:
            return self._candidates(user, [], "ORDER BY 1, r.key", {"limit": limit})
        values = {"from": now - USE_MS, "to": now + USE_MS, "limit": limit}
        return self._candidates(user, [_UNUSED], "ORDER BY 1, r.key", values)

    def still(self, found: Sequence[Candidate], now: int | None) -> list[Candidate]:
        """Those of the evictable rows that may leave now, in their order: they were found in an earlier snapshot."""
        by_table: dict[int, list[int]] = {}
        for candidate in found:
            by_table.setdefault(candidate.name[0], []).append(candidate.rowid)
        names: set[RowName] = set()
        for number, rowids in by_table.items():
            conditions = ["t.rowid IN (SELECT value FROM json_each(:rowids))"]
            values: dict[str, object] = {"rowids": json.dumps(rowids), "limit": len(rowids)}
            if now is not None:
                conditions.append(_UNUSED)
                values |= {"from": now - USE_MS, "to": now + USE_MS}
            names |= {one.name for one in self._candidates(self._tables.by_number[number], conditions, "", values)}
        return [candidate for candidate in found if candidate.name in names]

    def _candidates(
        self, user: UserTable, conditions: Sequence[str], order: str, values: Mapping[str, object]
    ) -> list[Candidate]:
        """Confirmed rows on which nothing waits, which nobody has to decide about, and which no row here refers to."""
        table, number = user.table, user.number
        size = " + ".join(f"coalesce(octet_length(t.{quoted(column.name)}), 0)" for column in table.columns)
        same_key = " AND ".join(f"s.{quoted(name)} = t.{quoted(name)}" for name in table.key_names)
        # CROSS JOIN keeps the order: what the row itself says is asked before what others say of it.
        where = " AND ".join(["r.life & 1", "NOT r.evicted", "s.state = 'synced'", *self._unneeded(user), *conditions])
        sql = f"""SELECT max(holdfast_written(r.stamps), coalesce(u.at, 0)), r.key, {size} + {ROW_OVERHEAD}, t.rowid
                  FROM {quoted(table.name)} t
                  CROSS JOIN holdfast_row r ON r.tbl = {number} AND r.key = {key_expression(table, "t")}
                  CROSS JOIN {quoted(state_view_name(table))} s ON {same_key}
                  LEFT JOIN holdfast_used u ON u.tbl = {number} AND u.key = r.key
                  WHERE {where} {order} LIMIT :limit"""
        return [Candidate(used, (number, key), *rest) for used, key, *rest in self._db.execute(sql, values)]

    def _unneeded(self, user: UserTable) -> Iterator[str]:
        """Conditions that no row of this device refers to the row, as it stands or as it would after a refusal."""
        children = list(self._children(user.table))
        for child, reference in children:
            own = ", ".join(quoted(name) for name in reference.columns)
            present = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in reference.columns)
            parent = ", ".join(f"t.{quoted(name)}" for name in reference.parent_columns)
            left = f"({parent})" if len(reference.columns) > 1 else parent
            yield f"{left} NOT IN (SELECT {own} FROM {quoted(child.table.name)} WHERE {present})"
        if children:
            numbers = ", ".join(str(child.number) for child, _ in children)
            yield f"r.key NOT IN (SELECT name FROM holdfast_use WHERE tbl = {user.number} AND part = 0)"
            # Sealing finds out what a captured change refers to; until then nothing is known of it.
            yield f"NOT EXISTS (SELECT 1 FROM holdfast_capture WHERE tbl IN ({numbers}))"

    def _children(self, table: Table) -> Iterator[tuple[UserTable, ForeignKey]]:
        for child in self._tables.by_name.values():
            for reference in child.table.foreign_keys:
                if reference.parent == table.name:
                    yield child, reference

    def evict(self, candidates: Sequence[Candidate]) -> None:
        """Let the rows go, inside a transaction of the engine in which they were found."""
        by_table: dict[int, list[str]] = {}
        for candidate in candidates:
            by_table.setdefault(candidate.name[0], []).append(candidate.name[1])
        for number, keys in by_table.items():
            self._tables.by_number[number].delete(self._db, keys)
            names = [(number, key) for key in keys]
            sql = "UPDATE holdfast_row SET evicted = 1, states = NULL WHERE tbl = ? AND key = ?"
            self._db.executemany(sql, names)
            self._db.executemany("DELETE FROM holdfast_used WHERE tbl = ? AND key = ?", names)
        if candidates:
            self._forget_copies([candidate.name for candidate in candidates])

    def _forget_copies(self, names: Sequence[RowName]) -> None:
        """What was copied of these rows to undo changes goes with them; that there were changes is remembered."""
        columns: list[Any] = self._db.execute(
            "SELECT name FROM pragma_table_info('holdfast_done') WHERE name GLOB 'old_*' OR name GLOB 'new_*'"
        ).fetchall()
        empty = "".join(f", {quoted(name)} = NULL" for (name,) in columns)
        sql = f"""UPDATE holdfast_done SET kind = '{HAS_LEFT}'{empty}
                  WHERE (tbl, key) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"""
        self._db.execute(sql, (name_list(names),))

    def needed(self) -> list[RowName]:
        """Rows that have left and to which rows refer that came later."""
        found: set[RowName] = set()
        left: list[Any] = self._db.execute("SELECT DISTINCT tbl FROM holdfast_row WHERE evicted").fetchall()
        for (number,) in left:
            parent = self._tables.by_number[number]
            for child, reference in self._children(parent.table):
                pairs = zip(reference.columns, reference.parent_columns, strict=True)
                named = ", ".join(f"{quoted(own)} AS {quoted(theirs)}" for own, theirs in pairs)
                present = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in reference.columns)
                sql = f"""SELECT DISTINCT r.key
                          FROM (SELECT {named} FROM {quoted(child.table.name)} WHERE {present}) c
                          JOIN holdfast_row r ON r.tbl = ? AND r.key = {key_expression(parent.table, "c")}
                          WHERE r.evicted"""
                found.update((number, str(key)) for (key,) in self._db.execute(sql, (number,)))
        return sorted(found)


def forget_unused(db: apsw.Connection) -> None:
    """Forget the use of rows that are gone."""
    db.execute(
        """DELETE FROM holdfast_used WHERE NOT EXISTS (
               SELECT 1 FROM holdfast_row r WHERE r.tbl = holdfast_used.tbl AND r.key = holdfast_used.key)"""
    )


def note_used(db: apsw.Connection, names: Sequence[RowName], now: int) -> None:
    """Somebody uses these rows now (milliseconds since 2020-01-01 UTC, corrected)."""
    db.executemany("INSERT OR REPLACE INTO holdfast_used (tbl, key, at) VALUES (?, ?, ?)", [(*n, now) for n in names])


def written_at(*stamps: Any) -> int:
    """When a row was last written, in milliseconds since 2020-01-01 UTC; 0 for one without a stamp."""
    texts = str(stamps[0]).partition(":")[0].partition("*")[0]
    return max((int(text[:14], 16) >> 12 for text in texts.split(",") if text), default=0)


def cutoff(table: Table, column: str, moment: int) -> str:
    """The moment (milliseconds since 2020-01-01 UTC) as a column of that table writes it."""
    try:
        utc = datetime.datetime.fromtimestamp((moment + clock.EPOCH_MS) / 1000, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return ""  # a clock beyond all years: nothing is old
    if table.column(column).type == "date":
        return utc.date().isoformat()
    return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond:06}Z"
