"""Contract: transactions, savepoints, snapshots and threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

from holdfast.stores.base import Batch, HistoryEntry, Origin, Store, StoredResult, Transaction, Violation
from holdfast.stores.contract.ground import Ground, Interrupted, feed, head, write
from holdfast.stores.contract.samples import PLACE, batch, gone, item, place

PATIENCE = 60.0
"""Seconds after which a thread that waits for another one gives up, and the test fails."""

ENTRY = HistoryEntry("a", "place", "1", "s", "d", "u", 1, b"{}")


def first() -> Batch:
    """A batch that touches everything a store keeps."""
    return batch(
        place("1", code="one"),
        place("2", space="b"),
        history=[ENTRY],
        results=[StoredResult("o", 1, b"one")],
        origins=[Origin("o", "d", "u", 1, 1)],
        digests={"a": {1: (1, 5)}, "b": {2: (1, 6)}},
        content={"a": b"a", "b": b"b"},
        hlc=10,
    )


def second() -> Batch:
    """Another one, that changes all of it."""
    return batch(
        gone(PLACE, "1"),
        place("2", space="c", left="b", fresh=False),
        place("3"),
        history=[ENTRY],
        results=[StoredResult("o", 1, b"changed"), StoredResult("o", 2, b"two")],
        origins=[Origin("o", "d", "u", 2, 2), Origin("p", "d", "u", 1, 1)],
        digests={"a": {1: (-1, -5), 3: (1, 7)}, "c": {2: (1, 6)}},
        content={"a": b"a", "c": b"c"},
        hlc=20,
    )


def seen(tx: Transaction) -> list[Any]:
    """Everything that the batches above may change, as one transaction sees it."""
    return [
        tx.hub(),
        tx.all_spaces(),
        tx.spaces(["a", "b", "c"]),
        [tx.chain_at("a", at) for at in range(5)],
        tx.origins(["o", "p"]),
        tx.results(["o"]),
        tx.rows([("place", key) for key in "123"]),
        [list(tx.feed(space, 0, 99)) for space in "abc"],
        tx.history("place", "1"),
        [tx.digest(space) for space in "abc"],
        tx.dirty(99),
    ]


class IsolationCases(Ground):
    """One snapshot for each transaction, all or nothing."""

    def test_a_writer_sees_its_own_writes(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        with store.transaction(write=True) as tx:
            tx.write(first())
            inside = seen(tx)
        with store.transaction(write=False) as tx:
            assert seen(tx) == inside
        assert inside[5] == [StoredResult("o", 1, b"one")]

    def test_a_reader_keeps_its_snapshot(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, first())
        with store.transaction(write=False) as before, store.transaction(write=False) as lazy:
            old = seen(before)
            with store.transaction(write=True) as tx:
                tx.write(second())
                assert seen(before) == old
            assert seen(before) == old
            assert seen(lazy) == old  # its snapshot was taken when it was opened, not at its first read
            self.foreign_write(store, "place", ["9"], ["nine", None, None, None])
            assert not before.has_dirty()
            with store.transaction(write=False) as after:
                assert seen(after) != old
                assert after.has_dirty()

    def test_a_stream_is_of_the_snapshot(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(*(place(str(number)) for number in range(500))))
        with store.transaction(write=False) as reader:
            stream = reader.feed("a", 0, 1_000)
            assert next(stream)[0] == 1
            write(store, batch(*(place(str(number), fresh=False) for number in range(500))))
            assert [seq for seq, _ in stream] == list(range(2, 501))

    def test_an_exception_undoes_the_transaction(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, first())
        with store.transaction(write=False) as tx:
            old, rows = seen(tx), self.user_rows(store, "place")
        try:
            with store.transaction(write=True) as tx:
                tx.write(second())
                tx.forget([("o", 1)])
                raise Interrupted
        except Interrupted:
            pass
        with store.transaction(write=False) as tx:
            assert seen(tx) == old
        assert self.user_rows(store, "place") == rows
        assert write(store, second())["a"].head == old[2]["a"].head + 2

    def test_a_savepoint_is_undone_alone(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        with store.transaction(write=True) as tx:
            tx.write(first())
            old = seen(tx)
            try:
                with tx.savepoint():
                    tx.write(second())
                    tx.forget([("o", 1)])
                    raise Interrupted
            except Interrupted:
                assert seen(tx) == old
            with tx.savepoint():
                tx.write(batch(place("4")))
        with store.transaction(write=False) as tx:
            assert seen(tx)[4:6] == old[4:6]
        assert [seq for seq, _ in feed(store)] == [1, 2]
        assert set(self.user_rows(store, "place")) == {"1", "2", "4"}

    def test_savepoints_nest(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        with store.transaction(write=True) as tx, tx.savepoint():
            tx.write(batch(place("1")))
            try:
                with tx.savepoint():
                    with tx.savepoint():
                        tx.write(batch(place("2")))
                    raise Interrupted
            except Interrupted:
                pass
            tx.write(batch(place("3")))
        assert set(self.user_rows(store, "place")) == {"1", "3"}
        assert head(store) == 2

    def test_a_refused_batch_leaves_the_transaction_usable(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        with store.transaction(write=True) as tx:
            tx.write(first())
            old = seen(tx)
            try:
                with tx.savepoint():
                    tx.write(batch(place("7"), item("1", "not there")))
            except Violation:
                pass
            assert seen(tx) == old
            tx.write(second())
            new = seen(tx)
        with store.transaction(write=False) as tx:
            assert seen(tx) == new != old
        assert set(self.user_rows(store, "place")) == {"2", "3"}
        assert self.user_rows(store, "item") == {}

    def test_writers_take_turns(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)

        def count(name: int) -> None:
            for turn in range(10):
                with store.transaction(write=True) as tx:
                    now = tx.hub().hlc
                    tx.write(batch(place(f"{name}/{turn}"), hlc=now + 1))

        in_threads(4, count)
        with store.transaction(write=False) as tx:
            assert tx.hub().hlc == 40
        assert [seq for seq, _ in feed(store)] == list(range(1, 41))

    def test_readers_see_whole_transactions_only(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, first())
        done = Event()

        def work(name: int) -> None:
            if name == 0:
                for turn in range(40):
                    changes = {"a": {1: (1, 1)}}
                    write(store, batch(place(f"x{turn}"), place(f"y{turn}"), digests=changes))
                done.set()
                return
            finished = False
            while not finished:
                finished = done.is_set()
                self.check_snapshot(store)

        in_threads(4, work)
        assert head(store) == 81

    def check_snapshot(self, store: Store) -> None:
        """Head, feed and digest speak of one commit."""
        with store.transaction(write=False) as tx:
            top = tx.spaces(["a"])["a"].head
            assert len(list(tx.feed("a", 0, 10_000))) == top
            assert tx.digest("a")[1][0] == 1 + (top - 1) // 2

    def test_a_transaction_may_pass_to_another_thread(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        with ThreadPoolExecutor(1) as pool:
            with store.transaction(write=True) as tx:
                pool.submit(tx.write, first()).result(PATIENCE)
                tx.write(second())
            with store.transaction(write=False) as tx:
                stream = tx.feed("a", 0, 99)
                start = next(stream)[0]
                rest = pool.submit(list, stream).result(PATIENCE)
        assert [start, *(seq for seq, _ in rest)] == [2, 3]


def in_threads(number: int, work: Callable[[int], None]) -> None:
    """Run the work in that many threads at once, with a number for each; raise what one of them raises."""
    with ThreadPoolExecutor(number) as pool:
        for running in [pool.submit(work, name) for name in range(number)]:
            running.result(PATIENCE)
