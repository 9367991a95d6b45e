"""Checks of a device's file. They only read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import apsw

from holdfast.cli.doctor.finding import Finding, failed, ok, run, skipped, warning
from holdfast.cli.terminal import number, size
from holdfast.protocol.errors import CODES
from holdfast.replica.file import snapshot, table_numbers
from holdfast.replica.status import Standing, looking, read_standing
from holdfast.schema.emit.sqlite_capture import create_triggers
from holdfast.schema.model import Schema

SPARE_BYTES = 50_000_000
"""A disk with less room than this is about to be full."""


def examine(schema: Schema, db: Path) -> Iterator[Finding]:
    """All checks of a device's file."""
    found = run("database", lambda: database(db))
    yield found
    if found.result == "failed":
        yield from (skipped(name, "the database cannot be read") for name in ("schema", "triggers", "queue"))
    else:
        found = run("schema", lambda: schema_version(schema, db))
        yield found
        if found.result == "failed":
            yield from (skipped(name, "the file is not one of this schema") for name in ("triggers", "queue"))
        else:
            yield run("triggers", lambda: triggers(schema, db))
            yield run("queue", lambda: queue(schema, db))
    yield run("permissions", lambda: permissions(db))


def database(db: Path) -> Finding:
    """That it is there, is a database, and is sound."""
    if not db.is_file():
        return failed("database", f"{db} does not exist", "Check --db; `holdfast sync` makes a new file.")
    try:
        connection = apsw.Connection(str(db), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(1_000)
            says = [text for (text,) in connection.execute("PRAGMA quick_check(3)")]
            mode = connection.execute("PRAGMA journal_mode").get
        finally:
            connection.close()
    except apsw.NotADBError:
        return failed("database", f"{db} is no SQLite database", CODES["file_not_database"].remedy)
    except apsw.Error as error:
        return failed("database", f"{db}: {error}", CODES["file_unusable"].remedy)
    if says != ["ok"]:
        remedy = "Keep a copy of the file and its -wal. Make a new file; the hub's rows load again, and unsent work can"
        return failed("database", f"{db} is damaged: {says[0]}", f"{remedy} be read out of the copy.")
    bytes_ = size(db.stat().st_size)
    if mode != "wal":
        return warning(
            "database", f"{db}, {bytes_}, in journal mode {mode}", "Open it once with Holdfast: it needs WAL."
        )
    return ok("database", f"{db} is sound, {bytes_}")


def schema_version(schema: Schema, db: Path) -> Finding:
    """That it is a file of this schema."""
    with looking(db, schema):
        return ok("schema", f"version {schema.version}, {number(len(schema.tables), 'table')}")


def triggers(schema: Schema, db: Path) -> Finding:
    """That every write is captured: all triggers are there and are the right ones."""
    missing: list[str] = []
    with looking(db, schema) as connection:
        numbers = table_numbers(connection)
        present = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE type = 'trigger'")}
        for table in schema.tables:
            wanted = create_triggers(table, numbers[table.name], schema.version)
            if not present.issuperset(wanted):
                missing.append(table.name)
    if missing:
        return failed(
            "triggers",
            f"writes in {', '.join(missing)} are not captured, so not sent: triggers are missing or changed",
            "Send what is sealed (`holdfast sync`), then make a new file and let it load; repeat what was written "
            "since the triggers went. Never rebuild a table of this file by hand.",
        )
    return ok("triggers", "every write is captured")


def queue(schema: Schema, db: Path) -> Finding:
    """What waits for somebody to decide."""
    with looking(db, schema) as connection, snapshot(connection):
        found: Standing = read_standing(connection)
    waiting = f"{number(found.pending, 'transaction')} waiting"
    if found.refused or found.parked:
        stuck = ", ".join(
            f"{number(count)} {word}" for count, word in ((found.refused, "refused"), (found.parked, "parked")) if count
        )
        return warning("queue", f"{stuck}, {waiting}", "`holdfast status` says why and what to do.")
    return ok("queue", waiting)


def permissions(db: Path) -> Finding:
    """That whoever runs this may write the file, what belongs to it, and into its folder."""
    folder = db.resolve().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        return failed(
            "permissions",
            f"no right to write in the folder {folder}; SQLite keeps its log there",
            "Give the user who runs the program the folder, or put the file elsewhere.",
        )
    for path in (db, *(db.with_name(db.name + end) for end in ("-wal", "-shm", "-sync", "-log"))):
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            remedy = f"chown or chmod {path}: was it made by another user, such as root?"
            return failed("permissions", f"no right to write {path}", remedy)
    disk = os.statvfs(folder) if hasattr(os, "statvfs") else None
    if disk is not None and disk.f_bavail * disk.f_frsize < SPARE_BYTES:
        free = size(disk.f_bavail * disk.f_frsize)
        return warning("permissions", f"the disk of {folder} has {free} left", "Free some room before it is full.")
    return ok("permissions", "file and folder can be written")
