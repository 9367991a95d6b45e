"""Who waits for news: live channels ask to be woken when something was committed."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable

Wake = Callable[[], None]


class Watch:
    """Wakes those who wait for a space. Thread-safe; `wake` must return at once and never raise.

    It also counts what happened, so that somebody who comes and goes (a long poll) can ask what he has missed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, dict[int, Wake]] = {}
        self._all: dict[int, Wake] = {}
        self._next = 0
        self._run = secrets.token_hex(4)
        self._count = 0
        self._moved: dict[str, int] = {}
        self._all_moved = 0

    def add(self, spaces: Iterable[str], wake: Wake) -> Callable[[], None]:
        """Call `wake` whenever one of the spaces gets rows, or something came for everyone; gives the function that
        ends it (idempotent).

        Who may read no space yet waits too: he may be granted one.
        """
        names = list(spaces)
        with self._lock:
            self._next += 1
            number = self._next
            self._all[number] = wake
            for name in names:
                self._waiting.setdefault(name, {})[number] = wake
        return lambda: self._remove(names, number)

    def _remove(self, names: list[str], number: int) -> None:
        with self._lock:
            self._all.pop(number, None)
            for name in names:
                waiting = self._waiting.get(name)
                if waiting is not None:
                    waiting.pop(number, None)
                    if not waiting:
                        del self._waiting[name]

    def changed(self, spaces: Iterable[str]) -> None:
        """Rows came into these spaces."""
        names = list(spaces)
        with self._lock:
            self._count += 1
            self._moved.update(dict.fromkeys(names, self._count))
            wakes = {number: wake for name in names for number, wake in self._waiting.get(name, {}).items()}
        for wake in wakes.values():
            wake()

    def everyone(self) -> None:
        """Something came, it is not known where: wake all."""
        with self._lock:
            self._count += 1
            self._all_moved = self._count
            wakes = list(self._all.values())
        for wake in wakes:
            wake()

    def mark(self) -> str:
        """Where things stand now, for `missed`."""
        return f"{self._run}.{self._count}"

    def missed(self, mark: str, spaces: Iterable[str]) -> bool:
        """Whether anything came into the spaces since the mark. One of another process may have missed anything."""
        run, _, count = mark.partition(".")
        if run != self._run or not count.isascii() or not count.isdigit() or len(count) > 18:
            return True
        with self._lock:
            latest = max((self._moved.get(name, 0) for name in spaces), default=0)
            return max(latest, self._all_moved) > int(count)

    @property
    def count(self) -> int:
        """How many wait: one for each channel that has been answered and may read a space."""
        with self._lock:
            return len({number for waiting in self._waiting.values() for number in waiting})

    @property
    def empty(self) -> bool:
        """Whether nobody waits."""
        return not self._all
