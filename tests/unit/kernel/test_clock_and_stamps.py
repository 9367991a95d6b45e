"""The clock never runs backwards, stamps order like their parts, row stamps read back."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel import causality, clock
from holdfast.kernel.stamps import MAX_SLOTS, decode_stamps, encode_stamps
from holdfast.kernel.values import InvalidValue

hlcs = st.integers(0, clock.MAX_HLC)
origins = st.integers(0, 2**48 - 1).map(clock.new_origin)
stamps = st.builds(clock.stamp, hlcs, origins)
vectors = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3))


@given(st.integers(0, clock.MAX_HLC - 1), st.integers(-(2**60), 2**60))
def test_tick_always_advances(last: int, wall_ms: int) -> None:
    following = clock.tick(last, wall_ms)
    assert last < following <= clock.MAX_HLC
    assert following >= clock.wall(wall_ms)


@given(hlcs)
def test_pack_and_unpack(hlc: int) -> None:
    assert clock.pack(*clock.unpack(hlc)) == hlc


@given(hlcs, origins, hlcs, origins)
def test_stamps_order_as_text(hlc_a: int, origin_a: str, hlc_b: int, origin_b: str) -> None:
    a, b = clock.stamp(hlc_a, origin_a), clock.stamp(hlc_b, origin_b)
    assert (a < b) == ((hlc_a, origin_a) < (hlc_b, origin_b))
    assert clock.is_stamp(a)
    assert len(a) == clock.STAMP_LENGTH
    assert (clock.hlc_of(a), clock.origin_of(a)) == (hlc_a, origin_a)


@given(st.integers(0, clock.MAX_HLC - 1), origins, origins)
def test_after_is_later_whatever_the_origin(hlc: int, origin: str, other: str) -> None:
    assert clock.after(clock.stamp(hlc, origin), other) > clock.stamp(hlc, origin)


@given(st.lists(st.none() | st.sampled_from([clock.stamp(i, "a" * 12) for i in range(4)]) | stamps, max_size=20))
def test_row_stamps_read_back(row_stamps: list[str | None]) -> None:
    text = encode_stamps(row_stamps)
    back = decode_stamps(text)
    assert back + [None] * (len(row_stamps) - len(back)) == row_stamps
    assert encode_stamps(back) == text


def test_a_damaged_text_is_refused_or_canonical() -> None:
    """Random single edits of valid texts: what is read at all, is read as what is written."""
    rng = random.Random(7)
    uniform = encode_stamps([clock.stamp(1, "a" * 12)] * 12)
    mixed = encode_stamps([clock.stamp(1, "a" * 12), None, clock.stamp(2, "b" * 12), clock.stamp(1, "a" * 12)])
    read = 0
    for _ in range(5_000):
        text = rng.choice([uniform, mixed])
        place = rng.randrange(len(text) + 1)
        text = text[:place] + rng.choice(string.hexdigits + "*:.,-") + text[place + rng.randrange(2) :]
        try:
            decoded = decode_stamps(text)
        except InvalidValue as refusal:
            assert refusal.code == "value_format"
        else:
            read += 1
            assert encode_stamps(decoded) == text
    assert read > 100


def test_the_limit_of_slots() -> None:
    stamp = clock.stamp(1, "a" * 12)
    assert len(decode_stamps(f"{stamp}*{MAX_SLOTS}")) == MAX_SLOTS
    with pytest.raises(InvalidValue):
        decode_stamps(f"{stamp}*{MAX_SLOTS + 1}")


@given(vectors, vectors, vectors)
def test_version_vectors_are_a_lattice(a: dict[str, int], b: dict[str, int], c: dict[str, int]) -> None:
    join, compare = causality.join, causality.compare
    assert join(a, b) == join(b, a)
    assert join(join(a, b), c) == join(a, join(b, c))
    assert compare(join(a, a), a) == "equal"
    assert compare(a, join(a, b)) in ("before", "equal")
    assert causality.happens_before(a, b) == (compare(a, b) == "before") == (compare(b, a) == "after")
    assert causality.concurrent(a, b) == (join(a, b) not in (join(a, a), join(b, b)))
    assert causality.happens_before(a, causality.increment(a, "a"))
