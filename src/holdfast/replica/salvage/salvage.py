"""Salvage: from a damaged device file to a new one that holds every unsent transaction that can still be read."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from holdfast import one_sqlite
from holdfast.errors import HoldfastError
from holdfast.kernel import clock
from holdfast.protocol import messages as m
from holdfast.replica.confirmed import Confirmed
from holdfast.replica.file import applying, connect, prepare, table_numbers
from holdfast.replica.salvage.bases import make_bases
from holdfast.replica.salvage.remains import Remains
from holdfast.replica.salvage.unsealed import mend_captured
from holdfast.replica.seal import Seal, batches
from holdfast.replica.sealed import crc_of
from holdfast.replica.steps import note_origin
from holdfast.replica.sync_lock import SyncLock
from holdfast.replica.sync_log import read_device
from holdfast.replica.tables import UserTables, quoted
from holdfast.schema.model import Schema

LOCK_SECONDS = 5.0
DEVICE = re.compile(r"[0-9a-f]{16}\Z")
HUB = re.compile(r"[0-9a-f]{12}\Z")
PARK = """UPDATE holdfast_transaction SET state = 'parked', withdraw = '', origin = NULL, n = NULL, place = NULL,
          error = 'file_damaged: ' || ?"""
SENT = "the file was damaged, and does not say whether this was sent"
COPIES = "this file was damaged, and a copy has no checksum; send it if it is right"
UNSURE = "the file was damaged, and says two things of what this wrote"
PARTS = ("", "-wal", "-shm")
"""What an SQLite file consists of."""


class Salvaged(NamedTuple):
    """What was saved. The damaged file stands at `damaged`, unchanged; what is confirmed comes from the hub.

    `transactions` wait in the new file, `refused` ones are kept there, too. `parked` ones wait for somebody's decision:
    the damaged file cannot say whether they were sent. `captured` is the number of changes that no sync had
    seen yet. `lost` says of each transaction that could not be read whole what is left of it, `problems` what else of
    the queue could not be read. `device` is False when the id of the device could not be read: it is another one now.
    """

    file: str
    damaged: str
    transactions: int
    refused: int
    parked: int
    captured: int
    lost: list[str]
    problems: list[str]
    device: bool


def salvage(
    path: str | os.PathLike[str], schema: Schema, *, random_bits: Callable[[int], int] = secrets.randbits
) -> Salvaged:
    """Make a new device file in the place of a damaged one, with every unsent transaction that can still be read.

    Nothing may have the file open. The damaged one is kept beside it as `<path>.damaged`, with its log. The next sync
    loads the rest. If the power goes, the salvage is begun again or finished by calling it again; until then the file
    cannot be opened. Raises `file_unusable`, `busy`, and what a schema that does not fit raises.
    """
    file = Path(path)
    unfinished = Path(f"{file}-salvaged")
    if not (file.is_file() or unfinished.is_file()):
        raise HoldfastError("file_unusable", f"{file} does not exist", file=str(file))
    if one_sqlite.is_open(str(file)):
        raise HoldfastError("busy", f"{file} is open in this process; close the replica first", file=str(file))
    lock = SyncLock(str(file))
    guarded = one_sqlite.enter(str(file))
    try:
        with lock.held(LOCK_SECONDS):
            if not unfinished.is_file():
                made = Path(f"{file}-salvage")
                for part in PARTS:
                    Path(f"{made}{part}").unlink(missing_ok=True)
                report = Salvage(file, schema, random_bits).run(made)
                _keep(file, Path(report.damaged))
                _note(unfinished).write_text(json.dumps(report), "utf-8")
                made.replace(unfinished)
                _sync_folder(file)  # from here on it will be finished, whatever happens
            return _finish(file, unfinished)
    finally:
        lock.close()
        one_sqlite.leave(guarded)


def check_finished(path: str) -> None:
    """Raise `file_damaged` when a salvage of this file broke off."""
    if Path(f"{path}-salvaged").exists():
        raise HoldfastError("file_damaged", f"a salvage of {path} broke off; run it again to end it", file=path)


def _keep(file: Path, damaged: Path) -> None:
    """Copy the damaged file and its log, durably."""
    for part in PARTS[:2]:
        source = Path(f"{file}{part}")
        if source.exists():
            target = Path(f"{damaged}{part}")
            shutil.copy2(source, target)
            with target.open("rb") as copy:
                os.fsync(copy.fileno())


def _finish(file: Path, unfinished: Path) -> Salvaged:
    """Put the new file in its place. The log of the damaged one must be gone before: it would be played into it."""
    report = Salvaged(*json.loads(_note(unfinished).read_text("utf-8")))
    for part in ("-wal", "-shm"):
        Path(f"{file}{part}").unlink(missing_ok=True)
    unfinished.replace(file)
    _sync_folder(file)
    _note(unfinished).unlink(missing_ok=True)
    return report


def _note(unfinished: Path) -> Path:
    """Where the report stands until the salvage is finished."""
    return unfinished.with_name(f"{unfinished.name}-report")


def _sync_folder(file: Path) -> None:
    """Make names durable, where the system can."""
    with contextlib.suppress(OSError):
        folder = os.open(file.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Salvage:
    """One salvage of the file at `path`."""

    def __init__(self, path: Path, schema: Schema, random_bits: Callable[[int], int]) -> None:
        self._path = path
        self._given = schema
        self._random_bits = random_bits
        self._lost: list[str] = []
        self._parked = 0

    def run(self, made: Path) -> Salvaged:
        """Write the new file to `made`; whole and durable when this returns."""
        width = max(len(table.cells) for table in self._given.tables)
        self._remains = Remains(self._path, width)
        self._old = self._remains.db
        schema = self._schema()
        kept = self._device()
        db = connect(str(made), constraints=False)
        try:
            prepare(db, str(made), schema, self._random_bits)
            tables = UserTables(schema, table_numbers(db))
            self._numbers = self._map_tables(tables)
            with applying(db, str(made)):
                self._state(db, kept)
                self._carry(db, sendable=bool(kept))
                captured = self._captured(db, tables)
                self._show(db, tables)
            found: list[Any] = db.execute("SELECT state, count(*) FROM holdfast_transaction GROUP BY 1").fetchall()
            counts: dict[str, int] = dict(found)
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            db.close()
        waiting = counts.get("pending", 0) + counts.get("sending", 0) + counts.get("parked", 0) - self._parked
        place = self._free_name()
        return Salvaged(
            str(self._path), str(place), waiting, counts.get("refused", 0), self._parked, captured, self._lost,
            self._remains.problems, bool(kept),
        )  # fmt: skip

    def _free_name(self) -> Path:
        names = [Path(f"{self._path}.damaged"), *(Path(f"{self._path}.damaged-{n}") for n in range(2, 1000))]
        return next(name for name in names if not name.exists())

    def _schema(self) -> Schema:
        """The schema that the file had, if it says so: opening takes the new file to the present one."""
        form = self._remains.one("SELECT schema_form FROM holdfast_state")
        try:
            found = Schema.from_json(json.loads(form)) if form else self._given
        except (ValueError, HoldfastError, KeyError, TypeError):
            return self._given
        return found if found.version <= self._given.version else self._given

    def _device(self) -> str:
        """The device's id, from the file or from the log beside it; "" if neither says it."""
        found = self._remains.one("SELECT device FROM holdfast_state")
        for device in (found, read_device(str(self._path))):
            if device is not None and DEVICE.match(device):
                return str(device)
        return ""

    def _map_tables(self, tables: UserTables) -> dict[int, int]:
        """Number of a table in the damaged file -> in the new one."""
        names: dict[int, str] = {user.number: name for name, user in tables.by_name.items()}
        names.update(self._old.execute("SELECT id, name FROM holdfast_table"))
        for tbl, body in self._old.execute("SELECT tbl, max(body) FROM holdfast_operation GROUP BY tbl"):
            try:
                names[tbl] = m.decode_operation(body).table
            except ValueError:
                continue
        return {number: tables.by_name[name].number for number, name in names.items() if name in tables.by_name}

    def _state(self, db: apsw.Connection, device: str) -> None:
        """What the file knew of itself. The hub tells the rest anew."""
        if device:
            db.execute("UPDATE holdfast_state SET device = ?", (device,))
        state: Any = self._old.execute("SELECT hub, user, hlc, clock_offset, layout FROM holdfast_state").get
        if state is not None and HUB.match(state[0]):
            hub, user, hlc, offset, layout = state
            hlc = hlc if 0 <= hlc <= clock.MAX_HLC else 0
            try:
                layout = layout if layout and json.loads(layout)["tables"] else ""
            except (ValueError, KeyError, TypeError):
                layout = ""
            sql = "UPDATE holdfast_state SET hub = ?, user = ?, hlc = ?, clock_offset = ?, layout = ?"
            db.execute(sql, (hub, user, hlc, offset, layout))
        for table in ("holdfast_own", "holdfast_subscription"):
            self._copy(db, table, f"SELECT * FROM {table}")

    def _copy(self, db: apsw.Connection, table: str, sql: str, values: tuple[Any, ...] = ()) -> None:
        """Copy rows, with the columns that both files have."""
        there = {name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")}
        cursor = self._old.cursor()
        found: list[Any] = cursor.execute(sql, values).fetchall()
        if not found:
            return
        here = [name for _, name, *_ in self._old.execute(f"PRAGMA table_info({table})")]
        places = [place for place, name in enumerate(here) if name in there]
        number = here.index("tbl") if "tbl" in here else None
        given, marks = ", ".join(quoted(here[place]) for place in places), ", ".join("?" * len(places))
        sql = f"INSERT OR IGNORE INTO {table} ({given}) VALUES ({marks})"
        for row in found:
            mapped = list(row)
            if number is not None:
                if row[number] not in self._numbers:
                    continue
                mapped[number] = self._numbers[row[number]]
            db.execute(sql, [mapped[place] for place in places])

    def _carry(self, db: apsw.Connection, *, sendable: bool) -> None:
        """Take the transactions over that are whole; those of which nobody knows whether they were sent are parked."""
        sql = "SELECT txn, state, size, label FROM holdfast_transaction ORDER BY txn"
        latest = self._remains.one("SELECT coalesce(max(hlc), 0) FROM holdfast_state")
        latest = latest if 0 <= latest <= clock.MAX_HLC else 0
        found: list[Any] = self._old.execute(sql).fetchall()
        for txn, state, size, label in found:
            bodies = self._bodies(txn)
            trouble = self._trouble(bodies, size, refused=state == "refused")
            if trouble:
                self._lost.append(told(txn, label, trouble, bodies))
                continue
            for table in ("holdfast_transaction", "holdfast_operation", "holdfast_use"):
                self._copy(db, table, f"SELECT * FROM {table} WHERE txn = ?", (txn,))
            if state != "refused":
                latest = max([latest, *(clock.hlc_of(m.decode_operation(body).stamp) for _, body, _ in bodies)])
            if (state == "pending" and txn in self._remains.older) or (state == "sending" and not sendable):
                self._parked += 1
                db.execute(f"{PARK} WHERE txn = ?", (SENT, txn))
        sql = """SELECT DISTINCT txn FROM holdfast_operation
                 WHERE txn NOT IN (SELECT txn FROM holdfast_transaction) ORDER BY txn"""
        alone: list[Any] = self._old.execute(sql).fetchall()
        for (txn,) in alone:
            self._lost.append(told(txn, "", "what is known of it as a whole cannot be read", self._bodies(txn)))
        self._copy(db, "holdfast_lost", "SELECT * FROM holdfast_lost")
        db.execute("UPDATE holdfast_lost SET state = 'kept', code = 'file_damaged', message = ?", (COPIES,))
        self._copy(db, "holdfast_after", "SELECT * FROM holdfast_after")
        present = "(SELECT txn FROM holdfast_transaction)"
        db.execute(f"DELETE FROM holdfast_after WHERE txn NOT IN {present} OR earlier NOT IN {present}")
        db.execute("UPDATE holdfast_state SET hlc = max(hlc, ?)", (latest,))

    def _bodies(self, txn: int) -> list[tuple[int, str, int | None]]:
        """(position, body, checksum) of the operations that were read of a transaction."""
        sql = "SELECT 1 FROM pragma_table_info('holdfast_operation') WHERE name = 'crc'"
        crc = "crc" if self._remains.one(sql) else "NULL"  # a file of an earlier release has none
        sql = f"SELECT position, body, {crc} FROM holdfast_operation WHERE txn = ? ORDER BY position"
        return list(self._old.execute(sql, (txn,)))

    def _trouble(self, bodies: list[tuple[int, str, int | None]], size: int, *, refused: bool) -> str:
        """Why a transaction is not whole; empty when it is."""
        if [position for position, *_ in bodies] != list(range(len(bodies))) or not bodies:
            return "not all of its changes can be read"
        if any(crc is not None and crc != crc_of(body) for _, body, crc in bodies):
            return "what it wrote has been altered by the damage"
        if not refused:
            try:
                for _, body, _ in bodies:
                    m.decode_operation(body)
            except ValueError:
                return "what it wrote has been altered by the damage"
        if sum(len(body.encode()) for _, body, _ in bodies) != size:
            return "not all of its changes can be read"
        return ""

    def _captured(self, db: apsw.Connection, tables: UserTables) -> int:
        """Seal what no sync had sealed yet, with what can be read of the stamps that its writers had seen."""
        mended = mend_captured(self._old)
        self._lost += mended.lost
        self._copy(db, "holdfast_capture", "SELECT * FROM holdfast_capture ORDER BY op")
        self._copy(db, "holdfast_mark", "SELECT * FROM holdfast_mark ORDER BY mark")
        captured: int = db.execute("SELECT count(*) FROM holdfast_capture").get
        if captured:
            names: list[Any] = db.execute("SELECT DISTINCT tbl, key FROM holdfast_capture").fetchall()
            known = {new: old for old, new in self._numbers.items()}
            for tbl, key in names:
                for table in ("holdfast_row", "holdfast_base"):
                    self._copy(db, table, f"SELECT * FROM {table} WHERE tbl = ? AND key = ?", (known[tbl], key))
            make_bases(db, tables.take_layout(db))
            origin = clock.new_origin(self._random_bits(48))
            note_origin(db, origin)
            Seal(db, tables, origin).run()
            for mark in mended.unsure:
                db.execute(f"{PARK} WHERE mark = ? AND state = 'pending'", (UNSURE, mark))
                self._parked += db.changes()
        return captured

    def _show(self, db: apsw.Connection, tables: UserTables) -> None:
        """Nothing is confirmed here until the hub has said it; the user tables show what waits over that."""
        for user in tables.by_name.values():
            db.execute(f"DELETE FROM {quoted(user.table.name)}")
        db.execute("DELETE FROM holdfast_row")
        db.execute("DELETE FROM holdfast_base")
        sql = """SELECT DISTINCT o.tbl, o.key FROM holdfast_operation o JOIN holdfast_transaction t USING (txn)
                 WHERE t.state <> 'refused'"""
        confirmed = Confirmed(db, tables)
        for names in batches(iter(db.execute(sql).fetchall())):
            confirmed.save_bases((name, None) for name in names)
            confirmed.show(names, dict.fromkeys(names))


def told(txn: int, label: str, trouble: str, bodies: list[tuple[int, str, int | None]]) -> str:
    """A transaction that could not be read whole, for people, with what is left of it."""
    named = f"transaction {txn}{f' {label!r}' if label else ''}: {trouble}"
    return f"{named}; left of it: {' '.join(body for _, body, _ in bodies)}" if bodies else named
