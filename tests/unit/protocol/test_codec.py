"""The codec where vectors do not reach: streams, sizes, errors."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import HoldfastError
from holdfast.protocol import codec, messages


def test_request_too_large_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(HoldfastError) as raised:
        codec.decode_request(b" " * (messages.MAX_REQUEST + 1))
    assert raised.value.code == "request_too_large"


@given(st.lists(st.binary().filter(lambda b: b"\n" not in b)), st.data())
def test_lines_do_not_depend_on_how_the_stream_is_cut(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(part + b"\n" for part in parts) + b"cut off"
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)))) | {0, len(stream)})
    chunks = [stream[a:b] for a, b in pairwise(cuts)]
    assert list(codec.lines(chunks)) == parts
    assert list(codec.lines([stream])) == parts
    assert list(codec.lines(bytes([byte]) for byte in stream)) == parts


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_LINE", 1000)
    with pytest.raises(HoldfastError) as raised:
        list(codec.lines([b"x" * 600, b"x" * 600]))
    assert raised.value.code == "response_malformed"


@given(st.binary())
def test_any_bytes_are_a_message_or_a_coded_error(body: bytes) -> None:
    decoders = (codec.decode_request, codec.decode_line, codec.decode_rows)
    for decode in (*decoders, codec.decode_short_request, codec.decode_short_answer):
        try:
            decode(body)
        except HoldfastError as error:
            assert error.code in ("request_malformed", "response_malformed")


def test_deep_nesting_is_a_coded_error() -> None:
    with pytest.raises(HoldfastError) as raised:
        codec.decode_request(b'{"future":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert raised.value.code == "request_malformed"


def test_a_short_request_begins_with_what_names_it() -> None:
    assert codec.is_short(messages.encode(messages.ShortRequest("0" * 24)))
    whole = messages.Request(1, "device-1", messages.SchemaName(1, ""), 0, cursors={"same": "a"})
    assert not codec.is_short(messages.encode(whole))


def test_error_bodies() -> None:
    assert codec.decode_error(b'{"code":"busy","message":"m","details":{"a":1}}') == messages.ErrorBody(
        "busy", "m", {"a": 1}
    )
    assert codec.decode_error(b"<html>502</html>") is None


def test_a_page_is_joined_from_images_as_they_are() -> None:
    images = [b'["note",1,["a",1.50],"s*1"]', b'["note",2,["b"],""]']
    line = codec.encode_page('space "quoted"', "c", images)
    page = codec.decode_line(line)
    assert isinstance(page, messages.Page)
    assert page.space == 'space "quoted"'
    assert bytes(page.rows) == b"[" + b",".join(images) + b"]"
    assert codec.encode_line("footer", messages.Footer(True)) == b'{"footer":{"more":true}}\n'
