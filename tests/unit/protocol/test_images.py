"""Rows of the kernel and their images."""

from __future__ import annotations

import json

import pytest

import holdfast as hf
from holdfast.kernel.column import Cell
from holdfast.kernel.merges import BY_NAME, written
from holdfast.kernel.row import Row
from holdfast.kernel.stamps import encode_stamps
from holdfast.kernel.values import InvalidValue
from holdfast.protocol import images
from holdfast.protocol.errors import CODES
from holdfast.protocol.messages import decode_image

S = "0329f991e94000-26fd53dc5345"


class Note(hf.Table, space="all"):
    body: str
    n: hf.Counter = 0


class Page(hf.Table, space="all"):
    body: hf.Text
    other: hf.Text


TABLE = hf.Schema(Note).table("note")
PAGE = hf.Schema(Page).table("page")


def test_a_row_goes_through_its_image_unchanged() -> None:
    row = Row(3, ["é", 4], [S, None], {1: [3, {"abcdef012345": [4, 0]}]})
    image = images.image_of("note", ["k"], row)
    assert json.loads(image) == ["note", 3, ["k", "é", 4], f"{S}*1", {"1": [3, {"abcdef012345": [4, 0]}]}]
    again = images.row_from_bytes(TABLE, image)
    assert (again.life, again.values, again.stamps, again.states) == (3, ["é", 4], [S], row.states)


def test_a_row_without_states_has_a_short_image() -> None:
    assert json.loads(images.image_of("note", ["k"], Row(1, ["x", 0], [S, S]))) == ["note", 1, ["k", "x", 0], f"{S}*2"]


def test_dead_and_left_rows_say_no_more_than_their_key() -> None:
    row = Row(2, ["secret", 1], [S, S])
    assert json.loads(images.dead_image("note", ["k"], row)) == ["note", 2, ["k"], f"{S}*2"]
    assert json.loads(images.leave_image("note", ["k"])) == ["note", 0, ["k"], ""]


def test_the_layout_hash_does_not_depend_on_the_order_of_tables() -> None:
    a, b = {"x": ["p", "q"], "y": []}, {"y": [], "x": ["p", "q"]}
    assert images.layout_hash(a) == images.layout_hash(b) != images.layout_hash({"x": ["q", "p"], "y": []})


def test_every_code_says_what_it_means_and_what_to_do() -> None:
    for name, code in CODES.items():
        assert name == name.lower() and code.meaning.endswith(".") and code.remedy.endswith(".")
        assert code.status == 0 or 400 <= code.status < 600


def test_a_patch_makes_the_new_row_of_the_old_one() -> None:
    old, new = Row(1, ["x"], [S]), Row(1, ["y", 7], [S, S], {1: [1, {"abcdef012345": [7, 0]}]})
    patch = images.patch_of("note", TABLE, ["k"], new, [1], {})
    form = ["note", 1, ["k", 7], f"{S}*2", {"1": [1, {"abcdef012345": [7, 0]}]}, [1]]
    assert json.loads(patch) == form
    made = images.patched(TABLE, old, decode_image(patch))
    assert (made.values, made.stamps, made.states) == (["x", 7], [S, S], new.states)
    assert old.values == ["x"]


def test_a_patch_may_change_no_value_but_who_wrote_it() -> None:
    old, new = Row(1, ["x", 0], [S, S]), Row(1, ["x", 0], [S, "0329f991e95001-00000000000a"])
    made = images.patched(TABLE, old, decode_image(images.patch_of("note", TABLE, ["k"], new, [], {})))
    assert (made.values, made.stamps) == (new.values, new.stamps)


def test_a_dead_row_gets_the_defaults_where_it_has_stamps() -> None:
    row = images.row_from_bytes(TABLE, f'["note",2,["k"],"{S}*2"]'.encode())
    assert (row.life, row.values, row.stamps) == (2, [None, 0], [S, S])


def test_a_patch_says_what_was_added_to_a_document() -> None:
    """Nothing but the update travels; documents that did not change are not mentioned; a wrong outcome is found."""
    note, body, merge = PAGE, PAGE.cells[0], BY_NAME["text"]
    one = merge.apply(body, Cell("", None, [1, ""]), written(body, "", [1, ""], "abc", "a" * 12), S, S, "1" * 12)
    update = written(body, one.value, one.state, "abcd", "b" * 12)
    two = merge.apply(body, one, update, S, S, "1" * 12)
    old = Row(1, ["abc", "abc"], [one.stamp, one.stamp], {0: one.state, 1: one.state})
    new = Row(1, ["abcd", "abc"], [two.stamp, one.stamp], {0: two.state, 1: one.state})
    patch = images.patch_of("note", note, ["k"], new, [0], {0: [update]})
    assert json.loads(patch)[2:] == [["k", None], encode_stamps(new.stamps), {"0": [1, [update]]}, [0]]
    made = images.patched(note, old, decode_image(patch))
    assert (made.values, made.stamps, made.states) == (new.values, new.stamps, new.states)
    whole = images.patch_of("note", note, ["k"], new, [0], {})
    made = images.patched(note, old, decode_image(whole))
    assert (made.values, made.states) == (new.values, new.states)
    empty = Row(1, ["", ""], [one.stamp, None], {})
    with pytest.raises(InvalidValue):
        images.patched(note, empty, decode_image(patch))
    wrong = Row(1, new.values, [S, one.stamp], new.states)
    with pytest.raises(InvalidValue):
        images.patched(note, old, decode_image(images.patch_of("note", note, ["k"], wrong, [0], {0: [update]})))
    nothing = images.patch_of("note", note, ["k"], Row(1, ["abc"], [one.stamp], {0: one.state}), [], {})
    assert images.patched(note, Row(1, ["abc"], [one.stamp], {}), decode_image(nothing)).states == {}


def test_a_document_that_is_empty_again_has_no_state() -> None:
    note, body, merge = PAGE, PAGE.cells[0], BY_NAME["text"]
    cell = merge.apply(body, Cell("", None, None), "AAA=", S, S, "1" * 12)
    patch = images.patch_of("note", note, ["k"], Row(1, [""], [cell.stamp], {0: [1, ""]}), [0], {0: ["AAA="]})
    made = images.patched(note, Row(1, [""], [cell.stamp], {}), decode_image(patch))
    assert (made.values, made.states) == ([""], {})
