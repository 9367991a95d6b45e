"""Which spaces the device wants, in which order and for how long, and when they are here for the first time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import apsw

from holdfast.errors import HoldfastError
from holdfast.replica import subscriptions
from holdfast.replica.facade.syncing import Syncing
from holdfast.replica.file import applying, connect
from holdfast.replica.first_load import LOOK_SECONDS, first_load_done
from holdfast.replica.sqlite_errors import sqlite_errors


class Subscribing(Syncing):
    """Which spaces the device wants, in which order and for how long, and when they are here for the first time."""

    def subscribe(self, space: str, *, priority: int = 0, ttl: float | None = None) -> None:
        """Want a space that the device may read: from now on, or for `ttl` seconds from now. `priority` orders what the
        hub sends, lower first. It arrives with the next round; a connected replica makes one at once.
        """
        until = None if ttl is None else self._now() + int(ttl * 1000)
        self._subscribed(lambda db: subscriptions.subscribe(db, space, priority, until))

    def unsubscribe(self, space: str) -> None:
        """Do not want a space any more: with the next round its rows leave the device. What was written in it and has
        not been sent goes out first, with that round or a later one, as if nothing had happened.
        """
        self._subscribed(lambda db: subscriptions.unsubscribe(db, space))

    def _subscribed(self, change: Callable[[apsw.Connection], None]) -> None:
        self._open_outside("subscribe() or unsubscribe()")
        with sqlite_errors(self.path):
            db = connect(self.path, constraints=False, now=self._sql_clock)
            try:
                with applying(db, self.path):
                    change(db)
            finally:
                db.close()
        self.poke()

    def wait_for_first_sync(self, priority: int | None = None, *, timeout: float = 60.0) -> None:
        """Wait until everything that the device may read and wants is here for the first time; with `priority`, only
        what has at most this priority, space and table alike. Later it returns at once, also after a restart without
        a network. Raises what holds it up, or `busy`, after `timeout` seconds.
        """
        self._open()
        until = time.monotonic() + timeout
        changed = threading.Event()
        stop = self.events.add(lambda _: changed.set())
        try:
            while not first_load_done(self._connections.execute, self._now(), priority):
                left = until - time.monotonic()
                if left <= 0:
                    raise self._exchanges.error_down or HoldfastError("busy", f"not here after {timeout} seconds")
                changed.wait(min(left, LOOK_SECONDS))
                changed.clear()
        finally:
            stop()
