"""Contract: user tables and their constraints."""

from __future__ import annotations

from pathlib import Path

from holdfast.stores.contract.ground import Ground, head, refused, write
from holdfast.stores.contract.samples import ITEM, PLACE, batch, gone, item, place, row


class ConstraintCases(Ground):
    """What other programs see in the tables, and what the database refuses."""

    def test_user_tables_show_the_rows(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1", code="one"), place("2")))
        write(store, batch(place("1", code="uno", fresh=False), gone(PLACE, "2"), gone(PLACE, "never there")))
        rows = self.user_rows(store, "place")
        assert {key: (list(keys), list(values)) for key, (keys, values) in rows.items()} == {
            "1": (["1"], ["place 1", "uno", None, None])
        }

    def test_a_short_row_takes_the_defaults(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(row(ITEM, "1", [None]), row(ITEM, "2", [])))
        assert {key: list(values) for key, (_, values) in self.user_rows(store, "item").items()} == {
            "1": [None, None, "draft", ""],
            "2": [None, None, "draft", ""],
        }

    def test_a_foreign_row_leaves_the_user_table_alone(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        self.foreign_write(store, "place", ["1"], ["theirs", None, None, None])
        write(store, batch(row(PLACE, "1", ["not written", None, None, None], foreign=True)))
        write(store, batch(row(PLACE, "2", None, foreign=True)))
        assert self.user_rows(store, "place")["1"][1][0] == "theirs"
        assert head(store) == 2

    def test_unique(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1", code="x")))
        with refused("unique") as refusal:
            write(store, batch(place("2", code="x")))
        assert (refusal.found.table, refusal.found.columns) == ("place", ("code",))
        with refused("unique"):
            write(store, batch(place("3", code="y"), place("4", code="y")))
        assert set(self.user_rows(store, "place")) == {"1"}
        assert head(store) == 1

    def test_unique_over_two_columns(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(row(PLACE, "1", ["n", None, "High", 1]), row(PLACE, "2", ["n", None, "High", 2])))
        with refused("unique") as refusal:
            write(store, batch(row(PLACE, "3", ["n", None, "High", 2])))
        assert (refusal.found.table, refusal.found.columns) == ("place", ("street", "number"))

    def test_null_equals_nothing(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(*(row(PLACE, key, ["n", None, "High", None]) for key in "123")))
        assert len(self.user_rows(store, "place")) == 3

    def test_two_rows_swap_a_unique_value(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1", code="x"), place("2", code="y"), item("i", "1"), item("j", "2")))
        write(store, batch(place("1", code="y", fresh=False), place("2", code="x", fresh=False)))
        assert self.codes(store) == {"1": "y", "2": "x"}
        assert set(self.user_rows(store, "item")) == {"i", "j"}

    def test_a_unique_value_goes_round(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(*(place(key, code=key) for key in "1234")))
        moved = [place(key, code=code, fresh=False) for key, code in zip("1234", "2341", strict=True)]
        write(store, batch(*moved, place("5", code=None)))
        assert self.codes(store) == {"1": "2", "2": "3", "3": "4", "4": "1", "5": None}

    def test_a_dead_row_frees_its_unique_value(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1", code="x")))
        write(store, batch(place("2", code="x"), gone(PLACE, "1")))
        assert self.codes(store) == {"2": "x"}

    def codes(self, store: object) -> dict[str, str | None]:
        """Key -> code of all places."""
        return {key: values[1] for key, (_, values) in self.user_rows(store, "place").items()}

    def test_not_null(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        with refused("not_null") as refusal:
            write(store, batch(row(PLACE, "1", [None, None, None, None])))
        assert (refusal.found.table, refusal.found.columns) == ("place", ("name",))

    def test_choices(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        with refused("check") as refusal:
            write(store, batch(row(ITEM, "1", [None, None, "lost", ""])))
        assert (refusal.found.table, refusal.found.columns) == ("item", ("status",))

    def test_a_child_needs_its_parent(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1"), item("i", "1"), item("j", None)))
        with refused("foreign_key") as refusal:
            write(store, batch(item("k", "2")))
        assert (refusal.found.table, refusal.found.columns) == ("item", ("place",))
        with refused("foreign_key"):
            write(store, batch(item("i", "2", fresh=False)))
        assert set(self.user_rows(store, "item")) == {"i", "j"}

    def test_a_parent_may_come_after_its_child(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(item("i", "1"), place("1")))
        assert set(self.user_rows(store, "item")) == {"i"}

    def test_a_parent_leaves_no_child_behind(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1"), place("2"), item("i", "1")))
        with refused("foreign_key") as refusal:
            write(store, batch(gone(PLACE, "1")))
        assert (refusal.found.table, refusal.found.columns) == ("item", ("place",))
        write(store, batch(gone(PLACE, "2")))
        assert set(self.user_rows(store, "place")) == {"1"}

    def test_parent_and_child_go_together(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        write(store, batch(place("1"), place("2"), item("i", "1"), item("j", "2")))
        write(store, batch(gone(PLACE, "1"), gone(ITEM, "i")))
        write(store, batch(gone(PLACE, "2"), place("3"), item("j", "3", fresh=False)))
        assert set(self.user_rows(store, "place")) == {"3"}
        assert set(self.user_rows(store, "item")) == {"j"}

    def test_a_parent_named_by_another_column(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        child = row(ITEM, "i", [None, "x", "draft", ""])
        with refused("foreign_key") as refusal:
            write(store, batch(child, place("1", code="y")))
        assert refusal.found.columns == ("place_code",)
        write(store, batch(child, place("1", code="x")))
        with refused("foreign_key") as refusal:
            write(store, batch(place("1", code="y", fresh=False)))
        assert (refusal.found.table, refusal.found.columns) == ("item", ("place_code",))
        write(store, batch(place("1", code="y", fresh=False), place("2", code="x")))
        with refused("foreign_key"):
            write(store, batch(gone(PLACE, "2")))
        assert self.codes(store) == {"1": "y", "2": "x"}
