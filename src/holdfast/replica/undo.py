"""Undo and redo of one's own transactions, as compensating transactions (`spec/merge.md`, section 11).

What is needed to reverse a transaction is copied from the captured changes in the transaction itself: both or neither
are there after a power loss. Whether a cell is still one's own is asked when it is undone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apsw

from holdfast.kernel import operational
from holdfast.kernel.clock import origin_of
from holdfast.kernel.merges import document
from holdfast.kernel.row import Row
from holdfast.kernel.values import InvalidValue, canonical_json, same
from holdfast.replica.capture import Captured
from holdfast.replica.confirmed import Confirmed, RowName, fold
from holdfast.replica.connections import Connections
from holdfast.replica.document_seal import edit_of
from holdfast.replica.steps import Kind
from holdfast.replica.tables import UserTable, UserTables, quoted
from holdfast.schema.rules import CONFLICT_TABLE, WHOLE_MERGES


class Left(NamedTuple):
    """A cell that was left alone, and why; `column` is empty when the whole row was."""

    table: str
    key: str
    column: str
    reason: str


class Undone(NamedTuple):
    """What an undo or redo did: the label of the transaction that it reversed, how many rows it wrote, what it left."""

    label: str
    rows: int
    left: list[Left]


class Undo:
    """Reverses the steps of one device file; everything captured before is sealed."""

    def __init__(self, connections: Connections, tables: UserTables) -> None:
        self._connections = connections
        self._tables = tables

    def undo(self) -> Undone | None:
        """Reverse the latest transaction that is not reversed yet; None when there is none."""
        return self._reverse(("do", "redo"), "undo")

    def redo(self) -> Undone | None:
        """Reverse the latest undo that nothing has followed; None when there is none."""
        return self._reverse(("undo",), "redo")

    def _latest(self, kinds: Sequence[str]) -> tuple[int, str] | None:
        """Number and label of the latest step that can be reversed; one that was refused has had no effect."""
        sql = """SELECT step, label FROM holdfast_step s
                 WHERE state = 'done' AND kind IN (SELECT value FROM json_each(?)) AND NOT EXISTS (
                     SELECT 1 FROM holdfast_transaction t WHERE t.mark = s.mark AND t.state = 'refused')
                 ORDER BY step DESC LIMIT 1"""
        found = self._connections.execute(sql, (list(kinds),))
        return (found[0][0], found[0][1]) if found else None

    def _reverse(self, kinds: Sequence[str], kind: Kind) -> Undone | None:
        while (step := self._latest(kinds)) is not None:
            name = step[1].removeprefix("undo: ").removeprefix("redo: ")
            with self._connections.transaction(f"{kind}: {name}"[:200], kind=kind), self._connections.writing() as db:
                taken = "UPDATE holdfast_step SET state = 'reversed' WHERE step = ? AND state = 'done' RETURNING step"
                if db.execute(taken, (step[0],)).get is None:
                    continue  # another thread or process was faster
                changes = _changes(db, step[0])
                own = {str(origin) for (origin,) in db.execute("SELECT origin FROM holdfast_own").fetchall()}
                reversal = _Reversal(db, self._tables, own, {change.name for change in changes})
                for change in reversed(changes):
                    reversal.take_back(change)
                return Undone(name, len(reversal.written), reversal.left)
        return None


def _changes(db: apsw.Connection, step: int) -> list[Captured]:
    rows: list[Any] = db.execute("SELECT * FROM holdfast_done WHERE step = ? ORDER BY op", (step,)).fetchall()
    found = [
        Captured(op, kind, (tbl, key), hlc, tuple(cells[::2]), tuple(cells[1::2]))
        for _, op, tbl, kind, key, hlc, _version, *cells in rows
    ]
    return list(_without_suspects(found))


def _without_suspects(changes: list[Captured]) -> Iterator[Captured]:
    """What REPLACE overwrote becomes an update, what it removed a deletion."""
    later = {change.name: change for change in changes if change.kind == "insert"}
    replaced: dict[RowName, Captured] = {}
    for change in changes:
        if change.kind == "suspect":
            if change.name in later:
                replaced[change.name] = change
            else:
                yield change._replace(kind="delete")
        elif change.kind == "insert" and change.name in replaced:
            yield change._replace(kind="update", old=replaced.pop(change.name).old)
        else:
            yield change


class _Reversal:
    """One compensating transaction while it is made; reads see what it has written so far."""

    def __init__(self, db: apsw.Connection, tables: UserTables, own: set[str], names: set[RowName]) -> None:
        self._db = db
        self._tables = tables
        self._own = own
        self.left: list[Left] = []
        self.written: set[RowName] = set()
        wanted = sorted(names)
        confirmed = Confirmed(db, tables)
        bases, waiting = confirmed.bases(wanted), confirmed.waiting(wanted)
        self._rows: dict[RowName, Row | None] = dict(confirmed.metadata(wanted))
        for name, base in bases.items():
            self._rows[name] = fold(tables.by_number[name[0]].table, base, waiting.get(name, ()))

    def take_back(self, change: Captured) -> None:
        """Reverse one change, as far as what it wrote is still our own."""
        user = self._tables.by_number[change.name[0]]
        if user.table.name == CONFLICT_TABLE:
            self._leave(user, change, "", "a decision about a conflict stays; decide again")
            return
        shown = user.read(self._db, change.name[1])
        if change.kind == "insert":
            self._take_back_insert(user, change, shown)
        elif change.kind == "delete":
            if shown is not None:
                self._leave(user, change, "", "the row is there again")
            else:
                self._insert(user, change)
        elif shown is None:
            self._leave(user, change, "", "the row was deleted")
        else:
            self._take_back_update(user, change, shown[len(user.table.key) :])

    def _take_back_insert(self, user: UserTable, change: Captured, shown: list[Any] | None) -> None:
        if shown is None:
            self._leave(user, change, "", "the row was deleted")
        elif not all(self._is_untouched(user, change, slot, shown) for slot in range(len(user.table.cells))):
            self._leave(user, change, "", "somebody else has written the row")
        else:
            self._write(change, user.delete_sql, user.sql_key(change.name[1]))

    def _insert(self, user: UserTable, change: Captured) -> None:
        cells = [(c, change.old[slot]) for slot, c in enumerate(user.table.cells) if edit_of(change.old[slot]) is None]
        names = ", ".join(quoted(column.name) for column in (*user.table.key, *(column for column, _ in cells)))
        marks = ", ".join("?" * (len(user.table.key) + len(cells)))
        values = [*user.sql_key(change.name[1]), *(value for _, value in cells)]
        self._write(change, f"INSERT INTO {quoted(user.table.name)} ({names}) VALUES ({marks})", values)

    def _take_back_update(self, user: UserTable, change: Captured, shown: list[Any]) -> None:
        sets: dict[str, Any] = {}
        for slot, column in enumerate(user.table.cells):
            old, new = change.old[slot], change.new[slot]
            if old == new and type(old) is type(new):
                continue
            if edit_of(new) is not None:
                self._leave(user, change, column.name, "the document was edited as such; undo it in its editor")
            elif column.merge in WHOLE_MERGES or column.merge == "json":
                own = column.merge == "json" or self._is_own(change.name, slot)
                if not _equal(user, slot, shown[slot], new) or not own:
                    self._leave(user, change, column.name, "somebody else has written it")
                else:
                    sets[column.name] = old
            elif column.merge == "counter":
                sets[column.name] = shown[slot] - (new - old)
            elif column.merge == "set":
                sets[column.name] = _without(shown[slot], old, new)
            elif column.merge in ("text", "merge_text"):
                sets[column.name] = operational.rebased(new or "", old or "", shown[slot] or "")
            else:
                self._leave(user, change, column.name, f"a value of {column.merge} cannot be taken back")
        if sets:
            where = user.delete_sql.partition(" WHERE ")[2]
            assigned = ", ".join(f"{quoted(name)} = ?" for name in sets)
            sql = f"UPDATE {quoted(user.table.name)} SET {assigned} WHERE {where}"
            self._write(change, sql, [*sets.values(), *user.sql_key(change.name[1])])

    def _write(self, change: Captured, sql: str, values: list[Any]) -> None:
        self._db.execute(sql, values)
        self.written.add(change.name)

    def _is_untouched(self, user: UserTable, change: Captured, slot: int, shown: list[Any]) -> bool:
        """Whether a cell of a row that we inserted is still ours. The stamp of a document names no writer: it is ours
        while it holds what we wrote.
        """
        if document(user.table.cells[slot]) is None:
            return self._is_own(change.name, slot)
        return _equal(user, slot, shown[len(user.table.key) + slot], change.new[slot])

    def _is_own(self, name: RowName, slot: int) -> bool:
        """Whether this device wrote the cell last. A row that the file knows nothing of was written here alone."""
        row = self._rows.get(name)
        stamp = row.stamps[slot] if row is not None and slot < len(row.stamps) else None
        return stamp is None or origin_of(stamp) in self._own

    def _leave(self, user: UserTable, change: Captured, column: str, reason: str) -> None:
        self.left.append(Left(user.table.name, change.name[1], column, reason))


def _equal(user: UserTable, slot: int, a: Any, b: Any) -> bool:
    """Whether two stored values are one, though sealing may have rewritten one of them."""
    if a == b and type(a) is type(b):
        return True
    try:
        return same(user.cells[slot].read(a), user.cells[slot].read(b))
    except InvalidValue:
        return False


def _without(shown: str, old: str, new: str) -> str:
    """The elements of a set with a change of it taken back; canonical JSON arrays."""
    before, after = [{canonical_json(one) for one in json.loads(text)} for text in (old, new)]
    kept = {canonical_json(one) for one in json.loads(shown)}
    result = (kept - (after - before)) | (before - after)
    return canonical_json([json.loads(one) for one in sorted(result)])
