"""A simulated device: the real `Replica` on a real file, with a clock, a disk and a link that obey the simulation."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import apsw

from holdfast.errors import HoldfastError
from holdfast.replica.events import ImageEnded, SyncEvent
from holdfast.replica.file import connect, prepare
from holdfast.replica.replica import Replica
from holdfast.replica.sqlite_errors import translated
from holdfast.schema.model import Schema
from holdfast.testing.clock import PartyClock
from holdfast.testing.disk import Crash, Disk
from holdfast.testing.network import Link

OK = "ok"
CRASHED = "crashed"
MADE_ANEW = 0.1
"""So many of the files are made by the engine, which may crash over it; the others are copies of such a file."""
PLACE_OF_DEVICE = "f1e2d3c4b5a69788"

T = TypeVar("T")


_as_made: dict[tuple[int, str], bytes] = {}
"""By version and hash of the schema: a file as the engine makes it, with `PLACE_OF_DEVICE` for the device's id."""


def new_file(schema: Schema, device: str) -> bytes:
    """A file of a new device with that id."""
    known = _as_made.get((schema.version, schema.hash))
    if known is None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "device.db"
            with closing(connect(str(path))) as db:
                prepare(db, str(path), schema, lambda _: int(PLACE_OF_DEVICE, 16))
            known = _as_made[schema.version, schema.hash] = path.read_bytes()
    before, _, after = known.partition(PLACE_OF_DEVICE.encode())
    return before + device.encode() + after


def has_state(db: apsw.Connection) -> bool:
    """Whether the file has the engine's tables."""
    return db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'holdfast_state'").get is not None


def has_waiting(db: apsw.Connection) -> bool:
    """Whether the file holds work that the hub has not answered."""
    sql = """SELECT EXISTS (SELECT 1 FROM holdfast_transaction WHERE state <> 'refused')
                 OR EXISTS (SELECT 1 FROM holdfast_capture)"""
    return bool(db.execute(sql).get)


class SimulatedDevice:
    """One device of `user`. `replica` is whichever `Replica` object has its turn; it is opened when it is used."""

    def __init__(
        self,
        name: str,
        user: str,
        schema: Schema,
        disk: Disk,
        clock: PartyClock,
        entropy: random.Random,
        link: Link,
    ) -> None:
        self.name, self.user, self.schema = name, user, schema
        self.disk, self.clock, self.link = disk, clock, link
        self._entropy = entropy
        self._replicas: list[Replica] = []
        self._observer: apsw.Connection | None = None
        self._made = self._began = False
        self._views: dict[Callable[[apsw.Connection], Any], tuple[int, Any]] = {}
        self.alone = True
        """False while a sync of this device is on its way: no other sync, crash or restart may come in between."""

    @property
    def path(self) -> Path:
        """The device's file."""
        return self.disk.path

    @property
    def has_tables(self) -> bool:
        """Whether the file has been made."""
        if self._made:
            return True
        if not self.path.exists():
            return False
        self._made = self.view(has_state)
        return self._made

    @property
    def replica(self) -> Replica:
        """The real replica whose turn it is."""
        if not self._replicas:
            self._replicas.append(self._open())
        return self._replicas[0]

    def _open(self) -> Replica:
        # Most files are copies of one that the engine made: making each anew would take a third of a short run.
        if not self.path.exists() and self._entropy.random() >= MADE_ANEW:
            self.disk.put_back({"": new_file(self.schema, f"{self._entropy.getrandbits(64):016x}")})
        # A comparison would mend what the invariants are to find; totals are kept and checked all the same.
        bits = self._entropy.getrandbits
        given = (self.path, self.schema)
        made = Replica(*given, transport=self.link, now=self.clock, random_bits=bits, verify_every=None)
        made.events.add(self._hears)
        return made

    @property
    def began_with_file(self) -> bool:
        """Whether the replica whose turn it is has taken a file image."""
        return self._began

    def _hears(self, event: SyncEvent) -> None:
        if isinstance(event, ImageEnded) and event.error is None:
            self._began = True

    def another_process(self) -> None:
        """A second process opens the same file; from now on the two take turns."""
        if len(self._replicas) < 2:
            self._replicas.append(self._open())
        self._replicas.reverse()

    def attempt(self, call: Callable[[], object]) -> str:
        """Do something on the device: "ok", "crashed" (it has been started again), or the code of the error."""
        try:
            call()
        except Crash:
            self.disk.abandon()
            self.close()
            self.disk.recover()
            return CRASHED
        except HoldfastError as error:
            return f"{error.code}:{error.details['sqlite']}" if error.code == "sql" else error.code
        return OK

    def sync(self) -> str:
        """One sync, as `attempt` tells it."""
        self.alone, self.link.exchanges = False, 0
        try:
            return self.attempt(self.replica.sync)
        finally:
            self.alone = True

    def restart(self) -> None:
        """The process ends in good order; another one begins at the next use."""
        self.close()

    def run_version(self, schema: Schema) -> None:
        """The process ends, and the next one is of an application with another version of the schema."""
        self.close()
        self.schema = schema

    def crash(self) -> str:
        """The process dies now."""
        return self.attempt(self.disk.crash)

    def lose_power(self) -> bool:
        """The power goes: what was not synced to the disk is lost. False when everything was."""
        tail = self.disk.take_tail()
        if tail is None:
            return False
        self.disk.abandon()
        self.close()
        self.disk.put_back(tail)
        return True

    def program(self, statements: Sequence[tuple[str, tuple[Any, ...]]], *, durable: bool = True) -> str:
        """Another program writes in the file, in one transaction, past the library; "ok" or why it was rolled back.

        `durable` False: with synchronous = OFF, so that a power loss may take it back.
        """
        if not self.has_tables:
            return "no file"
        if not durable:
            self.disk.begin_unsynced()
        try:
            return self.attempt(lambda: self._program(statements, durable))
        finally:
            self.disk.end_unsynced()

    def _program(self, statements: Sequence[tuple[str, tuple[Any, ...]]], durable: bool) -> None:
        with closing(connect(str(self.path), now=self.clock)) as db:
            if not durable:
                db.execute("PRAGMA synchronous = OFF")
                db.execute("PRAGMA wal_autocheckpoint = 0")
            db.execute("BEGIN IMMEDIATE")
            try:
                for sql, parameters in statements:
                    db.execute(sql, parameters)
                db.execute("COMMIT")
            except apsw.Error as error:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise translated(error, str(self.path)) from error

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """A connection that only looks, in one snapshot."""
        if self._observer is None:
            self._observer = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        self._observer.execute("BEGIN")
        try:
            yield self._observer
        finally:
            self._observer.execute("COMMIT")

    def view(self, read: Callable[[apsw.Connection], T]) -> T:
        """What `read` finds in the file as it stands now. Looks again only after something was written; so `read` is a
        function of a module, and what it gives must not be changed.
        """
        known = self._views.get(read)
        if known is None or known[0] != self.disk.version:
            with self.reading() as db:
                known = self._views[read] = (self.disk.version, read(db))
        found: T = known[1]
        return found

    def close(self) -> None:
        """Close everything that has the file open."""
        self._made = False
        if self._observer is not None:
            self._observer.close()
            self._observer = None
        replicas, self._replicas = self._replicas, []
        for replica in replicas:
            replica.close()
