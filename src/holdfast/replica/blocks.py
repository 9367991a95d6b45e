"""Leased keys on the device: when to ask for more, and where they are kept.

An ask has a random name that lives as long as this process: the hub answers it again when its answer was lost, and
gives new keys to whoever has forgotten it. So keys may be lost with a process, and are never given twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import apsw

from holdfast.kernel import clock
from holdfast.protocol import messages as m
from holdfast.replica.file import applying
from holdfast.replica.tables import quoted
from holdfast.schema.model import Schema


class Blocks:
    """The blocks of all tables of a file whose keys are leased."""

    def __init__(self, db: apsw.Connection, path: str, schema: Schema, random_bits: Callable[[int], int]) -> None:
        self._db = db
        self._path = path
        self._random_bits = random_bits
        self._columns = {table.name: table.key[0] for table in schema.tables if table.key[0].block}
        self._asks: dict[str, str] = {}

    def asks(self) -> dict[str, str]:
        """What to ask the hub for: tables of whose block half is used up, with the name of the ask."""
        for name, column in self._columns.items():
            self._skip_taken(name)
            sql = "SELECT coalesce(sum(last - next + 1), 0) FROM holdfast_block WHERE tbl = ?"
            left: int = self._db.execute(sql, (name,)).get
            if left > column.block // 2:
                self._asks.pop(name, None)
            elif name not in self._asks:
                self._asks[name] = clock.new_origin(self._random_bits(48))
        return dict(self._asks)

    def _skip_taken(self, name: str) -> None:
        """Leave out a next key under which a row has come from elsewhere: it would stop all inserts."""
        key, table = quoted(self._columns[name].name), quoted(name)
        sql = f"SELECT min(next) FROM holdfast_block WHERE tbl = ? AND next IN (SELECT {key} FROM {table})"
        taken: Any = self._db.execute(sql, (name,)).get
        while taken is not None:
            with applying(self._db, self._path):
                self._db.execute("UPDATE holdfast_block SET next = next + 1 WHERE tbl = ? AND next = ?", (name, taken))
                self._db.execute("DELETE FROM holdfast_block WHERE next > last")
            taken = self._db.execute(sql, (name,)).get

    def fresh(self, blocks: Mapping[str, m.Block]) -> dict[str, m.Block]:
        """The blocks of an answer that were asked for and are not kept yet."""
        return {name: block for name, block in blocks.items() if self._asks.get(name) == block.ask}

    def keep(self, blocks: Mapping[str, m.Block]) -> None:
        """Write those that are fresh, in the transaction of the caller. Should it be undone, they are lost: others are
        asked for."""
        for name, block in self.fresh(blocks).items():
            self._asks.pop(name, None)
            rows = [(name, first, last) for first, last in block.ranges if first <= last]
            self._db.executemany("INSERT OR IGNORE INTO holdfast_block (tbl, next, last) VALUES (?, ?, ?)", rows)
