"""Pieces of work that wait together go in one visit to a thread; each gets its own result, error or end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import anyio
import pytest

from holdfast.edge.visits import LONG_SECONDS, TOGETHER, VISITORS, Visits


def run(test: Callable[[Visits], Awaitable[None]]) -> None:
    async def inside() -> None:
        await test(Visits(anyio.CapacityLimiter(10)))

    asyncio.run(inside())


def test_everybody_gets_what_is_his_in_few_visits() -> None:
    held = threading.Event()
    visitors: list[int] = []

    def work(number: int) -> int:
        held.wait(10)
        visitors.append(threading.get_ident())
        if number == 7:
            raise KeyError(number)
        return number * 2

    async def test(visits: Visits) -> None:
        count = VISITORS * TOGETHER
        waiting = [asyncio.ensure_future(visits.run(lambda n=n: work(n))) for n in range(count)]  # type: ignore[misc]
        asyncio.get_running_loop().call_soon(held.set)
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [number for number in found if isinstance(number, int)] == [2 * n for n in range(count) if n != 7]
        assert isinstance(found[7], KeyError)
        assert len(set(visitors)) <= VISITORS

    run(test)


def test_what_nobody_waits_for_any_more_is_left_out_and_the_others_go_on() -> None:
    done: list[str] = []
    begun, held = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        held.wait(10)

    async def test(visits: Visits) -> None:
        busy = [asyncio.ensure_future(visits.run(first)) for _ in range(VISITORS)]
        while not begun.is_set():
            await asyncio.sleep(0)
        gone = asyncio.ensure_future(visits.run(lambda: done.append("gone")))
        last = asyncio.ensure_future(visits.run(lambda: done.append("last")))
        await asyncio.sleep(0)
        gone.cancel()
        busy[0].cancel()
        held.set()
        await last
        assert done == ["last"]
        with pytest.raises(asyncio.CancelledError):
            await busy[0]

    run(test)


def test_work_that_waits_for_the_store_holds_up_only_its_own_visit() -> None:
    held = threading.Event()

    async def test(visits: Visits) -> None:
        stuck = asyncio.ensure_future(visits.run(lambda: held.wait(10)))
        await asyncio.sleep(0)
        assert await visits.run(lambda: "through") == "through"
        assert not stuck.done()
        held.set()
        assert await stuck

    run(test)


def test_work_that_waits_for_others_waits_at_the_same_time() -> None:
    """Asking who a device is may be a journey to another server: forty of them must not wait one after the other."""
    count, met = 12, threading.Barrier(12)

    async def inside() -> None:
        visits = Visits(anyio.CapacityLimiter(40), 40)
        slow = threading.Event()
        await visits.run(lambda: slow.wait(2 * LONG_SECONDS))  # shows how long such work takes
        assert await asyncio.gather(*(visits.run(lambda: met.wait(10)) for _ in range(count)))
        await visits.run(lambda: None)
        assert not visits._slow, "and quick work goes together again"

    asyncio.run(inside())


def test_a_visit_that_takes_long_gives_back_what_it_has_not_begun() -> None:
    """The others do not wait for its end: they go in the next visit."""
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        threading.Event().wait(2 * LONG_SECONDS if number == 1 else 0.0)
        return number

    async def test(visits: Visits) -> None:
        held = threading.Event()
        busy = [asyncio.ensure_future(visits.run(lambda: held.wait(10))) for _ in range(VISITORS)]
        await asyncio.sleep(0)
        waiting = [asyncio.ensure_future(visits.run(lambda n=n: work(n))) for n in range(6)]  # type: ignore[misc]
        await asyncio.sleep(0)
        held.set()
        assert await asyncio.gather(*waiting) == list(range(6))
        assert sorted(begun) == list(range(6)), "each once"
        assert all(await asyncio.gather(*busy))

    run(test)
