"""Group commit: who comes while another one writes is written with the others, and each gets his own answer."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

import holdfast as hf
from holdfast.hub.batch import Outcome, Submission
from holdfast.hub.group import GroupCommit
from holdfast.hub.writer import GROUP_BYTES
from holdfast.kernel import clock
from holdfast.protocol import messages as m


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


class Note(hf.Table, space="all"):
    text: str


def test_a_group_of_large_requests_is_bounded_by_their_bytes() -> None:
    """Each has one operation: counted by operations alone, all of them would stand in memory, decoded, at once."""
    schema = hf.Schema(Note)
    requests, size = 6, GROUP_BYTES * 2 // 5
    with hf.Server("memory:", schema) as server:
        writer, groups = server.hub._writer, []
        write = writer._group._write

        def noted(submissions: Sequence[Submission]) -> Sequence[Outcome | Exception]:
            groups.append(sum(submission.size for submission in submissions))
            return write(submissions)

        writer._group._write = noted
        bodies = [body_of(schema, number, size) for number in range(requests)]
        with ThreadPoolExecutor(requests) as pool:
            with writer._group._writer:
                answers = [pool.submit(server.handle, body, hf.Identity("anna", {"all": "rw"})) for body in bodies]
                while len(writer._group._waiting) < requests:
                    assert not any(answer.done() for answer in answers)
            statuses = [answer.result(60).status for answer in answers]
    assert statuses == [200] * requests
    assert max(groups) <= GROUP_BYTES
    assert len(groups) == requests / 2, "two fit"


def body_of(schema: hf.Schema, number: int, size: int) -> bytes:
    """A request with one row of `size` bytes."""
    origin = clock.new_origin(number + 1)
    stamp = clock.stamp(clock.wall(1), origin)
    row = m.Insert("note", f"n{number}", stamp, 1, {"text": "x" * size})
    transaction = m.Transaction(origin, 1, [row])
    return m.encode(m.Request(1, f"device{number}", m.SchemaName(1, schema.hash), 0, transactions=[transaction]))
