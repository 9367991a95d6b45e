"""Contract: origins, results, history, digests, and what lasts when a store is opened again."""

from __future__ import annotations

from pathlib import Path

from holdfast.stores.base import HistoryEntry, Origin, StoredResult
from holdfast.stores.contract.ground import Ground, feed, head, write
from holdfast.stores.contract.samples import PLACE as PLACE_TABLE
from holdfast.stores.contract.samples import batch, gone, place

TOP = 2**128 - 1


def entry(key: str, body: bytes, table: str = "place", space: str = "a") -> HistoryEntry:
    """An entry of the history."""
    return HistoryEntry(space, table, key, "00000000000001-0123456789ab", "device 😀", "user", 2**41 - 1, body)


class RecordCases(Ground):
    """Everything that is not a row."""

    def test_origins(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        one, two = Origin("0123456789ab", "device", "ann", 7, 2**41 - 1), Origin("ffffffffffff", "😀", "", 2**53 - 1, 0)
        write(store, batch(origins=[one, two]))
        newer = one._replace(last_n=8, user="bob", device="other", seen=5)
        write(store, batch(origins=[newer]))
        with store.transaction(write=False) as tx:
            assert tx.origins([two.origin, one.origin, "unknown"]) == {one.origin: newer, two.origin: two}
            assert tx.origins([]) == {}

    def test_results_are_kept_until_they_are_forgotten(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        kept = [
            StoredResult("b", 10, b"ten"),
            StoredResult("a", 3, b"three"),
            StoredResult("b", 9, b"\xf0\x9f\x98\x80"),
        ]
        write(store, batch(results=[*kept, StoredResult("c", 1, b"other")]))
        with store.transaction(write=False) as tx:
            assert tx.results(["b", "a", "unknown", "b"]) == sorted(kept)
        with store.transaction(write=True) as tx:
            tx.forget([("b", 9), ("b", 11), ("unknown", 1)])
            assert tx.results(["a", "b"]) == sorted(kept[:2])
        with store.transaction(write=False) as tx:
            assert tx.results(["a", "b"]) == sorted(kept[:2])
            assert tx.results(["c"]) == [StoredResult("c", 1, b"other")]
            assert tx.results([]) == []

    def test_collecting_takes_dead_rows_marks_and_chains_of_before_a_time(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1"), place("2"), place("3"), now=10))
        write(store, batch(place("1", space="b", left="a", fresh=False), now=20))
        write(store, batch(gone(PLACE_TABLE, "2"), now=30))
        write(store, batch(gone(PLACE_TABLE, "3"), now=40))
        last = write(store, batch(place("4"), now=50))["a"]
        with store.transaction(write=True) as tx:
            assert tx.collect("nowhere", 100, 10) == 0
            assert tx.collect("a", 10, 10) == 0, "nothing is older"
            assert tx.spaces(["a"])["a"].floor == 0
        images = [image for _, image in feed(store)]
        assert len(images) == 4, "a mark, two dead rows and a living one"
        went = 0
        with store.transaction(write=True) as tx:
            while count := tx.collect("a", 40, 1):
                went += count
        assert went == 4, "the chains of two heads, the mark and one dead row"
        with store.transaction(write=False) as tx:
            (space,) = tx.spaces(["a"]).values()
            assert (space.head, space.chain, space.floor) == (last.head, last.chain, 5)
            assert tx.chain_at("a", 3) is None
            assert tx.chain_at("a", 5) is not None
            assert sorted(tx.rows([("place", "2"), ("place", "3")])) == [("place", "3")]
            assert tx.spaces(["b"])["b"].floor == 0
        assert [image for _, image in feed(store)] == images[2:]
        write(store, batch(place("5"), now=60))
        assert head(store) == 8
        with store.transaction(write=False) as tx:
            assert tx.spaces(["a"])["a"].floor == 5, "it stays when the space is written"

    def test_history_of_a_row_is_oldest_first(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        entries = [entry("1", b"first"), entry("2", b"other row"), entry("1", b"second"), entry("1", b"item", "item")]
        write(store, batch(place("1"), history=entries))
        write(store, batch(history=[entry("1", b"third", space="b")]))
        with store.transaction(write=False) as tx:
            assert tx.history("place", "1") == [entries[0], entries[2], entry("1", b"third", space="b")]
            assert tx.history("item", "1") == [entries[3]]
            assert tx.history("place", "3") == []
            assert tx.history("nothing", "1") == []
            assert tx.history("place", "1", newest=2) == [entries[2], entry("1", b"third", space="b")]
            assert tx.history("place", "1", newest=9) == tx.history("place", "1")

    def test_history_of_a_table_and_what_is_old_of_it(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        old, new, other = (
            entry("1", b"old")._replace(at=5),
            entry("2", b"new")._replace(at=6),
            entry("1", b"x", "item"),
        )
        write(store, batch(place("1"), history=[old, new, other]))
        with store.transaction(write=False) as tx:
            assert list(tx.histories("place")) == [old, new]
            assert list(tx.histories("nothing")) == []
        with store.transaction(write=True) as tx:
            assert [tx.forget_history("place", 6, 1) for _ in range(2)] == [1, 0]
            assert tx.forget_history("nothing", 6, 1) == 0
        with store.transaction(write=False) as tx:
            assert list(tx.histories("place")) == tx.history("place", "2") == [new]
            assert tx.history("place", "1") == []
            assert list(tx.histories("item")) == [other]

    def test_a_batch_without_rows_changes_no_space(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        assert write(store, batch(history=[entry("1", b"{}")], content={"a": b"x"}, hlc=9)) == {}
        with store.transaction(write=False) as tx:
            assert tx.all_spaces() == []
            assert tx.hub().hlc == 9

    def test_digest_sums_wrap_around(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1"), digests={"a": {0: (1, TOP), 4095: (2, 2**64 - 1), 7: (1, 2**96)}}))
        write(store, batch(place("2"), digests={"a": {0: (1, 1), 4095: (-1, 1), 7: (0, -1)}}))
        with store.transaction(write=False) as tx:
            assert tx.digest("a") == {0: (2, 0), 4095: (1, 2**64), 7: (1, 2**96 - 1)}

    def test_digest_changes_may_be_negative_and_large(self, tmp_path: Path) -> None:
        changes = [
            TOP,
            -1,
            -TOP,
            2**127,
            -(2**127),
            2**128,
            1 - 2**96,
            2**96 - 2**64,
            -(2**32),
            0x0123456789ABCDEF << 60,
        ]
        store = self.open(tmp_path)
        total = 0
        for change in changes:
            write(store, batch(place("1", fresh=False), digests={"a": {5: (1, change)}}))
            total = (total + change) % 2**128
            with store.transaction(write=False) as tx:
                assert tx.digest("a")[5][1] == total

    def test_an_empty_bucket_is_left_out(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1"), digests={"a": {1: (1, 5), 2: (1, 6)}, "b": {1: (3, 3)}}))
        write(store, batch(gone(PLACE_TABLE, "1"), digests={"a": {1: (-1, -5)}}))
        with store.transaction(write=False) as tx:
            assert tx.digest("a") == {2: (1, 6)}
            assert tx.digest("b") == {1: (3, 3)}
            assert tx.digest("c") == {}

    def test_what_was_stored_lasts(self, tmp_path: Path) -> None:
        """Only for stores that keep things: a second store on the same folder has everything of the first."""
        store = self.open(tmp_path)
        heads = write(
            store,
            batch(
                place("1"),
                history=[entry("1", b"{}")],
                results=[StoredResult("o", 1, b"r")],
                origins=[Origin("o", "d", "u", 1, 2)],
                digests={"a": {1: (1, TOP)}},
                content={"a": b"c"},
                hlc=77,
            ),
        )
        self.foreign_write(store, "place", ["2"], ["two", None, None, None])
        with store.transaction(write=False) as tx:
            hub, notes, images = tx.hub(), tx.dirty(9), list(tx.feed("a", 0, 9))
        if not self.persistent:
            return
        store.close()
        with self.open(tmp_path).transaction(write=False) as tx:
            assert tx.hub() == hub
            assert tx.spaces(["a"]) == heads
            assert tx.chain_at("a", 1) == heads["a"].chain
            assert list(tx.feed("a", 0, 9)) == images
            assert tx.history("place", "1") == [entry("1", b"{}")]
            assert tx.results(["o"]) == [StoredResult("o", 1, b"r")]
            assert tx.origins(["o"]) == {"o": Origin("o", "d", "u", 1, 2)}
            assert tx.digest("a") == {1: (1, TOP)}
            assert tx.dirty(9) == notes
        assert set(self.user_rows(self.open(tmp_path), "place")) == {"1", "2"}

    def test_close_may_be_called_twice(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1")))
        assert len(feed(store)) == 1
        store.close()
        store.close()
