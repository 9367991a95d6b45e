"""Where the hub of a simulation keeps things, seen from outside: what other programs do there, and its backup."""

from __future__ import annotations

import json
import random
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

import apsw

from holdfast.schema import postgres_values, sqlite_values
from holdfast.schema.model import MISSING, Schema, Table
from holdfast.stores.base import Store, Violation
from holdfast.stores.memory import MemoryStore
from holdfast.stores.sqlite import SqliteStore
from holdfast.testing.disk import Disk

if TYPE_CHECKING:
    import psycopg

UserRows = dict[str, list[tuple[Any, ...]]]
"""table -> rows as wire values: key columns, then cells by slot."""


class Place(Protocol):
    """One database. Every hub process has a store of its own on it, unless `shared`: then all have the same object."""

    shared: bool
    alone_for_backup: bool

    def store(self) -> Store:
        """The store of a process that begins."""
        ...

    def foreign_write(self, table: Table, key_values: Sequence[Any], values: Sequence[Any] | None) -> bool:
        """Another program writes a row (wire forms) or deletes it; False when the database refuses it."""
        ...

    def user_rows(self, schema: Schema) -> UserRows:
        """What the user tables hold."""
        ...

    def back_up(self) -> None:
        """Copy everything. No process has it open, if `alone_for_backup`."""
        ...

    @property
    def has_backup(self) -> bool:
        """Whether there is a copy to go back to."""
        ...

    def restore(self) -> None:
        """Put the copy back in place. No process has it open."""
        ...

    def fill(self, pages: int) -> bool:
        """The disk has room for so many more pages of 4 KiB; False when this place has no disk that can be full."""
        ...

    def free(self) -> None:
        """The disk has room again."""
        ...

    def close(self) -> None:
        """Nobody needs it any more."""
        ...


class InMemory:
    """The memory store: one object for all processes."""

    shared = True
    alone_for_backup = False

    def __init__(self, entropy: random.Random) -> None:
        self._store = MemoryStore(random=entropy.getrandbits)
        self._backup: MemoryStore | None = None

    def store(self) -> Store:
        """The one object."""
        return self._store

    def foreign_write(self, table: Table, key_values: Sequence[Any], values: Sequence[Any] | None) -> bool:
        """Past the hub."""
        try:
            self._store.foreign_write(table.name, key_values, values)
        except Violation:
            return False
        return True

    def user_rows(self, schema: Schema) -> UserRows:
        """As the store shows them, with the defaults of columns that are younger than a row."""
        return {
            t.name: [with_defaults(t, (*k, *v)) for k, v in self._store.table(t.name).values()] for t in schema.tables
        }

    def back_up(self) -> None:
        """A copy of the object."""
        self._backup = self._store.copy()

    @property
    def has_backup(self) -> bool:
        """Whether it was copied."""
        return self._backup is not None

    def restore(self) -> None:
        """The copy is the store now."""
        if self._backup is not None:
            self._store = self._backup.copy()

    def fill(self, pages: int) -> bool:  # noqa: ARG002 (see `Place`)
        """Memory is no disk."""
        return False

    def free(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Close the store."""
        self._store.close()


class InFile:
    """An SQLite file, on a disk that can be full."""

    shared = False
    alone_for_backup = False

    def __init__(self, disk: Disk, entropy: random.Random) -> None:
        self._disk, self._entropy = disk, entropy
        self._path = disk.path
        self._backup = self._path.with_name("backup.db")

    def store(self) -> Store:
        """A store with connections of its own, which waits for nobody: there is one thread."""
        return SqliteStore(self._path, random=self._entropy.getrandbits, patience=0.0)

    def foreign_write(self, table: Table, key_values: Sequence[Any], values: Sequence[Any] | None) -> bool:
        """With a connection of another program."""
        convert = sqlite_values.row_to_sql(table)
        row = [*key_values, *(values if values is not None else (None for _ in table.cells))]
        stored = list(convert(row) if convert is not None else row)
        try:
            with closing(apsw.Connection(str(self._path))) as db:
                db.execute("PRAGMA foreign_keys = ON")
                db.execute("PRAGMA synchronous = OFF")
                if values is None:
                    where = " AND ".join(f"{name} = ?" for name in table.key_names)
                    db.execute(f"DELETE FROM {table.name} WHERE {where}", stored[: len(table.key)])
                    return True
                marks = ", ".join("?" * len(stored))
                db.execute(upsert(table, f"VALUES ({marks})"), stored)
        except (apsw.ConstraintError, apsw.FullError):
            return False
        return True

    def user_rows(self, schema: Schema) -> UserRows:
        """Read with a connection of another program."""
        with closing(apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)) as db:
            return read_rows(db, schema)

    def back_up(self) -> None:
        """By SQLite's own backup."""
        with (
            closing(apsw.Connection(str(self._path))) as db,
            closing(apsw.Connection(str(self._backup))) as target,
            target.backup("main", db, "main") as copying,
        ):
            copying.step()

    @property
    def has_backup(self) -> bool:
        """Whether it was copied."""
        return self._backup.exists()

    def restore(self) -> None:
        """The copy in place of the file."""
        if self.has_backup:
            for path in self._path.parent.glob(f"{self._path.name}*"):
                path.unlink()
            shutil.copy(self._backup, self._path)

    def fill(self, pages: int) -> bool:
        """Every connection gets the limit."""
        self._disk.fill(pages)
        return True

    def free(self) -> None:
        """And loses it."""
        self._disk.free()

    def close(self) -> None:
        """The folder is deleted with everything in it."""


class InPostgres:
    """A real PostgreSQL: `dsn` names an empty database whose role may create others beside it, for the backup."""

    shared = False
    alone_for_backup = True

    def __init__(self, dsn: str, entropy: random.Random) -> None:
        from psycopg.conninfo import conninfo_to_dict

        self._entropy = entropy
        options = conninfo_to_dict(dsn)
        self._name = str(options["dbname"])
        self._dsn = dsn
        self._beside = f"postgresql:///?{urlencode({**options, 'dbname': 'postgres'})}"
        self._copied = False

    def store(self) -> Store:
        """A store with pools of its own."""
        from holdfast.stores.postgres import PostgresStore

        return PostgresStore(self._dsn, random=self._entropy.getrandbits, patience=5.0, readers=4, install=True)

    def foreign_write(self, table: Table, key_values: Sequence[Any], values: Sequence[Any] | None) -> bool:
        """With a connection of another program."""
        import psycopg

        columns = table.key if values is None else table.row_columns
        record = dict(zip((column.name for column in columns), (*key_values, *(values or ())), strict=True))
        read = ", ".join(f'"{c.name}" {postgres_values.record_type(c)}' for c in columns)
        cells = [postgres_values.write_expression(c, f'r."{c.name}"', "public") for c in columns]
        source = f"SELECT {', '.join(cells)} FROM json_to_recordset(%s::json) AS r({read})"
        if values is None:
            keys = ", ".join(f'"{name}"' for name in table.key_names)
            sql = f'DELETE FROM "{table.name}" WHERE ({keys}) IN ({source})'
        else:
            sql = upsert(table, source)
        try:
            with self._connected(self._dsn) as db:
                db.execute(sql.encode(), [json.dumps([record])])
        except psycopg.IntegrityError:
            return False
        return True

    def user_rows(self, schema: Schema) -> UserRows:
        """Read with a connection of another program."""
        found: UserRows = {}
        with self._connected(self._dsn) as db:
            for table in schema.tables:
                read = ", ".join(postgres_values.read_expression(c, f'"{c.name}"') for c in table.row_columns)
                rows = db.execute(f'SELECT {read} FROM "{table.name}"'.encode()).fetchall()
                found[table.name] = [
                    tuple(postgres_values.from_sql(c, value) for c, value in zip(table.row_columns, row, strict=True))
                    for row in rows
                ]
        return found

    def back_up(self) -> None:
        """As a template of a new database: nobody else may be connected meanwhile."""
        self._copy(self._name, f"{self._name}_backup")
        self._copied = True

    @property
    def has_backup(self) -> bool:
        """Whether it was copied."""
        return self._copied

    def restore(self) -> None:
        """The other way round."""
        self._copy(f"{self._name}_backup", self._name)

    def _copy(self, source: str, target: str) -> None:
        with self._connected(self._beside) as db:
            db.execute(f'DROP DATABASE IF EXISTS "{target}" WITH (FORCE)'.encode())
            db.execute(f'CREATE DATABASE "{target}" TEMPLATE "{source}"'.encode())

    def fill(self, pages: int) -> bool:  # noqa: ARG002 (see `Place`)
        """It has no limit of its own."""
        return False

    def free(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Drop the backup; the database is its owner's."""
        if self._copied:
            with self._connected(self._beside) as db:
                db.execute(f'DROP DATABASE IF EXISTS "{self._name}_backup" WITH (FORCE)'.encode())

    def _connected(self, dsn: str) -> psycopg.Connection[tuple[Any, ...]]:
        import psycopg

        return psycopg.connect(dsn, autocommit=True)


@contextmanager
def fresh_database(dsn: str) -> Iterator[str]:
    """An empty database on a PostgreSQL whose role may create some; it is dropped at the end."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    name = f"holdfast_{uuid.uuid4().hex}"
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0 ENCODING UTF8'.encode())
        try:
            yield f"postgresql:///?{urlencode({**conninfo_to_dict(dsn), 'dbname': name})}"
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def with_defaults(table: Table, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row with the defaults of the columns that are missing at its end."""
    missing = table.row_columns[len(values) :]
    return (*values, *(None if column.default is MISSING else column.default for column in missing))


def upsert(table: Table, source: str) -> str:
    """INSERT of whole rows, or an update of those that are there, in the SQL of both databases."""
    keys = ", ".join(f'"{name}"' for name in table.key_names)
    names = ", ".join(f'"{column.name}"' for column in table.row_columns)
    sets = ", ".join(f'"{column.name}" = excluded."{column.name}"' for column in table.cells)
    does = f"UPDATE SET {sets}" if sets else "NOTHING"
    # SQLite takes ON CONFLICT after a SELECT for a join without WHERE.
    return f'INSERT INTO "{table.name}" ({names}) {source} ON CONFLICT ({keys}) DO {does}'


def read_rows(db: apsw.Connection, schema: Schema) -> UserRows:
    """table -> rows of the user tables of a file as wire values (key columns, then cells by slot)."""
    known = _forms.get(id(schema))
    if known is None or known[0] is not schema:
        known = _forms[id(schema)] = (schema, [Reading(table) for table in schema.tables])
    return {form.name: form.rows(db) for form in known[1]}


class Reading:
    """How the rows of one table are read: looked up once, as every step of a simulation reads all tables."""

    def __init__(self, table: Table) -> None:
        columns = table.row_columns
        self.name = table.name
        self._sql = f"SELECT {', '.join(column.name for column in columns)} FROM {table.name}"
        self._readers = [sqlite_values.reader(column) for column in columns]

    def rows(self, db: apsw.Connection) -> list[tuple[Any, ...]]:
        """All rows. Raises `values.InvalidValue` for what no program may have stored."""
        readers = self._readers
        found = db.execute(self._sql).fetchall()
        return [tuple([read(value) for read, value in zip(readers, row, strict=True)]) for row in found]


_forms: dict[int, tuple[Schema, list[Reading]]] = {}
"""By identity of the schema, which is kept so that nothing else gets it."""
