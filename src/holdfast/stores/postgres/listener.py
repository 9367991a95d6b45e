"""Hearing of what other processes commit, by LISTEN. It needs a session of its own, and no pooler in the way."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

import psycopg

from holdfast.schema.emit.postgres_dirty import CHANNEL

logger = logging.getLogger("holdfast.stores")

COMMITS = "holdfast_commit"
TOLD = "holdfast_told"
_BEAT = 0.2
"""Seconds after which a listener looks whether it shall stop."""
_LONGEST_PAUSE = 5.0
_SECOND = 1.0


class Listener:
    """A thread that calls `heard` when another process has written, `told` with what another one says, and `beat` about
    once a second. It connects again by itself after a failure.

    `voice` is what this process says when it commits; it does not listen to itself.
    """

    def __init__(
        self,
        dsn: str,
        voice: str,
        heard: Callable[[], None],
        told: Callable[[str], None],
        beat: Callable[[], None],
    ) -> None:
        self._dsn = dsn
        self._voice = voice
        self._heard = heard
        self._told = told
        self._beat = beat
        self._beaten = time.monotonic()
        self._stopping = threading.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="holdfast listener", daemon=True)
        self._thread.start()
        # So that whoever starts to listen hears everything that is committed from then on, if the server is there.
        self._listening.wait(_LONGEST_PAUSE)

    def stop(self) -> None:
        """End it and wait for a call under way; idempotent."""
        self._stopping.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        pause = _BEAT
        while not self._stopping.is_set():
            try:
                name = f"holdfast {os.getpid()} listener"
                with psycopg.connect(self._dsn, autocommit=True, application_name=name) as connection:
                    for channel in (CHANNEL, COMMITS, TOLD):
                        connection.execute(f"LISTEN {channel}".encode())
                    pause = _BEAT
                    self._listen(connection)
            except psycopg.Error as error:
                logger.warning("the listener lost its connection and tries again: %s", error)
                self._stopping.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _listen(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        if self._listening.is_set():
            self._heard()  # while there was no connection, anything may have been missed
        self._listening.set()
        while not self._stopping.is_set():
            notes = list(connection.notifies(timeout=_BEAT, stop_after=1))
            for note in notes:
                if note.channel == TOLD and not note.payload.startswith(self._voice):
                    self._told(note.payload)
            if {note.payload for note in notes if note.channel != TOLD} - {self._voice}:
                self._heard()
            if time.monotonic() - self._beaten >= _SECOND:
                self._beaten = time.monotonic()
                self._beat()
