"""What an undo makes of JSON values, and which pieces of a text are still there."""

from __future__ import annotations

import random
from typing import Any

import pytest

from holdfast.replica.document_pieces import MOST_PIECES, Pieces
from holdfast.replica.json_undo import differing, taken_back


@pytest.mark.parametrize(
    ("shown", "old", "new", "wanted", "left"),
    [
        ({"a": 2, "b": 1}, {"a": 1}, {"a": 2}, {"a": 1, "b": 1}, []),
        ({"a": 3}, {"a": 1}, {"a": 2}, {"a": 3}, ["$.a"]),
        ({"a": 2}, {}, {"a": 2}, {}, []),
        ({"a": 3}, {}, {"a": 2}, {"a": 3}, ["$.a"]),
        ({}, {}, {"a": 2}, {}, []),
        ({}, {"a": 1}, {"a": 2}, {}, ["$.a"]),
        ({}, {"a": 1}, {}, {"a": 1}, []),
        ({"a": 1}, {"a": 1}, {}, {"a": 1}, []),
        ({"a": 5}, {"a": 1}, {}, {"a": 5}, ["$.a"]),
        ({"a": {"mine": 1, "his": 2}}, {}, {"a": {"mine": 1}}, {"a": {"his": 2}}, []),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [0, {"c": 1}]}}, {"a": {"b": [9, {"c": 2}]}}, None, ["$.a.b[0]"]),
        ([1, 2, 3, 4], [1, 3], [1, 2, 3], [1, 3, 4], []),
        ([0, 1, 3], [1, 2, 3], [1, 3], [0, 1, 2, 3], []),
        ([7, 3], [1, 2, 3], [9, 3], [7, 3], ["$"]),
        (5, 1, 5, 1, []),
        (6, 1, 5, 6, ["$"]),
        ([1], {"a": 1}, [1], {"a": 1}, []),
        (1.0, True, 1, True, []),
    ],
)
def test_a_change_of_json_is_taken_back_path_by_path(
    shown: Any, old: Any, new: Any, wanted: Any, left: list[str]
) -> None:
    if wanted is None:
        wanted = {"a": {"b": [1, {"c": 1}]}}
    assert taken_back(shown, old, new) == (wanted, left)
    assert taken_back(shown, *differing(old, new)) == (wanted, left)


def test_members_that_are_the_same_are_left_out() -> None:
    old, new = {"a": 1, "b": {"c": 1, "d": 2}, "e": [1]}, {"a": 1, "b": {"c": 1, "d": 3}, "f": None}
    assert differing(old, new) == ({"b": {"d": 2}, "e": [1]}, {"b": {"d": 3}, "f": None})


@pytest.mark.parametrize("seed", range(20))
def test_pieces_know_what_is_gone(seed: int) -> None:
    dice = random.Random(f"pieces {seed}")
    found = "".join(chr(0x4E00 + number) for number in range(dice.randint(0, 30)))
    pieces, text = Pieces(found), found
    for _ in range(dice.randint(0, 40)):
        at = dice.randint(0, len(text))
        removed, written = dice.randint(0, len(text) - at) if dice.random() < 0.5 else 0, dice.randint(0, 3)
        pieces.replace(at, removed, written)
        text = text[:at] + "x" * written + text[at + removed :]
        assert pieces.gone() == "".join(letter for letter in found if letter not in text)


def test_a_text_in_too_many_pieces_is_given_up() -> None:
    pieces = Pieces("ab" * MOST_PIECES)
    for place in range(MOST_PIECES):
        pieces.replace(place * 2, 1, 1)
    assert pieces.gone() is None
    pieces.replace(0, 0, 1)
    assert pieces.gone() is None
