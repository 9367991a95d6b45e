"""The user tables of a device, as the engine writes them: by key, with capture off."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import apsw

from holdfast.kernel.merges import document
from holdfast.kernel.row import Row
from holdfast.kernel.values import InvalidValue
from holdfast.replica.file import note_written
from holdfast.replica.slots import SlotOrder
from holdfast.schema import sqlite_values
from holdfast.schema.directions import upload_rules
from holdfast.schema.emit.sqlite_text import key_expression
from holdfast.schema.key import key_text, key_values
from holdfast.schema.model import MISSING, Column, Schema, Table


class CellForm(NamedTuple):
    """One column but the key, with what sealing needs of it: `read` is from SQLite to the wire (raises
    `values.InvalidValue`), `write` back (None: the same)."""

    column: Column
    read: Callable[[Any], Any]
    write: Callable[[Any], Any] | None
    is_register: bool


class FreshForm(NamedTuple):
    """A column of a table of registers, with what a new row needs of it.

    `simple`: any ASCII text without NUL is its own wire form.
    """

    name: str
    simple: bool
    read: Callable[[Any], Any]
    write: Callable[[Any], Any] | None
    default: Any


def fresh_form(cell: CellForm) -> FreshForm:
    """The form of one column."""
    column, read, write, _ = cell
    return FreshForm(column.name, column.type == "text" and column.choices is None, read, write, column.default)


class UserTable:
    """The SQL of one user table. Values are given in image order: key columns, then cells by slot."""

    def __init__(self, table: Table, number: int) -> None:
        self.table = table
        self.number = number
        columns = [quoted(column.name) for column in table.row_columns]
        name = quoted(table.name)
        where = " AND ".join(f"{quoted(column.name)} = ?" for column in table.key)
        places = ", ".join("?" * len(columns))
        insert = f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({places})"
        self.delete_sql = f"DELETE FROM {name} WHERE {where}"
        self.select_sql = f"SELECT {', '.join(columns)} FROM {name} WHERE {where}"
        self.replaces = bool(table.unique)
        keys = ", ".join(quoted(column.name) for column in table.key)
        sets = ", ".join(f"{quoted(c.name)} = excluded.{quoted(c.name)}" for c in table.cells)
        self.upsert_sql = f"{insert} ON CONFLICT ({keys}) DO " + (f"UPDATE SET {sets}" if sets else "NOTHING")
        self.replace_sql = insert.replace("INSERT", "INSERT OR REPLACE", 1)
        self.modest_sql = insert.replace("INSERT", "INSERT OR IGNORE", 1)
        self.make_way = [_make_way(table, group) for group in table.unique]
        # The key as the triggers note it: finds a row that another program made past the CHECKs, by reading the table.
        self.odd_key = key_expression(table, name)
        self.to_sql: Callable[[Sequence[Any]], Sequence[Any]] | None = sqlite_values.row_to_sql(table)
        self.cells = tuple(
            CellForm(c, sqlite_values.reader(c), sqlite_values.to_sql(c), c.merge == "register") for c in table.cells
        )
        self.has_documents = any(document(column) is not None for column in table.cells)
        self.merging = frozenset(slot for slot, cell in enumerate(self.cells) if not cell.is_register)
        self.fresh_forms = None if self.merging else tuple(map(fresh_form, self.cells))
        self.has_uses = bool(table.foreign_keys or table.unique)
        self.order: SlotOrder | None = None
        """Where our cells stand in the hub's rows; None: the hub has the same, in the same order."""
        self.single_text_key = len(table.key) == 1 and table.key[0].type not in ("int", "bool")

    def key_of(self, values: Sequence[Any]) -> str:
        """The key text of a row's values in image order."""
        if self.single_text_key:
            return values[0]  # type: ignore[no-any-return]
        return key_text(self.table, values[: len(self.table.key)])

    def whole(self, values: list[Any]) -> list[Any]:
        """The values with the defaults of the columns that are younger than the row."""
        missing = self.table.row_columns[len(values) :]
        return [*values, *(None if c.default is MISSING else c.default for c in missing)] if missing else values

    def sql_key(self, key: str) -> list[Any]:
        """The key columns as SQLite stores them."""
        return [
            value if (convert := sqlite_values.to_sql(column)) is None else convert(value)
            for column, value in zip(self.table.key, key_values(self.table, key), strict=True)
        ]

    def write(self, db: apsw.Connection, rows: Iterable[Sequence[Any]]) -> None:
        """Insert or overwrite rows given as wire values in image order, whole."""
        note_written(db, self.number)
        stored = rows if self.to_sql is None else map(self.to_sql, rows)
        if not self.replaces:
            db.executemany(self.upsert_sql, stored)
        elif not db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, -1):
            db.executemany(self.replace_sql, stored)
        else:  # what REPLACE removes and overwrites the triggers of the application would not see
            for row in stored:
                for sql, places in self.make_way:
                    db.execute(sql, [row[place] for place in places])
                db.execute(self.upsert_sql, row)

    def patch(self, db: apsw.Connection, slots: Sequence[int], rows: Iterable[Sequence[Any]]) -> None:
        """Overwrite some cells of rows given as key values and then the values of those slots, in wire form.

        With no slots the rows are only looked for: each that is there counts as a change.
        """
        note_written(db, self.number)
        cells = [self.table.cells[slot] for slot in slots] or [self.table.key[0]]
        sets = ", ".join(f"{quoted(c.name)} = ?" if slots else f"{quoted(c.name)} = {quoted(c.name)}" for c in cells)
        where = " AND ".join(f"{quoted(column.name)} = ?" for column in self.table.key)
        keys, count = len(self.table.key), len(self.table.key) + len(slots)
        columns = [*(self.table.cells[slot] for slot in slots), *self.table.key]
        converts = [sqlite_values.to_sql(column) for column in columns]
        places = [*range(keys, count), *range(keys)]
        values = ([v[p] if c is None else c(v[p]) for c, p in zip(converts, places, strict=True)] for v in rows)
        db.executemany(f"UPDATE {quoted(self.table.name)} SET {sets} WHERE {where}", values)

    def delete(self, db: apsw.Connection, keys: Iterable[str]) -> None:
        """Delete rows by key; those that are not there are ignored."""
        note_written(db, self.number)
        known: list[list[Any]] = []
        odd: list[tuple[str]] = []
        for key in keys:
            try:
                known.append(self.sql_key(key))
            except InvalidValue:
                odd.append((key,))
        db.executemany(self.delete_sql, known)
        db.executemany(f"DELETE FROM {quoted(self.table.name)} WHERE {self.odd_key} = ?", odd)

    def read(self, db: apsw.Connection, key: str) -> list[Any] | None:
        """The row as SQLite stores it, in image order; None when it is not there."""
        try:
            sql, values = self.select_sql, self.sql_key(key)
        except InvalidValue:
            sql, values = self.select_sql.partition(" WHERE ")[0] + f" WHERE {self.odd_key} = ?", [key]
        try:
            found = db.execute(sql, values).get
        except UnicodeDecodeError:
            found = self._read_bytes(db, sql.partition(" WHERE ")[2], values)
        if found is None:
            return None
        return list(found) if isinstance(found, tuple) else [found]

    def _read_bytes(self, db: apsw.Connection, where: str, values: list[Any]) -> tuple[Any, ...]:
        """A row in which another program wrote text that is not UTF-8; such text as bytes."""
        cells = [quoted(column.name) for column in self.table.row_columns]
        raw = ", ".join(f"CASE typeof({c}) WHEN 'text' THEN CAST({c} AS BLOB) ELSE {c} END, typeof({c})" for c in cells)
        flat: Any = db.execute(f"SELECT {raw} FROM {quoted(self.table.name)} WHERE {where}", values).get
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return tuple(text_or_bytes(value) if kind == "text" else value for value, kind in pairs)

    def show(self, db: apsw.Connection, key: str, row: Row | None, *, waits: bool) -> None:
        """Make the user table show this row (None or dead: not there).

        A row on which operations wait steps aside when a confirmed row already holds its unique value. One that is
        shown already is not written: the triggers of an application see what changes, and nothing twice.
        """
        if row is None or row.life % 2 == 0:
            self.delete(db, [key])
            return
        values = self.whole([*key_values(self.table, key), *row.values])
        wanted = values if self.to_sql is None else list(self.to_sql(values))
        if _same(self.read(db, key), wanted):
            return
        if self.replaces and waits:
            self.delete(db, [key])
            db.execute(self.modest_sql, values if self.to_sql is None else self.to_sql(values))
        else:
            self.write(db, [values])


def _make_way(table: Table, group: Sequence[str]) -> tuple[str, list[int]]:
    """The statement that removes other rows with the same value of a unique group, and where in a row in image order
    its parameters stand.
    """
    names = [column.name for column in table.row_columns]
    taken = " AND ".join(f"{quoted(name)} = ?" for name in group)
    own = " AND ".join(f"{quoted(name)} = ?" for name in table.key_names)
    sql = f"DELETE FROM {quoted(table.name)} WHERE {taken} AND NOT ({own})"
    return sql, [names.index(name) for name in (*group, *table.key_names)]


def _same(stored: list[Any] | None, wanted: list[Any]) -> bool:
    """Whether a row is stored just so; for SQLite 1 and 1.0 are two values."""
    return stored == wanted and list(map(type, stored)) == list(map(type, wanted))


class UserTables:
    """All user tables of a file, by name and by number. `upload_rules` are the templates of the spaces that this device
    writes and never reads."""

    def __init__(self, schema: Schema, numbers: dict[str, int]) -> None:
        self.by_name = {table.name: UserTable(table, numbers[table.name]) for table in schema.tables}
        self.by_number = {table.number: table for table in self.by_name.values()}
        self.queues = {table.number: table.table.queue for table in self.by_name.values()}
        self.queue_by_name = {queue.name: queue for queue in self.queues.values()}
        self.upload_rules = upload_rules(schema.declared)
        self._layout: str | None = None
        self.keys: dict[str, int] = {}
        """Number of key columns of the hub's tables that this version does not have."""
        self.upload_first = [queue.name for queue in self.queues.values() if queue.direction == "upload_first"]

    def take_layout(self, db: apsw.Connection) -> UserTables:
        """Know the hub's layout as the file has it now."""
        text: str = db.execute("SELECT layout FROM holdfast_state").get
        if text != self._layout:
            layout = json.loads(text) if text else {"tables": {}}
            for name, user in self.by_name.items():
                own, names = [column.name for column in user.table.cells], layout["tables"].get(name)
                user.order = None if names is None or names == own else SlotOrder(names, own)
            self.keys = layout.get("keys", {})
            self._layout = text
        return self

    @property
    def in_order(self) -> bool:
        """Whether the hub's rows have just our columns, in our order."""
        return not self.keys and all(user.order is None for user in self.by_number.values())

    def known(self, names: Iterable[tuple[int, str]]) -> set[tuple[int, str]]:
        """Those rows, by number of the table and key, of tables that this version has: an operation may wait on a row
        of one that an earlier version had."""
        return {name for name in names if name[0] in self.by_number}

    def only_uploads(self, space: str) -> bool:
        """Whether the device writes in that space and never reads it."""
        return any(rule.may_name(space) for rule in self.upload_rules.values())


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text_or_bytes(raw: Any) -> Any:
    """The bytes of a text as text, or as they are when they are not UTF-8; anything else as it is."""
    try:
        return raw.decode() if isinstance(raw, bytes) else raw
    except UnicodeDecodeError:
        return raw


def states_text(states: dict[Any, Any]) -> str | None:
    """The states by slot as the file keeps them; None when there are none."""
    return (
        json.dumps({str(k): v for k, v in states.items()}, ensure_ascii=False, separators=(",", ":"))
        if states
        else None
    )
