"""The order of sending: which transactions go into the next request, and in which order. Pure.

Lower priority numbers go first; but a transaction goes after everything that it needs, so what it needs is drawn
forward with it. (A depth-first topological sort: Tarjan, *Edge-disjoint spanning trees and depth-first search*, 1976.)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from holdfast.schema.queue import DEFAULT, Queue


class Candidate(NamedTuple):
    """A transaction that has no name. `size` in bytes; `held`: it must not go yet, nor what needs it."""

    txn: int
    queue: str
    size: int
    held: bool = False


class Choice(NamedTuple):
    """`chosen` in the order of sending; `more`: others could go in a further request."""

    chosen: list[int]
    more: bool


def choose(
    candidates: Sequence[Candidate],
    needs: Mapping[int, Collection[int]],
    queues: Mapping[str, Queue],
    count: int,
    size: int,
) -> Choice:
    """Up to `count` transactions of together about `size` bytes (at least one).

    `needs` maps a transaction to those that must go before it; what is not among the candidates has gone already.
    """
    return _Chooser(candidates, needs, queues, count, size).run()


def first_written(candidates: Sequence[Candidate], count: int, size: int) -> Choice:
    """The same where the order of writing will do: no priority, no limit of a class, nothing held."""
    chosen: list[int] = []
    for candidate in candidates:
        size -= candidate.size
        if chosen and (size < 0 or len(chosen) >= count):
            return Choice(chosen, True)
        chosen.append(candidate.txn)
    return Choice(chosen, False)


class _Chooser:
    def __init__(
        self,
        candidates: Sequence[Candidate],
        needs: Mapping[int, Collection[int]],
        queues: Mapping[str, Queue],
        count: int,
        size: int,
    ) -> None:
        self._by_txn = {candidate.txn: candidate for candidate in candidates}
        self._needs, self._queues = needs, queues
        self._count, self._room = count, size
        self._chosen: dict[int, None] = {}
        self._blocked: set[int] = set()
        self._of_queue: dict[str, int] = {}
        self._more = False

    def run(self) -> Choice:
        order = sorted(self._by_txn.values(), key=lambda c: (self._queue(c).priority, c.txn))
        for candidate in order:
            if not self._take(candidate.txn):
                return Choice(list(self._chosen), True)
        return Choice(list(self._chosen), self._more)

    def _queue(self, candidate: Candidate) -> Queue:
        return self._queues.get(candidate.queue, DEFAULT)

    def _take(self, txn: int) -> bool:
        """Choose a transaction behind all that it needs. False when the request is full."""
        stack = [txn]
        while stack:
            current = stack[-1]
            if current in self._chosen or current in self._blocked:
                stack.pop()
                continue
            waiting = [need for need in self._needs.get(current, ()) if need in self._by_txn]
            if any(need in self._blocked for need in waiting):
                self._blocked.add(current)
                continue
            open_needs = sorted((need for need in waiting if need not in self._chosen), reverse=True)
            if open_needs:
                stack += open_needs
            elif not self._place(self._by_txn[current]):
                return False
        return True

    def _place(self, candidate: Candidate) -> bool:
        """Put a transaction into the request, or note that it cannot go. False when the request is full."""
        if candidate.held:
            self._blocked.add(candidate.txn)
            return True
        limit = at_once(self._queue(candidate))
        if limit is not None and self._of_queue.get(candidate.queue, 0) >= limit:
            self._blocked.add(candidate.txn)
            self._more = True
            return True
        if self._chosen and (candidate.size > self._room or len(self._chosen) >= self._count):
            return False
        self._chosen[candidate.txn] = None
        self._room -= candidate.size
        self._of_queue[candidate.queue] = self._of_queue.get(candidate.queue, 0) + 1
        return True


def at_once(queue: Queue) -> int | None:
    """How many transactions of the class one request carries; None: no limit of its own.

    Nothing is named while something is unanswered, so what is in one request is all that is under way.
    """
    limits = [limit for limit in (queue.batch_size, queue.max_concurrent) if limit is not None]
    return min(limits, default=None)
