"""Visits to a thread: short pieces of work that wait at the same moment are done in one visit, one after the other.

After a restart of the hub, or after a change in a space that hundreds read, hundreds of channels have a little to ask
of the store at once, and of the application who they are. A thread for each would spend most of its time on handing
over.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import anyio
from anyio import to_thread

VISITORS = 3
"""So many visits may run at the same time: one that waits for the store must not hold up everybody."""
TOGETHER = 16
"""So many pieces of work at most go in one visit: who came first shall not wait for hundreds of others."""
LONG_SECONDS = 0.01
"""A visit that has worked for so long does no further piece. One that took so long for each piece shows that they wait
for something: then each goes in a visit of its own, so that they wait at the same time."""

Done = TypeVar("Done")


class _Piece(NamedTuple):
    work: Callable[[], Any]
    done: asyncio.Future[Any]
    context: contextvars.Context


class Visits:
    """Runs work in threads, several pieces at once. For one event loop; the work must not write.

    `most` visits may run at the same time while the pieces are found to wait for something, `VISITORS` otherwise. Work
    that nobody waits for any more when its turn comes is left out.
    """

    def __init__(self, limiter: anyio.CapacityLimiter, most: int = VISITORS) -> None:
        self._limiter = limiter
        self._most = most
        self._slow = False
        self._waiting: deque[_Piece] = deque()
        self._visitors: set[asyncio.Task[None]] = set()

    async def run(self, work: Callable[[], Done]) -> Done:
        """Have it done in a thread, and give its result. Raises what it raises."""
        piece = _Piece(work, asyncio.get_running_loop().create_future(), contextvars.copy_context())
        self._waiting.append(piece)
        self._send_visitors()
        found: Done = await piece.done
        return found

    def _send_visitors(self) -> None:
        """So many as the waiting pieces need."""
        allowed = self._most if self._slow else VISITORS
        while len(self._visitors) < min(allowed, len(self._waiting)):
            visitor = asyncio.create_task(self._visit())
            self._visitors.add(visitor)
            visitor.add_done_callback(self._visitors.discard)
            if not self._slow:
                return

    async def _visit(self) -> None:
        while self._waiting:
            share = 1 if self._slow else min(TOGETHER, -(-len(self._waiting) // VISITORS))
            pieces = [self._waiting.popleft() for _ in range(share)]
            pieces = [piece for piece in pieces if not piece.done.done()]
            try:
                results, seconds = await to_thread.run_sync(_work, pieces, limiter=self._limiter)
            except BaseException:
                # The loop ends: who still waits for this visit must not wait for ever.
                for piece in pieces:
                    piece.done.cancel()
                raise
            self._waiting.extendleft(reversed(pieces[len(results) :]))
            self._learn(len(results), seconds)
            for piece, (result, error) in zip(pieces, results, strict=False):
                if piece.done.done():
                    continue
                if error is not None:
                    piece.done.set_exception(error)
                else:
                    piece.done.set_result(result)

    def _learn(self, done: int, seconds: float) -> None:
        if done:
            self._slow = self._most > VISITORS and seconds > LONG_SECONDS * done
            if self._slow:
                self._send_visitors()


def _work(pieces: Sequence[_Piece]) -> tuple[list[tuple[Any, Exception | None]], float]:
    """Results or errors of the pieces, of fewer when they take long, and the seconds that it took."""
    results: list[tuple[Any, Exception | None]] = []
    began, used = time.perf_counter(), 0.0
    for piece in pieces:
        try:
            results.append((piece.context.run(piece.work), None))
        except Exception as error:  # noqa: BLE001 - raised again by who waits for it
            results.append((None, error))
        used = time.perf_counter() - began
        if used > LONG_SECONDS:
            break
    return results, used
