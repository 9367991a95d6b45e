"""Group commit: who comes while another one writes is written with the others, and each gets his own answer."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.hub.group import GroupCommit


class Slow:
    """Writes when it is let: so that others queue up behind the first one."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.free = threading.Event()
        self.groups: list[list[int]] = []

    def write(self, works: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(works))
        self.begun.set()
        assert self.free.wait(20)
        return [ValueError(work) if work < 0 else work * 2 for work in works]


def run(slow: Slow, works: Sequence[int], limit: int) -> list[object]:
    """What each of the calls gives or raises; the first is in the middle of its write when the others come."""
    group: GroupCommit[int, int] = GroupCommit(slow.write, abs, limit)

    def call(work: int) -> object:
        try:
            return group.submit(work)
        except ValueError as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        first = pool.submit(call, works[0])
        assert slow.begun.wait(20)
        others = [pool.submit(call, work) for work in works[1:]]
        while len(group._waiting) < len(others):
            assert not slow.free.is_set()
        slow.free.set()
        return [future.result(20) for future in (first, *others)]


def test_those_who_wait_are_written_together() -> None:
    slow = Slow()
    assert run(slow, [1, 2, 3, 4], limit=100) == [2, 4, 6, 8]
    assert [sorted(group) for group in slow.groups] == [[1], [2, 3, 4]]


def test_an_error_of_one_is_his_alone() -> None:
    answers = run(Slow(), [1, -2, 3], limit=100)
    assert (answers[0], answers[2]) == (2, 6)
    assert isinstance(answers[1], ValueError)


def test_a_group_has_a_limit_and_always_a_member() -> None:
    slow = Slow()
    assert run(slow, [1, 60, 60, 200], limit=100) == [2, 120, 120, 400]
    assert sorted(len(group) for group in slow.groups) == [1, 1, 1, 1]


def test_an_error_of_the_write_is_everybodys() -> None:
    def fails(works: Sequence[int]) -> list[int]:
        raise OSError("disk")

    group: GroupCommit[int, int] = GroupCommit(fails, abs, 100)
    with pytest.raises(OSError, match="disk"):
        group.submit(1)
