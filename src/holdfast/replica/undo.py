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
from holdfast.kernel.documents.content import decoded
from holdfast.kernel.merges import document
from holdfast.kernel.row import Row
from holdfast.kernel.values import InvalidValue, canonical_json, same
from holdfast.replica.capture import Captured
from holdfast.replica.confirmed import Confirmed, RowName, fold
from holdfast.replica.connections import Connections
from holdfast.replica.document_seal import Reversal, edit_of, reversal_of
from holdfast.replica.document_undo import take_back
from holdfast.replica.json_undo import taken_back
from holdfast.replica.steps import HAS_LEFT, Kind, Purpose
from holdfast.replica.tables import UserTable, UserTables, quoted
from holdfast.schema.rules import CONFLICT_TABLE, WHOLE_MERGES

SOMEBODY = "somebody else has written it"
NOT_KEPT = "what the edits of this document deleted is not kept; undo them in its editor"


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
            compensating = self._connections.transaction(f"{kind}: {name}"[:200], purpose=Purpose(kind, step[0]))
            with compensating, self._connections.writing() as db:
                taken = "UPDATE holdfast_step SET state = 'reversed' WHERE step = ? AND state = 'done' RETURNING step"
                if db.execute(taken, (step[0],)).get is None:
                    continue  # another thread or process was faster
                changes = _changes(db, step[0])
                own = {str(origin) for (origin,) in db.execute("SELECT origin FROM holdfast_own").fetchall()}
                reversal = _Reversal(self._connections, db, self._tables, own, changes)
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
    """What REPLACE overwrote becomes an update."""
    replaced: dict[RowName, Captured] = {}
    for change in changes:
        if change.kind == "suspect":
            replaced[change.name] = change
        elif change.kind == "insert" and change.name in replaced:
            yield change._replace(kind="update", old=replaced.pop(change.name).old)
        else:
            yield change


class _Reversal:
    """One compensating transaction while it is made; reads see what it has written so far."""

    def __init__(
        self, connections: Connections, db: apsw.Connection, tables: UserTables, own: set[str], changes: list[Captured]
    ) -> None:
        self._connections = connections
        self._db = db
        self._tables = tables
        self._own = own
        self._changes = changes
        self._taken: set[tuple[RowName, int, int]] = set()
        self.left: list[Left] = []
        self.written: set[RowName] = set()
        wanted = sorted({change.name for change in changes})
        confirmed = Confirmed(db, tables)
        bases, waiting = confirmed.bases(wanted), confirmed.waiting(wanted)
        self._rows: dict[RowName, Row | None] = dict(confirmed.metadata(wanted))
        self._evicted = confirmed.evicted(wanted)
        for name, base in bases.items():
            self._rows[name] = fold(tables.by_number[name[0]].table, base, waiting.get(name, ()))

    def take_back(self, change: Captured) -> None:
        """Reverse one change, as far as what it wrote is still our own."""
        user = self._tables.by_number[change.name[0]]
        if user.table.name == CONFLICT_TABLE:
            self._leave(user, change, "", "a decision about a conflict stays; decide again")
            return
        shown = user.read(self._db, change.name[1])
        if change.kind == HAS_LEFT or (shown is None and change.name in self._evicted):
            self._leave(user, change, "", "the row has left this device")
            return
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
                reversal = reversal_of(old)
                if reversal is None or reversal.old is None:
                    self._take_back_edits(user, change, slot, reversal)
                    continue
                if not self._takes(change, slot, reversal.since):
                    continue
                old, new = reversal.old, reversal.new
            if column.merge == "json":
                self._take_back_json(user, change, slot, (shown[slot], old, new), sets)
            elif column.merge in WHOLE_MERGES:
                if not _equal(user, slot, shown[slot], new) or not self._is_own(change.name, slot):
                    self._leave(user, change, column.name, SOMEBODY)
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

    def _take_back_json(
        self, user: UserTable, change: Captured, slot: int, values: tuple[Any, Any, Any], sets: dict[str, Any]
    ) -> None:
        column = user.cells[slot].column
        shown, old, new = (user.cells[slot].read(value) for value in values)
        value, left = taken_back(shown, old, new)
        for path in left:
            self._leave(user, change, column.name, f"{SOMEBODY}, at {path}")
        if not same(value, shown):
            write = user.cells[slot].write
            sets[column.name] = value if write is None else write(value)

    def _takes(self, change: Captured, slot: int, since: int) -> bool:
        """Whether the edits of that cell from number `since` on are to be taken back, or have been already."""
        place = (change.name, slot, since)
        first = place not in self._taken
        self._taken.add(place)
        return first

    def _take_back_edits(self, user: UserTable, change: Captured, slot: int, reversal: Reversal | None) -> None:
        """Take back what was edited in a text document in one go, from number `since` on."""
        column = user.table.cells[slot].name
        if reversal is None or not self._takes(change, slot, reversal.since):
            if reversal is None:
                self._leave(user, change, column, NOT_KEPT)
            return
        updates = []
        for one in self._changes:
            before = reversal_of(one.old[slot]) if one.name == change.name else None
            if before is not None and before.since == reversal.since:
                updates.append(decoded(edit_of(one.new[slot]) or ""))
        row = self._rows.get(change.name)
        epoch = row.states[slot][0] if row is not None and slot in row.states else 1
        sql = f"""SELECT old_{slot} FROM holdfast_done WHERE tbl = ? AND key = ? AND old_{slot} IS NOT NULL
                  ORDER BY step, op"""
        kept = (reversal_of(stored) for (stored,) in self._db.execute(sql, change.name))
        renamed = [one for found in kept if found is not None for one in found.again]
        text = self._connections.document(user.table.name, change.name[1], column)
        if epoch != reversal.epoch:
            self._leave(user, change, column, "the row was deleted and made again")
        elif reversal.gone is None or not take_back(text, updates, reversal.gone, [*renamed, *text.again]):
            self._leave(user, change, column, NOT_KEPT)
        else:
            self._write(change, "SELECT 1", [])  # SQL shall see the edits

    def _write(self, change: Captured, sql: str, values: list[Any]) -> None:
        self._connections.inside(sql, values)
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
