"""Editing documents through the library: `replica.document(...)` inside a transaction.

What is edited is captured when the transaction's next SQL statement runs or when it commits, in that same transaction:
the plain column, which the capture triggers note like any other write, and in the note, in place of the plain values,
the update that the library made of the edits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw

from holdfast.errors import HoldfastError
from holdfast.kernel.column import Cell
from holdfast.kernel.documents.content import Content, client_of, decoded, encoded
from holdfast.kernel.documents.library import AVAILABLE, library
from holdfast.kernel.merges import document
from holdfast.kernel.merges.document import Document
from holdfast.kernel.row import Row
from holdfast.kernel.values import InvalidValue, canonical_json, same
from holdfast.replica.confirmed import RowName
from holdfast.replica.document_seal import Reversal, captured_edit, edit_of, keep_undoable
from holdfast.replica.document_text import DocumentText
from holdfast.replica.json_undo import differing
from holdfast.replica.seal import Seal, Unsendable
from holdfast.replica.tables import UserTable, UserTables, quoted
from holdfast.schema.emit.sqlite_capture import note_edit
from holdfast.schema.key import key_text
from holdfast.schema.model import Column, Schema
from holdfast.schema.sqlite_values import from_sql
from holdfast.schema.wire import wire_of


def require_library(schema: Schema) -> None:
    """Raise `documents_unavailable` when the schema has documents and the library is not installed."""
    if not AVAILABLE and any(document(c) is not None for table in schema.tables for c in table.cells):
        raise HoldfastError("documents_unavailable", "hf.Text and hf.Json need pycrdt: pip install 'holdfast[crdt]'")


KEPT = 4
"""So many documents stay in memory for the next transaction."""


class Session:
    """One document that is edited in the present transaction, in changes captured from number `since` on. `noted` is
    the captured change that holds its latest edit, its number and what stands in it; None when this session has
    captured nothing.
    """

    since = 0

    def __init__(
        self, user: UserTable, name: RowName, slot: int, merge: Document, epoch: int, content: Content
    ) -> None:
        self.user, self.name, self.slot, self.epoch, self.content = user, name, slot, epoch, content
        self.column: Column = user.table.cells[slot]
        self.merge = merge
        self.noted: tuple[int, bytes] | None = None
        self._updates: list[bytes] = []
        self._subscription = content.doc.observe(self._note)
        self.shown = self._found = merge.read(self.column, content)
        self.handle = self._handle()

    def open_again(self) -> None:
        """Begin a new transaction on the same content."""
        self._subscription = self.content.doc.observe(self._note)
        self._found = self.shown
        self.handle = self._handle()

    def _note(self, event: Any) -> None:
        self._updates.append(event.update)

    def _handle(self) -> Any:
        if isinstance(self.shown, str) and self.column.merge == "text":
            return DocumentText(self.content)
        if isinstance(self.shown, dict):
            return self.content.object
        if isinstance(self.shown, list):
            return self.content.array
        message = f"{self.user.table.name}.{self.column.name} holds {self.shown!r}, which has no parts to edit"
        raise HoldfastError("not_a_document", message)

    def take(self) -> str | None:
        """What was edited since the last call, as one update in base64; None for nothing."""
        if isinstance(self.handle, DocumentText):
            self.handle.settle()
        updates, self._updates = self._updates, []
        if not updates:
            return None
        return encoded(updates[0] if len(updates) == 1 else library().merge_updates(*updates))

    def absorb(self, update: str) -> None:
        """Take over an edit that was made by writing the plain column."""
        before = self.shown
        self.content.apply(decoded(update))
        self._updates.clear()
        self.shown = self.merge.read(self.column, self.content)
        if isinstance(self.handle, DocumentText):
            self.handle.absorbed(before)

    def reversal(self) -> bytes:
        """What takes back everything that this transaction has edited here so far, as it is captured."""
        if isinstance(self.handle, DocumentText):
            return Reversal(self.since, self.epoch, self.handle.gone(), self.handle.again).captured()
        old, new = differing(self._found, self.shown)
        return Reversal(self.since, old=canonical_json(old), new=canonical_json(new)).captured()

    def close(self) -> None:
        """The transaction has ended: nothing more can be edited."""
        self.content.doc.unobserve(self._subscription)
        self._updates.clear()
        if isinstance(self.handle, DocumentText):
            self.handle.close()


class Documents:
    """The documents that the transaction of one connection edits. `origin` gives that of this process."""

    def __init__(self, db: apsw.Connection, schema: Schema, tables: UserTables, origin: Callable[[], str]) -> None:
        self._db, self._schema, self._tables, self._origin = db, schema, tables, origin
        self._sessions: dict[tuple[RowName, int], Session] = {}
        self._kept: dict[tuple[RowName, int], Session] = {}

    def open(self, table: str, key: Any, column: str) -> Any:
        """The document of a cell, as a library object. Inside a transaction, in its thread."""
        user = self._tables.by_name[self._schema.table(table).name]
        found = user.table.column(column)
        merge = document(found) if column in user.table.slot else None
        if merge is None:
            message = f"{table}.{column} is no document; declare it hf.Text or hf.Json"
            raise HoldfastError("not_a_document", message, table=table, column=column)
        name = (user.number, key_of(user, key))
        slot = user.table.slot[column]
        session = self._sessions.get((name, slot)) or self._kept_session(name, slot)
        if session is None:
            row = self._row(user, name)
            epoch = row.states[slot][0] if slot in row.states else 1
            content = merge.open(found, _cell(row, slot), client_of("writer", self._origin(), str(epoch)))
            session = Session(user, name, slot, merge, epoch, content)
        session.since = self._last_op() + 1
        self._sessions[(name, slot)] = session
        return session.handle

    def _kept_session(self, name: RowName, slot: int) -> Session | None:
        """The session of an earlier transaction, if nothing has happened to the row since: its last edit is captured
        still, so that nothing was sealed and no page came, and nothing else of the row was captured after it.
        """
        session = self._kept.pop((name, slot), None)
        if session is None or session.noted is None:
            return None
        op, edit = session.noted
        stored = self._db.execute(f"SELECT new_{slot} FROM holdfast_capture WHERE op = ?", (op,)).get
        later = "SELECT EXISTS (SELECT 1 FROM holdfast_capture WHERE op > ? AND tbl = ? AND key = ?)"
        if stored != edit or self._db.execute(later, (op, *name)).get:
            return None
        session.open_again()
        return session

    def before_statement(self) -> None:
        """The transaction's SQL sees what was edited."""
        for session in self._sessions.values() if self._sessions else ():
            self._flush(session)

    def after_statement(self) -> None:
        """The library's documents see what SQL wrote; that of a row which is gone, or was made again, is closed."""
        for place, session in list(self._sessions.items()):
            if not self._refreshed(session):
                session.close()
                del self._sessions[place]

    def end(self, *, keep: bool) -> None:
        """The transaction is about to commit (`keep`) or has gone: forget the documents."""
        try:
            if keep:
                self.before_statement()
        finally:
            for session in self._sessions.values():
                session.close()
            if keep:
                self._kept = dict(list(self._sessions.items())[:KEPT])
            self._sessions = {}

    def _row(self, user: UserTable, name: RowName) -> Row:
        """The row as it stands in this transaction, every plain write of a document in it made an edit.

        Raises `row_missing`.
        """
        seal = Seal(self._db, self._tables, self._origin())
        try:
            row, changes = seal.preview(name)
        except Unsendable as problem:
            raise HoldfastError(problem.code, problem.message) from None
        if row is None or row.life % 2 == 0:
            message = f"{user.table.name} has no row {name[1]!r}"
            raise HoldfastError("row_missing", message, table=user.table.name, key=name[1])
        for captured, op in changes:
            for slot, change in op.changes.items() if op is not None else ():
                if document(user.table.cells[slot]) is not None and edit_of(captured.new[slot]) is None:
                    old, new = captured.old[slot], captured.new[slot]
                    plain = captured.kind == "update" and isinstance(old, str) and isinstance(new, str)
                    before = Reversal(captured.op, old=old, new=new).captured() if plain else None
                    self._freeze(captured.op, slot, change, before)
        keep_undoable(self._db, seal.undoable)
        return row

    def _freeze(self, op: int, slot: int, update: str, before: bytes | None) -> None:
        sql = f"UPDATE holdfast_capture SET old_{slot} = ?, new_{slot} = ? WHERE op = ?"
        self._db.execute(sql, (before, captured_edit(update), op))

    def _last_op(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(op), 0) FROM holdfast_capture").get)

    def _flush(self, session: Session) -> None:
        update = session.take()
        if update is None:
            return
        user, slot = session.user, session.slot
        try:
            value = session.merge.read(session.column, session.content)
        except InvalidValue as error:
            name = f"{user.table.name}.{session.column.name}"
            raise HoldfastError(error.code, f"{name}: {error.message}") from None
        last = self._last_op()
        if not same(value, session.shown):
            write = user.cells[slot].write
            where = " AND ".join(f"{quoted(column.name)} = ?" for column in user.table.key)
            sql = f"UPDATE {quoted(user.table.name)} SET {quoted(session.column.name)} = ? WHERE {where}"
            self._db.execute(sql, [value if write is None else write(value), *user.sql_key(session.name[1])])
            session.shown = value
        sql = f"""SELECT op FROM holdfast_capture WHERE op > ? AND tbl = ? AND key = ? AND kind = 'update'
                  AND new_{slot} IS NOT NULL ORDER BY op LIMIT 1"""
        noted = self._db.execute(sql, (last, *session.name)).get
        if noted is None:
            edit = (*session.name, self._schema.version, captured_edit(update), session.reversal())
            self._db.execute(note_edit(slot), edit)
            noted = self._db.last_insert_rowid()
        else:
            self._freeze(noted, slot, update, session.reversal())
        session.noted = (noted, captured_edit(update))

    def _refreshed(self, session: Session) -> bool:
        """Take over what a statement wrote into the plain column; gives whether the session still has its document."""
        stored = session.user.read(self._db, session.name[1])
        if stored is None:
            return False
        place = len(session.user.table.key) + session.slot
        try:
            if same(from_sql(session.column, stored[place]), session.shown):
                return True
            row = self._row(session.user, session.name)
        except (InvalidValue, HoldfastError):
            return False  # sealing refuses it, and says why
        state = row.states.get(session.slot)
        if state is None or state[0] != session.epoch:
            return False
        session.absorb(state[1])
        sql = f"""UPDATE holdfast_capture SET old_{session.slot} = ? WHERE op = (SELECT max(op) FROM holdfast_capture
                  WHERE op >= ? AND tbl = ? AND key = ? AND kind = 'update' AND new_{session.slot} IS NOT NULL)"""
        self._db.execute(sql, (session.reversal(), session.since, *session.name))
        return True


def _cell(row: Row, slot: int) -> Cell:
    stamp = row.stamps[slot] if slot < len(row.stamps) else None
    return Cell(row.values[slot] if slot < len(row.values) else None, stamp, row.states.get(slot))


def key_of(user: UserTable, key: Any) -> str:
    """The key text of a key as the application names it: a value, a list of values in key order, or the text itself.
    Values may be Python's, as for parameters: dates, UUIDs. Raises `HoldfastError` for what is no key of the table.
    """
    columns = user.table.key
    parts = list(key) if isinstance(key, (list, tuple)) else [key]
    try:
        if isinstance(key, str):
            user.sql_key(key)
            return key
        if len(parts) != len(columns):
            raise InvalidValue("value_format", f"a key has {len(columns)} parts, not {len(parts)}")
        return key_text(user.table, [wire_of(c.type, part) for c, part in zip(columns, parts, strict=True)])
    except InvalidValue as error:
        raise HoldfastError(error.code, f"a key of {user.table.name}: {error.message}") from None
