"""Values that JSON vectors cannot hold: Python's own types, infinities, and the size of things."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.kernel import values

doubles = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack(">d", bits.to_bytes(8, "big"))[0])
finite = doubles.filter(math.isfinite)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("type_name", ["int", "float", "json"])
def test_numbers_that_are_not_finite(type_name: str, number: float) -> None:
    with pytest.raises(values.InvalidValue) as refusal:
        values.check(type_name, number)
    assert refusal.value.code == "value_range"


def test_an_integer_beyond_every_double_is_no_float() -> None:
    with pytest.raises(values.InvalidValue) as refusal:
        values.check("float", 10**400)
    assert refusal.value.code == "value_range"


@pytest.mark.parametrize(("type_name", "wire"), [("json", (1, 2)), ("json", b"a"), ("bytes", b"a"), ("json", 2**53)])
def test_what_json_does_not_have(type_name: str, wire: Any) -> None:
    with pytest.raises(values.InvalidValue) as refusal:
        values.check(type_name, wire)
    assert refusal.value.code == ("value_range" if wire == 2**53 else "value_type")


def test_a_refusal_says_what_was_found() -> None:
    with pytest.raises(values.InvalidValue, match="found an array"):
        values.check("int", [1])
    with pytest.raises(values.InvalidValue, match="found tuple"):
        values.check("int", (1,))


def test_scalar_types_are_those_that_check_knows() -> None:
    for type_name in values.SCALAR_TYPES:
        with pytest.raises(values.InvalidValue):
            values.check(type_name, {})
    assert set(values.TYPES) - set(values.SCALAR_TYPES) == {"json", "set"}


@given(finite)
@example(5e-324)
@example(2.0**53)
@example(-1e-6)
@example(9.999999999999999e-7)
def test_every_double_reads_back_from_its_canonical_text(number: float) -> None:
    text = values.canonical_json(number)
    assert json.loads(text) == number
    assert "E" not in text
    back = json.loads(text)
    assert isinstance(back, float) or abs(back) <= values.MAX_INT


@given(finite)
def test_a_float_keeps_its_bits_but_for_minus_zero(number: float) -> None:
    kept = values.check("float", number)
    assert struct.pack(">d", kept) == struct.pack(">d", number or 0.0)


json_documents = st.recursive(
    st.none() | st.booleans() | st.integers(-values.MAX_INT, values.MAX_INT) | finite | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
).filter(lambda document: document is not None)


@given(json_documents)
def test_canonical_json_is_a_fixed_point(document: Any) -> None:
    try:
        checked = values.check("json", document)
    except values.InvalidValue as refusal:
        # st.text() also makes NUL and never surrogates.
        assert refusal.code == "value_nul"
        return
    text = values.canonical_json(checked)
    assert values.canonical_json(json.loads(text)) == text == values.canonical_json(document)
    assert values.same(checked, document)
    assert values.check("json", json.loads(text)) == checked


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str), max_size=6))
def test_decimals_sort_as_numbers(texts: list[str]) -> None:
    ordered = values.check("set", texts, "decimal")
    numbers = [float(text) for text in ordered]
    assert numbers == sorted(numbers)
    assert len(set(ordered)) == len(ordered)


@given(st.text(), st.text())
def test_text_orders_by_code_point(a: str, b: str) -> None:
    points = ([ord(character) for character in a], [ord(character) for character in b])
    assert values.compare("text", a, b) == int(points[0] > points[1]) - int(points[0] < points[1])
