"""Rows of the kernel and their images."""

from __future__ import annotations

import json

import holdfast as hf
from holdfast.kernel.row import Row
from holdfast.protocol import images
from holdfast.protocol.errors import CODES

S = "0329f991e94000-26fd53dc5345"


class Note(hf.Table, space="all"):
    body: str
    n: hf.Counter = 0


TABLE = hf.Schema(Note).table("note")


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
