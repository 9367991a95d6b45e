"""The hub: one sync, the background sync, presence, and whether the copies are equal."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from typing import Any

from holdfast.edge.http import HttpTransport
from holdfast.errors import HoldfastError
from holdfast.kernel import digest
from holdfast.protocol.transport import Transport
from holdfast.replica.compare import local_rows, sums_of
from holdfast.replica.exchange import renew, sync_now
from holdfast.replica.facade.opened import Opened
from holdfast.replica.file import applying
from holdfast.replica.loop import Loop, Options
from holdfast.replica.lost import Lost, LostRow
from holdfast.replica.presence import Present
from holdfast.replica.report import SyncReport
from holdfast.replica.sqlite_errors import sqlite_errors
from holdfast.replica.verify import Verifier, VerifyReport


class Syncing(Opened):
    """The hub: one sync, the background sync, presence, and whether the copies are equal."""

    def sync(self, *, timeout: float = 60.0) -> SyncReport:
        """Exchange with the hub until everything captured when it began is answered and everything new is here.

        Waits up to `timeout` seconds for another syncer of the same file, then raises `busy`. Raises `network` when the
        hub cannot be reached, or the hub's error; nothing is lost then, and the next sync goes on where this one
        stopped. While the replica is connected its loop does the work, within `timeout` seconds. Raises
        `inside_transaction` where it would wait for its own thread.
        """
        self._open_outside("sync()")
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

    def _reach(self) -> list[Transport]:
        """The ways to the hub, in order of preference."""
        if self._transport is not None:
            return [self._transport]
        if not self._urls:
            raise HoldfastError("no_transport", "the replica has no hub; pass url= or transport=")
        if self._ways is None:
            self._ways = [HttpTransport(url, self._credentials.token) for url in self._urls]
        return self._ways

    def spaces(self) -> dict[str, str]:
        """What this device may do, as the hub said last: space -> "rw", or "r" where edits would be refused."""
        found = self._connections.execute("SELECT name, access FROM holdfast_space WHERE access <> '' ORDER BY name")
        return {row["name"]: row["access"] for row in found}

    def build_request(self, *, digests: bool = False) -> bytes:
        """The next request as bytes, for a transport of your own; its answer goes to `apply_response`.

        Do not mix it with `sync()` in another thread between the two.
        """
        self._open_outside("build_request()")
        with self._lock.held(60.0), sqlite_errors(self.path):
            return self._rounds.build(digests=digests)

    def apply_response(self, chunks: Iterator[bytes]) -> bool:
        """Take the answer to the last `build_request`; gives whether another exchange is needed."""
        self._open_outside("apply_response()")
        with self._lock.held(60.0), sqlite_errors(self.path):
            _, footer = self._rounds.receive(chunks)
            return footer.more or self._rounds.more_to_send

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
        reported as lost and left as they are; `offer_lost_rows` sends them. Syncs first; what the background sync has
        under way is ended before and begun again after it. Raises `space_unknown`, `busy`, and what a sync raises.
        """
        self._open_outside("verify()")
        connected = self._loop is not None
        self.disconnect()
        try:
            with self._lock.held(timeout), sqlite_errors(self.path):
                verifier = Verifier(self._rounds, self._exchanges, self._reach(), self._credentials)
                report = verifier.run(self._sync_db, spaces)
                if not spaces:
                    self._proving.note(report)
                return report
        finally:
            if connected:
                self.connect()

    def lost_rows(self) -> list[LostRow]:
        """The rows that the hub had confirmed and has lost, of which this device keeps copies: those that wait go back
        with the next round, the others are only kept, with the reason.
        """
        self._open()
        with self._connections.reading() as db:
            return Lost(db, self._tables).all()

    def offer_lost_rows(self) -> int:
        """Send all kept copies to the hub with the next round, whatever the reason that they were not; gives how many.
        They are joined with what the hub has, so nothing is overwritten and nothing counts twice. Raises
        `inside_transaction`.
        """
        self._open_outside("offer_lost_rows()")
        with self._sealed() as db, applying(db, self.path):
            lost = Lost(db, self._tables)
            names = lost.again()
            lost.show(names)
            return len(names)
