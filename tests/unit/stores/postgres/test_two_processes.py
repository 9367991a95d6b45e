"""Two stores on one database, as two hub processes have them: no gap, no skipped commit, no deadlock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from holdfast.stores.base import Origin, StoreConflict, StoreUnavailable
from holdfast.stores.contract.ground import feed, head, write
from holdfast.stores.contract.samples import batch, contract_schema, item, place
from holdfast.stores.postgres import PostgresStore
from tests.postgres import connect
from tests.unit.stores.postgres.two_stores import TwoStores

PATIENCE = 60.0


class Two(TwoStores):
    """The stores, threads that use them, and a look from outside."""

    def __init__(self, things: ExitStack) -> None:
        super().__init__(things)
        self.pool = things.enter_context(ThreadPoolExecutor(8))

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        cursor = self.program.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []

    def blocked(self, running: Future[Any]) -> None:
        """Return when a transaction of the database waits for a lock; fail when the work ends without waiting."""
        waiting = (
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        while self.sql(waiting) == [(0,)]:
            assert not running.done(), f"it did not wait: {running.result()}"


@pytest.fixture
def two() -> Iterator[Two]:
    with ExitStack() as things:
        yield Two(things)


def test_the_counter_is_held_to_commit_so_that_no_reader_skips_a_late_commit(two: Two) -> None:
    """Trap 3: the first writer has its number and has not committed; the second waits, and readers see neither."""
    with two.one.transaction(write=True) as tx:
        assert tx.write(batch(place("1")))["a"].head == 1
        second = two.pool.submit(write, two.two, batch(place("2")))
        two.blocked(second)
        assert head(two.two) == 0
    assert second.result(PATIENCE)["a"].head == 2
    assert [seq for seq, _ in feed(two.one)] == [1, 2]


def test_a_writer_that_gives_up_leaves_no_gap(two: Two) -> None:
    second: Future[Any]
    with pytest.raises(ZeroDivisionError), two.one.transaction(write=True) as tx:
        tx.write(batch(place("1"), place("2")))
        second = two.pool.submit(write, two.two, batch(place("3")))
        two.blocked(second)
        raise ZeroDivisionError
    assert second.result(PATIENCE)["a"].head == 1


def test_head_rows_and_results_are_of_one_snapshot(two: Two) -> None:
    """Trap 4: a commit between the statements of a reader."""
    write(two.one, batch(place("1"), hlc=5))
    with two.two.transaction(write=False) as tx:
        top = tx.spaces(["a"])["a"].head
        write(two.one, batch(place("2"), place("1", fresh=False), origins=[Origin("o", "d", "u", 1, 1)], hlc=9))
        assert [seq for seq, _ in tx.feed("a", 0, 99)] == [top]
        assert tx.origins(["o"]) == {}
        assert tx.hub().hlc == 5
        assert tx.rows([("place", "1"), ("place", "2")]).keys() == {("place", "1")}


def test_the_same_new_row_at_once(two: Two) -> None:
    """The second writer has not seen the row and finds it when it writes: it starts again."""
    with two.one.transaction(write=True) as tx:
        assert tx.rows([("place", "1")]) == {}
        tx.write(batch(place("1", code="x")))

        def second() -> None:
            with two.two.transaction(write=True) as other:
                assert other.rows([("place", "1")]) == {}
                other.write(batch(place("1", code="y")))

        running = two.pool.submit(second)
        two.blocked(running)
    with pytest.raises(StoreConflict):
        running.result(PATIENCE)
    assert two.sql("select code from place") == [("x",)]
    assert head(two.one) == 1
    with two.two.transaction(write=True) as tx:
        assert tx.rows([("place", "1")])["place", "1"].seq == 1
        tx.write(batch(place("1", code="y", fresh=False)))
    assert two.sql("select code from place") == [("y",)]


def test_a_row_that_was_waited_for_is_read_as_it_is_now_in_its_new_space(two: Two) -> None:
    write(two.one, batch(place("1")))
    with two.one.transaction(write=True) as tx:
        tx.rows([("place", "1")])
        tx.write(batch(place("1", space="b", left="a", fresh=False)))

        def second() -> Any:
            with two.two.transaction(write=True) as other:
                return other.rows([("place", "1")])["place", "1"]

        running = two.pool.submit(second)
        two.blocked(running)
    assert (running.result(PATIENCE).space, running.result(PATIENCE).seq) == ("b", 1)


def test_an_origin_is_worked_on_by_one_process_only_known_or_not(two: Two) -> None:
    """Trap 13: the same transaction sent to two hubs."""
    for n in (1, 2):
        with two.one.transaction(write=True) as tx:
            before = tx.origins(["o"])

            def second() -> int:
                with two.two.transaction(write=True) as other:
                    return other.origins(["o"])["o"].last_n

            running = two.pool.submit(second)
            two.blocked(running)
            assert len(before) == n - 1
            tx.write(batch(origins=[Origin("o", "d", "u", n, 1)]))
        assert running.result(PATIENCE) == n


def test_very_many_origins_are_held_too(two: Two) -> None:
    names = [f"{number:012x}" for number in range(20_000)]

    def second() -> Any:
        with two.two.transaction(write=True) as other:
            return other.origins(names[:1])

    with two.one.transaction(write=True) as tx:
        assert tx.origins(names) == {}
        running = two.pool.submit(second)
        two.blocked(running)
        tx.write(batch(origins=[Origin(names[0], "d", "u", 1, 1)]))
    assert running.result(PATIENCE).keys() == {names[0]}


def test_rows_in_any_order_do_not_deadlock(two: Two) -> None:
    """Both lock in key order, whatever order they are given; so the second waits and never has to start again."""
    keys = [str(number) for number in range(200)]
    write(two.one, batch(*(place(key) for key in keys)))

    def work(store: PostgresStore, order: list[str]) -> None:
        for _ in range(10):
            with store.transaction(write=True) as tx:
                tx.rows([("place", key) for key in order])
                tx.write(batch(*(place(key, fresh=False) for key in order)))

    running = [two.pool.submit(work, two.one, keys), two.pool.submit(work, two.two, keys[::-1])]
    for one in running:
        one.result(PATIENCE)
    assert head(two.one) == 200 + 20 * 200


def test_threads_on_both_stores_make_one_feed_without_gaps(two: Two) -> None:
    """Batches over common rows and spaces in any order; a reader follows the feeds by its cursor meanwhile."""
    done = threading.Event()

    def work(number: int) -> int:
        store, written = (two.one, two.two)[number % 2], 0
        for turn in range(25):
            keys = [str((number * 7 + turn * step) % 11) for step in range(1, 5)]
            written += _pushed(store, keys, "ab"[turn % 2])
        return written

    following = two.pool.submit(_follow, two.two, done)
    running = [two.pool.submit(work, number) for number in range(4)]
    written = sum(one.result(PATIENCE) for one in running)
    done.set()
    heads = {space: head(two.one, space) for space in "ab"}
    assert following.result(PATIENCE) == heads
    assert sum(heads.values()) == written


def _pushed(store: PostgresStore, keys: list[str], space: str) -> int:
    """What a hub does: lock, read, write, and again when another one was faster. Rows stay where they are."""
    names = [("place", key) for key in dict.fromkeys(keys)]
    for _ in range(100):
        try:
            with store.transaction(write=True) as tx:
                stored = tx.rows(names)
                spaces = [stored[name].space if name in stored else space for name in names]
                tx.write(
                    batch(
                        *(
                            place(name[1], space=s, fresh=name not in stored)
                            for name, s in zip(names, spaces, strict=True)
                        )
                    )
                )
        except StoreConflict:
            continue
        return len(names)
    raise AssertionError("100 attempts were not enough")


def _follow(store: PostgresStore, done: threading.Event) -> dict[str, int]:
    """Read like a device until nothing more can come: the row at the head is there in every snapshot."""
    cursors = {"a": 0, "b": 0}
    last = False
    while not last:
        last = done.is_set()
        for space, after in cursors.items():
            with store.transaction(write=False) as tx:
                top = tx.spaces([space]).get(space)
                found = [seq for seq, _ in tx.feed(space, after, top.head)] if top else []
            assert top is None or top.head == after or found[-1] == top.head
            cursors[space] = found[-1] if found else after
    return cursors


def test_a_long_foreign_transaction_delays_only_its_own_rows(two: Two) -> None:
    write(two.one, batch(place("1"), place("2")))
    with connect(two.dsn) as other:
        other.execute("begin")
        other.execute("update place set name = 'long' where id = '1'")
        two.sql("update place set name = 'short' where id = '2'")
        with two.one.transaction(write=True) as tx:
            notes = tx.dirty(10)
            assert [note.key for note in notes] == ["2"]
            tx.write(batch(place("2", fresh=False, foreign=True)))
            tx.clean(notes)
        other.execute("update place set name = 'long' where id = '2'")
        other.execute("commit")
    with two.two.transaction(write=True) as tx:
        assert [note.key for note in tx.dirty(10)] == ["1", "2"]


def test_the_next_drainer_takes_over_when_one_dies(two: Two) -> None:
    two.sql("insert into place (id) values ('1')")

    def second() -> Any:
        with two.two.transaction(write=True) as other:
            return [note.key for note in other.dirty(10)]

    with pytest.raises(StoreUnavailable), two.one.transaction(write=True) as tx:
        tx.clean(tx.dirty(10))
        running = two.pool.submit(second)
        two.blocked(running)
        two.sql(
            "select pg_terminate_backend(l.pid) from pg_locks l join pg_database d on d.oid = l.database"
            " where d.datname = current_database() and l.locktype = 'advisory' and l.granted"
        )
        assert running.result(PATIENCE) == ["1"]
        tx.hub()
        tx.has_dirty()
    write(two.one, batch(place("2")))


def test_connections_that_broke_while_idle_are_replaced(two: Two) -> None:
    write(two.one, batch(place("1"), item("i", "1")))
    two.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    assert head(two.one) == 2
    write(two.one, batch(place("2")))


def test_a_row_held_by_a_program_for_too_long(two: Two) -> None:
    hasty = PostgresStore(two.dsn, patience=0.2)
    hasty.open(contract_schema())
    write(hasty, batch(place("1")))
    with connect(two.dsn) as other, other.transaction():
        other.execute("update place set name = 'mine' where id = '1'")
        with pytest.raises(StoreUnavailable, match="another program's transaction holds rows"):
            write(hasty, batch(place("1", fresh=False)))
        write(hasty, batch(place("2")))
    write(hasty, batch(place("1", fresh=False)))
    hasty.close()
