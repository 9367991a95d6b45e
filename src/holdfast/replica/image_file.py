"""The file of an image: what is in it, how it is told from anything else, and how it becomes the device's own.

Two things must hold whatever happens: nothing that was written here is lost, and the file is at any moment either empty
or whole. So the content goes in by one transaction of SQLite on the very file that others may have open, not by a
rename under them (decision record 30).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import apsw

from holdfast.errors import HoldfastError
from holdfast.replica.file import BUSY_TIMEOUT_MS, FORMAT, applying
from holdfast.schema.emit.sqlite_text import quote
from holdfast.schema.model import Schema

APPLICATION_ID = 0x48464931
MAX_WINDOW_LOG = 25
"""A device unpacks with 32 MiB of memory."""
CONTENT = ("holdfast_row", "holdfast_unseen", "holdfast_space")
"""The tables of the engine that an image fills, beside the state."""
KEPT = ("holdfast_subscription", "holdfast_own", "holdfast_used", "holdfast_storage")
"""What a device may hold and be empty nevertheless: it stays."""
_BOOKS = ("holdfast_state", "holdfast_table", "sqlite_sequence", "sqlite_stat1", "sqlite_stat4")


def beside_content(db: apsw.Connection, schema: Schema) -> list[str]:
    """The tables of the engine that hold rows although an image has none for them; built-in ones are the schema's."""
    known = (*CONTENT, *KEPT, *_BOOKS, *schema.by_name)
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    ours = [name for name in names if name.startswith("holdfast_") and name not in known]
    return [name for name in sorted(ours) if _holds(db, name)]


def is_empty(db: apsw.Connection, schema: Schema) -> bool:
    """Whether the file holds nothing yet: no row, nothing that waits, nothing of any hub, and no trace of an earlier
    write."""
    if db.execute("SELECT hub <> '' OR user <> '' FROM holdfast_state").get:
        return False
    if any(_holds(db, table.name) for table in schema.tables) or any(_holds(db, name) for name in CONTENT):
        return False
    return (
        not beside_content(db, schema) and not db.execute("SELECT EXISTS (SELECT 1 FROM sqlite_sequence WHERE seq)").get
    )


def _holds(db: apsw.Connection, name: str) -> bool:
    return bool(db.execute(f"SELECT EXISTS (SELECT 1 FROM {quote(name)})").get)


def check_image(db: apsw.Connection, plain: str, schema: Schema, granted: Mapping[str, str]) -> None:
    """That the unpacked file is one for the device whose file is `db`. Raises `image_unfit`, `image_damaged`."""
    with closing(apsw.Connection(plain, flags=apsw.SQLITE_OPEN_READONLY)) as image:
        try:
            if image.execute("PRAGMA application_id").get != APPLICATION_ID:
                raise _unfit("it is no file image")
            state = image.execute("SELECT format, schema_version, schema_hash, device FROM holdfast_state").get
            if state != (FORMAT, schema.version, schema.hash, ""):
                raise _unfit(f"it is of another format or schema: {state}")
            if not _shape(image) <= _shape(db):
                raise _unfit("its tables are not those of this file")
            numbers = "SELECT id, name FROM holdfast_table ORDER BY id"
            if image.execute(numbers).fetchall() != db.execute(numbers).fetchall():
                raise _unfit("it numbers its tables otherwise")
            spaces = {str(name) for (name,) in image.execute("SELECT name FROM holdfast_space")}
        except apsw.Error as error:
            raise HoldfastError("image_damaged", f"the file image cannot be read: {error}") from error
    if not spaces <= granted.keys():
        raise _unfit("it has spaces that the hub does not grant")


def _shape(db: apsw.Connection) -> set[Any]:
    """Every table, index, trigger and view of a file, with its statement."""
    return set(db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema"))


def take(db: apsw.Connection, path: str, plain: str, schema: Schema, identity: Mapping[str, Any]) -> bool:
    """Make the image the content of the file of `db`, in one transaction. `identity` are columns of the state, and
    `access` by space. Gives whether it went in page by page. Raises `image_unfit` when the file is not empty any more.
    """
    extra = _own(db, plain, identity)
    if not extra and _alone(db):
        try:
            if not is_empty(db, schema):
                raise _unfit("something was written here meanwhile")
            with closing(apsw.Connection(plain, flags=apsw.SQLITE_OPEN_READONLY)) as image:
                _copy_pages(db, image)
            return True
        finally:
            _share(db)
    _copy_rows(db, path, plain, schema, identity)
    return False


def _own(db: apsw.Connection, plain: str, identity: Mapping[str, Any]) -> bool:
    """Put the device's identity, and what it keeps, into the unpacked file. Gives whether the application has tables,
    indexes or triggers of its own in the file of `db`, which must stay."""
    keeps = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in KEPT}
    device, form = db.execute("SELECT device, schema_form FROM holdfast_state").get
    versions = db.execute("SELECT version + 1, id FROM holdfast_table").fetchall()
    number = db.execute("PRAGMA application_id").get
    with closing(apsw.Connection(plain)) as image:
        extra = _shape(db) != _shape(image)
        # A scratch file: after a crash it is unpacked anew.
        image.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").fetchall()
        image.execute("BEGIN")
        image.execute("UPDATE holdfast_state SET device = ?, schema_form = ?", (device, form))
        _name(image, identity)
        image.executemany("UPDATE holdfast_table SET version = version + ? WHERE id = ?", versions)
        for name, rows in keeps.items():
            image.execute(f"DELETE FROM {name}")
            for row in rows:
                image.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)
        image.execute("COMMIT")
        image.execute(f"PRAGMA application_id = {number}")
    return extra


def _name(db: apsw.Connection, identity: Mapping[str, Any]) -> None:
    """Write whose the content is."""
    state = (identity["hub"], identity["user"], identity["hlc"])
    db.execute("UPDATE holdfast_state SET hub = ?, user = ?, hlc = max(hlc, ?)", state)
    db.executemany(
        "UPDATE holdfast_space SET access = ? WHERE name = ?", ((a, s) for s, a in identity["access"].items())
    )


def _alone(db: apsw.Connection) -> bool:
    """Try to be the only one who has the file open: only then can it leave its log, and pages be written in place."""
    db.set_busy_timeout(0)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        if db.execute("PRAGMA journal_mode = DELETE").get == "delete":
            db.execute("BEGIN EXCLUSIVE; COMMIT")  # the lock stays until `_share`
            return True
    except apsw.BusyError:
        pass
    _share(db)
    return False


def _share(db: apsw.Connection) -> None:
    """The file is everybody's again, with a log."""
    db.set_busy_timeout(BUSY_TIMEOUT_MS)
    db.execute("PRAGMA locking_mode = NORMAL").fetchall()
    db.execute("PRAGMA synchronous = FULL")
    db.execute("SELECT 1 FROM holdfast_state").fetchall()  # the lock goes with the next look at the file
    with suppress(apsw.BusyError):  # somebody reads it already: who opens the file next gives it its log back
        db.execute("PRAGMA journal_mode = WAL").fetchall()


def _copy_pages(db: apsw.Connection, image: apsw.Connection) -> None:
    """SQLite's own backup: one transaction with a rollback journal, which holds the few pages that were there."""
    # EXTRA: the journal's end must reach the disk before anything is written after it.
    db.execute("PRAGMA synchronous = EXTRA")
    with db.backup("main", image, "main") as backup:
        backup.step(-1)


def _copy_rows(db: apsw.Connection, path: str, plain: str, schema: Schema, identity: Mapping[str, Any]) -> None:
    """The same by SQL, beside others who have the file open: table by table, in one transaction."""
    db.execute("ATTACH ? AS image", (plain,))
    try:
        with applying(db, path):
            if not is_empty(db, schema):
                raise _unfit("something was written here meanwhile")
            for name in (*(quote(table.name) for table in schema.tables), *CONTENT):
                db.execute(f"INSERT INTO main.{name} SELECT * FROM image.{name}")
            db.execute("UPDATE main.holdfast_state SET (hlc, layout) = (SELECT hlc, layout FROM image.holdfast_state)")
            _name(db, identity)
            db.execute("UPDATE main.holdfast_table SET version = version + 1")
    finally:
        db.execute("DETACH image")


def _unfit(why: str) -> HoldfastError:
    return HoldfastError("image_unfit", f"the file image is not for this file: {why}")


def remove(path: Path) -> None:
    """Remove an unpacked file and what SQLite may have left beside it."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
