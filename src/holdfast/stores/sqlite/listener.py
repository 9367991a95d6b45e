"""Hearing of what other processes commit to the same file: SQLite counts for each connection what others changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger("holdfast.stores")

BEAT_SECONDS = 0.02
"""How often the counter is read: a few microseconds each time."""


class Listener:
    """A thread that calls `heard` when `changed()` says that others have written."""

    def __init__(self, changed: Callable[[], bool], heard: Callable[[], None]) -> None:
        self._changed, self._heard = changed, heard
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="holdfast listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it and wait for a call under way; idempotent."""
        self._stopping.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(BEAT_SECONDS):
            try:
                if self._changed():
                    self._heard()
            except Exception:
                logger.exception("what other processes wrote could not be taken; looking again")
