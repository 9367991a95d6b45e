"""Contract: rows that other programs write, and values of every type."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, cast

from holdfast.stores.base import Aside, DirtyRow, Span, Store
from holdfast.stores.contract.ground import Ground, Interrupted, aside, refused, write
from holdfast.stores.contract.samples import BADGE, PLACE, READING, TYPES, batch, gone, item, place, row
from holdfast.stores.listing import Listing

TEXTS = ["", " ", "a\tb\n\r\x01\x7f", "😀 e\u0301 \u202e \uffff", "NULL", "1.0", "1e3", "'\"\\", "x" * 100_000]
EXTREMES: dict[str, list[Any]] = {
    "text": TEXTS,
    "int": [0, 1, -1, 2**53 - 1, -(2**53) + 1, 2**31, 10**15],
    "bigint": ["0", "-1", str(2**63 - 1), str(-(2**63)), str(2**53 + 1)],
    "float": [0.0, 5e-324, -5e-324, 0.1 + 0.2, 1.7976931348623157e308, 2.2250738585072014e-308, 3.0, 2.0**63, -1e22],
    "bool": [True, False],
    "bytes": [base64.b64encode(raw).decode() for raw in (b"", b"\0", b"a\0b\0", bytes(range(256)), b"\0" * 70_000)],
    "date": ["0001-01-01", "9999-12-31", "2024-02-29"],
    "datetime": ["0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z", "2026-11-21T12:00:00.100000Z"],
    "decimal": ["0", "1.50", "-0.10", "9" * 500 + "." + "9" * 500, "100000000000000000000.000"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "json": [{}, [], "", 0, False, {"a": [None, 0.1, {"😀": "\u2028"}], "b": 1}, 2**53 - 1, 5e-324, "null", [[[]]]],
    "set": [[], [""], ["a", "b", "é", "😀"]],
}


def every_value() -> list[tuple[int, list[Any]]]:
    """(key, values by slot): every extreme of every type once, everything else null; and one row of nulls."""
    empty: list[Any] = [*[None] * (len(TYPES) - 1), []]
    rows: list[list[Any]] = [empty]
    for slot, name in enumerate(TYPES):
        for value in EXTREMES[name]:
            values = list(empty)
            values[slot] = value
            rows.append(values)
    keys = [-(2**53) + 1, 2**53 - 1, *range(len(rows))]
    return list(zip(keys, rows, strict=False))


def exact(value: Any) -> str:
    """A text that tells 1, 1.0 and true apart, and every double from every other."""
    return json.dumps(value)


class ValueCases(Ground):
    """Values go through the user tables unchanged, in both directions."""

    def test_written_values_are_seen_exactly(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        rows = every_value()
        write(store, batch(*(row(READING, [key], values) for key, values in rows)))
        self.check(store, rows)
        write(store, batch(*(row(READING, [key], values, fresh=False) for key, values in rows)))
        self.check(store, rows)

    def check(self, store: Store, rows: list[tuple[int, list[Any]]]) -> None:
        """Another program sees the rows."""
        shown = self.user_rows(store, "reading")
        assert len(shown) == len(rows)
        for key, values in rows:
            found = shown[str(key)]
            wanted = exact([[key], values])
            assert exact([list(found[0]), list(found[1])]) == wanted, f"{found} instead of {wanted}"

    def test_foreign_values_are_read_exactly(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        rows = every_value()
        for key, values in rows:
            self.foreign_write(store, "reading", [key], values)
        with store.transaction(write=False) as tx:
            notes = {note.key: note.values for note in tx.dirty(1_000)}
        assert len(notes) == len(rows)
        for key, values in rows:
            found = notes[str(key)]
            assert found is not None
            wanted = exact([[key], values])
            assert exact([list(found[0]), list(found[1])]) == wanted, f"{found} instead of {wanted}"


class ForeignCases(Ground):
    """Every write of another program is noted, and no write of the hub."""

    def test_inserts_updates_and_deletes_are_noted(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1"), place("2"), place("3")))
        self.foreign_write(store, "place", ["1"], ["theirs", "c", "s", 2**53 - 1])
        self.foreign_write(store, "place", ["2"], None)
        self.foreign_write(store, "place", ["4"], ["new", None, None, None])
        with store.transaction(write=False) as tx:
            assert tx.has_dirty()
            notes = tx.dirty(10)
        assert [(note.table, note.key) for note in notes] == [("place", "1"), ("place", "2"), ("place", "4")]
        assert [unpacked(note) for note in notes] == [
            (["1"], ["theirs", "c", "s", 2**53 - 1]),
            None,
            (["4"], ["new", None, None, None]),
        ]

    def test_own_writes_are_not_noted(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1", code="x"), place("2", code="y"), item("i", "1")))
        write(store, batch(place("1", code="y", fresh=False), place("2", code="x", fresh=False)))
        with store.transaction(write=True) as tx, refused("foreign_key"), tx.savepoint():
            tx.write(batch(item("j", "not there")))
        with store.transaction(write=False) as tx:
            assert not tx.has_dirty()
            assert tx.dirty(10) == []
        self.foreign_write(store, "item", ["i"], None)
        with store.transaction(write=False) as tx:
            assert [(note.table, note.key) for note in tx.dirty(10)] == [("item", "i")]

    def test_a_row_is_noted_once_at_its_latest(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        for turn in range(3):
            self.foreign_write(store, "place", ["1"], [f"turn {turn}", None, None, None])
            self.foreign_write(store, "place", [f"2{turn}"], ["", None, None, None])
        with store.transaction(write=False) as tx:
            notes = tx.dirty(10)
            assert tx.dirty(2) == notes[:2]
            assert tx.dirty(0) == []
        assert [note.key for note in notes] == ["20", "21", "1", "22"]
        assert [note.mark for note in notes] == sorted({note.mark for note in notes})

    def test_clean_takes_notes_away(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        for key in "123":
            self.foreign_write(store, "place", [key], [key, None, None, None])
        with store.transaction(write=True) as tx:
            tx.clean(tx.dirty(2))
            assert [note.key for note in tx.dirty(10)] == ["3"]
        try:
            with store.transaction(write=True) as tx:
                tx.clean(tx.dirty(10))
                assert not tx.has_dirty()
                raise Interrupted
        except Interrupted:
            pass
        with store.transaction(write=False) as tx:
            assert [note.key for note in tx.dirty(10)] == ["3"]

    def test_an_older_mark_does_not_clear_a_newer_note(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        self.foreign_write(store, "place", ["1"], ["old", None, None, None])
        with store.transaction(write=False) as tx:
            old = tx.dirty(10)
        self.foreign_write(store, "place", ["1"], ["new", None, None, None])
        with store.transaction(write=True) as tx:
            tx.clean(old)
            (note,) = tx.dirty(10)
            assert unpacked(note) == (["1"], ["new", None, None, None])
            assert note.mark > old[0].mark
            tx.clean([note])
            assert not tx.has_dirty()
        self.foreign_write(store, "place", ["1"], ["newer", None, None, None])
        with store.transaction(write=True) as tx:
            tx.clean([note])
            assert tx.has_dirty()

    def test_noted_names_the_rows_that_wait(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        for key in "12":
            self.foreign_write(store, "place", [key], [key, None, None, None])
        names = [("place", "1"), ("place", "3"), ("item", "1")]
        with store.transaction(write=True) as tx:
            assert tx.noted(names) == {("place", "1")}
            tx.clean(tx.dirty(10))
            assert tx.noted(names) == set()
            assert tx.noted([]) == set()

    def test_what_cannot_be_sequenced_waits_aside_until_it_is_written_again(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        for key in "123":
            self.foreign_write(store, "place", [key], [key, None, None, None])
        with store.transaction(write=True) as tx:
            notes = tx.dirty(10)
            tx.set_aside([(notes[1], "odd"), (notes[0], "wrong")])
            assert [note.key for note in tx.dirty(10)] == ["3"]
            tx.clean(notes[2:])
            assert not tx.has_dirty()
            assert tx.noted([("place", "1")]) == set()
        assert aside(store) == [Aside("place", "1", "wrong"), Aside("place", "2", "odd")]
        self.foreign_write(store, "place", ["1"], ["better", None, None, None])
        assert aside(store) == [Aside("place", "2", "odd")]
        with store.transaction(write=True) as tx:
            (note,) = tx.dirty(10)
            assert unpacked(note) == (["1"], ["better", None, None, None])
            tx.set_aside([(note, "still wrong")])
        assert sorted(aside(store)) == [Aside("place", "1", "still wrong"), Aside("place", "2", "odd")]
        self.foreign_write(store, "place", ["1"], None)
        with store.transaction(write=True) as tx:
            tx.clean(tx.dirty(10))
        assert aside(store) == [Aside("place", "2", "odd")]

    def test_a_row_aside_that_the_hub_writes_waits_no_more(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        for key in "12":
            self.foreign_write(store, "place", [key], [key, None, None, None])
        with store.transaction(write=True) as tx:
            tx.set_aside([(note, "odd") for note in tx.dirty(10)])
        with store.transaction(write=True) as tx:
            assert tx.noted([("place", "1")]) == set()
            tx.write(batch(place("1")))
        assert aside(store) == [Aside("place", "2", "odd")]
        with store.transaction(write=False) as tx:
            assert not tx.has_dirty()

    def test_a_newer_note_is_not_set_aside(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        self.foreign_write(store, "place", ["1"], ["old", None, None, None])
        with store.transaction(write=False) as tx:
            (old,) = tx.dirty(10)
        self.foreign_write(store, "place", ["1"], ["new", None, None, None])
        with store.transaction(write=True) as tx:
            tx.set_aside([(old, "odd")])
            assert [note.key for note in tx.dirty(10)] == ["1"]
        assert aside(store) == []

    def test_a_note_says_what_the_table_holds_now(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        self.foreign_write(store, "place", ["1"], ["theirs", None, None, None])
        with store.transaction(write=True) as tx:
            tx.write(batch(place("1", code="ours")))
            (note,) = tx.dirty(10)
            assert unpacked(note) == (["1"], ["place 1", "ours", None, None])
        write(store, batch(gone(PLACE, "1")))
        with store.transaction(write=False) as tx:
            assert tx.dirty(10) == [note._replace(values=None)]

    def test_composite_keys_are_noted(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        keys = [['a "b" ü 😀', 2**53 - 1, True, str(-(2**63))], ["", -1, False, "9007199254740993"]]
        for key in keys:
            self.foreign_write(store, "badge", key, [])
        self.foreign_write(store, "badge", keys[1], None)
        with store.transaction(write=False) as tx:
            notes = tx.dirty(10)
        assert [note.key for note in notes] == [row(BADGE, key, []).key for key in keys]
        assert [unpacked(note) for note in notes] == [(keys[0], []), None]


class AgainCases(Ground):
    """What waits aside can be taken up again."""

    def test_a_row_that_waits_aside_is_noted_again(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        for key in "123":
            self.foreign_write(store, "place", [key], [key, None, None, None])
        with store.transaction(write=True) as tx:
            notes = tx.dirty(10)
            tx.set_aside([(note, "no") for note in notes[:2]])
            tx.clean(notes[2:])
            tx.look_again([("place", "1"), ("place", "3"), ("item", "1")])
            assert [note.key for note in tx.dirty(10)] == ["1"]
            assert [one.key for one in tx.aside()] == ["2"]
            tx.clean(tx.dirty(10))
            assert not tx.has_dirty()


class FamilyCases(Ground):
    """Who names whom, by what the user tables hold now."""

    def test_current_rows_are_read_by_name(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1", code="x")))
        self.foreign_write(store, "place", ["2"], ["theirs", None, None, None])
        for writing in (True, False):
            with store.transaction(write=writing) as tx:
                notes = tx.current([("place", "2"), ("place", "3"), ("place", "1"), ("badge", BADGE_KEY)])
            assert [(note.table, note.key, note.mark) for note in notes] == [
                ("place", "2", 0),
                ("place", "3", 0),
                ("place", "1", 0),
                ("badge", BADGE_KEY, 0),
            ]
            assert [unpacked(note) for note in notes] == [
                (["2"], ["theirs", None, None, None]),
                None,
                (["1"], ["place 1", "x", None, None]),
                None,
            ]

    def test_keys_are_those_of_the_rows_that_a_table_holds(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(*(place(str(n)) for n in range(2_003)), item("i", "1")))
        self.foreign_write(store, "place", ["x"], ["theirs", None, None, None])
        self.foreign_write(store, "place", ["7"], None)
        with store.transaction(write=False) as tx:
            assert sorted(cast(Listing, tx).keys("place")) == sorted([*(str(n) for n in range(2_003) if n != 7), "x"])
            assert list(cast(Listing, tx).keys("item")) == ["i"]
            assert list(cast(Listing, tx).keys("badge")) == []

    def test_children_are_found_by_what_they_name(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1", code="x"), place("2"), item("i", "1"), item("j", "2"), item("k", None)))
        self.foreign_write(store, "item", ["l"], ["1", "x", "draft", ""])
        self.foreign_write(store, "item", ["j"], None)
        with store.transaction(write=True) as tx:
            tx.write(batch(item("m", "2")))
            assert sorted(tx.children("item", ["place"], [["1"], ["2"], ["3"]])) == ["i", "l", "m"]
            assert tx.children("item", ["place_code", "place"], [["x", "1"], ["x", "2"]]) == ["l"]
            assert tx.children("item", ["place"], []) == []

    def test_a_part_of_the_children_in_the_order_of_their_keys(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        keys = [f"{number:02}" for number in (7, 3, 9, 1, 5, 8, 2)]
        write(store, batch(place("1"), place("2"), *(item(key, "12"[int(key) % 2]) for key in keys)))

        def part(after: str, before: str, limit: int, *of: str) -> list[str]:
            with store.transaction(write=False) as tx:
                return tx.children("item", ["place"], [[one] for one in of], Span(after, before, limit))

        assert part("", "", 3, "1", "2") == ["01", "02", "03"]
        assert part("03", "", 9, "1", "2") == ["05", "07", "08", "09"]
        assert part("03", "08", 9, "2", "1") == ["05", "07"]
        assert part("", "", 2, "2") == ["01", "03"]
        assert part("", "", 5, "3") == part("09", "", 5, "1", "2") == []

    def test_children_are_found_by_values_of_every_type(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        values = [values for _, values in every_value()]
        write(store, batch(*(row(READING, [number], one) for number, one in enumerate(values))))
        names = [f"a_{name}" for name in ("int", "bigint", "bool", "date", "datetime", "decimal", "uuid")]
        with store.transaction(write=False) as tx:
            for name in names:
                slot = [column.name for column in READING.cells].index(name)
                for wanted in [one[slot] for one in values if one[slot] is not None]:
                    found = tx.children("reading", [name], [[wanted]])
                    assert found == [str(n) for n, one in enumerate(values) if one[slot] == wanted], (name, wanted)


BADGE_KEY = row(BADGE, ["a", 1, True, "2"], []).key


def unpacked(note: DirtyRow) -> tuple[list[Any], list[Any]] | None:
    """The values of a note as lists."""
    return None if note.values is None else (list(note.values[0]), list(note.values[1]))
