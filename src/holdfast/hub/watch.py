"""Who waits for news: live channels ask to be woken when something was committed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

Wake = Callable[[], None]


class Watch:
    """Wakes those who wait for a space. Thread-safe; `wake` must return at once and never raise."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, dict[int, Wake]] = {}
        self._next = 0

    def add(self, spaces: Iterable[str], wake: Wake) -> Callable[[], None]:
        """Call `wake` whenever one of the spaces gets rows; gives the function that ends it (idempotent)."""
        names = list(spaces)
        with self._lock:
            self._next += 1
            number = self._next
            for name in names:
                self._waiting.setdefault(name, {})[number] = wake
        return lambda: self._remove(names, number)

    def _remove(self, names: list[str], number: int) -> None:
        with self._lock:
            for name in names:
                waiting = self._waiting.get(name)
                if waiting is not None:
                    waiting.pop(number, None)
                    if not waiting:
                        del self._waiting[name]

    def changed(self, spaces: Iterable[str]) -> None:
        """Rows came into these spaces."""
        with self._lock:
            wakes = {number: wake for name in spaces for number, wake in self._waiting.get(name, {}).items()}
        for wake in wakes.values():
            wake()

    def everyone(self) -> None:
        """Something came, it is not known where: wake all."""
        with self._lock:
            names = list(self._waiting)
        self.changed(names)

    @property
    def empty(self) -> bool:
        """Whether nobody waits."""
        return not self._waiting
