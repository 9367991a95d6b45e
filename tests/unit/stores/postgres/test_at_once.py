"""Writing with the commit: what would stand in the way is an error of the database, and then nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from holdfast.stores.base import Need, NotAtOnce, Origin, Space, StoredResult, Unforeseen
from holdfast.stores.contract.ground import feed, head, write
from holdfast.stores.contract.samples import PLACE, batch, gone, item, place
from tests.unit.stores.postgres.two_stores import TwoStores

SPACES = Need(origins=["o"], spaces=["a", "b"], at_once=True)


class Hubs(TwoStores):
    """`one` writes with the commit."""

    def __init__(self, things: ExitStack) -> None:
        super().__init__(things)
        write(self.one, batch(place("first"), place("second", space="b")))

    def at_once(self, *rows: Any, meanwhile: Any = None, **options: Any) -> dict[str, Space]:
        """Write a batch in the way of a push; `meanwhile` happens after everything was read."""
        with self.one.transaction_for(SPACES, write=True) as tx:
            tx.origins(["o"])
            tx.noted([(row.table, row.key) for row in rows])
            with tx.savepoint():
                heads = tx.write(batch(*rows, **options))
            if meanwhile is not None:
                meanwhile()
        return heads


@pytest.fixture
def hubs() -> Iterator[Hubs]:
    with ExitStack() as things:
        yield Hubs(things)


def codes(hubs: Hubs) -> list[str | None]:
    return [code for (code,) in hubs.program.execute("select code from place order by id")]


def test_heads_are_as_they_were_said_to_be(hubs: Hubs) -> None:
    known = [Origin("o", "d", "u", 1, 1)]
    told = hubs.at_once(place("x"), place("y", space="b"), origins=known, content={"a": b"x", "b": b"y"}, hlc=77)
    with hubs.two.transaction(write=False) as tx:
        assert tx.spaces(["a", "b"]) == told
        assert tx.chain_at("a", 2) == told["a"].chain
        assert tx.origins(["o"]) == {"o": known[0]}
        assert tx.hub().hlc == 77
        assert [seq for seq, _ in tx.feed("a", 0, 9)] == [1, 2]


def test_another_hub_that_was_faster_is_noticed(hubs: Hubs) -> None:
    with pytest.raises(NotAtOnce):
        hubs.at_once(place("x"), meanwhile=lambda: write(hubs.two, batch(place("y"))), hlc=99)
    with hubs.two.transaction(write=False) as tx:
        assert tx.hub().hlc == 1
        assert tx.rows([("place", "x")]) == {}
    assert (head(hubs.one), len(feed(hubs.one))) == (2, 2)
    assert hubs.at_once(place("x"))["a"].head == 3


def test_what_another_program_has_noted_is_noticed(hubs: Hubs) -> None:
    change = "update place set code = 'program' where id = 'first'"
    with pytest.raises(NotAtOnce):
        hubs.at_once(place("first", "hub", fresh=False), meanwhile=lambda: hubs.program.execute(change))
    assert codes(hubs) == ["program", None]
    assert head(hubs.one) == 1


def test_a_row_that_waits_aside_is_not_written_without_a_word(hubs: Hubs) -> None:
    note = "insert into holdfast.dirty (tbl, key, problem) values ('place', 'first', 'odd')"
    with pytest.raises(NotAtOnce):
        hubs.at_once(place("first", "hub", fresh=False), meanwhile=lambda: hubs.program.execute(note))
    assert codes(hubs) == [None, None]


def test_a_row_that_a_program_holds_is_not_waited_for(hubs: Hubs) -> None:
    with hubs.program.transaction():
        hubs.program.execute("update place set code = 'held' where id = 'first'")
        with pytest.raises(NotAtOnce):
            hubs.at_once(place("first", "hub", fresh=False))
    assert codes(hubs) == ["held", None]


@pytest.mark.parametrize(
    "rows",
    [
        [place("x", "same"), place("y", "same")],
        [item("i", "nobody")],
        [item("i", "first"), gone(PLACE, "first")],
    ],
    ids=["unique", "foreign key", "deferred foreign key"],
)
def test_a_violation_keeps_nothing(hubs: Hubs, rows: list[Any]) -> None:
    with pytest.raises(NotAtOnce):
        hubs.at_once(*rows, results=[StoredResult("o", 1, b"{}")])
    assert hubs.program.execute("select count(*) from item").fetchall() == [(0,)]
    with hubs.two.transaction(write=False) as tx:
        assert tx.results(["o"]) == []
        assert tx.spaces(["a"])["a"].head == 1


def test_what_is_read_after_it_is_already_written(hubs: Hubs) -> None:
    with hubs.one.transaction_for(SPACES, write=True) as tx:
        tx.noted([])
        told = tx.write(batch(place("x")))
        assert tx.rows([("place", "x")])["place", "x"].seq == told["a"].head == 2
        assert tx.write(batch(place("y")))["a"].head == 3
    assert [seq for seq, _ in feed(hubs.two)] == [1, 2, 3]


def test_what_a_savepoint_undoes_is_not_written_with_the_commit(hubs: Hubs) -> None:
    with hubs.one.transaction_for(SPACES, write=True) as tx:
        tx.noted([])
        with pytest.raises(ZeroDivisionError), tx.savepoint():
            tx.write(batch(place("x"), hlc=50))
            raise ZeroDivisionError
        with tx.savepoint():
            assert tx.write(batch(place("y"), hlc=5))["a"].head == 2
    assert [image for _, image in feed(hubs.two)] == [place("first").image, place("y").image]
    with hubs.two.transaction(write=False) as other:
        assert other.hub().hlc == 5


def test_a_space_that_nobody_named_is_written_step_by_step(hubs: Hubs) -> None:
    assert hubs.at_once(place("x", space="new"))["new"].head == 1
    assert hubs.at_once(place("y", space="c"), place("z"))["a"].head == 2
    assert [seq for seq, _ in feed(hubs.two, "new")] == [1]


def test_a_snapshot_that_was_foreseen_answers_nothing_else(hubs: Hubs) -> None:
    need = Need(spaces=["a"], after={"b": (0, 0)}, only=True)
    with hubs.one.transaction_for(need, write=False) as tx:
        assert {name: space.head for name, space in tx.spaces(["a", "b"]).items()} == {"a": 1, "b": 1}
        assert [seq for seq, _ in tx.feed("b", 0, 1, patches=True)] == [1]
        for ask in (lambda: [*tx.feed("a", 0, 1)], lambda: tx.spaces(["c"]), tx.all_spaces):
            with pytest.raises(Unforeseen):
                ask()
