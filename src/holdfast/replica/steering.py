"""What people may do with a transaction in the outbox: cancel, retry, edit, drop. Each in one transaction of the file.

What is allowed when is in `states.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

import apsw

from holdfast.errors import HoldfastError
from holdfast.kernel.values import InvalidValue
from holdfast.protocol import messages as m
from holdfast.replica import states
from holdfast.replica.confirmed import Confirmed, RowName, fold, local_operation
from holdfast.replica.dependencies import dependants, needs, uses_of
from holdfast.replica.outbox import Outbox
from holdfast.replica.queued import UNDECIDED
from holdfast.replica.seal import batches
from holdfast.replica.sealed import crc_of
from holdfast.replica.steps import without_effect
from holdfast.replica.tables import UserTable, UserTables
from holdfast.schema.model import Column
from holdfast.schema.wire import wire_of

DIFFERENCES = {
    "set": "a set", "grow_set": "a set", "text": "a document", "json": "a document", "merge_text": "a merged text",
}  # fmt: skip
"""Merge types of which a transaction says what was changed, where a person would say a value."""


class Cancelled(NamedTuple):
    """`cancelled` are rolled back here and gone. `asked` may be on the hub already: it is asked not to take them, and
    they go when it says so; what it had taken stays.
    """

    cancelled: list[int]
    asked: list[int]


class Steering:
    """On one connection of the engine."""

    def __init__(self, db: apsw.Connection, tables: UserTables) -> None:
        self._db = db
        self._tables = tables
        self._confirmed = Confirmed(db, tables)
        self._outbox = Outbox(db)

    def number_of(self, mark: int) -> int:
        """The transaction with that receipt. Raises `transaction_unknown`."""
        found: int | None = self._db.execute("SELECT txn FROM holdfast_transaction WHERE mark = ?", (mark,)).get
        if found is None:
            _unknown("with this receipt")
        return found

    def cancel(self, txn: int, *, with_dependants: bool) -> Cancelled:
        """Take a transaction back, and with it all that depends on it. Raises `has_dependants` when there are such and
        `with_dependants` is not given; `transaction_unknown`, `transaction_state`.
        """
        self._require(txn, "cancel")
        return self._take_back(txn, with_dependants)

    def drop(self, txn: int, *, with_dependants: bool) -> Cancelled:
        """Forget a refused transaction; roll a parked one back, like `cancel`."""
        state = self._require(txn, "drop")
        if state == "parked":
            return self._take_back(txn, with_dependants)
        without_effect(self._db, [txn])
        self._outbox.done([txn])
        return Cancelled([txn], [])

    def _take_back(self, txn: int, with_dependants: bool) -> Cancelled:
        others = dependants(needs(self._db, UNDECIDED), [txn])
        if others and not with_dependants:
            named = ", ".join(map(str, others))
            message = f"transaction {txn} cannot go alone: {named} depend on it; take them back with it, or not at all"
            raise HoldfastError("has_dependants", message, transaction=txn, dependants=others)
        sql = "SELECT txn FROM holdfast_transaction WHERE state = 'sending'"
        sent = {number for (number,) in self._db.execute(sql)}
        every = [txn, *others]
        gone, asked = [t for t in every if t not in sent], [t for t in every if t in sent]
        self._outbox.withdraw(asked, "cancel")
        names = {(tbl, key) for _, tbl, key, _ in self._outbox.operations(gone)}
        without_effect(self._db, gone)
        self._outbox.done(gone)
        refresh(self._confirmed, names)
        return Cancelled(gone, asked)

    def retry(self, txn: int) -> None:
        """Send a refused or parked transaction again, as it is; one that is held back, at once.

        Raises `transaction_unknown`, `transaction_state`, `not_sendable`.
        """
        state = self._require(txn, "retry")
        names = {(tbl, key) for _, tbl, key, _ in self._outbox.operations([txn])}
        if state == "refused":
            self._require_sendable(txn)
            for chunk in batches(iter(sorted(names))):
                self._confirmed.keep_bases(chunk)
        self._db.execute(
            """UPDATE holdfast_transaction SET state = 'pending', withdraw = '', origin = NULL, n = NULL, place = NULL,
               attempts = 0, not_before = NULL, result = NULL WHERE txn = ?""",
            (txn,),
        )
        refresh(self._confirmed, names)

    def edit(self, txn: int, table: str, key: str, values: Mapping[str, Any]) -> None:
        """Change what a refused or parked transaction writes in one row; `retry` sends it.

        A counter takes the increment, other columns the new value. Raises what `retry` raises, `unknown_table`,
        `unknown_column`, `row_missing` and `not_editable`.
        """
        state = self._require(txn, "drop")
        self._require_sendable(txn)
        if self._db.execute("SELECT schema FROM holdfast_transaction WHERE txn = ?", (txn,)).get:
            message = f"transaction {txn} was written under an earlier version of the schema: drop it and write it anew"
            raise HoldfastError("not_editable", message, txn=txn)
        user = self._tables.by_name.get(table)
        if user is None:
            raise HoldfastError("unknown_table", f"the schema has no table {table}", table=table)
        sql = """SELECT position, body FROM holdfast_operation WHERE txn = ? AND tbl = ? AND key = ?
                 ORDER BY position DESC LIMIT 1"""
        found: Any = self._db.execute(sql, (txn, user.number, key)).get
        op = m.decode_operation(found[1]) if found is not None else None
        if op is None or isinstance(op, m.Delete):
            message = f"transaction {txn} writes no values of the row {key!r} of {table}"
            raise HoldfastError("row_missing", message, table=table, key=key)
        for name, value in values.items():
            op.set[name] = _change_of(user, name, value)
            if isinstance(op, m.Update):
                self._add_base(user, op, name)
        body = m.encode(op).decode()
        sql = "UPDATE holdfast_operation SET body = ?, crc = ? WHERE txn = ? AND position = ?"
        self._db.execute(sql, (body, crc_of(body), txn, found[0]))
        sql = "UPDATE holdfast_transaction SET size = size + ? WHERE txn = ?"
        self._db.execute(sql, (len(body.encode()) - len(found[1].encode()), txn))
        self._note_uses(txn, user, op)
        if state == "parked":
            refresh(self._confirmed, [(user.number, key)])

    def _add_base(self, user: UserTable, op: m.Update, name: str) -> None:
        """A column that the operation did not write: its writer sees what is confirmed now."""
        metadata = self._confirmed.metadata([(user.number, op.key)]).get((user.number, op.key))
        slot = user.table.slot[name]
        stamp = metadata.stamps[slot] if metadata is not None and slot < len(metadata.stamps) else None
        if name not in op.base and stamp is not None:
            op.base[name] = stamp

    def _note_uses(self, txn: int, user: UserTable, op: m.Insert | m.Update) -> None:
        """What the edited row depends on, too."""
        if not user.has_uses:
            return
        name = (user.number, op.key)
        confirmed = self._confirmed.bases([name]).get(name) or self._confirmed.confirmed_row(name)
        after = fold(user.table, confirmed, [local_operation(user, op)])
        self._db.executemany(
            "INSERT OR IGNORE INTO holdfast_use (txn, tbl, part, name, wrote) VALUES (?, ?, ?, ?, ?)",
            [(txn, *use) for use in uses_of(self._tables, user, op.key, [after])],
        )

    def _require(self, txn: int, event: str) -> str:
        state: str | None = self._db.execute("SELECT state FROM holdfast_transaction WHERE txn = ?", (txn,)).get
        if state is None:
            _unknown(str(txn))
        if states.after(state, event) is None:
            possible = " or ".join(states.before(event))
            message = f"transaction {txn} is {state}; {event} is for what is {possible}"
            raise HoldfastError("transaction_state", message, transaction=txn, state=state)
        return state

    def _require_sendable(self, txn: int) -> None:
        """What the device itself refused has no form in which it could be sent."""
        sql = "SELECT result IS NULL OR origin IS NOT NULL FROM holdfast_transaction WHERE txn = ?"
        if not self._db.execute(sql, (txn,)).get:
            message = f"transaction {txn} was refused on this device because no request can carry it: write it again"
            raise HoldfastError("not_sendable", message, transaction=txn)


def refresh(confirmed: Confirmed, names: Iterable[RowName]) -> None:
    """Make the user tables show confirmed + waiting of rows whose waiting operations have changed."""
    for chunk in batches(iter(sorted(names))):
        confirmed.drop_bases(confirmed.show(chunk, confirmed.bases(chunk)))


def _change_of(user: UserTable, name: str, value: Any) -> Any:
    slot = user.table.slot.get(name)
    if slot is None:
        message = f"{user.table.name} has no column {name} beside its key"
        raise HoldfastError("unknown_column", message, table=user.table.name, column=name)
    column: Column = user.table.cells[slot]
    if column.merge in DIFFERENCES:
        kind = DIFFERENCES[column.merge]
        message = f"{user.table.name}.{name} is {kind}: write the change again instead of editing it"
        raise HoldfastError("not_editable", message, table=user.table.name, column=name)
    try:
        return column.accept(None if value is None else wire_of(column.type, value))
    except InvalidValue as error:
        raise HoldfastError(error.code, f"{user.table.name}.{name}: {error.message}") from None


def _unknown(which: str) -> NoReturn:
    message = (
        f"the outbox has no transaction {which}: it was answered, taken back, or joined with a later edit of its row"
    )
    raise HoldfastError("transaction_unknown", message)
