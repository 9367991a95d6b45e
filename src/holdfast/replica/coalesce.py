"""Coalescing: several unsent edits of one row become one transaction, with as few operations as say the same.

A cell must keep the stamp of its last write, and merge as if every edit had been sent; an operation has one stamp. So
what is left of a row's edits is one operation for each stamp that still stands: an edit that later ones overwrote
wholly is gone, and the one that overwrote it takes over the stamps that it had seen (decision record 12).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from zlib import crc32

import apsw

from holdfast.kernel.column import Cell, Column
from holdfast.kernel.documents.content import merged
from holdfast.kernel.merges import BY_NAME, document
from holdfast.kernel.values import MAX_INT
from holdfast.protocol import messages as m
from holdfast.replica.confirmed import RowName
from holdfast.replica.dependencies import needs
from holdfast.replica.outbox import Outbox, among
from holdfast.replica.steps import joined
from holdfast.replica.tables import UserTable, UserTables


def compose(user: UserTable, operations: Sequence[m.AnyOperation]) -> list[m.AnyOperation]:
    """Operations on one row, one after the other, as fewer that have the same effect on every hub.

    Insert and delete stay where they are, and what was written before a delete is written: should the row come back, it
    comes back whole. Only updates of one life give way to later ones.
    """
    result: list[m.AnyOperation] = []
    for op in operations:
        if isinstance(op, m.Update):
            later = m.Update(op.table, op.key, op.stamp, op.life, dict(op.set), dict(op.base), list(op.joined))
            for earlier in reversed(result):
                if not isinstance(earlier, m.Update) or earlier.life != op.life:
                    break
                before = len(earlier.set)
                for name in list(earlier.set.keys() & later.set.keys()):
                    _give_way(user.table.cells[user.table.slot[name]], earlier, later, name)
                if len(earlier.set) < before:
                    # A copy of this file may send the earlier one alone: the hub shall know it.
                    later.joined = sorted({*later.joined, *earlier.joined, earlier.stamp.partition("-")[0]})
            result.append(later)
        else:
            result.append(op)
    for op in result:
        if isinstance(op, m.Update):
            op.set = {name: merged(change) if type(change) is _Updates else change for name, change in op.set.items()}
    return [op for op in result if not isinstance(op, m.Update) or op.set]


class _Updates(list[str]):
    """Updates of a document that go together; they are merged at the end, all at once."""


def _give_way(column: Column, earlier: m.Update, later: m.Update, name: str) -> None:
    """Let the later change of a column stand for both, if one change can.

    Only one whose writer saw the earlier change as the latest one: what came from others in between counts.
    """
    if document(column) is not None:
        joined: Joined | None = _one_after_the_other(earlier.set[name], later.set[name])
    elif later.base.get(name) != earlier.stamp:
        return
    else:
        joined = _joined(column, earlier.set[name], earlier.stamp, later.set[name], later.stamp)
    if joined is None:
        return
    later.set[name] = joined.change
    del earlier.set[name]
    seen = earlier.base.pop(name, None)
    later.base.pop(name, None)
    if seen is not None:
        later.base[name] = seen


class Joined(NamedTuple):
    """One change for two."""

    change: Any


def _one_after_the_other(first: Any, second: Any) -> Joined:
    """Two edits of a document, whatever came from others in between: updates are a union."""
    updates = first if type(first) is _Updates else _Updates([first])
    updates.extend(second if type(second) is _Updates else [second])
    return Joined(updates)


def _joined(column: Column, first: Any, first_stamp: str, second: Any, second_stamp: str) -> Joined | None:
    """The change that, with the stamp of the second one, does what both do; None when no single one does."""
    if column.merge == "register":
        return Joined(second)
    if column.merge == "counter":
        # Of one sign, so that no sum on the way leaves the range, and both sides of the count are exact.
        total = first + second
        return Joined(total) if first * second >= 0 and abs(total) <= MAX_INT else None
    if column.merge == "grow_set":
        return Joined({"add": list({repr(e): e for e in [*first.get("add", ()), *second.get("add", ())]}.values())})
    if column.merge == "set":
        return None if first.get("add") else Joined(_removed(first, second))
    if column.merge in ("earliest", "latest"):
        winner = BY_NAME[column.merge].join(column, Cell(first, first_stamp), Cell(second, second_stamp))
        return Joined(second) if winner.stamp == second_stamp else None
    return None


def _removed(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Two changes of a set of which the first only removes."""
    dots: dict[str, tuple[Any, list[str]]] = {}
    for element, named in [*first.get("remove", ()), *second.get("remove", ())]:
        dots.setdefault(repr(element), (element, []))[1].extend(named)
    removed = [[element, sorted(set(named))] for element, named in dots.values()]
    return {**({"add": second["add"]} if second.get("add") else {}), **({"remove": removed} if removed else {})}


class Group(NamedTuple):
    """Transactions that become one: the last of them."""

    name: RowName
    txns: list[int]


class Coalescing:
    """Joins what waits without a name, inside a transaction of the engine. What stands before the transaction
    `first_own` another copy of the file may hold, too: it is joined with nothing that only this one can hold."""

    def __init__(self, db: apsw.Connection, tables: UserTables, first_own: int) -> None:
        self._db = db
        self._tables = tables
        self._outbox = Outbox(db)
        self._first_own = first_own

    def run(self) -> None:
        """Join all that may be joined."""
        rows = self._edited_again()
        if not rows:
            return
        edges = needs(self._db, ("pending", "parked"))
        dependants: dict[int, list[int]] = {}
        for txn, earlier in edges.items():
            for other in earlier:
                dependants.setdefault(other, []).append(txn)
        for name, txns in rows.items():
            for part in (
                [one for one in txns if one[0] < self._first_own],
                [one for one in txns if one[0] >= self._first_own],
            ):
                for group in groups(name, part, dependants):
                    self._join(group)

    def _edited_again(self) -> dict[RowName, list[tuple[int, str]]]:
        """Rows that several pending transactions of only that row edit -> those, with their labels, in order."""
        allowed = [number for number, queue in self._tables.queues.items() if queue.coalesce]
        sql = """SELECT o.tbl, o.key, t.txn, t.label FROM holdfast_operation o JOIN holdfast_transaction t USING (txn)
                 WHERE t.state = 'pending' AND t.withdraw = '' AND t.attempts = 0 AND t.schema = 0 AND o.position = 0
                   AND (o.tbl, o.key) IN (SELECT tbl, key FROM holdfast_operation
                                          WHERE tbl IN (SELECT value FROM json_each(?))
                                          GROUP BY tbl, key HAVING count(*) > 1)
                   AND NOT EXISTS (SELECT 1 FROM holdfast_operation x
                                   WHERE x.txn = o.txn AND (x.tbl, x.key) <> (o.tbl, o.key))
                 ORDER BY o.tbl, o.key, t.txn"""
        found: dict[RowName, list[tuple[int, str]]] = {}
        for tbl, key, txn, label in self._db.execute(sql, (m.encode(allowed).decode(),)):
            found.setdefault((tbl, key), []).append((txn, label))
        return {name: txns for name, txns in found.items() if len(txns) > 1}

    def _join(self, group: Group) -> None:
        """Make the last transaction of the group stand for all."""
        *earlier, last = group.txns
        user = self._tables.by_number[group.name[0]]
        operations = [m.decode_operation(body) for *_, body in self._outbox.operations(group.txns)]
        bodies = [m.encode(op) for op in compose(user, operations)]
        chosen, given = among(group.txns)
        captured, parts = self._db.execute(
            f"SELECT min(captured), sum(parts) FROM holdfast_transaction WHERE txn {chosen}", given
        ).get
        for table, column in (("holdfast_use", "txn"), ("holdfast_after", "txn"), ("holdfast_after", "earlier")):
            self._db.executemany(
                f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {column} = ?", ((last, txn) for txn in earlier)
            )
        joined(self._db, earlier, last)
        self._outbox.done(earlier)
        self._db.execute("DELETE FROM holdfast_operation WHERE txn = ?", (last,))
        self._db.executemany(
            "INSERT INTO holdfast_operation (txn, position, tbl, key, body, crc) VALUES (?, ?, ?, ?, ?, ?)",
            ((last, position, *group.name, body.decode(), crc32(body)) for position, body in enumerate(bodies)),
        )
        self._db.execute(
            "UPDATE holdfast_transaction SET captured = ?, parts = ?, size = ? WHERE txn = ?",
            (captured, parts, sum(map(len, bodies)), last),
        )


def groups(name: RowName, txns: Iterable[tuple[int, str]], dependants: dict[int, list[int]]) -> list[Group]:
    """Which transactions of one row become one. `txns` are (number, label) in order.

    A transaction moves to the place of the last one of its group; so nothing in between may depend on it. Labels reach
    the history, so only equal ones go together.
    """
    found: list[Group] = []
    label = ""
    for txn, own in txns:
        group = found[-1].txns if found else []
        between = any(t < txn and t not in group for member in group for t in dependants.get(member, ()))
        if group and own == label and not between:
            group.append(txn)
        else:
            found.append(Group(name, [txn]))
        label = own
    return [group for group in found if len(group.txns) > 1]
