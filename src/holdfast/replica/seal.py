"""Sealing: from captured changes to transactions in wire form, with the stamps that their writers had seen.

It happens in one transaction of the engine: before a push, and before any page is applied, so that what a writer had
seen is what is confirmed at that moment. A change that cannot go over the wire moves its transaction to the refused
ones, and the user tables go back to what the rest says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from contextlib import closing
from itertools import groupby
from typing import Any

import apsw
import msgspec

from holdfast.kernel import clock
from holdfast.kernel.merges import BY_NAME, document, started, written
from holdfast.kernel.merges.counter import PENDING
from holdfast.kernel.row import Op, Row, apply
from holdfast.kernel.stamps import encode_stamps
from holdfast.kernel.values import InvalidValue, same
from holdfast.protocol import messages as m
from holdfast.replica.capture import (
    Captured,
    LocalTransaction,
    local_transactions,
    read_captured,
    read_captured_of,
    read_first_touched,
    without_suspects,
)
from holdfast.replica.confirmed import Confirmed, RowName, fold
from holdfast.replica.dependencies import Use, uses_of
from holdfast.replica.document_seal import Undoable, edit_of, keep_undoable, meant, typed, value_in, written_text
from holdfast.replica.fresh import fresh_insert
from holdfast.replica.sealed import Meta, Sealed
from holdfast.replica.tables import UserTable, UserTables
from holdfast.schema import sqlite_values
from holdfast.schema.key import key_values
from holdfast.schema.model import MISSING

CHUNK = 2_000
"""So many changes are worked on at once; transactions are never cut."""


PART_BYTES = 4 * 1024 * 1024
PART_OPERATIONS = 20_000
"""What other programs wrote between two transactions of the replica goes out in parts of at most this size."""


class Unsendable(Exception):
    """A captured change cannot go over the wire; the transaction is refused on the spot."""

    def __init__(self, code: str, message: str, name: RowName, column: str = "", cause: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.name, self.column, self.cause = code, message, name, column, cause


class Seal:
    """One sealing. `origin` is that of this process; `unreadable` are the changes whose key is not UTF-8."""

    def __init__(
        self, db: apsw.Connection, tables: UserTables, origin: str, unreadable: Collection[int] = frozenset()
    ) -> None:
        self._db = db
        self._tables = tables
        self._origin = origin
        self._unreadable = unreadable
        self._confirmed = Confirmed(db, tables)
        self._refused_rows: dict[RowName, int] = {}
        self._mend: set[RowName] = set()
        self._sealed = Sealed(db, tables.queues)
        self._fresh: set[RowName] = set()
        self._uses: list[Use] = []
        self.first_after: int | None = None
        self.undoable: list[Undoable] = []

    def run(self, found: int | None = None) -> int:
        """Seal everything captured, inside the caller's transaction. Gives the number of transactions made; sets
        `first_after` to the local number of the first one of which nothing had been captured up to `found`."""
        last = self._db.execute("SELECT max(op) FROM holdfast_capture").get
        if last is None:
            return 0
        self._hlc: int = self._db.execute("SELECT hlc FROM holdfast_state").get
        self._keep_bases()
        count = 0
        # Closed at once also when the disk is full: an open read would keep its snapshot, and the next write is busy.
        with closing(read_captured(self._db)) as captured:
            for chunk in chunks(local_transactions(self._db, captured)):
                touched = Counter(change.name for transaction in chunk for change in transaction.changes)
                unknown = self._keep_unknown(chunk)
                self._seen = dict.fromkeys(unknown) | self._load(touched.keys() - unknown)
                self._fresh = {name for name in unknown if touched[name] == 1}
                for transaction in chunk:
                    if found is not None and self.first_after is None and transaction.changes[0].op > found:
                        self.first_after = self._sealed.next
                    count += self._transaction(transaction)
                self._sealed.flush()
        self._db.execute("DELETE FROM holdfast_capture")
        self._db.execute("DELETE FROM holdfast_mark")
        self._db.execute("UPDATE holdfast_state SET hlc = ?", (self._hlc,))
        self._mend_rows()
        return count

    def preview(self, name: RowName) -> tuple[Row | None, list[tuple[Captured, Op | None]]]:
        """How one row would stand after sealing, and the operations that would make it so; nothing is sealed.

        Raises `Unsendable`.
        """
        self._hlc = self._db.execute("SELECT hlc FROM holdfast_state").get
        changes = read_captured_of(self._db, name)
        if changes:
            self._keep_bases()
        if name in self._confirmed.bases([name]):
            self._seen = self._load({name})
        else:
            self._seen = {name: self._confirmed_row(name, self._confirmed.metadata([name]).get(name), [])}
        whole = without_suspects(self._db, self._tables, LocalTransaction("", changes)).changes
        operations = [(change, self._operation(change)) for change in whole]
        self._mend.clear()
        return self._seen[name], operations

    def _keep_unknown(self, chunk: list[LocalTransaction]) -> set[RowName]:
        """Note that the hub knows nothing of the rows that this chunk makes; gives those of which nothing was known
        before, on this device neither.
        """
        sql = """INSERT INTO holdfast_base (tbl, key, image)
                 SELECT DISTINCT tbl, key, NULL FROM holdfast_capture c WHERE op BETWEEN ? AND ?
                 AND NOT EXISTS (SELECT 1 FROM holdfast_row r WHERE r.tbl = c.tbl AND r.key = c.key)
                 ON CONFLICT DO NOTHING RETURNING tbl, key"""
        first, last = chunk[0].changes[0].op, chunk[-1].changes[-1].op
        found: Any = self._db.execute(sql, (first, last))
        return set(found)

    def _keep_bases(self) -> None:
        """Keep the confirmed image of every row of the hub's that was touched for the first time."""
        with closing(read_first_touched(self._db)) as touched:
            rows = ((name, list(changes)) for name, changes in groupby(touched, key=lambda c: c.name))
            for chunk in batches(rows):
                metadata = self._confirmed.metadata([name for name, _ in chunk])
                self._confirmed.save_bases(
                    (name, self._confirmed_row(name, metadata.get(name), changes)) for name, changes in chunk
                )

    def _confirmed_row(self, name: RowName, row: Row | None, changes: list[Captured]) -> Row | None:
        """The confirmed row, from what the user table shows now and what the changes say was there before them."""
        if row is None or row.life % 2 == 0:
            return row
        user = self._tables.by_number[name[0]]
        cells: list[Any] = [None] * len(user.table.cells)
        open_slots = set(range(len(cells)))
        for change in changes:
            touched = open_slots if change.kind in ("delete", "suspect") else _touched(change, open_slots)
            for slot in touched:
                cells[slot] = change.old[slot]
            open_slots = open_slots - touched
            if not open_slots or change.kind == "insert":
                break
        if open_slots:
            shown = user.read(self._db, name[1])
            if shown is None and not changes:
                return self._confirmed.confirmed_row(name)  # says so when the row has left this device
            for slot in open_slots if shown is not None else ():
                cells[slot] = shown[len(user.table.key) + slot]  # type: ignore[index]
        documents = [slot for slot, column in enumerate(user.table.cells) if document(column) is not None]
        for slot in documents:
            cells[slot] = None
        row.values = [
            None if slot in documents else sqlite_values.from_sql(c, v)
            for slot, (c, v) in enumerate(zip(user.table.cells, cells, strict=True))
        ]
        for slot in documents:
            row.values[slot] = value_in(user.table.cells[slot], row, slot)
        return row

    def _load(self, names: AbstractSet[RowName]) -> dict[RowName, Row | None]:
        """The rows as the device sees them before the changes of this chunk."""
        wanted = sorted(names)
        bases, waiting = self._confirmed.bases(wanted), self._confirmed.waiting(wanted)
        return {
            name: fold(self._tables.by_number[name[0]].table, bases[name], waiting.get(name, ())) for name in wanted
        }

    def _transaction(self, transaction: LocalTransaction) -> int:
        """Seal one transaction; gives how many it makes on the wire: none when nothing of it is left to say."""
        if len(transaction.changes) == 1 and (op := self._fresh_insert(transaction.changes[0])) is not None:
            self._sealed.add(self._meta(transaction), (op,))
            return 1
        touched = {change.name for change in transaction.changes}
        self._uses = []
        self.undoable.clear()
        before, hlc = {name: self._seen[name] for name in touched}, self._hlc
        transaction = without_suspects(self._db, self._tables, transaction)
        try:
            operations = [op for change in transaction.changes if (op := self._change(change)) is not None]
        except Unsendable as problem:
            self._seen.update(before)
            self._hlc = hlc
            self._mend |= touched
            self._refuse(transaction, problem)
            return 1
        keep_undoable(self._db, self.undoable)
        self._mend |= touched.difference(name for name, _ in operations)
        parts = [operations] if transaction.marked else parts_of(operations)
        for part in parts if operations else ():
            # The parts of what other programs wrote depend on one another as a whole: each has all uses.
            self._sealed.add(self._meta(transaction), part, self._uses)
        return len(parts) if operations else 0

    def _fresh_insert(self, change: Captured) -> tuple[RowName, bytes] | None:
        """The only change of a row that nobody knew, by the short way; None when it has to go the long one."""
        user = self._tables.by_number[change.name[0]]
        if (
            change.kind != "insert"
            or change.name not in self._fresh
            or user.fresh_forms is None
            or user.has_uses
            or change.op in self._unreadable
        ):
            return None
        hlc = min(max(self._hlc + 1, change.hlc), clock.MAX_HLC)
        try:
            body, odd = fresh_insert(user, change.name[1], change.new, clock.stamp(hlc, self._origin))
        except InvalidValue:
            return None  # the long way says what is wrong
        self._hlc = hlc
        if odd:
            self._mend.add(change.name)
        return change.name, body

    def _meta(self, transaction: LocalTransaction) -> Meta:
        return Meta(transaction.label, clock.unpack(self._hlc)[0], transaction.mark, transaction.after)

    def _change(self, change: Captured) -> tuple[RowName, bytes] | None:
        """One change in wire form, and the row moved on. None when it says nothing. Raises `Unsendable`."""
        op = self._operation(change)
        if op is None:
            return None
        return change.name, m.encode(wire_operation(self._tables.by_number[change.name[0]], op))

    def _operation(self, change: Captured) -> Op | None:
        """The operation of one change, and the row moved on by it."""
        name, user = change.name, self._tables.by_number[change.name[0]]
        if change.op in self._unreadable:
            raise Unsendable("value_format", f"the key of a row of {user.table.name} is not UTF-8", name)
        seen = self._seen[name]
        alive = seen is not None and seen.life % 2 == 1
        self._hlc = min(max(self._hlc + 1, change.hlc), clock.MAX_HLC)
        stamp = clock.stamp(self._hlc, self._origin)
        if change.kind == "delete":
            if seen is None or not alive:
                return None
            op = Op("delete", name[1], stamp, seen.life, {}, list(seen.stamps))
        elif change.kind == "insert" and not alive:
            op = self._insert(user, change, seen, stamp)
        elif seen is not None and alive:
            op = self._update(user, change, seen, stamp)
        else:
            raise self._orphan(user, name)
        if op.kind == "update" and not op.changes:
            return None
        self._move(user, name, op, change)
        return op

    def _insert(self, user: UserTable, change: Captured, seen: Row | None, stamp: str) -> Op:
        try:
            key_values(user.table, change.name[1])
        except InvalidValue as error:
            raise Unsendable(
                error.code, f"the key of a row of {user.table.name}: {error.message}", change.name
            ) from None
        changes = {}
        life = seen.life if seen is not None else 0
        for slot, cell in enumerate(user.cells):
            edit = edit_of(change.new[slot])
            if edit is not None:
                changes[slot] = edit
                continue
            value = self._wire(user, change, slot)
            default = cell.column.default
            if default is MISSING or not same(value, default):
                empty, state = BY_NAME[cell.column.merge].empty, started(cell.column, life)
                changes[slot] = value if cell.is_register else self._difference(user, change, slot, empty, state, value)
        return Op("insert", change.name[1], stamp, life, changes, {})

    def _update(self, user: UserTable, change: Captured, seen: Row, stamp: str) -> Op:
        """An update; an insert over a row that is there reads as one, too: REPLACE overwrote it."""
        slots = range(len(user.table.cells)) if change.kind == "insert" else sorted(_touched(change))
        current = user.whole([*key_values(user.table, change.name[1]), *seen.values])[len(user.table.key) :]
        changes, base = {}, {}
        for slot in slots:
            edit = edit_of(change.new[slot])
            if edit is None:
                value = self._wire(user, change, slot)
                if same(value, current[slot]):
                    continue
                old = self._old(user, change, slot, current[slot])
                edit = self._difference(user, change, slot, old, seen.states.get(slot), value, current[slot])
            changes[slot] = edit
            stamp_seen = seen.stamps[slot] if slot < len(seen.stamps) else None
            if stamp_seen is not None:
                base[slot] = stamp_seen
        return Op("update", change.name[1], stamp, seen.life, changes, base)

    def _wire(self, user: UserTable, change: Captured, slot: int) -> Any:
        """The new value in wire form. One that SQLite stores differently from the canonical form is mended later."""
        column, read, write, _ = user.cells[slot]
        stored = change.new[slot]
        try:
            value = read(stored)
        except InvalidValue as error:
            message = f"{user.table.name}.{column.name}: {error.message}"
            raise Unsendable(error.code, message, change.name, column.name) from None
        if (value if write is None else write(value)) != stored:
            self._mend.add(change.name)
        return value

    def _old(self, user: UserTable, change: Captured, slot: int, seen: Any) -> Any:
        """The value that the writer changed. It is the seen one, unless an earlier transaction was refused
        meanwhile.
        """
        if change.kind == "insert":
            return seen
        try:
            return sqlite_values.from_sql(user.table.cells[slot], change.old[slot])
        except InvalidValue:
            return seen

    def _difference(
        self, user: UserTable, change: Captured, slot: int, old: Any, state: Any, new: Any, seen: Any = None
    ) -> Any:
        column = user.table.cells[slot]
        try:
            if seen is not None and column.merge in ("text", "merge_text"):
                old, new = seen, meant(old, new, seen)
            change_made = written(column, old, state, new, self._origin)
            if column.merge == "text" and change.kind == "update":
                self.undoable.append(written_text(change.op, slot, old, new, state, change_made))
            return change_made
        except InvalidValue as error:
            message = f"{user.table.name}.{column.name}: {error.message}"
            raise Unsendable(error.code, message, change.name, column.name) from None

    def _move(self, user: UserTable, name: RowName, op: Op, change: Captured) -> None:
        """Move the seen row on by the operation."""
        try:
            after = apply(user.table, self._seen[name], op, PENDING).row
        except InvalidValue as error:
            raise Unsendable(error.code, f"{user.table.name}: {error.message}", name) from None
        if user.has_uses:
            self._uses += uses_of(self._tables, user, name[1], (self._seen[name], after))
        self._seen[name] = after
        # A register shows what was written, for its writer had seen everything; other merge types may make more of it.
        merged = user.merging.intersection(op.changes)
        if after is not None and any(_shown_differs(user, after, change, slot) for slot in merged):
            self._mend.add(name)

    def _orphan(self, user: UserTable, name: RowName) -> Unsendable:
        cause = self._refused_rows.get(name)
        message = f"{user.table.name} {name[1]!r} was made by a transaction that was refused"
        return Unsendable("depends_on_refused", message, name, cause=cause)

    def _refuse(self, transaction: LocalTransaction, problem: Unsendable) -> None:
        """Keep the transaction, readable, among the refused ones."""
        user = self._tables.by_number[problem.name[0]]
        details = {} if problem.cause is None else {"cause": problem.cause}
        result = m.Result(
            "", 0, "refused", problem.code, problem.message, user.table.name, problem.name[1], problem.column, details
        )
        operations = [(c.name, m.encode(self._readable(c))) for c in transaction.changes]
        text = m.encode(result).decode()
        txn = self._sealed.add(self._meta(transaction), operations, state="refused", result=text)
        for change in transaction.changes:
            self._refused_rows.setdefault(change.name, txn)

    def _readable(self, change: Captured) -> dict[str, Any]:
        """A captured change as people can read it, whatever its values are."""
        user = self._tables.by_number[change.name[0]]
        form: dict[str, Any] = {"op": change.kind, "table": user.table.name, "key": change.name[1]}
        if change.kind != "delete":
            slots = range(len(user.table.cells)) if change.kind == "insert" else sorted(_touched(change))
            form["set"] = {
                user.table.cells[slot].name: _printable(
                    typed(change.new[slot], text=user.table.cells[slot].type == "text")
                )
                for slot in slots
            }
        return form

    def _mend_rows(self) -> None:
        """Bring user rows to what confirmed + waiting says, where the written form was another."""
        for chunk in batches(iter(sorted(self._mend))):
            free = self._confirmed.show(chunk, self._confirmed.bases(chunk))
            self._confirmed.drop_bases(free)


def parts_of(operations: list[tuple[RowName, bytes]]) -> list[list[tuple[RowName, bytes]]]:
    """The operations of other programs, whose transactions nobody marked, cut where a request would grow too large."""
    parts: list[list[tuple[RowName, bytes]]] = [[]]
    size = 0
    for operation in operations:
        size += len(operation[1])
        if parts[-1] and (size > PART_BYTES or len(parts[-1]) >= PART_OPERATIONS):
            parts.append([])
            size = len(operation[1])
        parts[-1].append(operation)
    return parts


def wire_operation(user: UserTable, op: Op) -> m.AnyOperation:
    """The operation as it goes over the wire: slots become names."""
    cells, name = user.table.cells, user.table.name
    if op.kind == "delete":
        stamps: list[str | None] = list(op.base)  # type: ignore[arg-type]
        base = stamps if user.order is None else user.order.hub_stamps(stamps)
        return m.Delete(name, op.key, op.stamp, op.life, encode_stamps(base))
    changes = {cells[slot].name: change for slot, change in op.changes.items()}
    if op.kind == "insert":
        return m.Insert(name, op.key, op.stamp, op.life, changes)
    seen = {cells[slot].name: stamp for slot, stamp in dict(op.base).items()}  # type: ignore[arg-type]
    return m.Update(name, op.key, op.stamp, op.life, changes, seen)


def _touched(change: Captured, among: set[int] | None = None) -> set[int]:
    slots = range(len(change.old)) if among is None else among
    return {slot for slot in slots if change.old[slot] is not None or change.new[slot] is not None}


def _shown_differs(user: UserTable, row: Row, change: Captured, slot: int) -> bool:
    """Whether the merge type made something else of the value than the user table shows."""
    write, value = user.cells[slot].write, row.values[slot]
    if edit_of(change.new[slot]) is not None:
        return False
    return bool((value if write is None else write(value)) != change.new[slot])


def _printable(value: Any) -> Any:
    try:
        msgspec.json.encode(value)
    except (TypeError, ValueError):
        return repr(value)
    return value


def chunks(transactions: Iterator[LocalTransaction]) -> Iterator[list[LocalTransaction]]:
    """Whole transactions, together about `CHUNK` changes."""
    chunk: list[LocalTransaction] = []
    size = 0
    for transaction in transactions:
        chunk.append(transaction)
        size += len(transaction.changes)
        if size >= CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def batches(items: Iterator[Any]) -> Iterator[list[Any]]:
    """Lists of up to `CHUNK` items."""
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) >= CHUNK:
            yield batch
            batch = []
    if batch:
        yield batch
