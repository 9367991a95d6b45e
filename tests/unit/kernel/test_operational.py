"""Operational transformation: TP1, canonical forms, and the shortest edits."""

from __future__ import annotations

import itertools
import random

import pytest

from holdfast.kernel import operational
from holdfast.kernel.edit_script import edits
from holdfast.kernel.values import InvalidValue

LETTERS = "ab😀é\u0301"


def some_text(rng: random.Random, most: int) -> str:
    return "".join(rng.choice(LETTERS) for _ in range(rng.randint(0, most)))


def some_operation(rng: random.Random, text: str) -> operational.Operation:
    parts: list[object] = []
    at = 0
    while at < len(text):
        size = min(rng.randint(1, 4), len(text) - at)
        kind = rng.randrange(10)
        if kind < 4:
            parts.append(size)
        elif kind < 7:
            parts.append(some_text(rng, 3))
            continue
        else:
            parts.append({"d": text[at : at + size]})
        at += size
    return operational.checked([*parts, some_text(rng, 2)])


def test_tp1() -> None:
    """a and then b as it reads after a, b and then a as it reads after b: one text (the property of the name)."""
    for seed in range(4000):
        rng = random.Random(seed)
        text = some_text(rng, 12)
        a, b = some_operation(rng, text), some_operation(rng, text)
        a_after, b_after = operational.transform(a, b, first=True), operational.transform(b, a, first=False)
        one = operational.apply(operational.apply(text, a), b_after)
        assert one == operational.apply(operational.apply(text, b), a_after), seed
        assert operational.checked(a_after) == a_after, "canonical"


def test_between_two_texts_lies_an_operation() -> None:
    for seed in range(2000):
        rng = random.Random(seed)
        old, new = some_text(rng, 12), some_text(rng, 12)
        assert operational.apply(old, operational.between(old, new)) == new


@pytest.mark.parametrize(
    ("a", "b", "meets"),
    [
        ([1, "x", {"d": "b"}], [1, "y", {"d": "b"}], True),
        ([1, "x", {"d": "b"}], [1, "x", {"d": "b"}], False),
        ([{"d": "abc"}], [1, "y"], True),
        ([1, "y"], [{"d": "abc"}], True),
        ([{"d": "ab"}], [1, {"d": "bc"}], False),
        (["x"], ["y"], False),
        ([3, "x"], [{"d": "abc"}], False),
        (["x", {"d": "a"}], [1, {"d": "b"}], False),
    ],
)
def test_which_operations_meet(a: operational.Operation, b: operational.Operation, *, meets: bool) -> None:
    assert operational.overlap(a, b) is meets


def test_the_same_replacement_counts_once() -> None:
    a = operational.between("teh fox", "the fox")
    assert operational.transform(a, a, first=False) == []


def test_what_was_done_to_one_text_is_done_to_another() -> None:
    assert operational.rebased("one two", "one 2", "one two") == "one 2"
    assert operational.rebased("one two", "one 2", "first one two") == "first one 2"


def test_an_edit_of_another_text_does_not_fit() -> None:
    for operation in ([{"d": "x"}], [9, "x"]):
        with pytest.raises(InvalidValue) as refused:
            operational.apply("abc", operation)
        assert refused.value.code == "edit_misfit"


def test_edits_lead_from_one_sequence_to_the_other() -> None:
    for seed in range(3000):
        rng = random.Random(seed)
        old = [rng.choice("abcd") for _ in range(rng.randint(0, 30))]
        new = list(old)
        for _ in range(rng.randint(0, 5)):
            place = rng.randint(0, len(new))
            new[place : place + rng.randint(0, 2)] = [rng.choice("abcd")] * rng.randint(0, 2)
        for kept in (0, 1, 3):
            made, at = [], 0
            found = edits(old, new, kept)
            for start, end, first, last in found:
                made += old[at:start] + new[first:last]
                at = end
            assert made + old[at:] == new
            assert all(later[0] > earlier[1] for earlier, later in itertools.pairwise(found))


def test_a_long_text_with_two_edits_is_compared_at_once() -> None:
    rng = random.Random(1)
    old = "".join(rng.choice("abc ") for _ in range(100_000))
    new = old[:100] + "X" + old[100:90_000] + "Y" + old[90_001:]
    assert [old[i:j] + ">" + new[k:m] for i, j, k, m in edits(old, new)] == [">X", f"{old[90_000]}>Y"]
