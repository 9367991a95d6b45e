"""Who is here: devices that announced themselves in a space over a live channel, in this process of the hub and, where
the store carries messages between processes, in the others.

Nothing of it is stored. What another process says is forgotten when it has said nothing for a while.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from holdfast.stores.base import Store, Telling

log = logging.getLogger("holdfast.hub")

BEAT_SECONDS = 20.0
"""How often a process repeats to the others who is with it."""
FORGET_SECONDS = 60.0
MOST_TOLD = 500
"""So many devices of one space are told of."""


class Here(NamedTuple):
    """A device that is connected: its id, its user, what its application announced."""

    device: str
    user: str
    data: Any


class _Far(NamedTuple):
    here: Here
    until: float


class Presence:
    """Thread-safe. `wake` functions are called from any thread and must return at once."""

    def __init__(self, store: Store, now: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._now = now
        self._near: dict[str, dict[int, Here]] = {}
        self._far: dict[str, dict[tuple[str, int], _Far]] = {}
        self._wakes: dict[int, Callable[[str], None]] = {}
        self._next = 0
        self._beat = now()
        self._store = store if isinstance(store, Telling) else None
        self._stop = self._store.hear(self._heard) if self._store is not None else lambda: None

    def enter(self, wake: Callable[[str], None]) -> int:
        """A channel is open: `wake(space)` is called when somebody comes or goes in a space it has announced in."""
        with self._lock:
            self._next += 1
            self._wakes[self._next] = wake
            return self._next

    def announce(self, number: int, device: str, user: str, said: Mapping[str, Any]) -> None:
        """The device of a channel is in these spaces, and in no others."""
        with self._lock:
            before = [space for space, near in self._near.items() if number in near and space not in said]
        for space in before:
            self._set(space, number, None)
        for space, data in said.items():
            self._set(space, number, Here(device, user, data))

    def leave(self, number: int) -> None:
        """The channel is closed; idempotent."""
        self.announce(number, "", "", {})
        with self._lock:
            self._wakes.pop(number, None)

    def _set(self, space: str, number: int, here: Here | None) -> None:
        with self._lock:
            near = self._near.setdefault(space, {})
            if near.get(number) == here:
                return
            if here is None:
                del near[number]
                if not near:
                    del self._near[space]
            else:
                near[number] = here
        self._say([(space, number, here)])
        self._changed(space)

    def here(self, space: str) -> list[Here]:
        """Who is in the space, each device once, in order."""
        now = self._now()
        with self._lock:
            found = list(self._near.get(space, {}).values())
            far = self._far.get(space, {})
            for name in [name for name, entry in far.items() if entry.until < now]:
                del far[name]
            found += [entry.here for entry in far.values()]
        return sorted({here.device: here for here in found}.values(), key=lambda here: here.device)[:MOST_TOLD]

    def beat(self) -> None:
        """Called now and then: repeat to the other processes who is here, and wake those who look at somebody lost."""
        now = self._now()
        if self._store is None or now - self._beat < BEAT_SECONDS:
            return
        self._beat = now
        with self._lock:
            near = [(space, number, here) for space, who in self._near.items() for number, here in who.items()]
            lost = [space for space, far in self._far.items() if any(entry.until < now for entry in far.values())]
        self._say(near)
        for space in lost:
            self._changed(space)

    def close(self) -> None:
        """Nobody is heard any more."""
        self._stop()

    def _changed(self, space: str) -> None:
        with self._lock:
            wakes = [self._wakes[number] for number in self._near.get(space, {}) if number in self._wakes]
        for wake in wakes:
            wake(space)

    def _say(self, entries: Iterable[tuple[str, int, Here | None]]) -> None:
        if self._store is None:
            return
        try:
            for space, number, here in entries:
                self._store.tell(json.dumps([space, number, list(here) if here is not None else None]))
        except Exception:
            log.exception("other processes of the hub do not hear who is present; it is repeated")

    def _heard(self, voice: str, text: str) -> None:
        """Another process says who came or went."""
        space, number, said = json.loads(text)
        with self._lock:
            far = self._far.setdefault(space, {})
            before = far.pop((voice, number), None)
            if said is not None:
                far[voice, number] = _Far(Here(*said), self._now() + FORGET_SECONDS)
            if not far:
                del self._far[space]
        if (before.here if before is not None else None) != (Here(*said) if said is not None else None):
            self._changed(space)
