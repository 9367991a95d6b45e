"""A device file taken to a later version of its schema, in one transaction: whole or not at all, if the power goes.

What was captured is sealed under the earlier version first. Then the user tables are made anew with what they hold, and
what waits is put into the words of the new version as far as that says the same. An operation on columns that lenses or
drops took away stays as it was written, for the hub to translate, with a copy for what this device shows of it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import apsw

from holdfast.errors import HoldfastError
from holdfast.kernel import clock
from holdfast.protocol import messages as m
from holdfast.protocol.images import row_from_bytes
from holdfast.replica.capture import make_readable
from holdfast.replica.changes import note_sealed
from holdfast.replica.file import add_younger, applying, create_capture, create_views, table_numbers
from holdfast.replica.seal import Seal
from holdfast.replica.sealed import crc_of
from holdfast.replica.stage import give_up_pages
from holdfast.replica.steps import note_origin
from holdfast.replica.tables import UserTables, quoted
from holdfast.schema import sqlite_values
from holdfast.schema.emit.sqlite import create_indexes, create_table
from holdfast.schema.migrations import carried
from holdfast.schema.model import MISSING, Schema, Table
from holdfast.schema.versions import Versions

log = logging.getLogger("holdfast.replica")

ROWS = 1_000
"""So many rows are in memory at once while a table is made anew in Python."""


def earlier_schema(db: apsw.Connection, schema: Schema) -> Schema | None:
    """The schema of the file, if it is an earlier version from which this one can be reached."""
    if not db.execute("SELECT 1 FROM pragma_table_info('holdfast_state') WHERE name = 'schema_form'").get:
        return None
    version, form = db.execute("SELECT schema_version, schema_form FROM holdfast_state").get
    return Schema.from_json(json.loads(form)) if form and version < schema.version else None


def upgrade(db: apsw.Connection, path: str, schema: Schema, random_bits: Callable[[int], int]) -> None:
    """Take the file to this version of the schema. `db` is a connection of the engine, with constraints off.

    Raises `schema_change` when the migrations do not lead there, `lens_failed`; nothing is changed then.
    """
    db.execute("PRAGMA legacy_alter_table = ON")  # a table that is put aside keeps what others say of it
    try:
        with applying(db, path, foreign=True):
            add_younger(db)
            old = earlier_schema(db, schema)
            db.execute("UPDATE holdfast_space SET total = NULL")
            if old is not None:  # else another process was faster
                Upgrade(db, old, schema, clock.new_origin(random_bits(48))).run()
    finally:
        db.execute("PRAGMA legacy_alter_table = OFF")


class Upgrade:
    """One upgrade, inside a transaction of the engine."""

    def __init__(self, db: apsw.Connection, old: Schema, new: Schema, origin: str) -> None:
        self._db, self._old, self._new, self._origin = db, old, new, origin
        self._numbers = table_numbers(db)
        self._versions = Versions([old], new, known=False)
        self._union = self._versions.schema
        self._before = UserTables(old, self._numbers).take_layout(db)
        self._to_hub = self._versions.views[old.version].to_hub

    def run(self) -> None:
        """Everything, in order."""
        self._seal()
        self._translate_waiting()
        self._translate_lost()
        bases = self._read_bases()
        for name in self._names("trigger", "view"):
            kind = self._db.execute("SELECT type FROM sqlite_schema WHERE name = ?", (name,)).get
            self._db.execute(f"DROP {kind} {quoted(name)}")
        for table in self._old.declared:
            if table.name not in self._new.by_name:
                self._retire(table)
        for table in self._new.declared:
            self._table(table)
        self._save_bases(bases)
        for name in ("holdfast_capture", "holdfast_done"):
            self._db.execute(f"DROP TABLE {name}")
        self._db.execute("DELETE FROM holdfast_step")
        give_up_pages(self._db)
        self._state()
        create_capture(self._db, self._new)
        create_views(self._db, self._new)
        log.info("the file was taken from schema version %d to %d", self._old.version, self._new.version)

    def _names(self, *kinds: str) -> list[str]:
        sql = "SELECT name FROM sqlite_schema WHERE type IN (SELECT value FROM json_each(?)) AND name GLOB 'holdfast_*'"
        return [name for (name,) in self._db.execute(sql, (json.dumps(kinds),))]

    def _seal(self) -> None:
        """What was captured becomes transactions of the earlier version."""
        note_sealed(self._db)
        note_origin(self._db, self._origin)
        self._db.execute("SAVEPOINT holdfast_seal")
        try:
            Seal(self._db, self._before, self._origin).run()
        except UnicodeDecodeError:
            self._db.execute("ROLLBACK TO holdfast_seal")
            unreadable = make_readable(self._db, self._before)
            Seal(self._db, self._before, self._origin, unreadable).run()
        self._db.execute("RELEASE holdfast_seal")

    def _translate_waiting(self) -> None:
        """Put what waits into the words of the new version; what says less then keeps its own, too."""
        # Of the refused ones, those that the hub refused may be sent again; the others are only read.
        sql = """SELECT o.txn, o.position, coalesce(o.shown, o.body), t.state = 'refused', t.schema
                 FROM holdfast_operation o JOIN holdfast_transaction t USING (txn)
                 WHERE t.state <> 'refused' OR t.origin IS NOT NULL"""
        kept: set[int] = set()
        found: list[Any] = self._db.execute(sql).fetchall()
        spoken: list[tuple[int, int, str]] = []
        for txn, position, body, refused, schema in found:
            op = m.decode_operation(body)
            whole = self._translate(op, refused=bool(refused))
            spoken.append((txn, position, m.encode(op).decode()))
            if schema or not whole:
                kept.add(txn)
        for txn, position, body in spoken:
            said, sums = ("shown = ?", ()) if txn in kept else ("body = ?, crc = ?", (crc_of(body),))
            sql = f"UPDATE holdfast_operation SET {said} WHERE txn = ? AND position = ?"
            self._db.execute(sql, (body, *sums, txn, position))
        note_sizes(self._db)
        self._db.executemany(
            "UPDATE holdfast_transaction SET schema = ? WHERE txn = ? AND schema = 0",
            ((self._old.version, txn) for txn in sorted(kept)),
        )

    def _translate_lost(self) -> None:
        """Put the copies of rows that the hub has lost into the words of the new version. What a lens makes of a cell
        has the latest stamp of the side that it comes from, as at the hub."""
        found: list[Any] = self._db.execute("SELECT tbl, key, body FROM holdfast_lost").fetchall()
        for tbl, key, body in found:
            copy = m.decode_restore(body)
            table = self._new.by_name.get(copy.table)
            if table is None:
                continue  # kept in the words of the version that has the table
            names = self._to_hub.get(copy.table, {})
            cells = {names.get(name, name): cell for name, cell in copy.set.items()}
            given = {name: cell[0] for name, cell in cells.items()}
            with suppress(HoldfastError):  # what a lens does not take stays as it is: the hub has the last word
                self._carry(copy.table, given, None)
            for lens in self._union.lenses.get(copy.table, ()):
                sides = [[self._union.by_name[copy.table].cells[slot].name for slot in side] for side in lens[:2]]
                latest = max((cells[name][1] for name in sides[0] if name in cells), default="")
                made = [name for name in sides[1] if latest and name in given and name not in cells]
                cells.update({name: [given[name], latest] for name in made})
            copy.set = {name: cell for name, cell in cells.items() if name in table.slot}
            sql = "UPDATE holdfast_lost SET body = ? WHERE tbl = ? AND key = ?"
            self._db.execute(sql, (m.encode(copy).decode(), tbl, key))

    def _translate(self, op: m.AnyOperation, *, refused: bool) -> bool:
        """Change an operation into one of the new version; gives whether it says all that it said before.

        A refused one may have values that a lens does not take: that must not keep the file from its new version.
        """
        table = self._new.by_name.get(op.table)
        if table is None or isinstance(op, m.Delete):
            return table is not None
        names = self._to_hub.get(op.table, {})
        given = {names.get(name, name): change for name, change in op.set.items()}
        shown = None if isinstance(op, m.Insert) else self._shown(op.table, op.key)
        try:
            self._carry(op.table, given, shown, new=isinstance(op, m.Insert))
        except HoldfastError:
            if not refused:
                raise
        op.set = {name: change for name, change in given.items() if name in table.slot}
        if isinstance(op, m.Update):
            base = {names.get(name, name): stamp for name, stamp in op.base.items()}
            op.base = {name: stamp for name, stamp in base.items() if name in table.slot}
        return op.set == given

    def _shown(self, table: str, key: str) -> dict[str, Any] | None:
        """What the user table shows of a row, by the hub's names."""
        user = self._before.by_name[table]
        found = user.read(self._db, key)
        return None if found is None else self._by_name(user.table, self._wire(user.table, found))

    def _wire(self, table: Table, row: Sequence[Any]) -> list[Any]:
        return [sqlite_values.from_sql(column, value) for column, value in zip(table.row_columns, row, strict=True)]

    def _by_name(self, table: Table, values: Sequence[Any]) -> dict[str, Any]:
        names = self._to_hub.get(table.name, {})
        columns = [names.get(column.name, column.name) for column in table.row_columns]
        return dict(zip(columns, values, strict=False))

    def _carry(self, table: str, given: dict[str, Any], row: dict[str, Any] | None, *, new: bool = False) -> None:
        """Add what the lenses make of the given values; `row` has those that stand beside them. Of a `new` row the
        defaults are given, too: the other side may have none."""
        cells = self._union.by_name[table].cells
        for lens in self._union.lenses.get(table, ()):
            sources, targets = [cells[slot] for slot in lens.old], [cells[slot] for slot in lens.new]
            if (new or any(c.name in given for c in sources)) and not any(c.name in given for c in targets):
                beside = row or {}
                values = [given.get(c.name, beside.get(c.name, _default(c))) for c in sources]
                made = carried(lens.forward, values, lens.takes_new)
                given.update(zip((column.name for column in targets), made, strict=True))

    def _row(self, before: Table, after: Table, values: Sequence[Any]) -> list[Any]:
        """A row of the earlier version, in image order and wire form, as one of the new version."""
        given = self._by_name(before, values)
        self._carry(after.name, given, None)
        return [given.get(column.name, _default(column)) for column in after.row_columns]

    def _read_bases(self) -> list[tuple[int, str, bytes | None]]:
        """The confirmed rows under what waits, in the columns of the new version."""
        found: list[tuple[int, str, bytes | None]] = []
        for tbl, key, image in self._db.execute("SELECT tbl, key, image FROM holdfast_base"):
            before = self._before.by_number[tbl].table
            after = self._new.by_name.get(before.name)
            if after is None:
                continue
            if image is not None:
                parts = m.decode_image(image)
                row = row_from_bytes(before, image)
                values = self._row(before, after, [*parts.values[: len(before.key)], *row.values])
                image = m.encode(m.Image(parts.table, parts.life, values, parts.stamps, parts.states))
            found.append((tbl, key, image))
        return found

    def _save_bases(self, bases: Sequence[tuple[int, str, bytes | None]]) -> None:
        self._db.execute("DELETE FROM holdfast_base")
        self._db.executemany("INSERT INTO holdfast_base (tbl, key, image) VALUES (?, ?, ?)", bases)

    def _retire(self, table: Table) -> None:
        """A table that the new version does not have: what the hub confirmed of its rows stays for the digest."""
        number = self._numbers[table.name]
        self._db.execute(
            "INSERT OR REPLACE INTO holdfast_unseen SELECT ?, key, space, life, stamps FROM holdfast_row WHERE tbl = ?",
            (table.name, number),
        )
        self._db.execute("DELETE FROM holdfast_row WHERE tbl = ?", (number,))
        self._db.execute(f"DROP TABLE {quoted(table.name)}")

    def _table(self, table: Table) -> None:
        """Make a table, with what it held."""
        before = self._old.by_name.get(table.name)
        if before is None:
            self._db.execute("DELETE FROM holdfast_unseen WHERE tbl = ?", (table.name,))
            self._db.execute("INSERT OR IGNORE INTO holdfast_table (name) VALUES (?)", (table.name,))
            for statement in (create_table(table, parents=self._new.by_name), *create_indexes(table)):
                self._db.execute(statement)
            return
        if create_table(before) == create_table(table) and create_indexes(before) == create_indexes(table):
            return
        others = self._others(table.name)
        for name in self._indexes(table.name):
            self._db.execute(f"DROP INDEX {quoted(name)}")
        for statement in others:
            if statement.upper().lstrip().startswith("CREATE TRIGGER"):
                self._db.execute(f"DROP TRIGGER {quoted(others[statement])}")
        aside = f"holdfast_aside_{table.name}"
        self._db.execute(f"ALTER TABLE {quoted(table.name)} RENAME TO {quoted(aside)}")
        self._db.execute(create_table(table, parents=self._new.by_name))
        self._copy(before, table, aside)
        self._db.execute(f"DROP TABLE {quoted(aside)}")
        for statement in create_indexes(table):
            self._db.execute(statement)
        for statement, name in others.items():
            try:
                self._db.execute(statement)
            except apsw.SQLError as error:
                message = f"{name}, which the application has made on {table.name}, does not fit version "
                message += (
                    f"{self._new.version}: {error}. Drop it before, and make it anew afterwards; nothing was changed"
                )
                raise HoldfastError("schema_change", message, table=table.name) from error

    def _others(self, table: str) -> dict[str, str]:
        """SQL -> name of the indexes and triggers that the application has made on a table."""
        declared = set(create_indexes(self._old.by_name[table]))
        sql = "SELECT sql, name FROM sqlite_schema WHERE tbl_name = ? AND type IN ('index', 'trigger') AND sql <> ''"
        found: list[Any] = self._db.execute(sql, (table,)).fetchall()
        return {text: name for text, name in found if text not in declared}

    def _indexes(self, table: str) -> list[str]:
        sql = "SELECT name FROM sqlite_schema WHERE tbl_name = ? AND type = 'index' AND sql <> ''"
        return [name for (name,) in self._db.execute(sql, (table,))]

    def _copy(self, before: Table, after: Table, aside: str) -> None:
        """All rows: by SQLite where columns only came or got other names, else one by one. Each keeps its rowid, by
        which an index of the application may know it.
        """
        columns = ", ".join(quoted(column.name) for column in after.row_columns)
        names = {new: old for old, new in self._to_hub.get(after.name, {}).items()}
        shared = [c.name for c in after.row_columns if names.get(c.name, c.name) in before.position]
        if after.name not in self._union.lenses:
            sources = ", ".join(quoted(names.get(name, name)) for name in shared)
            into = ", ".join(map(quoted, shared))
            self._db.execute(
                f"INSERT INTO {quoted(after.name)} (rowid, {into}) SELECT rowid, {sources} FROM {quoted(aside)}"
            )
            return
        marks = ", ".join("?" * len(after.row_columns))
        convert = sqlite_values.row_to_sql(after) or list
        insert = f"INSERT INTO {quoted(after.name)} (rowid, {columns}) VALUES (?, {marks})"
        for rows in self._read(before, aside):
            made = ((number, self._row(before, after, self._wire(before, row))) for number, *row in rows)
            self._db.executemany(insert, ([number, *convert(row)] for number, row in made))

    def _read(self, table: Table, aside: str) -> Iterator[list[Any]]:
        """Rows with their rowid before them, some at a time."""
        columns = ", ".join(quoted(column.name) for column in table.row_columns)
        last = float("-inf")  # a program may number its rows below 1
        while True:
            sql = f"SELECT rowid, {columns} FROM {quoted(aside)} WHERE rowid > ? ORDER BY rowid LIMIT {ROWS}"
            found: list[Any] = self._db.execute(sql, (last,)).fetchall()
            if not found:
                return
            last = found[-1][0]
            yield found

    def _state(self) -> None:
        """The file says which version it is of, and the hub's layout in the names of that until it comes anew."""
        text: str = self._db.execute("SELECT layout FROM holdfast_state").get
        if text:
            layout = json.loads(text)
            tables: dict[str, list[str]] = {}
            for name, slots in layout["tables"].items():
                after = self._new.by_name.get(name)
                names = self._to_hub.get(name, {})
                if after is not None:
                    told = [names.get(slot, slot) for slot in slots]
                    tables[name] = [slot if slot in after.slot else "" for slot in told]
            keys = {name: count for name, count in layout.get("keys", {}).items() if name not in self._new.by_name}
            gone = {table.name: len(table.key) for table in self._old.declared if table.name not in self._new.by_name}
            text = json.dumps({"hash": "", "tables": tables, "keys": {**keys, **gone}})
        self._db.execute(
            "UPDATE holdfast_state SET schema_version = ?, schema_hash = ?, schema_form = ?, layout = ?",
            (self._new.version, self._new.hash, json.dumps(self._new.to_json()), text),
        )


def as_shown(db: apsw.Connection) -> int:
    """Send what was written under versions that the hub no longer serves as this device shows it; gives the number of
    transactions. Inside a transaction of the engine."""
    sql = """SELECT shown, txn, position FROM holdfast_operation
             WHERE shown IS NOT NULL AND txn IN (SELECT txn FROM holdfast_transaction WHERE schema <> 0)"""
    said: list[Any] = db.execute(sql).fetchall()
    sql = "UPDATE holdfast_operation SET body = shown, shown = NULL, crc = ? WHERE txn = ? AND position = ?"
    db.executemany(sql, [(crc_of(shown), txn, position) for shown, txn, position in said])
    note_sizes(db)
    db.execute("UPDATE holdfast_transaction SET schema = 0 WHERE schema <> 0")
    return db.changes()


def note_sizes(db: apsw.Connection) -> None:
    """The sizes of transactions whose words have changed."""
    db.execute(
        """UPDATE holdfast_transaction SET size = (SELECT coalesce(sum(octet_length(body)), 0) FROM holdfast_operation o
                                                   WHERE o.txn = holdfast_transaction.txn)
           WHERE state <> 'refused'"""
    )


def _default(column: Any) -> Any:
    return None if column.default is MISSING else column.default
