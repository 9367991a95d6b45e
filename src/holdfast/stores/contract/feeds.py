"""Contract: the hub, spaces, chains, feeds and rows."""

from __future__ import annotations

import re
from pathlib import Path

from holdfast.errors import HoldfastError
from holdfast.schema.model import Column, Schema, Table
from holdfast.schema.rules import CONFLICT_TABLE
from holdfast.stores.base import StoredRow
from holdfast.stores.chain import INITIAL_CHAIN, next_chain
from holdfast.stores.contract.ground import Ground, feed, head, write
from holdfast.stores.contract.samples import (
    BADGE,
    ITEM,
    PLACE,
    SPACE,
    again,
    batch,
    contract_schema,
    gone,
    image,
    item,
    place,
    row,
)


class FeedCases(Ground):
    """Order, place and form of what is stored."""

    def test_a_new_hub_has_a_name_and_no_time(self, tmp_path: Path) -> None:
        with self.open(tmp_path).transaction(write=False) as tx:
            hub, hlc, _ = tx.hub()
        assert re.fullmatch("[0-9a-f]{12}", hub)
        assert hlc == 0

    def test_the_clock_only_goes_forward(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1"), hlc=2**53 - 1))
        write(store, batch(place("2"), hlc=7))
        with store.transaction(write=False) as tx:
            assert tx.hub().hlc == 2**53 - 1

    def test_open_gives_the_layout_and_may_be_called_again(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        with store.transaction(write=False) as tx:
            hub = tx.hub()
        layout = store.open(contract_schema())
        assert layout["place"] == ["name", "code", "street", "number"]
        assert layout["badge"] == []
        assert set(layout) == {"place", "item", "badge", "reading", CONFLICT_TABLE}
        with store.transaction(write=False) as tx:
            assert tx.hub() == hub

    def test_patches_stand_for_images_where_the_reader_has_the_row(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1"), place("2")))
        new = again(place("1", code="x"))
        write(store, batch(new._replace(patch=b'["a patch"]', before=1)))

        def seen(after: int, *, patches: bool) -> list[tuple[int, bytes]]:
            with store.transaction(write=False) as tx:
                return list(tx.feed("a", after, 9, patches=patches))

        second = (2, place("2").image)
        assert seen(0, patches=True) == seen(0, patches=False) == [second, (3, new.image)]
        assert seen(1, patches=True) == [second, (3, b'["a patch"]')]
        assert seen(2, patches=True) == [(3, b'["a patch"]')]
        assert seen(2, patches=False) == [(3, new.image)]
        write(store, batch(new))
        assert seen(3, patches=True) == [(4, new.image)]

    def test_a_slot_is_never_used_again(self, tmp_path: Path) -> None:
        columns = {name: Column(name, "text", nullable=True, default=None) for name in "wxyz"}

        def thing(names: str) -> Table:
            return Table("thing", (Column("id", "text"), *(columns[name] for name in names)), ("id",), SPACE)

        store = self.open(tmp_path, Schema(1, (thing("xyz"),)))
        assert store.open(Schema(2, (thing("xy"),)))["thing"] == ["x", "y", "z"]
        for other in ("zx", "xyw"):  # the hub takes the columns of a schema for the slots of its rows
            try:
                store.open(Schema(3, (thing(other),)))
            except HoldfastError as error:
                assert error.code == "schema_changed"
            else:
                raise AssertionError("a schema with other columns in its slots was taken")
        assert store.open(Schema(4, (thing("xyzw"),)))["thing"] == ["x", "y", "z", "w"]
        write(store, batch(row(thing("xyzw"), "1", ["in x", None, "in z", "in w"])))
        assert list(self.user_rows(store, "thing")["1"][1]) == ["in x", None, "in z", "in w"]

    def test_a_space_that_was_never_written_is_absent(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        with store.transaction(write=True) as tx:
            assert tx.spaces(["a", ""]) == {}
            assert tx.all_spaces() == []
            assert tx.chain_at("a", 0) is None
            assert list(tx.feed("a", 0, 10)) == []
            assert tx.digest("a") == {}

    def test_write_gives_the_new_heads(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        first = write(store, batch(place("1"), place("2"), place("3", space="b")))
        assert {name: space.head for name, space in first.items()} == {"a": 2, "b": 1}
        second = write(store, batch(place("4", space="b")))
        assert {name: space.head for name, space in second.items()} == {"b": 2}
        with store.transaction(write=False) as tx:
            assert tx.spaces(["b", "a", "unknown"]) == {"a": first["a"], "b": second["b"]}

    def test_a_space_keeps_its_epoch(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        first = write(store, batch(place("1"), place("2", space="b")))
        second = write(store, batch(place("3")))
        assert re.fullmatch("[0-9a-f]{12}", first["a"].epoch)
        assert second["a"].epoch == first["a"].epoch
        assert first["b"].epoch != first["a"].epoch

    def test_the_chain_is_over_everything_before(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1"), place("2"), content={"a": b"one"}))
        write(store, batch(place("3"), content={"a": b"two", "b": b"not written"}))
        write(store, batch(place("4")))
        chain2 = next_chain(INITIAL_CHAIN, 2, b"one")
        chain3 = next_chain(chain2, 3, b"two")
        chain4 = next_chain(chain3, 4, b"")
        with store.transaction(write=False) as tx:
            stood = [tx.chain_at("a", at) for at in range(6)]
            assert stood == [INITIAL_CHAIN, None, chain2, chain3, chain4, None]
            assert tx.spaces(["a"])["a"].chain == chain4
            assert tx.chain_at("b", 0) is None

    def test_spaces_are_in_order_of_code_points(self, tmp_path: Path) -> None:
        names = ["a", "Z", "é", "\uffff", "😀", "a b", "%_'\"", "user:x@y", "z" * 200]
        store = self.open(tmp_path)
        write(store, batch(*(place(str(number), space=name) for number, name in enumerate(names))))
        with store.transaction(write=False) as tx:
            assert tx.all_spaces() == sorted(names)
            assert all(space.head == 1 for space in tx.spaces(names).values())

    def test_numbers_have_no_gaps_and_follow_the_order_given(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        rows = [place(f"{9 - number}", space="ab"[number % 2]) for number in range(8)]
        write(store, batch(*rows[:5]))
        write(store, batch(*rows[5:]))
        assert feed(store, "a") == [(seq, rows[2 * seq - 2].image) for seq in range(1, 5)]
        assert feed(store, "b") == [(seq, rows[2 * seq - 1].image) for seq in range(1, 5)]

    def test_a_part_of_a_feed(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(*(place(str(number)) for number in range(6)), place("b", space="b")))
        assert [seq for seq, _ in feed(store, "a", 2, 4)] == [3, 4]
        assert [seq for seq, _ in feed(store, "a", 4, 4)] == []
        assert [seq for seq, _ in feed(store, "a", 5, 99)] == [6]
        assert [seq for seq, _ in feed(store, "a", 6, 2**53)] == []

    def test_a_feed_holds_each_row_once_at_its_latest(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        one, two = place("1"), place("2")
        write(store, batch(one, two))
        newer = place("1", fresh=False, note="newer")
        write(store, batch(newer))
        assert feed(store) == [(2, two.image), (3, newer.image)]
        with store.transaction(write=False) as tx:
            assert tx.rows([("place", "1")])["place", "1"].seq == 3

    def test_rows_are_given_as_they_were_written(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        alive, same_key = place("1"), item("1", None, "b")
        dead = row(PLACE, "2", None, kept=b'["kept"]')
        write(store, batch(alive, same_key, dead))
        with store.transaction(write=True) as tx:
            found = tx.rows([("place", "1"), ("item", "1"), ("place", "2"), ("place", "3"), ("nothing", "1")])
        assert found == {
            ("place", "1"): StoredRow("place", "1", "a", 1, 1, alive.image, None),
            ("item", "1"): StoredRow("item", "1", "b", 1, 1, same_key.image, None),
            ("place", "2"): StoredRow("place", "2", "a", 2, 2, dead.image, b'["kept"]'),
        }

    def test_a_dead_row_stays_in_the_feed(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1")))
        dead = gone(PLACE, "1", kept=b"[]")
        write(store, batch(dead))
        assert feed(store) == [(2, dead.image)]
        back = place("1", fresh=False, life=3)
        write(store, batch(back))
        with store.transaction(write=False) as tx:
            assert tx.rows([("place", "1")])["place", "1"] == StoredRow("place", "1", "a", 3, 3, back.image, None)

    def test_not_fresh_need_not_be_known(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1", fresh=False), gone(PLACE, "2")))
        assert [seq for seq, _ in feed(store)] == [1, 2]

    def test_odd_keys_and_images_come_back_exactly(self, tmp_path: Path) -> None:
        keys = ["", " ", "a'b\"c", "😀e\u0301", "\u202e%_\\", "x" * 1024, "\uffff", "1", "01", "1.0", "NULL"]
        store = self.open(tmp_path)
        rows = [place(key)._replace(image=b'["\xf0\x9f\x98\x80",' + bytes(range(1, 256)) + b"]") for key in keys]
        write(store, batch(*rows))
        with store.transaction(write=False) as tx:
            found = tx.rows([("place", key) for key in keys])
        assert [found["place", key].key for key in keys] == keys
        assert all(stored.image == rows[0].image for stored in found.values())
        assert sorted(self.user_rows(store, "place")) == sorted(keys)

    def test_composite_keys(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        values = [["north", -(2**53) + 1, True, str(2**63 - 1)], ["north", 0, False, str(-(2**63))], ["", 0, True, "0"]]
        rows = [row(BADGE, one, []) for one in values]
        write(store, batch(*rows))
        assert {key: list(found[0]) for key, found in self.user_rows(store, "badge").items()} == {
            one.key: wires for one, wires in zip(rows, values, strict=True)
        }
        write(store, batch(row(BADGE, values[0], None, fresh=False), again(rows[1])))
        assert set(self.user_rows(store, "badge")) == {rows[1].key, rows[2].key}

    def test_a_large_batch(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        rows = [place(f"{number * 7919 % 5_000:05}", code=str(number)) for number in range(5_000)]
        assert write(store, batch(*rows))["a"].head == 5_000
        assert [found for _, found in feed(store)] == [one.image for one in rows]
        assert len(self.user_rows(store, "place")) == 5_000
        changed = [place(one.key, code=f"new {one.key}", fresh=False) for one in rows]
        assert write(store, batch(*changed))["a"].head == 10_000
        assert [seq for seq, _ in feed(store)] == list(range(5_001, 10_001))
        with store.transaction(write=False) as tx:
            assert len(tx.rows([("place", one.key) for one in rows])) == 5_000

    def test_a_stream_may_be_left(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(*(place(str(number)) for number in range(100))))
        with store.transaction(write=False) as tx:
            stream, other = tx.feed("a", 0, 100), tx.feed("a", 50, 100)
            assert next(stream)[0] == 1
            assert next(other)[0] == 51
            assert next(stream)[0] == 2
        with store.transaction(write=True) as tx:
            assert next(tx.feed("a", 0, 100))[0] == 1
            tx.write(batch(place("100")))
        assert head(store) == 101


class MovingCases(Ground):
    """Rows that go from one space to another."""

    def test_a_row_that_leaves_makes_a_leave_mark(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1"), place("2")))
        heads = write(store, batch(place("1", space="b", left="a", fresh=False)))
        assert {name: space.head for name, space in heads.items()} == {"a": 3, "b": 1}
        assert [seq for seq, _ in feed(store, "a")] == [2, 3]
        assert feed(store, "a")[1][1] == image(PLACE, 0, ["1"], None)
        with store.transaction(write=False) as tx:
            moved = tx.rows([("place", "1")])["place", "1"]
        assert (moved.space, moved.seq, moved.life) == ("b", 1, 1)
        assert set(self.user_rows(store, "place")) == {"1", "2"}

    def test_a_row_that_comes_back_replaces_its_leave_mark(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1")))
        write(store, batch(place("1", space="b", left="a", fresh=False)))
        back = place("1", space="a", left="b", fresh=False, note="back")
        write(store, batch(back))
        assert feed(store, "a") == [(3, back.image)]
        assert [seq for seq, _ in feed(store, "b")] == [2]

    def test_there_is_one_leave_mark_in_each_space(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1")))
        for turn in range(4):
            here, there = ("b", "a") if turn % 2 == 0 else ("a", "b")
            write(store, batch(place("1", space=here, left=there, fresh=False, note=str(turn))))
        write(store, batch(place("1", space="c", left="a", fresh=False)))
        assert [len(feed(store, space)) for space in "abc"] == [1, 1, 1]
        assert feed(store, "a")[0][1] == feed(store, "b")[0][1] == image(PLACE, 0, ["1"], None)
        with store.transaction(write=False) as tx:
            assert tx.rows([("place", "1")])["place", "1"].space == "c"

    def test_leave_marks_are_kept_apart_by_table(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1"), item("1", None)))
        moves = [place("1", space="b", left="a", fresh=False), item("1", None, "b", left="a", fresh=False)]
        write(store, batch(*moves))
        assert [seq for seq, _ in feed(store, "a")] == [3, 4]
        assert feed(store, "a")[1][1] == image(ITEM, 0, ["1"], None)
