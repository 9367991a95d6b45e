"""Making a database ready for a schema: the hub's tables, the user tables, the layout, the triggers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.schema.emit.postgres import add_foreign_key, create_indexes, create_table
from holdfast.schema.emit.postgres_dirty import create_triggers, drop_triggers
from holdfast.schema.emit.postgres_text import key_expression, qualified
from holdfast.schema.model import ForeignKey, Schema, Table
from holdfast.stores.postgres import fit
from holdfast.stores.postgres.queries import TABLES
from holdfast.stores.postgres.transaction import LOCK_SPACE
from holdfast.stores.postgres.user_tables import UserTable
from holdfast.stores.postgres.writing import Catalog, Connection

FORMAT = 1
"""Version of the hub's own tables. A database with a higher one was written by a newer Holdfast."""


class Adoption:
    """One `open`: everything in the transaction of the caller. `within` is the PostgreSQL schema of the user tables."""

    def __init__(self, db: Connection, schema: Schema, within: str, new_name: Callable[[], str]) -> None:
        self._db = db
        self._schema = schema
        self._within = within
        self._new_name = new_name

    def run(self) -> tuple[Catalog, dict[str, list[str]]]:
        """Create or check everything. Gives the catalog and the layout. Raises `HoldfastError`."""
        self._own_tables()
        known = dict(self._fetch(b'SELECT name, id FROM holdfast."table"'))
        self._user_tables(set(known))
        for table in self._schema.tables:
            self._fetch(
                b'INSERT INTO holdfast."table" (name) VALUES (%s) ON CONFLICT DO NOTHING RETURNING id', table.name
            )
        ids = dict(self._fetch(b'SELECT name, id FROM holdfast."table"'))
        layout = {table.name: self._layout(table, ids[table.name]) for table in self._schema.tables}
        for table in self._schema.tables:
            self._capture(table)
        self._release()
        return self._catalog(ids, layout), layout

    def _fetch(self, sql: bytes, *values: Any) -> list[Any]:
        return self._db.execute(sql, values).fetchall()

    def _own_tables(self) -> None:
        ((encoding,),) = self._fetch(b"SHOW server_encoding")
        if encoding != "UTF8":
            message = f"The database has the encoding {encoding}; a hub needs UTF8, to hold every text of its devices."
            raise HoldfastError("store_open", message, found=encoding)
        # Two hubs that start at once: the second waits, then finds everything there.
        self._fetch(b"SELECT pg_advisory_xact_lock(%s, -3)", LOCK_SPACE)
        if self._fetch(b"SELECT to_regclass('holdfast.hub')")[0][0] is None:
            self._db.execute(TABLES)
            sql = b"INSERT INTO holdfast.hub (id, format, hub) VALUES (1, %s, %s)"
            self._db.execute(sql, (FORMAT, self._new_name()))
        ((version,),) = self._fetch(b"SELECT format FROM holdfast.hub")
        if version > FORMAT:
            message = (
                f"The schema holdfast of the database has format {version}, from a newer Holdfast; this one reads up "
                f"to {FORMAT}. Update it."
            )
            raise HoldfastError("store_format", message, found=version, known=FORMAT)

    def _exists(self, table: str) -> bool:
        return self._fetch(b"SELECT to_regclass(%s)", qualified(self._within, table))[0][0] is not None

    def _user_tables(self, known: set[str]) -> None:
        """Check the tables that are there, and create the others."""
        made: set[str] = set()
        later: list[tuple[Table, ForeignKey]] = []
        for table in self._schema.tables:
            if self._exists(table.name):
                target = qualified(self._within, table.name)
                unique = list(fit.unique_of(self._db, target).values())
                fit.check(table, fit.columns_of(self._db, target), unique)
            elif table.name in known:
                message = (
                    f"The table {table.name} was synced and is gone from the database. Restore it from a backup, or "
                    "take it out of the schema."
                )
                raise HoldfastError(
                    "schema_mismatch_table", message, table=table.name, expected="a table", found="none"
                )
            else:
                parents = {name for name in self._schema.by_name if self._exists(name)}
                self._db.execute(create_table(table, within=self._within, parents=parents).encode())
                for statement in create_indexes(table, within=self._within):
                    self._db.execute(statement.encode())
                later += [(table, key) for key in table.foreign_keys if key.parent not in parents | {table.name}]
                made.add(table.name)
        for table, key in later:
            self._db.execute(add_foreign_key(table, key, within=self._within).encode())

    def _layout(self, table: Table, number: int) -> list[str]:
        """Names by slot: those that have a slot keep it, new columns get the next ones."""
        found = self._fetch(b"SELECT name FROM holdfast.slot WHERE tbl = %s ORDER BY slot", number)
        names: list[str] = [name for (name,) in found]
        for column in table.cells:
            if column.name not in names:
                sql = b"INSERT INTO holdfast.slot (tbl, slot, name) VALUES (%s, %s, %s)"
                self._db.execute(sql, (number, len(names), column.name))
                names.append(column.name)
        return names

    def _capture(self, table: Table) -> None:
        """Make the triggers that note foreign writes. If there were none until now, any row may be one: note all.

        CREATE TRIGGER holds off writers of the table until the commit, so no write falls between notes and triggers.
        """
        statements = create_triggers(table, within=self._within)
        script = ";\n".join(statements)
        ((before,),) = self._fetch(b'SELECT capture FROM holdfast."table" WHERE name = %s', table.name)
        if before == script:
            return
        for statement in (*drop_triggers(table, within=self._within), *statements):
            self._db.execute(statement.encode())
        self._db.execute(b'UPDATE holdfast."table" SET capture = %s WHERE name = %s', (script, table.name))
        if before is None:
            self._note_all(table)

    def _note_all(self, table: Table) -> None:
        """Note the rows that the user table shows and those that the feed shows alive: they may differ."""
        shown = f"SELECT {key_expression(table, 't')} FROM {qualified(self._within, table.name)} t"
        alive = (
            'SELECT w.key FROM holdfast."row" w JOIN holdfast."table" n ON n.id = w.tbl '
            "WHERE n.name = %s AND w.mark = 0 AND w.life %% 2 = 1"
        )
        sql = f"INSERT INTO holdfast.dirty (tbl, key) SELECT %s, k.key FROM ({shown} UNION {alive}) AS k(key)"
        self._db.execute(sql.encode(), (table.name, table.name))

    def _release(self) -> None:
        """Tables that the schema no longer has are not watched any more."""
        for (name,) in self._fetch(b'SELECT name FROM holdfast."table" WHERE capture IS NOT NULL'):
            if name in self._schema.by_name:
                continue
            if self._exists(name):
                for event in ("insert", "update", "delete", "truncate"):
                    target = qualified(self._within, name)
                    self._db.execute(f'DROP TRIGGER IF EXISTS "holdfast_{event}" ON {target}'.encode())
            self._db.execute(f"DROP FUNCTION IF EXISTS {qualified('holdfast', name)}()".encode())
            self._db.execute(b'UPDATE holdfast."table" SET capture = NULL WHERE name = %s', (name,))
            self._db.execute(b"DELETE FROM holdfast.dirty WHERE tbl = %s", (name,))

    def _catalog(self, ids: dict[str, int], layout: dict[str, list[str]]) -> Catalog:
        tables: dict[str, UserTable] = {}
        constraints: dict[tuple[str, str], list[str]] = {}
        rewritten: set[str] = set()
        for table in self._schema.tables:
            target = qualified(self._within, table.name)
            unique = fit.unique_of(self._db, target)
            tables[table.name] = UserTable(table, self._within, layout[table.name], list(unique.values()))
            for name, columns in {**unique, **fit.constraints_of(self._db, target)}.items():
                constraints[table.name, name] = columns
            if fit.is_rewritten(self._db, target):
                rewritten.add(table.name)
        return Catalog(tables, ids, constraints, frozenset(rewritten))
