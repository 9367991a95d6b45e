"""Text and JSON documents: what is typed meets what others typed, and strangers' bytes do no harm."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from holdfast.kernel import values
from holdfast.kernel.column import Cell
from holdfast.kernel.documents.content import decoded, encoded, joined, merged
from holdfast.kernel.documents.update import MAX_UPDATE, read_update, write_text
from holdfast.kernel.merges import BY_NAME, document, started, written
from holdfast.kernel.merges.document import LiveState
from holdfast.kernel.values import InvalidValue
from holdfast.schema import model

TEXT = model.Column("body", "text", default="", merge="text")
JSON = model.Column("setup", "json", default={}, merge="json")
COUNT = model.Column("count", "int", default=0, merge="counter")
HUB = "1" * 12
NEW = Cell("", None, [1, ""])
NEW_JSON = Cell({}, None, [1, ""])


def stamp(hlc: int, origin: str) -> str:
    return f"{hlc:014x}-{origin * 12}"


def edit(column: model.Column, cell: Cell, value: Any, writer: str) -> str:
    found = written(column, cell.value, cell.state, value, writer * 12)
    assert isinstance(found, str)
    return found


def put(column: model.Column, cell: Cell, change: str, hlc: int = 1, writer: str = "a", hub: str = HUB) -> Cell:
    checked = BY_NAME[column.merge].check(column, change)
    return BY_NAME[column.merge].apply(column, cell, checked, stamp(hlc, writer), stamp(hlc, writer), hub)


def plain(cell: Cell) -> Cell:
    """The cell as it comes out of a store: its state is a list and no more."""
    return cell._replace(state=list(cell.state) if cell.state is not None else None)


SENTENCES = ["", "héllo 😀 wörld", "e\u0301é and 👩‍👩‍👧", "hello world", "héllo, wörld 😀😀", "\ud7ff\ue000～🏗"]


@pytest.mark.parametrize(("old", "new"), list(itertools.product(SENTENCES, SENTENCES)))
def test_a_written_text_is_what_stands(old: str, new: str) -> None:
    cell = put(TEXT, NEW, edit(TEXT, NEW, old, "a"))
    assert cell.value == old
    cell = put(TEXT, plain(cell), edit(TEXT, plain(cell), new, "b"), 2, "b")
    assert cell.value == new


def test_concurrent_edits_of_one_text_are_kept_in_any_order_and_however_often() -> None:
    rng = random.Random(1)
    for _ in range(40):
        base = put(TEXT, NEW, edit(TEXT, NEW, "The quick brown fox jumps", "a"))
        changes = []
        for writer in "bcd":
            words = str(base.value).split()
            words[rng.randrange(len(words))] = rng.choice(["😀", "x" + writer, ""])
            words.insert(rng.randrange(len(words)), writer.upper() * 3)
            changes.append((edit(TEXT, base, " ".join(words), writer), writer))
        ends = set()
        for order in itertools.permutations([*changes, changes[0]]):
            cell = plain(base)
            for place, (change, writer) in enumerate(order):
                cell = put(TEXT, cell if place % 2 else plain(cell), change, 2, writer)
            assert all(writer * 3 in cell.value for writer in "BCD")
            ends.add((cell.value, cell.stamp))
        assert len(ends) == 1


def test_equal_stamps_are_equal_content() -> None:
    base = put(TEXT, NEW, edit(TEXT, NEW, "abc", "a"), 9)
    other = put(TEXT, base, edit(TEXT, base, "abcd", "b"), 2, "b")
    assert other.stamp is not None and base.stamp is not None
    assert other.stamp[:14] == base.stamp[:14], "the latest time stays"
    assert other.stamp != base.stamp, "but there is more in it"


def test_two_first_texts_of_one_key_are_both_kept() -> None:
    first = put(TEXT, NEW, edit(TEXT, NEW, "from a ", "a"))
    both = put(TEXT, first, edit(TEXT, NEW, "from b ", "b"), 1, "b")
    assert sorted(both.value.split(" from ")) == sorted(["from a", "b "]) or "from a " in both.value
    assert "from b " in both.value


def test_the_default_counts_once_whoever_begins() -> None:
    column = model.Column("body", "text", default="Dear Sir", merge="text")
    never = Cell("Dear Sir", None, None)
    a, b = edit(column, never, "Dear Sir!", "a"), edit(column, never, "My Dear Sir", "b")
    assert put(column, put(column, never, a), b, 2, "b").value == "My Dear Sir!"
    json_column = model.Column("setup", "json", default={"a": 1}, merge="json")
    never = Cell({"a": 1}, None, None)
    a, b = edit(json_column, never, {"a": 1, "b": 2}, "a"), edit(json_column, never, {"a": 1, "c": 3}, "b")
    assert put(json_column, put(json_column, never, a), b, 2, "b").value == {"a": 1, "b": 2, "c": 3}


JSONS: list[Any] = [
    {}, [], 1, "text", True, {"a": {"b": [1, {"c": None}]}}, {"a": {"b": [{"c": 2}], "d": 1.5}, "é😀": "x"},
    [1, [2, 3], {"a": 1}], [[2, 3, 4], {"a": 2}, 1], [1, 2, 3, 4], [3, 4, 1], {"a": [1]}, {"a": {"0": 1}}, -5, "other",
    [{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 3}], [[1], 2],
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), list(itertools.product(JSONS, JSONS)))
def test_a_written_json_is_what_stands(old: Any, new: Any) -> None:
    cell = put(JSON, NEW_JSON, edit(JSON, NEW_JSON, old, "a"))
    assert values.same(cell.value, old)
    cell = put(JSON, plain(cell), edit(JSON, plain(cell), new, "b"), 2, "b")
    assert values.same(cell.value, new)


def test_members_and_elements_merge_path_by_path() -> None:
    base = put(JSON, NEW_JSON, edit(JSON, NEW_JSON, {"net": {"host": "a", "port": 1}, "list": [1, 2, 3]}, "a"))
    b = edit(JSON, base, {"net": {"host": "b", "port": 1}, "list": [0, 1, 2, 3]}, "b")
    c = edit(JSON, base, {"net": {"host": "a", "port": 2, "tls": True}, "list": [1, 3, 4]}, "c")
    one, two = put(JSON, put(JSON, base, b, 2, "b"), c, 3, "c"), put(JSON, put(JSON, base, c, 3, "c"), b, 2, "b")
    assert one.value == {"net": {"host": "b", "port": 2, "tls": True}, "list": [0, 1, 3, 4]}
    assert (one.value, one.stamp) == (two.value, two.stamp)


def test_a_dead_letter_shows_nothing_on_a_device_and_is_refused_at_a_hub() -> None:
    base = put(TEXT, NEW, edit(TEXT, NEW, "abc", "a"))
    unsent = put(TEXT, base, edit(TEXT, base, "abcd", "b"), 2, "b")
    later = edit(TEXT, unsent, "abcde", "b")
    with pytest.raises(InvalidValue) as refused:
        put(TEXT, base, later, 3, "b")
    assert refused.value.code == "document_gap"
    assert put(TEXT, plain(base), later, 3, "b", "~").value == "abc"


def test_other_mistakes_are_raised_on_a_device_too() -> None:
    with pytest.raises(InvalidValue) as refused:
        BY_NAME["text"].apply(TEXT, NEW, encoded(b"\1"), stamp(1, "a"), stamp(1, "a"), "~")
    assert refused.value.code == "document_malformed"


def test_a_state_is_read_once_more_when_its_content_was_taken() -> None:
    base = put(TEXT, NEW, edit(TEXT, NEW, "abc", "a"))
    assert isinstance(base.state, LiveState)
    b, c = edit(TEXT, base, "xabc", "b"), edit(TEXT, base, "abcy", "c")
    assert put(TEXT, base, b, 2, "b").value == "xabc"
    assert put(TEXT, base, c, 2, "c").value == "abcy"


def test_several_updates_as_one() -> None:
    base = put(TEXT, NEW, edit(TEXT, NEW, "abc", "a"))
    first = edit(TEXT, base, "abcd", "b")
    second = edit(TEXT, put(TEXT, base, first, 2, "b"), "abcde", "b")
    assert merged([first]) == first
    assert put(TEXT, base, merged([first, second]), 2, "b").value == "abcde"


def test_only_documents_have_a_state_from_the_start() -> None:
    assert started(TEXT, 0) == [1, ""]
    assert started(JSON, 2) == [3, ""]
    assert started(TEXT, 1) == [3, ""]
    assert started(COUNT, 0) is None
    assert document(COUNT) is None
    assert written(COUNT, 1, None, 5, "a" * 12) == 4


def test_what_was_typed_can_be_read() -> None:
    assert read_update(decoded(edit(TEXT, NEW, "hé😀", "a")), text=True).typed == ["hé😀"]
    assert read_update(decoded(edit(JSON, NEW_JSON, {"a": "typed"}, "a")), text=False).typed == ["typed"]


def test_no_bytes_of_a_stranger_do_any_harm() -> None:
    """Every cut and thousands of damaged updates: refused with a code, or a document as good as any."""
    rng = random.Random(2)
    base = put(TEXT, NEW, edit(TEXT, NEW, "The quick 😀 brown fox", "a"))
    tree = put(JSON, NEW_JSON, edit(JSON, NEW_JSON, JSONS[6], "a"))
    for column, cell, value in ((TEXT, base, "The 😀 slow brown foxes"), (JSON, tree, JSONS[5])):
        good = decoded(edit(column, cell, value, "b"))
        damaged = [good[:size] for size in range(1, len(good))]
        for _ in range(1500):
            data = bytearray(good)
            for _ in range(rng.randint(1, 3)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            damaged.append(bytes(data))
        for data in damaged:
            try:
                after = put(column, plain(cell), encoded(data), 2, "b")
            except InvalidValue as problem:
                assert problem.code in ("document_malformed", "document_gap", "value_nul", "value_range", "value_null")
                continue
            column.accept(after.value)
            put(column, plain(after), edit(column, plain(after), value, "c"), 3, "c")


def test_updates_and_documents_have_a_size() -> None:
    with pytest.raises(InvalidValue) as refused:
        read_update(bytes(MAX_UPDATE + 1), text=True)
    assert refused.value.code == "document_malformed"
    cell = put(TEXT, NEW, edit(TEXT, NEW, "x" * (5 * 1024 * 1024), "a"))
    with pytest.raises(InvalidValue) as refused:
        put(TEXT, cell, edit(TEXT, NEW, "y" * (5 * 1024 * 1024), "b"), 2, "b")
    assert refused.value.code == "value_range"


def test_a_change_deletes_what_its_edit_deleted_and_nothing_else() -> None:
    cell = put(TEXT, NEW, edit(TEXT, NEW, "one two three four", "a"))
    cell = put(TEXT, cell, edit(TEXT, cell, "two three four", "a"), 2)
    cell = put(TEXT, cell, edit(TEXT, cell, "two three", "b"), 3, "b")
    state = read_update(decoded(cell.state[1]), text=True)
    assert [(part.clock, part.size) for part in state.hidden] == [(0, 4), (13, 5)]
    update = read_update(decoded(edit(TEXT, cell, "two three!", "c")), text=True)
    assert (update.deletes, update.typed, update.hidden) == ({}, ["!"], [])
    assert read_update(decoded(edit(TEXT, cell, "two three", "c")), text=True).structs == {}


def test_a_text_as_the_library_writes_it() -> None:
    assert write_text("é" * 100) == b"\xc8\x01" + "é".encode() * 100


def test_ranges_that_touch_are_one() -> None:
    assert joined([(5, 2), (0, 3), (3, 2), (9, 1), (4, 1), (8, 0)]) == [(0, 7), (9, 1)]


def test_half_a_surrogate_pair_cannot_be_deleted_into_broken_text() -> None:
    """A deletion of one of the two clocks of an emoji leaves a text that is Unicode."""
    cell = put(TEXT, NEW, edit(TEXT, NEW, "a😀b", "a"))
    client = next(iter(read_update(decoded(cell.state[1]), text=True).structs))
    number, rest = bytearray(), client
    while rest > 127:
        number.append(rest & 127 | 128)
        rest >>= 7
    number.append(rest)
    half = b"\0\1" + bytes(number) + b"\1\1\1"
    after = put(TEXT, plain(cell), encoded(half), 2, "b")
    after.value.encode("utf-8")
    assert after.value[0] == "a" and after.value[-1] == "b"
