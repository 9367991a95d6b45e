"""The device: an SQLite file that anybody may write to, and that syncs."""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import apsw

from holdfast import one_sqlite
from holdfast.edge.http import HttpTransport
from holdfast.errors import HoldfastError
from holdfast.kernel import clock, digest
from holdfast.protocol.transport import Transport
from holdfast.replica import queued
from holdfast.replica.compare import local_rows, sums_of
from holdfast.replica.conflicts import Conflict
from holdfast.replica.connections import Connections, Parameters, Receipt, sql_parameters
from holdfast.replica.credentials import Credentials, Token
from holdfast.replica.deciding import Deciding
from holdfast.replica.documents import Documents, require_library
from holdfast.replica.events import Events, RoundEnded, SyncEvent
from holdfast.replica.exchange import Exchanges, renew, sync_now
from holdfast.replica.file import applying, connect, prepare, table_numbers
from holdfast.replica.loop import Loop, Options
from holdfast.replica.observer import Observer
from holdfast.replica.presence import Presence, Present
from holdfast.replica.progress import Transfer
from holdfast.replica.queued import Pending, Refused
from holdfast.replica.report import SyncReport
from holdfast.replica.results import ResultRow
from holdfast.replica.round import Device, Rounds
from holdfast.replica.sqlite_errors import sqlite_errors
from holdfast.replica.status import Status, at_rest, read_standing, waiting_operations
from holdfast.replica.steering import Cancelled, Steering
from holdfast.replica.sync_lock import SyncLock
from holdfast.replica.sync_log import LogLine, SyncLog, log_event, read_log
from holdfast.replica.tables import UserTables
from holdfast.replica.verify import Verifier, VerifyReport
from holdfast.replica.watch import Watch
from holdfast.schema.model import Schema

Done = TypeVar("Done")


def device_clock() -> int:
    """The device's clock, uncorrected: milliseconds since 2020-01-01 UTC."""
    return time.time_ns() // 1_000_000 - clock.EPOCH_MS


class Replica:
    """One device. Opens lazily at the first use; usable from several threads, and from several processes on one file.

    `path` is the SQLite file, made when it is not there. `url` and `token` reach a hub over HTTP (several URLs of one
    hub: in order of preference), or `transport` is any other way. `token` may be a function, called for every request;
    `fetch_credentials()` gives a new token when the hub does not know the last one any more (401), in a thread of its
    own; nothing is sent until it returns. `now` (milliseconds since 2020-01-01 UTC) and `random_bits` are arguments
    for simulations.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        schema: Schema,
        *,
        url: str | Sequence[str] | None = None,
        token: Token | None = None,
        fetch_credentials: Callable[[], str] | None = None,
        transport: Transport | None = None,
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
        self._now, self._random_bits = now, random_bits
        self._sql_clock = None if now is device_clock else now
        self._opening = threading.RLock()
        self._opened = False
        self._closed = False
        self._process = 0
        self._syncing = False
        self._loop: Loop | None = None
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
                db = connect(self.path, constraints=False, now=self._sql_clock)
                try:
                    device = prepare(db, self.path, self.schema, self._random_bits)
                    self._tables = UserTables(self.schema, table_numbers(db))
                    self._connections = Connections(self.path, self._sql_clock, self._new_documents)
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
            parts = (self.path, device, self.schema, self._tables, self._now, self._random_bits)
            self._rounds = Rounds(db, Device(*parts))
            self._exchanges = Exchanges(self.path, self._rounds, self._lock, self.events)
            self._sync_log = SyncLog(self.path)
            self._observer = Observer(self._connections, lambda: self.status, [t.name for t in self.schema.tables])
            self._connections.on_write = self._observer.wake
            self._rounds.transfer.changed = self._observer.wake
            self.events.add(self._note_round)
            self._device = device
            self._process = os.getpid()
            self._opened = True

    @property
    def device(self) -> str:
        """The device's id, minted when the file was made."""
        self._open()
        return self._device

    def execute(self, sql: str, parameters: Parameters = ()) -> list[ResultRow]:
        """Run one SQL statement and give its rows (none for a statement without a result).

        Parameters may be Python dates, decimals, UUIDs, enums, lists and dictionaries. A write outside of
        `transaction()` is a transaction of its own, durable when this returns. Raises `HoldfastError` (`sql`,
        `disk_full`, `busy`, ...).
        """
        self._open()
        return self._connections.execute(sql, parameters)

    def executemany(self, sql: str, rows: Any) -> None:
        """Run one statement for each of many parameter rows, all in one transaction."""
        self._open()
        self._connections.executemany(sql, rows)

    def document(self, table: str, key: Any, column: str) -> Any:
        """The document in a column declared `hf.Text` or `hf.Json`, to be edited inside `with replica.transaction():`.

        Gives a `pycrdt` object: a `Text` whose positions count code points, a `Map` for an object, an `Array` for an
        array. What is edited is part of the transaction, and the plain column shows it to its next SQL statement. `key`
        is the key, a list for a composite one. The object belongs to the thread and ends with the transaction.

        Raises `row_missing`, `not_a_document`, and `document_closed` outside of a transaction.
        """
        self._open()
        return self._connections.document(table, key, column)

    def _new_documents(self, db: apsw.Connection) -> Documents:
        return Documents(db, self.schema, self._tables, lambda: self._rounds.origin)

    def transaction(self, label: str = "", *, after: Sequence[Receipt] = ()) -> AbstractContextManager[Receipt]:
        """`with replica.transaction():` everything inside is one transaction, here and on the hub: all or nothing.

        `label` names it for people (up to 200 characters). `after` are receipts of earlier transactions that must reach
        the hub before this one (`with replica.transaction() as receipt:`). Nested ones are savepoints of the outer one.
        """
        self._open()
        if len(label) > 200:
            raise HoldfastError("sql", "the label of a transaction has at most 200 characters")
        return self._connections.transaction(label, after)

    def sync(self, *, timeout: float = 60.0) -> SyncReport:
        """Exchange with the hub until everything captured when it began is answered and everything new is here.

        Waits up to `timeout` seconds for another syncer of the same file, then raises `busy`. Raises `network` when the
        hub cannot be reached, or the hub's error; nothing is lost then, and the next sync goes on where this one
        stopped. While the replica is connected its loop does the work, within `timeout` seconds.
        """
        self._open()
        loop = self._loop
        if loop is not None:
            return loop.sync(timeout)
        with self._lock.held(timeout):
            self._syncing = True
            try:
                sync_now(self._exchanges, self._reach(), self._credentials)
            finally:
                self._syncing = False
                report = self._exchanges.report()
            return report

    def connect(self) -> None:
        """Keep in sync in the background, over the hub's live channel or, without one, by rounds; returns at once.

        Local commits are sent and news arrive by themselves; failures are tried again with growing, random delays.
        """
        self._open()
        with self._opening:
            if self._loop is None:
                renewing = partial(renew, self._credentials) if self._credentials.renewable else None
                self._loop = self.loop(Options(random.random, renew=renewing))
                self._connections.on_commit = self._loop.commit
                self._loop.start()

    def loop(self, options: Options) -> Loop:
        """The loop that `connect` runs in the background, not begun: for simulations (`holdfast.testing.run_loop`)."""
        self._open()
        self._lock.give_up(False)
        self._exchanges.now = options.time.now
        return Loop(self._exchanges, self._reach(), self.events, self._presence, options)

    def announce(self, space: str, data: Any = None) -> None:
        """While connected over a live channel, be present in a space, with small data of the application (JSON, up to
        1,024 bytes): a name, a page, a colour. Raises `announcement_invalid`.
        """
        self._presence.announce(space, data)
        loop = self._loop
        if loop is not None:
            loop.announce()

    def withdraw(self, space: str) -> None:
        """Be present in that space no longer."""
        self._presence.leave(space)
        loop = self._loop
        if loop is not None:
            loop.announce()

    def presence(self, space: str) -> list[Present]:
        """Who is in a space where this device has announced itself, this device included, as the hub said last. Empty
        while there is no live channel: then nobody knows.
        """
        return self._presence.here(space)

    def poke(self) -> None:
        """The network is back, or somebody knows that there is news: a connected replica tries at once."""
        loop = self._loop
        if loop is not None:
            loop.poke()

    def disconnect(self) -> None:
        """Stop the background sync, within a second; idempotent. What is not sent stays in the outbox."""
        with self._opening:
            loop, self._loop = self._loop, None
        if loop is not None:
            self._connections.on_commit = None
            loop.stop()

    def _reach(self) -> list[Transport]:
        """The ways to the hub, in order of preference."""
        if self._transport is not None:
            return [self._transport]
        if not self._urls:
            raise HoldfastError("no_transport", "the replica has no hub; pass url= or transport=")
        if self._ways is None:
            self._ways = [HttpTransport(url, self._credentials.token) for url in self._urls]
        return self._ways

    def build_request(self, *, digests: bool = False) -> bytes:
        """The next request as bytes, for a transport of your own; its answer goes to `apply_response`.

        Do not mix it with `sync()` in another thread between the two.
        """
        self._open()
        with self._lock.held(60.0), sqlite_errors(self.path):
            return self._rounds.build(digests=digests)

    def apply_response(self, chunks: Iterator[bytes]) -> bool:
        """Take the answer to the last `build_request`; gives whether another exchange is needed."""
        self._open()
        with self._lock.held(60.0), sqlite_errors(self.path):
            _, footer = self._rounds.receive(chunks)
            return footer.more or self._rounds.more_to_send

    def pending(self) -> list[Pending]:
        """The transactions that the hub has not answered, and the parked ones, oldest first; what was captured is
        sealed for it.
        """
        with self._sealed() as db:
            offset: int = db.execute("SELECT clock_offset FROM holdfast_state").get
            return queued.pending(db, self._now() + offset)

    def refused(self) -> list[Refused]:
        """The transactions that were refused, with reason and values, oldest first."""
        with self._sealed() as db:
            return queued.refused(db)

    def cancel(self, which: int | Receipt, *, dependants: bool = False) -> Cancelled:
        """Take back a transaction that the hub has not answered; what it wrote is rolled back here.

        Others that depend on it go with it if `dependants` is True; else `has_dependants` is raised and names them. One
        that was sent may be on the hub already: the hub is asked not to take it.
        """
        return self._steer(which, lambda steering, txn: steering.cancel(txn, with_dependants=dependants))

    def retry(self, which: int | Receipt) -> None:
        """Send a refused or parked transaction again, or one that is held back at once."""
        self._steer(which, lambda steering, txn: steering.retry(txn))

    def edit(self, which: int | Receipt, table: str, key: str, /, **values: Any) -> None:
        """Change what a refused or parked transaction writes in one row; `retry` sends it.

        A counter takes the increment. Only rows and values that the transaction can write; sets must be written again.
        """
        self._steer(which, lambda steering, txn: steering.edit(txn, table, key, values))

    def drop(self, which: int | Receipt, *, dependants: bool = False) -> Cancelled:
        """Forget a refused transaction for ever, with its values; a parked one is rolled back, as by `cancel`."""
        return self._steer(which, lambda steering, txn: steering.drop(txn, with_dependants=dependants))

    def _steer(self, which: int | Receipt, act: Callable[[Steering, int], Done]) -> Done:
        with self._sealed() as db, applying(db, self.path):
            steering = Steering(db, self._tables)
            if isinstance(which, Receipt) and which.mark is None:
                raise HoldfastError("transaction_unknown", "the transaction of this receipt wrote nothing")
            done = act(steering, which if isinstance(which, int) else steering.number_of(which.mark or 0))
        if self._connections.on_commit is not None:
            self._connections.on_commit()
        return done

    def spaces(self) -> dict[str, str]:
        """What this device may do, as the hub said last: space -> "rw", or "r" where edits would be refused."""
        found = self.execute("SELECT name, access FROM holdfast_space WHERE access <> '' ORDER BY name")
        return {row["name"]: row["access"] for row in found}

    def conflicts(self, *, open: bool | None = None) -> list[Conflict]:  # noqa: A002 (the word of the state)
        """The conflicts in the spaces that this device holds, oldest first: all of them, those that wait for a decision
        (`open=True`), or those that do not.
        """
        self._open()
        return self._deciding.read(open)

    def resolve(self, conflict: Conflict | str, choice: Any, *, label: str = "resolve a conflict") -> Conflict:
        """Decide a conflict (or the one with that id): "mine", "theirs", or a value for the column; works offline.

        The row and the conflict are written in one transaction. A value that is itself "mine" or "theirs" can be
        written with SQL. Raises `conflict_unknown`, `conflict_gone`, `conflict_choice`, `forbidden_space`, or what the
        column refuses.
        """
        self._open()
        return self._deciding.resolve(conflict, choice, label)

    def restore(self, conflict: Conflict | str) -> Conflict:
        """Bring back the value that lost, in one transaction, offline, too. Raises as `resolve` does."""
        self._open()
        return self._deciding.restore(conflict)

    def on_conflict(self, told: Callable[[list[Conflict]], None] | None) -> None:
        """Call `told` with the conflicts that a sync brought and in which this device or its user wrote; None: nobody.

        It is called in the thread that syncs, after they are in the file; it must not sync itself.
        """
        self._open()
        self._exchanges.on_conflicts = told

    @contextmanager
    def _sealed(self) -> Iterator[apsw.Connection]:
        """A connection of its own, with everything captured sealed in one transaction: it does not wait for a sync."""
        self._open()
        with sqlite_errors(self.path):
            db = connect(self.path, constraints=False, now=self._sql_clock)
            try:
                with applying(db, self.path):
                    self._rounds.seal(db)
                yield db
            finally:
                db.close()

    @property
    def status(self) -> Status:
        """How the replica stands now; reads only, never waits for a sync nor for a writer."""
        self._open()
        with self._connections.reading() as db:
            standing = read_standing(db)
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
            upload_error=str(up) if up is not None else None,
            download_error=str(down) if down is not None else None,
            progress=self._transfer.progress(operations, standing.size),
            in_sync=whole and standing.settled and not standing.pending and up is down is None,
        )

    def _note_round(self, event: SyncEvent) -> None:
        """Keep a line of each round; called by the thread that syncs, under its lock."""
        self._observer.wake()
        log_event(self.path, event)
        if isinstance(event, RoundEnded):
            self._sync_log.note(event, complete=event.error is None and bool(self._rounds.whole))

    def _state(self) -> str:
        """What the loop is doing, or that a `sync()` is under way."""
        loop = self._loop
        return loop.state if loop is not None else "syncing" if self._syncing else "stopped"

    @property
    def _transfer(self) -> Transfer:
        return self._rounds.transfer

    def on_status(self, callback: Callable[[Status], None]) -> Callable[[], None]:
        """Call `callback(status)` now and whenever the status has changed; gives the function that ends it.

        Callbacks run in one thread of the replica, `holdfast-observer`, in the order of subscription. Changes that come
        quickly are told as one: each call has the latest status. What a callback raises is logged; it is called again
        the next time. A slow callback delays others and `watch`, never a sync or a write.
        """
        self._open()
        return self._observer.add_listener(callback)

    def watch(
        self, sql: str, parameters: Parameters = (), callback: Callable[[list[ResultRow]], None] | None = None
    ) -> Watch:
        """The rows of a query, now and whenever they have changed: by writes here, by a sync, by other programs.

        With `callback(rows)` it is called in the thread `holdfast-observer`, outside of every transaction; without, the
        `Watch` is iterated: each step waits for rows that were not given yet. Changes that come quickly are told as
        one. The query runs again only when a table that it reads may have changed: declared tables are told apart; for
        tables of the application's own, and the engine's, every commit counts. Rows that are equal are not given again.

        `cancel()` ends it, as leaving `with` does. Raises `sql` for a statement that does not only read, or is several.
        """
        self._open()
        return self._observer.add_watch(sql, sql_parameters(parameters), callback)

    def log(self, limit: int = 100) -> list[LogLine]:
        """What the latest rounds did, newest first, of whichever process; 1,000 are kept."""
        self._open()
        return read_log(self.path, limit)

    def digest(self, space: str) -> str:
        """The digest root over what the hub has confirmed here of a space: equal to the hub's root when both are
        equal.
        """
        self._open()
        with self._connections.reading() as db:
            return digest.root(sums_of(local_rows(db, self._tables, space)))

    def verify(self, *spaces: str, timeout: float = 60.0) -> VerifyReport:
        """Compare this copy with the hub, row by row where hashes differ, and repair it; no space named: all of them.

        Rows that are wrong here are replaced by the hub's. Rows that the hub has confirmed and no longer has are
        reported as lost and left as they are. Syncs first; what the background sync has under way is ended before and
        begun again after it. Raises `space_unknown`, `busy`, and what a sync raises.
        """
        self._open()
        connected = self._loop is not None
        self.disconnect()
        try:
            with self._lock.held(timeout), sqlite_errors(self.path):
                verifier = Verifier(self._rounds, self._exchanges, self._reach(), self._credentials)
                return verifier.run(self._sync_db, spaces)
        finally:
            if connected:
                self.connect()

    def close(self) -> None:
        """Disconnect and close the file; idempotent. Unsent work stays in it."""
        self.disconnect()
        if self._opened and not self._closed:
            self._observer.stop()
        with self._opening:
            if self._opened and not self._closed:
                self._connections.close()
                self._sync_log.close()
                self._lock.close()
                self._sync_db.close()
                one_sqlite.leave(self._file)
            for way in self._ways or ():
                way.close()
            self._closed = True

    def __enter__(self) -> Replica:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
