"""The open file of a device, with its parts, its state and its end: what every room of the facade stands on."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal

import apsw

from holdfast import one_sqlite
from holdfast.errors import HoldfastError
from holdfast.kernel import clock
from holdfast.protocol.transport import Transport
from holdfast.replica.budgets import Storage
from holdfast.replica.connections import Connections
from holdfast.replica.credentials import Credentials, Token
from holdfast.replica.deciding import Deciding
from holdfast.replica.device import Device
from holdfast.replica.documents import Documents, require_library
from holdfast.replica.events import Events, RoundEnded, SyncEvent
from holdfast.replica.exchange import Exchanges
from holdfast.replica.fetching import Completing
from holdfast.replica.file import applying, connect, is_device_file, prepare, table_numbers
from holdfast.replica.integrity import check_at_open
from holdfast.replica.keeper import Keeper
from holdfast.replica.loop import Loop
from holdfast.replica.observer import Observer
from holdfast.replica.presence import Presence
from holdfast.replica.progress import Transfer
from holdfast.replica.proving import EVERY_HOURS, Proving
from holdfast.replica.round import Rounds
from holdfast.replica.sqlite_errors import sqlite_errors
from holdfast.replica.status import Status, at_rest, read_standing, waiting_operations
from holdfast.replica.sync_lock import SyncLock
from holdfast.replica.sync_log import SyncLog, log_event
from holdfast.replica.tables import UserTables
from holdfast.replica.upgrade import earlier_schema, upgrade
from holdfast.replica.verify import Reconciling
from holdfast.schema.model import Schema


def device_clock() -> int:
    """The device's clock, uncorrected: milliseconds since 2020-01-01 UTC."""
    return time.time_ns() // 1_000_000 - clock.EPOCH_MS


def steady_clock() -> int:
    """Milliseconds since any moment, by a clock that nobody sets."""
    return time.monotonic_ns() // 1_000_000


class Opened:
    """The parts of one open device file. Opened at the first use; see `Replica`."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        schema: Schema,
        *,
        url: str | Sequence[str] | None = None,
        token: Token | None = None,
        fetch_credentials: Callable[[], str] | None = None,
        transport: Transport | None = None,
        spaces: Literal["all", "chosen"] = "all",
        storage: Storage | None = None,
        check: bool = False,
        verify_every: float | None = EVERY_HOURS,
        now: Callable[[], int] = device_clock,
        random_bits: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self.path = str(path)
        self.schema = schema
        self._urls = [url] if isinstance(url, str) else list(url or ())
        self._credentials = Credentials(token, fetch_credentials)
        self._transport = transport
        self._ways: list[Transport] | None = None
        self._presence = Presence()
        self._only_chosen = spaces == "chosen"
        self._storage = storage or Storage()
        self._storage.check(schema)
        self._check, self._verify_every = check, verify_every
        self._now, self._random_bits = now, random_bits
        self._sql_clock = None if now is device_clock else now
        self._steady = steady_clock if now is device_clock else now
        self._opening = threading.RLock()
        self._opened = False
        self._closed = False
        self._process = 0
        self._syncing = False
        self._loop: Loop | None = None
        self._sealer: apsw.Connection | None = None
        self.events = Events()

    def _open(self) -> None:
        """Open the file once; raises the same clear errors at every use until it can be opened."""
        if self._opened and not self._closed:
            if os.getpid() != self._process:
                # A forked child has the same origin and the same connections: neither may be used twice.
                message = f"the replica {self.path} was opened by another process; open a new one after a fork"
                raise HoldfastError("closed", message, file=self.path)
            return
        with self._opening:
            if self._closed:
                raise HoldfastError("closed", f"the replica {self.path} was closed", file=self.path)
            if self._opened:
                return
            require_library(self.schema)
            if self.path in ("", ":memory:"):
                raise HoldfastError("file_unusable", "a replica is a file: what is in memory is lost with the process")
            folder = Path(self.path).parent
            if not folder.is_dir():
                raise HoldfastError("file_unusable", f"{self.path}: the folder {folder} does not exist", file=self.path)
            self._file = one_sqlite.enter(self.path)
            try:
                check_at_open(self.path, asked=self._check)
                db = connect(self.path, constraints=False, now=self._sql_clock)
                try:
                    if is_device_file(db, self.path) and earlier_schema(db, self.schema) is not None:
                        upgrade(db, self.path, self.schema, self._random_bits)
                    device = prepare(db, self.path, self.schema, self._random_bits)
                    self._tables = UserTables(self.schema, table_numbers(db))
                    self._connections = Connections(self.path, self._sql_clock, self._new_documents, self._tables)
                    self._deciding = Deciding(self._connections, self.schema, self._tables, device, self._now)
                except BaseException:
                    db.close()
                    raise
            except BaseException:
                one_sqlite.leave(self._file)
                raise
            self._file = self._file or one_sqlite.enter(self.path)
            self._sync_db = db
            self._lock = SyncLock(self.path)
            parts = (self.path, device, self.schema, self._tables, self._now, self._random_bits, self._only_chosen)
            self._rounds = Rounds(db, Device(*parts))
            self._rounds.steady = self._steady
            self._exchanges = Exchanges(self.path, self._rounds, self._lock, self.events)
            self._exchanges.complete = Completing(self._rounds, self._exchanges).run
            self._exchanges.reconcile = Reconciling(self._rounds, self._exchanges, self._credentials).run
            proving = Proving(self._rounds, self._exchanges, self._credentials, self._verify_every)
            self._exchanges.is_doubted, self._exchanges.prove = proving.is_due, proving.run
            self._proving = proving
            self._keeper = Keeper(
                self.path, self.schema, self._tables, self._storage, self._sql_clock, self._hub_time, self._now
            )
            self._exchanges.on_full = self._connections.on_full = self._keeper.relieve
            self._sync_log = SyncLog(self.path, device)
            self._observer = Observer(self._connections, lambda: self.status, [t.name for t in self.schema.tables])
            self._connections.on_write = self._observer.wake
            self._rounds.transfer.changed = self._observer.wake
            self.events.add(self._note_round)
            self._device = device
            self._process = os.getpid()
            self._opened = True

    def _open_outside(self, call: str) -> None:
        """Open the file for a call that writes by itself. Raises `inside_transaction`, too: it would wait for a
        transaction of its own thread, in vain."""
        self._open()
        self._connections.require_outermost(call)

    @property
    def device(self) -> str:
        """The device's id, minted when the file was made."""
        self._open()
        return self._device

    def _new_documents(self, db: apsw.Connection) -> Documents:
        return Documents(db, self.schema, self._tables, lambda: self._rounds.origin)

    @property
    def status(self) -> Status:
        """How the replica stands now; reads only, never waits for a sync nor for a writer."""
        self._open()
        with self._connections.reading() as db:
            standing = read_standing(db, self._storage)
            operations = waiting_operations(db) if self._transfer.busy else 0
        state, up, down = self._state(), self._exchanges.error_up, self._exchanges.error_down
        found = at_rest(standing)
        last_synced = max(filter(None, (found.last_synced_at, self._rounds.last_synced)), default=None)
        whole = self._rounds.whole if self._rounds.whole is not None else found.in_sync
        return found._replace(
            state=state,
            connected=state in ("connected", "syncing"),
            connecting=state == "connecting",
            uploading=self._transfer.uploading,
            downloading=self._transfer.downloading,
            has_synced=last_synced is not None,
            last_synced_at=last_synced,
            upload_error=standing.upload_error(str(up) if up is not None else None),
            download_error=str(down) if down is not None else None,
            progress=self._transfer.progress(operations, standing.size),
            in_sync=whole and standing.settled and not standing.pending and down is None,
        )

    def _hub_time(self) -> int | None:
        """The hub's time at the last sync; None before the first one."""
        with self._connections.reading() as db:
            kept: int | None = db.execute("SELECT last_synced FROM holdfast_state").get
        return max(filter(None, (kept, self._rounds.last_synced)), default=None)

    def _note_round(self, event: SyncEvent) -> None:
        """Keep a line of each round; called by the thread that syncs, under its lock."""
        self._observer.wake()
        log_event(self.path, event)
        complete = bool(self._rounds.whole) and not getattr(event, "error", None)
        self._sync_log.hears(event, self._rounds.transfer, complete=complete, now=self._now())
        if isinstance(event, RoundEnded):
            self._keeper.tend(self._sync_db)

    def _state(self) -> str:
        """What the loop is doing, or that a `sync()` is under way."""
        loop = self._loop
        return loop.state if loop is not None else "syncing" if self._syncing else "stopped"

    @property
    def _transfer(self) -> Transfer:
        return self._rounds.transfer

    @contextmanager
    def _sealed(self) -> Iterator[apsw.Connection]:
        """A connection of its own, with everything captured sealed in one transaction: it does not wait for a sync.
        Raises `inside_transaction`."""
        self._open_outside("what reads or changes the queue")
        with sqlite_errors(self.path):
            db = self._take_sealer()
            try:
                with applying(db, self.path):
                    self._rounds.seal(db)
                yield db
            except BaseException:
                db.close()  # reads that an error cut short would hold their old snapshot
                raise
            self._give_back_sealer(db)

    def _take_sealer(self) -> apsw.Connection:
        """One that nobody uses, or a new one: to read the schema costs more than to seal."""
        with self._opening:
            db, self._sealer = self._sealer, None
        return db if db is not None else connect(self.path, constraints=False, now=self._sql_clock)

    def _give_back_sealer(self, db: apsw.Connection) -> None:
        with self._opening:
            if self._sealer is None and not self._closed:
                self._sealer = db
                return
        db.close()

    def disconnect(self) -> None:
        """Stop the background sync, within a second; idempotent. What is not sent stays in the outbox."""
        with self._opening:
            loop, self._loop = self._loop, None
        if loop is not None:
            self._connections.on_commit = None
            loop.stop()

    def close(self) -> None:
        """Disconnect and close the file; idempotent. Unsent work stays in it."""
        self.disconnect()
        if self._opened and not self._closed:
            self._observer.stop()
        with self._opening:
            if self._opened and not self._closed:
                self._connections.close()
                if self._sealer is not None:
                    self._sealer.close()
                    self._sealer = None
                self._sync_log.close()
                self._lock.close()
                self._sync_db.close()
                one_sqlite.leave(self._file)
            for way in self._ways or ():
                way.close()
            self._closed = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
