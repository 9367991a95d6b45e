"""The device's file: one SQLite database with the user's tables, the capture triggers, and the engine's own tables."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import apsw

from holdfast.errors import HoldfastError
from holdfast.replica.sql_clock import set_clock
from holdfast.replica.sqlite_errors import sqlite_errors
from holdfast.replica.totals import keeping
from holdfast.schema.emit import sqlite as emit
from holdfast.schema.emit import sqlite_capture, sqlite_evicted, sqlite_states
from holdfast.schema.emit.sqlite_text import quote
from holdfast.schema.model import Schema

FORMAT = 3
BUSY_TIMEOUT_MS = 10_000
CACHE_KIB = 32 * 1024
"""Of the connection that syncs: it goes over many rows at once."""
SHORT_BYTES = 16 * 1024 * 1024
"""A disk with less room than four logs is nearly full."""
LEAST_BYTES = 2 * 1024 * 1024
"""The last of a disk is left to the engine: what it needs to send what waits, and to make room."""
WRITER_CACHE_KIB = 8 * 1024
READER_CACHE_KIB = 4 * 1024
"""Of each thread that reads."""
YOUNGER = (
    ("holdfast_table", "version", "INTEGER NOT NULL DEFAULT 0"),
    ("holdfast_state", "sealed", "INTEGER NOT NULL DEFAULT 0"),
    ("holdfast_table", "captured", "INTEGER NOT NULL DEFAULT 0"),
    ("holdfast_space", "behind", "INTEGER NOT NULL DEFAULT 0"),
    ("holdfast_space", "upload", "INTEGER NOT NULL DEFAULT 0"),
    ("holdfast_state", "clock_jump", "INTEGER NOT NULL DEFAULT 0"),
    ("holdfast_state", "schema_form", "TEXT NOT NULL DEFAULT ''"),
    ("holdfast_transaction", "schema", "INTEGER NOT NULL DEFAULT 0"),
    ("holdfast_operation", "shown", "TEXT"),
    ("holdfast_row", "evicted", "INTEGER NOT NULL DEFAULT 0"),
    ("holdfast_operation", "crc", "INTEGER"),
    ("holdfast_state", "verify_due", "INTEGER"),
    ("holdfast_state", "verified", "TEXT"),
    ("holdfast_space", "total", "TEXT"),
    ("holdfast_space", "doubt", "INTEGER NOT NULL DEFAULT 0"),
    ("holdfast_transaction", "counted", "TEXT NOT NULL DEFAULT ''"),
)
"""Columns that files of earlier releases get at their first opening."""
UNSEEN = """CREATE TABLE IF NOT EXISTS holdfast_unseen (
    tbl TEXT NOT NULL, key TEXT NOT NULL, space INTEGER NOT NULL, life INTEGER NOT NULL, stamps TEXT NOT NULL,
    PRIMARY KEY (tbl, key)
) STRICT, WITHOUT ROWID"""
"""Rows of tables that this version of the schema does not have: what the hub has confirmed of them, for the digest."""
_hashes: dict[str, str] = {}
"""The hash of the schema under which this process has opened each file."""
LOST_TABLE = """CREATE TABLE IF NOT EXISTS holdfast_lost (
    tbl INTEGER NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL,                       -- a row that the hub has lost, as it goes over the wire
    state TEXT NOT NULL CHECK (state IN ('waits', 'kept')),
    code TEXT NOT NULL DEFAULT '',            -- why it is only kept
    message TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (tbl, key)
) STRICT, WITHOUT ROWID"""


def connect(
    path: str,
    *,
    read_only: bool = False,
    constraints: bool = True,
    now: Callable[[], int] | None = None,
    busy_ms: int = BUSY_TIMEOUT_MS,
    cache_kib: int | None = None,
) -> apsw.Connection:
    """A connection with the settings that every part of the engine uses: WAL, durable commits.

    `constraints` (foreign keys and CHECKs) are off only for the connection that applies what the hub has decided
    (decision record 3). Who finds the file locked waits up to `busy_ms` milliseconds. `cache_kib` is how much of the
    file it may hold in memory. `now`, if given, is the clock
    that SQL sees instead of the system's (`sql_clock.py`).

    Raises `HoldfastError` when the file cannot be opened or is not a database; nothing is changed in it then.
    """
    with sqlite_errors(path):
        flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        db = apsw.Connection(path, flags=flags | apsw.SQLITE_OPEN_URI if path.startswith("file:") else flags)
        db.set_busy_timeout(busy_ms)
        db.execute("PRAGMA schema_version").fetchall()
        if not read_only:
            if db.execute("PRAGMA page_count").get == 0:
                db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first page: later it would need a VACUUM
            db.execute("PRAGMA journal_mode = WAL").fetchall()
            db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA foreign_keys = {'ON' if constraints else 'OFF'}")
        db.execute(f"PRAGMA ignore_check_constraints = {'OFF' if constraints else 'ON'}")
        kept = READER_CACHE_KIB if read_only else CACHE_KIB if cache_kib is None else cache_kib
        db.execute(f"PRAGMA cache_size = -{kept}")
        if now is not None:
            set_clock(db, now)
        return db


@contextmanager
def snapshot(db: apsw.Connection) -> Iterator[None]:
    """Everything read inside is of one moment."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("COMMIT")


@contextmanager
def immediate(db: apsw.Connection, path: str) -> Iterator[None]:
    """One write transaction: commits on leaving, rolls back on any exception."""
    with sqlite_errors(path):
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
            _write_back(db, path)
        except BaseException as error:
            if isinstance(error, apsw.Error):
                # Reads that the error cut short stay open as long as its traceback lives, and with them their snapshot:
                # every later write on this connection would be told that it is busy.
                traceback.clear_frames(error.__traceback__)
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def free_bytes(path: str) -> int:
    """What the disk of a file has left; very much where nobody knows."""
    try:
        return shutil.disk_usage(_folder(path)).free
    except OSError:
        return 2**62


@lru_cache(maxsize=64)
def _folder(path: str) -> str:
    """Where a file lies; asked at every commit."""
    return str(Path(path).absolute().parent)


def _write_back(db: apsw.Connection, path: str) -> None:
    """On a disk that is nearly full, write the log back into the file after every commit: what the log has of the disk
    is then there to write with, and the log does not take what is left.
    """
    if free_bytes(path) < SHORT_BYTES:
        with contextlib.suppress(apsw.Error):  # with no room for it the next commit tries again
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


@contextmanager
def applying(db: apsw.Connection, path: str, *, foreign: bool = False) -> Iterator[None]:
    """A write transaction of the engine itself: nothing in it is captured. `db` is a connection of the engine.

    Raises `schema_changed` when another process has taken the file to another schema, unless it may be `foreign`.
    """
    with immediate(db, path):
        if not foreign and path in _hashes:
            _check_still(db, path)
        db.execute("UPDATE holdfast_state SET applying = 1")
        _run_triggers_of_others(db)
        _written[db] = set()
        with contextlib.nullcontext() if foreign else keeping(db):
            yield
        sql = "UPDATE holdfast_table SET version = version + 1 WHERE id = ?"
        db.executemany(sql, [(number,) for number in sorted(_written.pop(db))])
        db.execute("UPDATE holdfast_state SET applying = 0")


def _check_still(db: apsw.Connection, path: str) -> None:
    version, found = db.execute("SELECT schema_version, schema_hash FROM holdfast_state").get
    if found != _hashes[path]:
        message = f"another program has taken {path} to schema version {version}: restart this one with that version"
        raise HoldfastError("schema_changed", message, file=path)


_written: weakref.WeakKeyDictionary[apsw.Connection, set[int]] = weakref.WeakKeyDictionary()


def note_written(db: apsw.Connection, table: int) -> None:
    """The engine writes in the user table with that number: whoever watches it, in any process, shall know."""
    _written.setdefault(db, set()).add(table)


def _run_triggers_of_others(db: apsw.Connection) -> None:
    """Run triggers only when the application has some of its own: ours would wake for every row to find capture off.

    Nobody can add one before this transaction ends."""
    version = int(db.execute("PRAGMA schema_version").get)
    if _schema_seen.get(db) == version:
        return
    sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name NOT GLOB 'holdfast_*')"
    wanted = bool(db.execute(sql).get)
    if bool(db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, -1)) != wanted:
        db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, int(wanted))
    _schema_seen[db] = version


_schema_seen: weakref.WeakKeyDictionary[apsw.Connection, int] = weakref.WeakKeyDictionary()
"""The version of the schema at which a connection decided whether triggers are wanted."""


def prepare(
    db: apsw.Connection, path: str, schema: Schema, random_bits: Callable[[int], int] = secrets.randbits
) -> str:
    """Make or check the file for the schema, and give the device's id. All or nothing.

    A file that is as it should be is only read: whoever opens it waits for nobody.
    Raises `file_foreign`, `file_newer`, `file_older`, `schema_changed`.
    """
    with sqlite_errors(path):
        if "holdfast_state" in _tables(db):
            device = check(db, path, schema)
            _hashes[path] = schema.hash
            if _is_whole(db, schema):
                return device
    with immediate(db, path):
        names = _tables(db)
        if "holdfast_state" in names:
            device = check(db, path, schema)
            _complete(db, schema)
            return device
        _hashes[path] = schema.hash
        _refuse_foreign(path, schema, names)
        return _create(db, schema, random_bits)


def is_device_file(db: apsw.Connection, path: str) -> bool:
    """Whether the file is that of a device, of the format that this release knows."""
    with sqlite_errors(path):
        if "holdfast_state" not in _tables(db):
            return False
        try:
            return bool(db.execute("SELECT format FROM holdfast_state").get == FORMAT)
        except (apsw.SQLError, UnicodeDecodeError):
            return False


def _tables(db: apsw.Connection) -> set[str]:
    return {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def check(db: apsw.Connection, path: str, schema: Schema) -> str:
    """That the file is one of this schema; gives the device's id. Reads only. Raises what `prepare` raises."""
    try:
        state: Any = db.execute("SELECT format, device, schema_version, schema_hash FROM holdfast_state").get
    except apsw.SQLError:
        message = f"{path} is an SQLite file of another program and has a table holdfast_state; nothing was changed"
        raise HoldfastError("file_foreign", message, file=path, tables=["holdfast_state"]) from None
    except UnicodeDecodeError:
        state = None
    if state is None:
        raise HoldfastError("file_not_database", f"{path} is damaged: its holdfast_state cannot be read", file=path)
    file_format, device, version, found = state
    if file_format > FORMAT:
        raise HoldfastError("file_newer", f"{path} has format {file_format}, this Holdfast knows {FORMAT}", file=path)
    if file_format < FORMAT:
        message = (
            f"{path} has format {file_format}, this Holdfast knows {FORMAT}; nothing was changed, unsent work is kept"
        )
        raise HoldfastError("file_older", message, file=path)
    if (version, found) != (schema.version, schema.hash):
        message = (
            f"{path} was made with schema version {version} ({found}), the program declares {schema.version} "
            f"({schema.hash}); nothing was changed, unsent work is kept"
        )
        raise HoldfastError("schema_changed", message, file=path)
    found_columns = db.execute("SELECT count(*) FROM pragma_table_info('holdfast_capture')").get
    if found_columns != 6 + 2 * max(len(table.cells) for table in schema.tables):
        message = f"{path} is damaged: holdfast_capture has {found_columns} columns"
        raise HoldfastError("file_not_database", message, file=path)
    return str(device)


def _refuse_foreign(path: str, schema: Schema, names: set[str]) -> None:
    taken = sorted(name for name in names if name in schema.by_name or name.startswith("holdfast_"))
    if taken:
        message = f"{path} is an SQLite file of another program and already has {', '.join(taken)}; nothing was changed"
        raise HoldfastError("file_foreign", message, file=path, tables=taken)


def _create(db: apsw.Connection, schema: Schema, random_bits: Callable[[int], int]) -> str:
    device = f"{random_bits(64):016x}"
    db.execute(resources.files("holdfast.replica").joinpath("file.sql").read_text("utf-8"))
    db.execute(
        "INSERT INTO holdfast_state (id, format, device, schema_version, schema_hash) VALUES (1, ?, ?, ?, ?)",
        (FORMAT, device, schema.version, schema.hash),
    )
    for statement in emit.ddl(schema):
        db.execute(statement)
    for number, table in enumerate(schema.tables, 1):
        db.execute("INSERT INTO holdfast_table (id, name) VALUES (?, ?)", (number, table.name))
    create_capture(db, schema)
    _complete(db, schema)
    return device


def create_capture(db: apsw.Connection, schema: Schema) -> None:
    """The tables that hold captured changes, and the triggers that fill them."""
    width = max(len(table.cells) for table in schema.tables)
    for statement in (sqlite_capture.capture_table(width), *sqlite_capture.done_tables(width)):
        db.execute(statement)
    numbers = table_numbers(db)
    for table in schema.tables:
        for statement in sqlite_capture.create_triggers(table, numbers[table.name], schema.version):
            db.execute(statement)


def _is_whole(db: apsw.Connection, schema: Schema) -> bool:
    """Whether the file has what `_complete` makes, for this schema."""
    rows: list[Any] = db.execute("SELECT name, sql FROM sqlite_schema WHERE name GLOB 'holdfast_*'").fetchall()
    found: dict[str, str] = dict(rows)
    if not all(column in found[table] for table, column, _ in YOUNGER) or "holdfast_lost" not in found:
        return False
    if "holdfast_unseen" not in found or not db.execute("SELECT schema_form FROM holdfast_state").get:
        return False
    if not {"holdfast_row_evicted", "holdfast_used", "holdfast_storage"} <= found.keys():
        return False
    numbers = table_numbers(db)
    views = {
        sqlite_states.state_view_name(table): sqlite_states.create_state_view(table, numbers[table.name])
        for table in schema.declared
    }
    guards = _guards(db, schema)
    spare = {name for name in found if name.startswith("holdfast_evicted_")} - guards.keys()
    return not spare and all(found.get(name) == sql for name, sql in (views | guards).items())


def _complete(db: apsw.Connection, schema: Schema) -> None:
    """Make what only tells how things stand, and what keeps rows apart that have left: versions of tables, views of
    states, guards. A file of an earlier version gets it at its first opening."""
    add_younger(db)
    db.execute(UNSEEN)
    db.execute(LOST_TABLE)
    db.execute("UPDATE holdfast_state SET schema_form = ? WHERE schema_form = ''", (json.dumps(schema.to_json()),))
    create_views(db, schema)


def add_younger(db: apsw.Connection) -> None:
    """Add the columns that an earlier release did not make."""
    for name, column, definition in YOUNGER:
        if not db.execute("SELECT 1 FROM pragma_table_info(?) WHERE name = ?", (name, column)).get:
            db.execute(f"ALTER TABLE {name} ADD COLUMN {column} {definition}")


def create_views(db: apsw.Connection, schema: Schema) -> None:
    """The views that tell the states of rows, for this schema."""
    numbers = table_numbers(db)
    for table in schema.declared:
        db.execute(f"DROP VIEW IF EXISTS {quote(sqlite_states.state_view_name(table))}")
        db.execute(sqlite_states.create_state_view(table, numbers[table.name]))
    db.execute(resources.files("holdfast.replica").joinpath("storage.sql").read_text("utf-8"))
    sql = "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name GLOB 'holdfast_evicted_*'"
    guards: list[Any] = db.execute(sql).fetchall()
    for (guard,) in guards:
        db.execute(f"DROP TRIGGER {quote(guard)}")
    for statement in _guards(db, schema).values():
        db.execute(statement)


def _guards(db: apsw.Connection, schema: Schema) -> dict[str, str]:
    """The guards of the tables whose rows may leave the device, or of which some have left."""
    left = {number for (number,) in db.execute("SELECT DISTINCT tbl FROM holdfast_row WHERE evicted")}
    guards: dict[str, str] = {}
    for name, number in table_numbers(db).items():
        table = schema.by_name.get(name)
        if table is not None and (table.retention.evicts or number in left):
            guards |= sqlite_evicted.create_guards(table, number)
    return guards


def table_numbers(db: apsw.Connection) -> dict[str, int]:
    """The number by which the file knows each table."""
    return {name: number for number, name in db.execute("SELECT id, name FROM holdfast_table")}
