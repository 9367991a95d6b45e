"""Visits to a thread: short pieces of work that wait at the same moment are done in one visit, one after the other.

After a restart of the hub, or after a change in a space that hundreds read, hundreds of channels have a little to ask
of the store at once. A thread for each would spend most of its time on handing over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import anyio
from anyio import to_thread

VISITORS = 3
"""So many visits may run at the same time: one that waits for the store must not hold up everybody."""
TOGETHER = 16
"""So many pieces of work at most go in one visit: who came first shall not wait for hundreds of others."""

Done = TypeVar("Done")


class _Piece(NamedTuple):
    work: Callable[[], Any]
    done: asyncio.Future[Any]


class Visits:
    """Runs work in threads, several pieces at once. For one event loop; the work must neither write nor wait for long.

    Work that nobody waits for any more when its turn comes is left out.
    """

    def __init__(self, limiter: anyio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._waiting: deque[_Piece] = deque()
        self._visitors: set[asyncio.Task[None]] = set()

    async def run(self, work: Callable[[], Done]) -> Done:
        """Have it done in a thread, and give its result. Raises what it raises."""
        piece = _Piece(work, asyncio.get_running_loop().create_future())
        self._waiting.append(piece)
        if len(self._visitors) < VISITORS:
            visitor = asyncio.create_task(self._visit())
            self._visitors.add(visitor)
            visitor.add_done_callback(self._visitors.discard)
        found: Done = await piece.done
        return found

    async def _visit(self) -> None:
        while self._waiting:
            share = min(TOGETHER, -(-len(self._waiting) // VISITORS))
            pieces = [self._waiting.popleft() for _ in range(share)]
            pieces = [piece for piece in pieces if not piece.done.done()]
            try:
                results = await to_thread.run_sync(_work, pieces, limiter=self._limiter)
            except BaseException:
                # The loop ends: who still waits for this visit must not wait for ever.
                for piece in pieces:
                    piece.done.cancel()
                raise
            for piece, (result, error) in zip(pieces, results, strict=True):
                if piece.done.done():
                    continue
                if error is not None:
                    piece.done.set_exception(error)
                else:
                    piece.done.set_result(result)


def _work(pieces: Sequence[_Piece]) -> list[tuple[Any, Exception | None]]:
    results: list[tuple[Any, Exception | None]] = []
    for piece in pieces:
        try:
            results.append((piece.work(), None))
        except Exception as error:  # noqa: BLE001 - raised again by who waits for it
            results.append((None, error))
    return results
