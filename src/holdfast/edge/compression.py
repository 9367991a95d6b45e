"""Content codings of the protocol: zstd, gzip and none, in pieces, with a bound on what a few bytes may unfold to.

zstd as in RFC 8878 with the window limit of RFC 9659 (8 MiB); gzip as in RFC 1952. A body may consist of several frames
or members one after another, as both allow.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import zstandard

from holdfast.errors import HoldfastError

Encoding = Literal["zstd", "gzip", "identity"]

ACCEPT = "zstd, gzip"
LEVEL = {"zstd": 3, "gzip": 6}
MAX_WINDOW = 8 * 1024 * 1024
MAX_FRAMES = 1_000

# A zstd block of 4 bytes can unfold to 128 KiB, and the library gives out all that a call unfolds. 512 bytes at a time
# bound that to 16 MiB.
_ZSTD_SLICE = 512
_PIECE = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS


class UndecodableError(Exception):
    """Bytes that are not what their content coding says, or that end too early."""


class Decoder:
    """Unpacks one body. `feed` gives pieces as they come; `finish` raises when the body was cut off.

    No piece is larger than about 16 MiB, whatever is fed.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._frames = 0
        self._between = encoding == "identity"  # at the end of a frame, where a body may end
        self._zstd = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
        self._zstd_frame = self._zstd.decompressobj()
        self._gzip_member = zlib.decompressobj(_GZIP)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The unpacked bytes that `data` completes. Raises `UndecodableError`."""
        if self._encoding == "identity":
            if data:
                yield data
            return
        try:
            yield from self._feed_zstd(data) if self._encoding == "zstd" else self._feed_gzip(data)
        except (zlib.error, zstandard.ZstdError) as error:
            raise UndecodableError(f"this is not {self._encoding}: {error}") from None

    def finish(self) -> None:
        """Call after the last byte. Raises `UndecodableError` when a frame is incomplete or there was none."""
        if not self._between:
            raise UndecodableError(f"the {self._encoding} data break off before their end")

    def _feed_zstd(self, data: bytes) -> Iterator[bytes]:
        unpacked: list[bytes] = []
        size = 0
        for start in range(0, len(data), _ZSTD_SLICE):
            rest = data[start : start + _ZSTD_SLICE]
            while rest:
                self._enter_frame()
                piece = self._zstd_frame.decompress(rest)
                rest = b""
                if self._zstd_frame.eof:
                    rest = self._zstd_frame.unused_data
                    self._between = True
                    self._zstd_frame = self._zstd.decompressobj()
                unpacked.append(piece)
                size += len(piece)
                if size >= _PIECE:
                    yield b"".join(unpacked)
                    unpacked.clear()
                    size = 0
        if size:
            yield b"".join(unpacked)

    def _feed_gzip(self, data: bytes) -> Iterator[bytes]:
        full = False  # the last piece had no more room: zlib may hold output although all input is taken
        while data or full:
            self._enter_frame()
            piece = self._gzip_member.decompress(data, _PIECE)
            full = len(piece) == _PIECE
            data = self._gzip_member.unconsumed_tail
            if self._gzip_member.eof:
                data = self._gzip_member.unused_data
                full = False
                self._between = True
                self._gzip_member = zlib.decompressobj(_GZIP)
            if piece:
                yield piece

    def _enter_frame(self) -> None:
        if self._frames == 0 or self._between:
            self._between = False
            self._frames += 1
            if self._frames > MAX_FRAMES:
                raise UndecodableError(f"more than {MAX_FRAMES} {self._encoding} frames in one body")


class Encoder:
    """Packs one body. What `add` returns can be unpacked to the last byte added, before the body has ended."""

    def __init__(self, encoding: Encoding) -> None:
        self._add: Callable[[bytes], bytes] = bytes
        self._end: Callable[[], bytes] = bytes
        if encoding == "zstd":
            zstd = zstandard.ZstdCompressor(level=LEVEL["zstd"]).compressobj()
            self._add = lambda piece: zstd.compress(piece) + zstd.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
            self._end = zstd.flush
        elif encoding == "gzip":
            gzip = zlib.compressobj(LEVEL["gzip"], zlib.DEFLATED, _GZIP)
            self._add = lambda piece: gzip.compress(piece) + gzip.flush(zlib.Z_SYNC_FLUSH)
            self._end = gzip.flush

    def add(self, piece: bytes) -> bytes:
        """`piece` packed and flushed."""
        return self._add(piece)

    def end(self) -> bytes:
        """The end mark of the body."""
        return self._end()


def named(content_encoding: str) -> Encoding | None:
    """The coding that a Content-Encoding header names; None when it is not one of ours."""
    match content_encoding.strip().lower():
        case "" | "identity":
            return "identity"
        case "gzip" | "x-gzip":
            return "gzip"
        case "zstd":
            return "zstd"
    return None


def unpack(encoding: Encoding, pieces: Iterable[bytes], limit: int) -> bytes:
    """A whole request body from its wire bytes. Memory stays below `limit` + 16 MiB.

    Raises `request_too_large` beyond `limit` bytes and `encoding_unsupported` when the body does not decode.
    """
    decoder = Decoder(encoding)
    unpacked: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            for part in decoder.feed(piece):
                size += len(part)
                if size > limit:
                    raise too_large(limit)
                unpacked.append(part)
        decoder.finish()
    except UndecodableError as error:
        raise HoldfastError("encoding_unsupported", f"the request body cannot be decoded: {error}") from None
    return b"".join(unpacked)


def too_large(limit: int) -> HoldfastError:
    """The error for a request body of more than `limit` bytes."""
    return HoldfastError("request_too_large", f"the request has more than {limit} bytes", limit=limit)


def choose(accept_encoding: str) -> Encoding:
    """The coding for a response by its request's Accept-Encoding (RFC 9110 section 12.5.3): highest q, then zstd, gzip.

    A client that accepts nothing of ours, not even identity, gets identity.
    """
    wishes: dict[str, float] = {}
    for wish in accept_encoding.lower().split(","):
        name, _, parameters = wish.partition(";")
        wishes[name.strip().replace("x-gzip", "gzip")] = _quality(parameters)
    others = wishes.get("*", 0.0)
    best: Encoding = "identity"
    # Identity that is not named is the last resort: RFC 9110 makes it acceptable, without saying how welcome it is.
    best_quality = wishes.get("identity", 0.0)
    codings: tuple[Encoding, ...] = ("gzip", "zstd")
    for coding in codings:
        quality = wishes.get(coding, others)
        if quality > 0 and quality >= best_quality:
            best, best_quality = coding, quality
    return best


def _quality(parameters: str) -> float:
    """The q of an Accept-Encoding entry: 1 when absent, 0 when unreadable (better not to use the coding then)."""
    for parameter in parameters.split(";"):
        name, equals, value = parameter.partition("=")
        if equals and name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return 0.0
            return quality if 0 <= quality <= 1 else 0.0
    return 1.0
