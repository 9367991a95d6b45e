"""How much room a device file takes and for what, counted by SQLite page by page (its virtual table `dbstat`)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import apsw
import msgspec

from holdfast.replica.budgets import Level, Storage, class_of
from holdfast.schema.emit.sqlite_text import quote
from holdfast.schema.model import Schema

PARTS: dict[str, str] = {
    "holdfast_capture": "queue", "holdfast_mark": "queue", "holdfast_transaction": "queue", "holdfast_after": "queue",
    "holdfast_operation": "queue", "holdfast_use": "queue", "holdfast_acknowledge": "queue",
    "holdfast_base": "images", "holdfast_row": "stamps", "holdfast_used": "stamps", "holdfast_stage": "stage",
    "holdfast_done": "undo", "holdfast_step": "undo", "holdfast_told": "history",
}  # fmt: skip
"""Table of the engine -> what of it people are told; all others are "other"."""


class TableUsage(NamedTuple):
    """`bytes` of a table with its indexes, `rows` that are here, `evicted` ones that have left."""

    bytes: int
    rows: int
    evicted: int


class ClassUsage(NamedTuple):
    """`bytes` of the tables of a class, its `budget` (None: it has none), how near the one is to the other."""

    bytes: int
    budget: int | None
    level: Level


class StorageReport(NamedTuple):
    """How much room the device takes, in bytes.

    `used` are the pages in use and the write-ahead log, `free` the pages of the file that are free again, `file` the
    file itself, `log` the log of rounds beside it, `disk_free` what the disk has left. `classes` and `tables` are the
    application's; `engine` is what Holdfast keeps, by what for: "queue" (what waits and was refused), "images" (what
    the hub has confirmed of rows that have unsent changes), "stamps", "stage" (what arrived and is not applied yet),
    "undo", "history", "conflicts", "other".
    """

    level: Level
    used: int
    budget: int
    free: int
    file: int
    wal: int
    log: int
    disk_free: int
    classes: dict[str, ClassUsage]
    tables: dict[str, TableUsage]
    engine: dict[str, int]

    @property
    def levels(self) -> dict[str, Level]:
        """The level of "total" and of each class."""
        return {"total": self.level, **{name: found.level for name, found in self.classes.items()}}


def in_use(db: apsw.Connection) -> int:
    """Bytes of the pages in use; cheap."""
    pages, free, size = (
        int(db.execute(f"PRAGMA {name}").get) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def size_of(path: str) -> int:
    """Bytes of a file; 0 when there is none."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def measure(db: apsw.Connection, path: str, schema: Schema, storage: Storage) -> StorageReport:
    """Measure a file in one snapshot (`db` is inside a transaction). Reads all its pages."""
    owner: dict[str, str] = {}
    owner.update(db.execute("SELECT name, tbl_name FROM sqlite_schema"))
    pages: dict[str, int] = {}
    for name, size in db.execute("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE"):
        table = owner.get(name, name)
        pages[table] = pages.get(table, 0) + size
    left: dict[str, int] = {}
    left.update(
        db.execute(
            """SELECT t.name, count(*) FROM holdfast_row r JOIN holdfast_table t ON t.id = r.tbl
               WHERE r.evicted GROUP BY 1"""
        )
    )
    tables = {
        table.name: TableUsage(
            pages.pop(table.name, 0),
            int(db.execute(f"SELECT count(*) FROM {quote(table.name)}").get),
            left.get(table.name, 0),
        )
        for table in schema.declared
    }
    engine: dict[str, int] = {}
    for name, size in pages.items():
        part = "conflicts" if name == "holdfast_conflict" else PARTS.get(name, "other")
        engine[part] = engine.get(part, 0) + size
    wal = size_of(f"{path}-wal")
    used = in_use(db) + wal
    # Pages that belong to no table: how the file keeps book of its pages.
    counted = sum(engine.values()) + sum(found.bytes for found in tables.values())
    engine["other"] = engine.get("other", 0) + used - wal - counted
    page = int(db.execute("PRAGMA page_size").get)
    return StorageReport(
        storage.level(used, storage.total),
        used,
        storage.total,
        int(db.execute("PRAGMA freelist_count").get) * page,
        size_of(path),
        wal,
        size_of(f"{path}-log"),
        shutil.disk_usage(Path(path).absolute().parent).free,
        classes_of(schema, storage, {name: found.bytes for name, found in tables.items()}),
        tables,
        dict(sorted(engine.items())),
    )


def classes_of(schema: Schema, storage: Storage, sizes: Mapping[str, int]) -> dict[str, ClassUsage]:
    """The classes, in the order in which the tables declare them."""
    found: dict[str, int] = {}
    for table in schema.declared:
        name = class_of(table)
        found[name] = found.get(name, 0) + sizes[table.name]
    budgets = storage.classes
    return {
        name: ClassUsage(size, budgets.get(name), storage.level(size, budgets.get(name)))
        for name, size in found.items()
    }


class Kept(msgspec.Struct):
    """What `holdfast_storage` holds: budgets, and the levels when they were last measured."""

    budgets: dict[str, object]
    levels: dict[str, Level]


def read_kept(db: apsw.Connection) -> Kept | None:
    """What the file remembers; None when nobody has measured yet, or the file is of an earlier version."""
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'holdfast_storage'").get:
        return None
    text = db.execute("SELECT body FROM holdfast_storage").get
    return None if text is None else msgspec.json.decode(text, type=Kept)


def keep(db: apsw.Connection, storage: Storage, levels: Mapping[str, Level]) -> None:
    """Remember budgets and levels for those who only look; writes only what is new."""
    kept = Kept(storage.to_json(), dict(levels))
    if read_kept(db) != kept:
        text = msgspec.json.encode(kept).decode()
        db.execute("INSERT OR REPLACE INTO holdfast_storage (id, body) VALUES (1, ?)", (text,))
