"""Tags of a digest as they cross the wire."""

import pytest

from holdfast.errors import HoldfastError
from holdfast.protocol import tags


def test_there_and_back():
    given = [b"abcd", b"\x00\xff\x00\xff"]
    assert tags.unpack(tags.pack(given), "request_malformed") == given
    assert tags.unpack("", "request_malformed") == []


@pytest.mark.parametrize("text", ["AAA", "AAAA", "AAAAAA=", "****", "AAAAAA==\n", "ä"])
def test_what_is_no_row_of_tags(text):
    with pytest.raises(HoldfastError) as raised:
        tags.unpack(text, "response_malformed")
    assert raised.value.code == "response_malformed"


@pytest.mark.parametrize(("rows", "parts"), [(0, 1), (6, 1), (7, 4), (24, 4), (25, 16), (10_000, 16)])
def test_parts_of_a_bucket(rows, parts):
    assert tags.parts_for(rows) == parts
    assert sorted({tags.part_in(place, parts) for place in range(16)}) == list(range(parts))


def test_where_rows_of_tags_differ():
    a, b = b"aaaa", b"bbbb"
    assert tags.differing([a, b], [a, b]) == []
    assert tags.differing([a, b], [a, a]) == [1]
    assert tags.differing([a], [a, b]) == [1]
    assert tags.differing([], []) == []
