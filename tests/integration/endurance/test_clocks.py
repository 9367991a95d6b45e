"""Clocks that are wrong by a year, ahead or behind, and clocks that jump."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.protocol.transport import Exchange
from holdfast.testing import LocalTransport

YEAR = 365 * 24 * 60 * 60 * 1000
NOW = 3 * YEAR
ANN = hf.Identity("ann", spaces={"s": "rw"})


class Note(hf.Table, space="s"):
    text: str = ""


SCHEMA = hf.Schema(Note)


@pytest.mark.parametrize("wrong", [-YEAR, YEAR])
def test_a_clock_that_is_wrong_by_a_year(tmp_path: Path, wrong: int) -> None:
    now = NOW
    with closing(hf.Server("memory:", SCHEMA, now=lambda: now)) as server:
        way = LocalTransport(server, ANN)
        right = hf.Replica(tmp_path / "right.db", SCHEMA, transport=way, now=lambda: now)
        odd = hf.Replica(tmp_path / "odd.db", SCHEMA, transport=way, now=lambda: now + wrong)
        with right, odd:
            odd.execute("insert into note (id, text) values ('a', 'odd, never synced')")
            odd.sync()
            assert odd.status.clock_offset == -wrong
            assert odd.status.clock_jump == 0
            for round_ in range(4):
                now += 60_000
                right.sync()
                right.execute("update note set text = ? where id = 'a'", (f"right {round_}",))
                right.sync()
                now += 60_000
                odd.sync()
                assert odd.execute("select text from note")[0]["text"] == f"right {round_}", "no everlasting winner"
                odd.execute("update note set text = ? where id = 'a'", (f"odd {round_}",))
                assert odd.sync().conflicts == []
                right.sync()
                assert right.execute("select text from note")[0]["text"] == f"odd {round_}"
            # Neither has seen the other: both sides agree on one, and the other is kept as a conflict.
            odd.execute("update note set text = 'odd, first' where id = 'a'")
            now += 10_000
            right.execute("update note set text = 'right, later' where id = 'a'")
            right.sync()
            odd.sync()
            right.sync()
            texts = {replica.execute("select text from note")[0]["text"] for replica in (right, odd)}
            # A clock that was ahead when it wrote before its first sync goes on ahead; the hub then goes by arrival.
            assert texts == {"right, later" if wrong < 0 else "odd, first"}
            assert len(right.conflicts()) == 1


def test_a_jump_is_noticed_and_told(tmp_path: Path) -> None:
    now, shift = NOW, 0
    with closing(hf.Server("memory:", SCHEMA, now=lambda: now)) as server:
        way = LocalTransport(server, ANN)
        with hf.Replica(tmp_path / "a.db", SCHEMA, transport=way, now=lambda: now + shift) as replica:
            replica.sync()
            shift = 30_000
            replica.sync()
            assert replica.status.clock_jump == 0, "half a minute is no jump"
            for jump in (YEAR, -2 * YEAR, YEAR - 30_000):
                shift += jump
                now += 5_000
                replica.execute("insert into note (text) values ('written after a jump')")
                replica.sync()
                assert replica.status.clock_jump == jump
                assert replica.status.clock_offset == -shift
            replica.sync()
            assert replica.status.clock_jump == YEAR - 30_000
            assert replica.status.pending_count == replica.status.refused_count == 0


class Slow:
    """A way on which an answer is long under way."""

    def __init__(self, server: hf.Server, on_the_way: Callable[[], None]) -> None:
        self._way, self._on_the_way = LocalTransport(server, ANN), on_the_way

    def exchange(self, body: bytes) -> Exchange:
        """The hub works at once; then nothing arrives for long."""
        found = self._way.exchange(body)
        self._on_the_way()
        return found

    def close(self) -> None:
        """Nothing is held."""


def test_an_answer_that_takes_long_is_no_jump(tmp_path: Path) -> None:
    """Of an answer that was under way for ten minutes nobody knows how old its time is: the offset that was known
    stands, and a clock that really jumped is noticed, as far as that can be known."""
    now, wait, shift = NOW, 0, 0
    with closing(hf.Server("memory:", SCHEMA, now=lambda: now)) as server:

        def on_the_way() -> None:
            nonlocal now
            now += wait

        way = Slow(server, on_the_way)
        with hf.Replica(tmp_path / "a.db", SCHEMA, transport=way, now=lambda: now + 5_000 + shift) as replica:
            replica.sync()
            assert replica.status.clock_offset == -5_000
            wait = 10 * 60_000
            replica.execute("insert into note (text) values ('over a slow link')")
            replica.sync()
            assert (replica.status.clock_jump, replica.status.clock_offset) == (0, -5_000)
            shift = YEAR
            replica.execute("insert into note (text) values ('after a jump')")
            replica.sync()
            assert abs(replica.status.clock_jump - YEAR) <= wait
            wait = 0
            replica.sync()
            assert replica.status.clock_offset == -5_000 - YEAR
