"""The hub of a simulation: one store, one or more processes of the real server over it, and ways to hurt them."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import apsw

from holdfast.edge.local import LocalTransport
from holdfast.errors import HoldfastError
from holdfast.hub.identity import Access, Identity
from holdfast.kernel import digest
from holdfast.protocol.messages import Image
from holdfast.protocol.transport import Exchange
from holdfast.schema import sqlite_values
from holdfast.schema.key import key_text
from holdfast.schema.model import Schema, Table
from holdfast.server import Server
from holdfast.stores.base import HistoryEntry, Space, Store, StoreUnavailable, Transaction, Violation
from holdfast.stores.memory import MemoryStore
from holdfast.stores.sqlite import SqliteStore
from holdfast.testing.clock import PartyClock
from holdfast.testing.disk import Crash

StoreFault = Literal["crash before commit", "crash after commit", "unavailable"]
FAULTS: tuple[StoreFault, ...] = ("crash before commit", "crash after commit", "unavailable")
UserRows = dict[str, list[tuple[Any, ...]]]


class FragileStore:
    """A store whose next write transaction may end badly, as `fault` says (once)."""

    def __init__(self, inner: Store, *, shared: bool) -> None:
        self.inner = inner
        self.fault: StoreFault | None = None
        self._shared = shared

    def open(self, schema: Schema) -> dict[str, list[str]]:
        """As the inner store."""
        return self.inner.open(schema)

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[Transaction]:
        """As the inner store, with the fault: raises `Crash` before or after the commit, or `StoreUnavailable`."""
        fault = self.fault if write else None
        if fault is not None:
            self.fault = None
        if fault == "unavailable":
            raise StoreUnavailable("simulated")
        with self.inner.transaction(write=write) as tx:
            yield tx
            if fault == "crash before commit":
                raise Crash
        if fault == "crash after commit":
            raise Crash

    def close(self) -> None:
        """Close the inner store, unless other processes use the same object."""
        if not self._shared:
            self.inner.close()


class SimulatedHub:
    """`processes` servers on one store in `folder` (or in memory), with one clock.

    `access` maps user -> space -> "r" or "rw" and may be changed at any time. `users` maps a device's name to its user.
    """

    def __init__(
        self,
        schema: Schema,
        folder: Path,
        clock: PartyClock,
        entropy: random.Random,
        access: Mapping[str, Mapping[str, Access]],
        *,
        memory: bool = True,
        processes: int = 1,
    ) -> None:
        self.schema, self.clock, self.access = schema, clock, access
        self._folder = folder
        self._entropy = entropy
        self._memory = MemoryStore(random=entropy.getrandbits) if memory else None
        self._backup: MemoryStore | Path | None = None
        self.servers: list[Server] = []
        self.stores: list[FragileStore] = []
        for _ in range(processes):
            self._start()

    @property
    def _path(self) -> Path:
        return self._folder / "hub.db"

    def _start(self, place: int | None = None) -> None:
        inner: Store = self._memory or SqliteStore(self._path, random=self._entropy.getrandbits, patience=0.0)
        store = FragileStore(inner, shared=self._memory is not None)
        server = Server(store, self.schema, spaces=self._spaces, now=self.clock, random_bits=self._entropy.getrandbits)
        _ = server.hub
        if place is None:
            self.stores.append(store)
            self.servers.append(server)
        else:
            self.stores[place], self.servers[place] = store, server

    def _spaces(self, identity: Identity) -> Mapping[str, Access]:
        return self.access[identity.user]

    def reach(self, process: int, user: str, body: bytes) -> Exchange:
        """Send a request of `user` to one process. One that dies over it is started again; raises `network` then."""
        try:
            return LocalTransport(self.servers[process], Identity(user)).exchange(body)
        except Crash:
            self.restart(process)
            raise HoldfastError("network", "the simulated hub process died") from None

    def restart(self, process: int) -> None:
        """End one process and start another one in its place."""
        self.servers[process].close()
        self._start(process)

    def back_up(self) -> None:
        """Copy the whole store."""
        if self._memory is not None:
            self._backup = self._memory.copy()
            return
        self._backup = self._folder / "backup.db"
        with (
            closing(apsw.Connection(str(self._path))) as db,
            closing(apsw.Connection(str(self._backup))) as target,
            target.backup("main", db, "main") as copying,
        ):
            copying.step()

    @property
    def has_backup(self) -> bool:
        """Whether there is a copy to go back to."""
        return self._backup is not None

    def restore(self) -> None:
        """Put the copy back in place of the store: what was accepted since is lost there."""
        for server in self.servers:
            server.close()
        if isinstance(self._backup, MemoryStore):
            self._memory = self._backup.copy()
        elif self._backup is not None:
            for path in self._folder.glob("hub.db*"):
                path.unlink()
            shutil.copy(self._backup, self._path)
        for process in range(len(self.servers)):
            self._start(process)

    def foreign_write(self, table: Table, key_values: Sequence[Any], values: Sequence[Any] | None) -> bool:
        """Another program writes a row (wire forms) or deletes it; False when the database refuses it."""
        try:
            if self._memory is not None:
                self._memory.foreign_write(table.name, key_values, values)
            else:
                self._foreign_sql(table, key_values, values)
        except (Violation, apsw.ConstraintError):
            return False
        return True

    def _foreign_sql(self, table: Table, key_values: Sequence[Any], values: Sequence[Any] | None) -> None:
        convert = sqlite_values.row_to_sql(table)
        row = [*key_values, *(values if values is not None else (None for _ in table.cells))]
        stored = list(convert(row) if convert is not None else row)
        keys = ", ".join(table.key_names)
        with closing(apsw.Connection(str(self._path))) as db:
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA synchronous = OFF")
            if values is None:
                where = " AND ".join(f"{name} = ?" for name in table.key_names)
                db.execute(f"DELETE FROM {table.name} WHERE {where}", stored[: len(table.key)])
                return
            names = [column.name for column in table.row_columns]
            sets = ", ".join(f"{column.name} = excluded.{column.name}" for column in table.cells)
            does = f"UPDATE SET {sets}" if sets else "NOTHING"
            marks = ", ".join("?" * len(names))
            db.execute(
                f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks}) ON CONFLICT ({keys}) DO {does}", stored
            )

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A snapshot of the store, past every fault."""
        with self.stores[0].inner.transaction(write=False) as tx:
            yield tx

    def heads(self) -> dict[str, Space]:
        """Every space with its head."""
        with self.reading() as tx:
            return tx.spaces(tx.all_spaces())

    def feed(self, space: str, until: int) -> dict[int, bytes]:
        """seq -> image of a space, up to `until`."""
        with self.reading() as tx:
            return dict(tx.feed(space, 0, until))

    def history(self, table: str, key: str) -> list[HistoryEntry]:
        """Entries of one row, oldest first."""
        with self.reading() as tx:
            return tx.history(table, key)

    def key_of(self, row: Image) -> str:
        """The key text of a row from its image."""
        table = self.schema.by_name[row.table]
        return key_text(table, row.values[: len(table.key)])

    def digest(self, space: str) -> str:
        """The stored digest root of a space."""
        with self.reading() as tx:
            return digest.root({bucket: total for bucket, (_, total) in tx.digest(space).items()})

    def sequence(self) -> None:
        """Give what other programs wrote its place in the feeds, if the store lets us."""
        try:
            with suppress(StoreUnavailable):
                self.servers[0].hub.sequence_foreign_writes()
        except Crash:
            self.restart(0)

    def user_rows(self) -> UserRows:
        """table -> rows of the user tables as wire values (key columns, then cells by slot), in order of their text."""
        if self._memory is not None:
            memory = self._memory
            found = {t.name: [(*k, *v) for k, v in memory.table(t.name).values()] for t in self.schema.tables}
        else:
            with closing(apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)) as db:
                found = read_rows(db, self.schema)
        return {name: sorted(rows, key=repr) for name, rows in found.items()}

    def close(self) -> None:
        """Close all processes."""
        for server in self.servers:
            server.close()
        if self._memory is not None:
            self._memory.close()


def read_rows(db: apsw.Connection, schema: Schema) -> UserRows:
    """table -> rows of the user tables of a file as wire values (key columns, then cells by slot)."""
    found: UserRows = {}
    for table in schema.tables:
        columns = table.row_columns
        sql = f"SELECT {', '.join(column.name for column in columns)} FROM {table.name}"
        found[table.name] = [
            tuple(sqlite_values.from_sql(column, value) for column, value in zip(columns, row, strict=True))
            for row in db.execute(sql)
        ]
    return found
