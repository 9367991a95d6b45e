"""What the hub has confirmed of the rows that have waiting operations, and the operations that wait on them.

Visible = confirmed + waiting: `fold` is that sum, and the only place where it is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import apsw

from holdfast.errors import HoldfastError
from holdfast.kernel.column import default_of
from holdfast.kernel.merges import BY_NAME
from holdfast.kernel.merges.counter import PENDING
from holdfast.kernel.restore import restore
from holdfast.kernel.row import Op, Row, apply
from holdfast.kernel.stamps import decode_stamps, encode_stamps
from holdfast.protocol import messages as m
from holdfast.protocol.images import image_of, row_from_bytes
from holdfast.replica.slots import SlotOrder
from holdfast.replica.tables import UserTable, UserTables, states_text
from holdfast.schema import sqlite_values
from holdfast.schema.key import key_values
from holdfast.schema.model import Table

RowName = tuple[int, str]
"""Number of the table in this file, and key."""


def local_operation(user: UserTable, op: m.AnyOperation) -> Op:
    """The kernel's operation for one of our own, whose values were checked when it was sealed."""
    table = user.table
    if isinstance(op, m.Delete):
        base = decode_stamps(op.base)
        return Op("delete", op.key, op.stamp, op.life, {}, user.order.own_stamps(base) if user.order else base)
    changes = {table.slot[name]: change for name, change in op.set.items()}
    if isinstance(op, m.Insert):
        return Op("insert", op.key, op.stamp, op.life, changes, {})
    return Op("update", op.key, op.stamp, op.life, changes, {table.slot[n]: s for n, s in op.base.items()})


def row_of_copy(table: Table, copy: m.Restore, order: SlotOrder | None = None) -> Row:
    """A copy of a row that the hub has lost, in our slots; `order` says where they stand in the hub's."""
    if copy.life % 2 == 0:
        seen = decode_stamps(copy.seen)
        seen = (seen if order is None else order.own_stamps(seen))[: len(table.cells)]
        return Row(copy.life, [default_of(c, BY_NAME[c.merge].empty) for c in table.cells[: len(seen)]], seen, {})
    row = Row(copy.life, [], [], {})
    size = 1 + max((table.slot[name] for name in copy.set), default=-1)
    for slot, column in enumerate(table.cells[:size]):
        cell = copy.set.get(column.name)
        row.values.append(cell[0] if cell else default_of(column, BY_NAME[column.merge].empty))
        row.stamps.append(cell[1] if cell else None)
        if cell and len(cell) > 2:
            row.states[slot] = cell[2]
    return row


def copy_operation(user: UserTable, copy: m.Restore) -> Op:
    """A copy as something that waits on its row: `fold` joins it in."""
    row = row_of_copy(user.table, copy, user.order)
    return Op("restore", copy.key, "", copy.life, {0: row}, {})


def fold(table: Table, confirmed: Row | None, operations: Iterable[Op], hub: str = PENDING) -> Row | None:
    """The row with the operations over it. An update of a row that is not there leaves nothing to see."""
    row = confirmed
    for op in operations:
        restored = op.kind == "restore"
        row = restore(table, own_part(table, row), op.changes[0]).row if restored else apply(table, row, op, hub).row
    return row


def own_part(table: Table, row: Row | None) -> Row | None:
    """The row without the stamps of cells of which we have no column: no copy of ours can say anything of them."""
    return row if row is None else Row(row.life, row.values, row.stamps[: len(table.cells)], row.states)


class Confirmed:
    """Reads and writes of `holdfast_base`, `holdfast_row` and `holdfast_operation`, inside one transaction."""

    def __init__(self, db: apsw.Connection, tables: UserTables) -> None:
        self._db = db
        self._tables = tables.take_layout(db)

    def bases(self, names: Sequence[RowName]) -> dict[RowName, Row | None]:
        """The confirmed rows of those names that have waiting operations (None: the hub has none)."""
        sql = """SELECT tbl, key, image FROM holdfast_base
                 WHERE (tbl, key) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"""
        found: dict[RowName, Row | None] = {}
        for tbl, key, image in self._db.execute(sql, (name_list(names),)):
            table = self._tables.by_number[tbl].table
            row = row_from_bytes(table, image) if image is not None else None
            order = self._tables.by_number[tbl].order
            if row is not None and order is not None:
                row.stamps, row.states = order.own_stamps(row.stamps), order.own_states(row.states)
            found[(tbl, key)] = row
        return found

    def metadata(self, names: Sequence[RowName]) -> dict[RowName, Row]:
        """Life, stamps and states of the confirmed rows of those names; their values are not filled in."""
        sql = """SELECT tbl, key, life, stamps, states FROM holdfast_row
                 WHERE (tbl, key) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"""
        found = {}
        for tbl, key, life, stamps, states in self._db.execute(sql, (name_list(names),)):
            parsed = {int(slot): state for slot, state in json.loads(states).items()} if states else {}
            row = found[(tbl, key)] = Row(life, [], decode_stamps(stamps), parsed)
            order = self._tables.by_number[tbl].order
            if order is not None:
                row.stamps, row.states = order.own_stamps(row.stamps), order.own_states(row.states)
        return found

    def spaces(self, names: Sequence[RowName]) -> dict[RowName, int]:
        """The numbers of the spaces in which the confirmed rows of those names live."""
        sql = """SELECT tbl, key, space FROM holdfast_row
                 WHERE (tbl, key) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"""
        return {(tbl, key): space for tbl, key, space in self._db.execute(sql, (name_list(names),))}

    def evicted(self, names: Sequence[RowName]) -> set[RowName]:
        """Those of the names whose rows have left this device to make room."""
        sql = """SELECT tbl, key FROM holdfast_row
                 WHERE (tbl, key) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?)) AND evicted"""
        return set(self._db.execute(sql, (name_list(names),)))

    def waiting(self, names: Sequence[RowName]) -> dict[RowName, list[Op]]:
        """The operations that wait on those rows, oldest first; refused ones do not wait. A copy of a row that the hub
        has lost comes before them."""
        sql = """SELECT o.tbl, o.key, coalesce(o.shown, o.body)
                 FROM holdfast_operation o JOIN holdfast_transaction t USING (txn)
                 WHERE t.state <> 'refused'
                   AND (o.tbl, o.key) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))
                 ORDER BY o.txn, o.position"""
        found: dict[RowName, list[Op]] = {}
        copies = """SELECT tbl, key, body FROM holdfast_lost WHERE state = 'waits'
                    AND (tbl, key) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"""
        for tbl, key, body in self._db.execute(copies, (name_list(names),)):
            found[(tbl, key)] = [copy_operation(self._tables.by_number[tbl], m.decode_restore(body))]
        for tbl, key, body in self._db.execute(sql, (name_list(names),)):
            op = local_operation(self._tables.by_number[tbl], m.decode_operation(body))
            found.setdefault((tbl, key), []).append(op)
        return found

    def alone(self, names: Sequence[RowName]) -> set[RowName]:
        """Those of the names that the hub had not confirmed and on which no operation waits any more."""
        sql = """SELECT b.tbl, b.key FROM holdfast_base b
                 WHERE (b.tbl, b.key) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?)) AND b.image IS NULL
                   AND NOT EXISTS (SELECT 1 FROM holdfast_operation o JOIN holdfast_transaction t USING (txn)
                                   WHERE o.tbl = b.tbl AND o.key = b.key AND t.state <> 'refused')
                   AND NOT EXISTS (SELECT 1 FROM holdfast_lost l
                                   WHERE l.tbl = b.tbl AND l.key = b.key AND l.state = 'waits')"""
        return set(self._db.execute(sql, (name_list(names),)))

    def save_bases(self, rows: Iterable[tuple[RowName, Row | None]]) -> None:
        """Keep the confirmed rows beside their waiting operations."""
        self._db.executemany(
            "INSERT OR REPLACE INTO holdfast_base (tbl, key, image) VALUES (?, ?, ?)",
            ((name[0], name[1], self._image(name, row)) for name, row in rows),
        )

    def keep_bases(self, names: Sequence[RowName]) -> None:
        """Keep the confirmed rows of those names of which the user tables show them so far."""
        known = self.bases(names)
        missing = [name for name in self._tables.known(names) if name not in known]
        self.save_bases([(name, self.confirmed_row(name)) for name in missing])

    def confirmed_row(self, name: RowName) -> Row | None:
        """The confirmed row of a name on which nothing waits: the user table shows it."""
        row = self.metadata([name]).get(name)
        if row is None or row.life % 2 == 0:
            return row
        user = self._tables.by_number[name[0]]
        shown = user.read(self._db, name[1])
        if shown is None and self.evicted([name]):
            message = f"the row {name[1]!r} of {user.table.name} has left this device; fetch it"
            raise HoldfastError("row_evicted", message, table=user.table.name, key=name[1])
        cells = shown[len(user.table.key) :] if shown is not None else [None] * len(user.table.cells)
        row.values = [sqlite_values.from_sql(c, v) for c, v in zip(user.table.cells, cells, strict=True)]
        return row

    def is_missing(self, name: RowName) -> bool:
        """Whether the user table lacks a confirmed row that it should show: somebody wrote past the triggers, or the
        file is damaged."""
        row = self.metadata([name]).get(name)
        return row is not None and row.life % 2 == 1 and self._tables.by_number[name[0]].read(self._db, name[1]) is None

    def _image(self, name: RowName, row: Row | None) -> bytes | None:
        if row is None:
            return None
        user = self._tables.by_number[name[0]]
        if user.order is not None:
            row = Row(row.life, row.values, user.order.hub_stamps(row.stamps), user.order.hub_states(row.states))
        return image_of(user.table.name, key_values(user.table, name[1]), row)

    def drop_bases(self, names: Iterable[RowName]) -> None:
        """Nothing waits on these rows any more: the user table shows what is confirmed."""
        self._db.executemany("DELETE FROM holdfast_base WHERE tbl = ? AND key = ?", names)

    def save_metadata(self, rows: Iterable[tuple[RowName, Row, int]]) -> None:
        """Life, stamps and states of confirmed rows, with the number of their space."""
        self.save_texts((*name, space, row.life, *self._texts(name[0], row)) for name, row, space in rows)

    def _texts(self, tbl: int, row: Row) -> tuple[str, str | None]:
        """Stamps and states as the file has them."""
        order = self._tables.by_number[tbl].order
        if order is None:
            return encode_stamps(row.stamps), states_text(row.states)
        return encode_stamps(order.hub_stamps(row.stamps)), states_text(order.hub_states(row.states))

    def save_texts(self, rows: Iterable[tuple[int, str, int, int, str, str | None]]) -> None:
        """The same, as the file has it: (table, key, space, life, stamps, states)."""
        self._db.executemany(
            "INSERT OR REPLACE INTO holdfast_row (tbl, key, space, life, stamps, states) VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )

    def drop_metadata(self, names: Iterable[RowName]) -> None:
        """The hub shows these rows to this device no more."""
        self._db.executemany("DELETE FROM holdfast_row WHERE tbl = ? AND key = ?", names)

    def show(self, names: Sequence[RowName], bases: dict[RowName, Row | None]) -> set[RowName]:
        """Make the user tables show confirmed + waiting of the given rows; give those on which nothing waits any
        more.
        """
        names = sorted(self._tables.known(names))
        waiting = self.waiting(names)
        for name in names:
            user: UserTable = self._tables.by_number[name[0]]
            row = fold(user.table, bases[name], waiting.get(name, ()))
            user.show(self._db, name[1], row, waits=name in waiting)
        return {name for name in names if name not in waiting}


def name_list(names: Sequence[Any]) -> str:
    """Row names as the JSON that the queries take."""
    return m.encode(names).decode()
