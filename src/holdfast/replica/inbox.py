"""What wakes the loop: one queue of things that happened, for one thread, with a bound on what waits in it."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any, NamedTuple, Protocol

from holdfast.errors import HoldfastError

MOST_WAITING = 4 * 1024 * 1024
"""Bytes of messages of a live channel that may wait; who brings more has to wait, and so the hub."""


class Happening(NamedTuple):
    """`kind`: "commit", "poke", "sync" (value: a future), "message" (bytes), "news", "presence" (bytes), "lost",
    "credentials" (None or an error), "announce"; "look" when the time was over and nothing had happened.
    """

    kind: str
    value: Any = None


LOOK = Happening("look")


class Stopped(Exception):
    """The loop shall end."""


class Time(Protocol):
    """The time of a loop, in seconds; a simulation has its own."""

    def now(self) -> float:
        """Now, by a clock that only goes forward."""

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait for a notice, at most so long. The condition is held."""


class RealTime:
    """The computer's own."""

    def now(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait for a notice."""
        condition.wait(seconds)


class Inbox:
    """Filled from any thread, emptied by one."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._changed = threading.Condition()
        self._waiting: deque[Happening] = deque()
        self._size = 0
        self._link = 0
        self.stopped = False

    def put(self, happening: Happening) -> bool:
        """Something happened; False when nobody will hear of it any more."""
        with self._changed:
            if not self.stopped:
                self._waiting.append(happening)
                self._changed.notify_all()
            return not self.stopped

    def mouth(self) -> Mouth:
        """Where a new channel speaks into; what older ones say is not heard any more."""
        with self._changed:
            self._link += 1
            self._waiting = deque(h for h in self._waiting if h.kind not in ("message", "news", "presence", "lost"))
            self._size = 0
            self._changed.notify_all()
            return Mouth(self, self._link)

    def say(self, link: int, happening: Happening) -> None:
        """A channel brings something; waits while too much is waiting."""
        size = len(happening.value) if isinstance(happening.value, bytes) else 0
        with self._changed:
            while link == self._link and not self.stopped and self._size and self._size + size > MOST_WAITING:
                self._changed.wait()
            if link == self._link and not self.stopped:
                self._waiting.append(happening)
                self._size += size
                self._changed.notify_all()

    def get(self, seconds: float) -> Happening:
        """The next thing, or `LOOK` after so many seconds. Raises `Stopped`."""
        with self._changed:
            until = self._time.now() + seconds
            while not self._waiting:
                left = until - self._time.now()
                if self.stopped or left <= 0:
                    break
                self._time.wait(self._changed, left)
            if self.stopped:
                raise Stopped
            if not self._waiting:
                return LOOK
            happening = self._waiting.popleft()
            if isinstance(happening.value, bytes):
                self._size -= len(happening.value)
                self._changed.notify_all()
            return happening

    def shut(self) -> None:
        """The channel is of no use any more: who waits to speak goes on, unheard."""
        self.mouth()

    def left(self) -> list[Happening]:
        """What nobody has taken, after the end."""
        with self._changed:
            left, self._waiting = list(self._waiting), deque()
            return left

    def stop(self) -> None:
        """Nothing more is heard; `get` raises from now on."""
        with self._changed:
            self.stopped = True
            self._changed.notify_all()


class Mouth:
    """What a channel calls with what it brings."""

    def __init__(self, inbox: Inbox, number: int) -> None:
        self._inbox, self._number = inbox, number

    def __call__(self, message: bytes | str | HoldfastError | None) -> None:
        """A message; a text: who is present; None: there is news; an error: the channel has ended."""
        if isinstance(message, str):
            self._inbox.say(self._number, Happening("presence", message.encode()))
        elif message is None:
            self._inbox.say(self._number, Happening("news"))
        elif isinstance(message, HoldfastError):
            self._inbox.say(self._number, Happening("lost", message))
        else:
            self._inbox.say(self._number, Happening("message", message))
