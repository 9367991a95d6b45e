"""What was lost when two edits of a JSON document met: exactly that, with base and both values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.hub.json_meetings import Met, Past, met_members
from holdfast.kernel.column import Cell
from holdfast.kernel.documents.content import NOTHING, decoded
from holdfast.kernel.merges import BY_NAME, written
from holdfast.protocol.members import ABSENT, alike, member
from holdfast.schema.model import Column

COLUMN = Column("config", "json", merge="json", default={})
MERGE = BY_NAME["json"]
HUB = "1" * 12


class World:
    """A document at a hub and its edits so far; writers make theirs on the document at the start."""

    def __init__(self, start: Any) -> None:
        self.cell = Cell({}, None, [1, ""])
        self.edits: list[tuple[str, bytes]] = []
        self.count = 0
        self.write("first", start)
        self.seen = self.cell

    def write(self, writer: str, value: Any, seen: Cell | None = None) -> list[Met]:
        """An edit arrives of a writer who had seen `seen`, or what stands here; gives what was lost."""
        seen = seen if seen is not None else self.cell
        self.count += 1
        origin = f"{self.count:012x}"
        change = written(COLUMN, seen.value, seen.state, value, origin)
        before = self.cell
        self.cell = MERGE.apply(COLUMN, before, change, f"{self.count:014x}-{origin}", "", HUB)
        found = met_members(
            _bytes(before), decoded(change), _bytes(self.cell), self.cell.value, Past(reversed(self.edits.copy()))
        )
        self.edits.append((writer, decoded(change)))
        return found


def _bytes(cell: Cell) -> bytes:
    return decoded(cell.state[1]) if cell.state is not None and cell.state[1] else NOTHING


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no object with members, by its pointer."""
    if isinstance(value, dict) and value:
        for name in value:
            yield from leaves(value[name], f"{path}/{name}")
    else:
        yield path, value


OBJECTS: Any = st.recursive(
    st.integers(0, 3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
ROOTS = st.dictionaries(st.sampled_from("abc"), OBJECTS, max_size=3)


@settings(max_examples=150, deadline=None)
@given(start=ROOTS, theirs=ROOTS, mine=ROOTS)
def test_exactly_what_was_lost_is_told_with_base_and_both_values(start: Any, theirs: Any, mine: Any) -> None:
    world = World(start)
    assert world.write("they", theirs) == []
    found = world.write("me", mine, world.seen)
    result = world.cell.value
    for met in found:
        assert alike(met.base, member(start, met.path)), met
        assert alike(met.mine, member(mine, met.path)), met
        assert alike(met.theirs, member(theirs, met.path)), met
        assert not alike(met.mine, met.theirs), met
        lost = met.theirs if met.winner == "mine" else met.mine
        assert not alike(lost, member(result, met.path)), met
        assert not alike(lost, met.base), met
        assert met.by == "they", met
    assert len({met.path for met in found}) == len(found)
    for wanted, side in ((mine, "mine"), (theirs, "theirs")):
        for path, value in leaves(wanted):
            emptied = value == {} and isinstance(member(start, path), dict)  # each of its members was deleted
            if emptied or alike(value, member(start, path)) or alike(value, member(result, path)):
                continue
            covered = [met for met in found if f"{path}/".startswith(f"{met.path}/") and met.winner != side]
            assert covered, (path, value, side)


def met(start: Any, theirs: Any, mine: Any) -> list[tuple[Any, ...]]:
    world = World(start)
    world.write("they", theirs)
    return [one[:4] for one in world.write("me", mine, world.seen)]


def test_elements_have_their_place_after_the_merge() -> None:
    start = {"l": [1, {"q": 2}, 3]}
    found = met(start, {"l": [1, {"q": 4}, 3]}, {"l": [0, 1, {"q": 5}, 3]})
    assert found == [("/l/2/q", 2, 5, 4)]


def test_an_edit_in_an_element_that_is_deleted() -> None:
    start, edited, without = {"l": [1, {"q": 2}, 3]}, {"l": [0, 1, {"q": 5}, 3]}, {"l": [1, 3]}
    assert met(start, without, edited) == [("/l/-/q", 2, 5, ABSENT)]
    assert met(start, edited, without) == [("/l/-/q", 2, ABSENT, 5)]


def test_elements_put_into_an_array_that_is_deleted_are_told_together() -> None:
    start, longer = {"l": [1, 2]}, {"l": [1, 2, 3, {"x": [4, [5]]}]}
    assert met(start, {}, longer) == [("/l", ABSENT, [3, {"x": [4, [5]]}], ABSENT)]
    assert met(start, longer, {}) == [("/l", ABSENT, ABSENT, [3, {"x": [4, [5]]}])]


def test_elements_of_both_stay() -> None:
    assert met({"l": [1]}, {"l": [1, 2]}, {"l": [1, 3]}) == []
    assert met({"l": [1]}, {"l": [2]}, {"l": [3]}) == []


def test_the_base_of_a_part_is_what_its_writer_deleted_of_it() -> None:
    start = {"o": {"x": 1, "d": {"z": [1, {"k": 2}]}}}
    assert met(start, {"o": 4}, {"o": 5}) == [("/o", start["o"], 5, 4)]


def test_two_new_members_at_once() -> None:
    mine = {"n": {"b": [1, 2, {"c": 3}], "e": []}}
    found = met({}, {"n": {"a": 1}}, mine)
    assert found == [("/n", ABSENT, mine["n"], {"a": 1})]


def test_a_document_that_becomes_something_else() -> None:
    assert met({"x": 1}, [7], {"x": 2}) == [("/x", 1, 2, ABSENT)]
    assert met({"x": 1}, {"x": 2}, [7]) == [("/x", 1, ABSENT, 2)]
    assert met(3, 4, 5) == [("", 3, 5, 4)]
    for found in (met({"x": 1}, 5, [6]), met({"x": 1}, [6], 5)):
        assert [one[0] for one in found] == [""]
        assert sorted(map(str, found[0][2:])) == ["5", "[6]"]


def test_who_has_seen_it_meets_nothing() -> None:
    world = World({"a": 1, "o": {"b": 2}})
    world.write("they", {"a": 2, "o": {"b": 3}})
    assert world.write("me", {"a": 3, "o": {}}) == []
    assert world.write("me", {"a": 4}) == []


def test_a_third_writer_meets_what_stands() -> None:
    world = World({"a": 1})
    world.write("one", {"a": 2})
    world.write("two", {"a": 3})
    (found,) = world.write("me", {"a": 4}, world.seen)
    assert (found.base, found.mine, found.theirs, found.by) == (1, 4, 3, "two")


def test_the_past_that_is_forgotten_is_not_known() -> None:
    world = World({"a": 1})
    world.write("they", {"a": 2})
    world.edits.clear()
    (found,) = world.write("me", {"a": 3}, world.seen)
    assert (found.base, found.mine, found.theirs, found.by) == (ABSENT, 3, 2, None)


def test_names_with_slashes_and_other_scripts() -> None:
    assert met({"a/b": {"~é": 1}}, {"a/b": {"~é": 2.5}}, {"a/b": {"~é": "x"}}) == [("/a~1b/~0é", 1, "x", 2.5)]
