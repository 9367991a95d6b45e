"""The thread of a replica that tells the application what has changed: its status, and the rows that it watches.

It begins with the first who wants to know. It wakes when this process writes or syncs, and looks twice a second for
what other processes did. It never holds a transaction while it calls the application.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.replica.changes import Changes
from holdfast.replica.connections import Connections
from holdfast.replica.status import Status
from holdfast.replica.watch import Rows, Watch, tables_read

log = logging.getLogger("holdfast.replica")

LOOK_SECONDS = 0.5
"""How often it looks for what other processes did."""
PAUSE_SECONDS = 0.02
"""What happens within so long after a delivery is told as one."""
STOP_SECONDS = 5.0

Listener = Callable[[Status], None]


class Observer:
    """Whom to tell. Thread-safe. `status()` gives the status now."""

    def __init__(self, connections: Connections, status: Callable[[], Status], declared: Collection[str]) -> None:
        self._connections = connections
        self._status = status
        self._declared = frozenset(declared)
        self._lock = threading.Lock()
        self._awake = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._listeners: list[Listener] = []
        self._new_listeners: list[Listener] = []
        self._watches: list[Watch] = []
        self._told: Status | None = None
        self._changes = Changes()
        self._data_version = -1

    def wake(self) -> None:
        """Something may have changed. Returns at once."""
        self._awake.set()

    def add_listener(self, callback: Listener) -> Callable[[], None]:
        """Tell `callback` of each status from now on, of the present one first."""
        with self._lock:
            self._listeners.append(callback)
            self._new_listeners.append(callback)
        self._start()

        def remove() -> None:
            with self._lock:
                for listeners in (self._listeners, self._new_listeners):
                    if callback in listeners:
                        listeners.remove(callback)

        return remove

    def add_watch(self, sql: str, values: Any, callback: Callable[[Rows], None] | None) -> Watch:
        """Watch a query. Raises `sql`."""
        with self._connections.reading() as db:
            read = tables_read(db, sql, values)
        watch = Watch(sql, values, callback, read & self._declared, reads_others=bool(read - self._declared))
        watch.forget = self._forget
        with self._lock:
            self._watches.append(watch)
        self._start()
        return watch

    def _forget(self, watch: Watch) -> None:
        with self._lock:
            if watch in self._watches:
                self._watches.remove(watch)

    def _start(self) -> None:
        with self._lock:
            if self._stopped.is_set():
                raise HoldfastError("closed", "the replica was closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="holdfast-observer", daemon=True)
                self._thread.start()
        self.wake()

    def stop(self) -> None:
        """End the thread and every watch; idempotent. Waits for a callback that is running, unless it is the caller."""
        self._stopped.set()
        self.wake()
        with self._lock:
            watches, thread = list(self._watches), self._thread
        for watch in watches:
            watch.cancel()
        if thread is not None and thread is not threading.current_thread():
            thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopped.is_set():
            woken = self._awake.wait(LOOK_SECONDS)
            self._awake.clear()
            try:
                moved = self._tell_rows()
                if woken or moved:
                    self._tell_status()
            except HoldfastError as error:
                if error.code != "closed":
                    log.warning("what changed cannot be told now: %s", error)
            except Exception:
                log.exception("a mistake while telling what changed; going on")
            self._stopped.wait(PAUSE_SECONDS)

    def _tell_rows(self) -> bool:
        """Run the queries whose tables have changed, in one snapshot, and tell their rows; gives whether anything was
        committed since the last look."""
        with self._lock:
            watches = list(self._watches)
        if self._stopped.is_set():
            return False
        with self._connections.reading() as db:
            data_version = int(db.execute("PRAGMA data_version").get)
            moved = data_version != self._data_version
            changed = self._changes.since(db) if moved and watches else set()
            self._data_version = data_version
            due = [w for w in watches if not w.runs or changed & w.tables or (moved and w.reads_others)]
            told = [watch for watch in due if watch.run(db)]
        for watch in told:
            self._call(watch.deliver, "a callback of watch() failed")
        return moved

    def _tell_status(self) -> None:
        with self._lock:
            listeners, new, self._new_listeners = list(self._listeners), self._new_listeners, []
        if not listeners or self._stopped.is_set():
            return
        status = self._status()
        same, self._told = status == self._told, status
        for callback in new if same else listeners:
            self._call(partial(callback, status), "a callback of on_status() failed")

    def _call(self, callback: Callable[[], None], what: str) -> None:
        if self._stopped.is_set():
            return
        try:
            callback()
        except Exception:
            log.exception("%s", what)
