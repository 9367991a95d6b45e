"""Group commit: pushes that arrive while another one is being written are written together, with one durable commit.

Whoever finds no one writing becomes the writer for everybody who waits; the others find their work done when their turn
comes. (The idea is old: DeWitt et al., *Implementation Techniques for Main Memory Database Systems*, SIGMOD 1984.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Work = TypeVar("Work")
Done = TypeVar("Done")


class _Item(Generic[Work, Done]):
    __slots__ = ("done", "error", "finished", "work")

    def __init__(self, work: Work) -> None:
        self.work = work
        self.done: Done | None = None
        self.error: BaseException | None = None
        self.finished = False


class GroupCommit(Generic[Work, Done]):
    """Joins concurrent calls. `write` gets the works of a group, in order of arrival, and gives for each a result, or
    an exception that is raised for this member alone.

    An error that `write` raises is raised for every member of the group: it wrote nothing.
    """

    def __init__(
        self, write: Callable[[Sequence[Work]], Sequence[Done | Exception]], weight: Callable[[Work], int], limit: int
    ) -> None:
        self._write = write
        self._weight = weight
        self._limit = limit
        self._waiting: list[_Item[Work, Done]] = []
        self._queue = threading.Lock()
        self._writer = threading.Lock()

    def submit(self, work: Work) -> Done:
        """Have the work written, alone or in a group, and give its result. Raises what `write` raised."""
        item: _Item[Work, Done] = _Item(work)
        with self._queue:
            self._waiting.append(item)
        with self._writer:
            if not item.finished:
                self._run(item)
        if item.error is not None:
            raise item.error
        return item.done  # type: ignore[return-value]

    def _run(self, own: _Item[Work, Done]) -> None:
        """Write groups from the front of the queue until `own` is among them."""
        while not own.finished:
            group = self._take()
            try:
                results = self._write([item.work for item in group])
            except BaseException as error:  # noqa: BLE001 (raised again by each member's own call)
                for item in group:
                    item.error = error
                    item.finished = True
            else:
                for item, result in zip(group, results, strict=True):
                    if isinstance(result, Exception):
                        item.error = result
                    else:
                        item.done = result
                    item.finished = True

    def _take(self) -> list[_Item[Work, Done]]:
        with self._queue:
            total, count = 0, 0
            for item in self._waiting:
                total += self._weight(item.work)
                if count and total > self._limit:
                    break
                count += 1
            group, self._waiting = self._waiting[:count], self._waiting[count:]
            return group
