"""Bytes to messages and back. Every function either gives a whole, checked message or raises a coded error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec

from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m

MAX_LINE = 64 * 1024 * 1024


@contextmanager
def _as_described(code: str, what: str) -> Iterator[None]:
    try:
        yield
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise HoldfastError(code, f"{what} is not what spec/protocol.md describes: {error}") from None


def decode_request(body: bytes) -> m.Request:
    """A request from its bytes. Raises `request_too_large`, `request_malformed` or `protocol_version`."""
    if len(body) > m.MAX_REQUEST:
        raise HoldfastError(
            "request_too_large", f"the request has {len(body)} bytes; at most {m.MAX_REQUEST} are taken"
        )
    with _as_described("request_malformed", "the request"):
        request = m.decode_request(body)
    if request.protocol != m.PROTOCOL:
        raise HoldfastError(
            "protocol_version",
            f"the request speaks protocol {request.protocol}, this hub speaks {m.PROTOCOL}; update the older side",
            supported=[m.PROTOCOL],
        )
    return request


def is_short(body: bytes) -> bool:
    """Whether a request is a short one: `same` is its first member then, with nothing before it."""
    return body.startswith(b'{"same":')


def decode_short_request(body: bytes) -> m.ShortRequest:
    """A short request from its bytes. Raises `request_malformed`."""
    with _as_described("request_malformed", "the short request"):
        return m.decode_short_request(body)


def decode_short_answer(body: bytes) -> m.ShortAnswer:
    """The answer to a short request from its bytes. Raises `response_malformed`."""
    with _as_described("response_malformed", "the answer to a short request"):
        return m.decode_short_answer(body)


def encode_line(kind: str, message: msgspec.Struct) -> bytes:
    """One line of a response: `kind` is "header", "page" or "footer"."""
    return b'{"' + kind.encode() + b'":' + m.encode(message) + b"}\n"


def encode_page(space: str, cursor: str, images: Iterable[bytes], loaded: int | None = None) -> bytes:
    """A page line from images that are already in wire form: they are joined, never rebuilt."""
    tail = b"]}}\n" if loaded is None else b'],"loaded":%d}}\n' % loaded
    head = b'{"page":{"space":' + m.encode(space) + b',"cursor":' + m.encode(cursor) + b',"rows":['
    return head + b",".join(images) + tail


def decode_line(line: bytes) -> m.Header | m.Page | m.Footer:
    """A header, page or footer from one line. Raises `response_malformed`."""
    try:
        decoded = m.decode_line(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise HoldfastError("response_malformed", f"the hub's answer has a line that cannot be read: {error}") from None
    present = [part for part in (decoded.header, decoded.page, decoded.footer) if part is not None]
    if len(present) != 1:
        raise HoldfastError("response_malformed", f"a line of the hub's answer has {len(present)} kinds instead of one")
    return present[0]


def decode_rows(rows: bytes) -> list[m.Image]:
    """The images of a page. Raises `response_malformed`."""
    try:
        return m.decode_images(rows)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise HoldfastError("response_malformed", f"a page of the hub has a row that cannot be read: {error}") from None


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a stream of byte chunks into lines (without the newline). A last line without newline is not given: it is
    cut off.

    Raises `response_malformed` when a line is longer than 64 MiB.
    """
    rest: list[bytes] = []
    size = 0
    for chunk in chunks:
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            rest.append(chunk[start:end])
            yield b"".join(rest)
            rest.clear()
            size = 0
            start = end + 1
        if start < len(chunk):
            rest.append(chunk[start:])
            size += len(chunk) - start
            if size > MAX_LINE:
                raise HoldfastError("response_malformed", f"a line of the hub's answer is longer than {MAX_LINE} bytes")


def decode_error(body: bytes) -> m.ErrorBody | None:
    """The error that a hub answered, or None when the body is not one of ours (a proxy's page, for example)."""
    try:
        return m.decode_error(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
