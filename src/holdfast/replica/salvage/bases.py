"""What the hub had confirmed of rows that a salvaged file changed and no sync had seen: as much as sealing needs."""

from __future__ import annotations

import contextlib
from typing import Any

import apsw

from holdfast.kernel.values import InvalidValue
from holdfast.replica.capture import read_captured_of
from holdfast.replica.confirmed import Confirmed, RowName
from holdfast.replica.tables import UserTables
from holdfast.schema import sqlite_values
from holdfast.schema.model import MISSING


def make_bases(db: apsw.Connection, tables: UserTables) -> None:
    """Keep a confirmed row for each captured name of which the stamps are known and no image is.

    Its values are those that the changes say were there before. The others are defaults: no change is about them, so no
    operation will be. The caller forgets these rows again when everything is sealed.
    """
    confirmed = Confirmed(db, tables)
    sql = """SELECT DISTINCT tbl, key FROM holdfast_capture c
             WHERE EXISTS (SELECT 1 FROM holdfast_row r WHERE r.tbl = c.tbl AND r.key = c.key)
             AND NOT EXISTS (SELECT 1 FROM holdfast_base b WHERE b.tbl = c.tbl AND b.key = c.key)"""
    names: list[Any] = db.execute(sql).fetchall()
    for name in names:
        row = confirmed.metadata([name])[name]
        if row.life % 2:
            row.values = _values_before(db, tables, name)
        confirmed.save_bases([(name, row)])


def _values_before(db: apsw.Connection, tables: UserTables, name: RowName) -> list[Any]:
    columns = tables.by_number[name[0]].table.cells
    values = [None if column.default is MISSING else column.default for column in columns]
    unknown = set(range(len(columns)))
    for change in read_captured_of(db, name):
        whole = change.kind in ("delete", "suspect")
        for slot in sorted(unknown):
            if whole or change.old[slot] is not None or change.new[slot] is not None:
                unknown.discard(slot)
                with contextlib.suppress(InvalidValue):
                    values[slot] = sqlite_values.from_sql(columns[slot], change.old[slot])
        if whole or change.kind == "insert":
            break
    return values
