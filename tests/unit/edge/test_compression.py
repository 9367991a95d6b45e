import gzip
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from holdfast.edge.compression import Decoder, Encoder, UndecodableError, choose, named, unpack
from holdfast.errors import HoldfastError

PACK = {"zstd": lambda data: zstandard.ZstdCompressor().compress(data), "gzip": gzip.compress, "identity": bytes}
PACKED = ["zstd", "gzip"]
MIB = 1024 * 1024


@given(
    st.sampled_from(["zstd", "gzip", "identity"]),
    st.lists(st.binary(max_size=3000), max_size=6),
    st.integers(1, 700),
)
def test_what_is_packed_in_pieces_is_unpacked_whatever_the_cuts(encoding, pieces, cut):
    encoder = Encoder(encoding)
    packed = b"".join(encoder.add(piece) for piece in pieces) + encoder.end()
    cuts = [packed[at : at + cut] for at in range(0, len(packed), cut)]
    assert unpack(encoding, cuts, MIB) == b"".join(pieces)


@pytest.mark.parametrize("encoding", PACKED)
def test_every_added_piece_can_be_unpacked_before_the_end(encoding):
    encoder, decoder = Encoder(encoding), Decoder(encoding)
    for line in (b'{"header":{}}\n', b'{"page":{}}\n' * 20_000, b"x\n"):
        assert b"".join(decoder.feed(encoder.add(line))) == line
    with pytest.raises(UndecodableError, match="break off"):
        decoder.finish()
    assert b"".join(decoder.feed(encoder.end())) == b""
    decoder.finish()


@pytest.mark.parametrize("encoding", PACKED)
def test_frames_one_after_another_are_one_body(encoding):
    body = PACK[encoding](b"one ") + PACK[encoding](b"") + PACK[encoding](b"two")
    for cut in (1, 7, len(body)):
        assert unpack(encoding, [body[at : at + cut] for at in range(0, len(body), cut)], 100) == b"one two"


@pytest.mark.parametrize("encoding", PACKED)
def test_each_cut_of_a_body_is_refused(encoding):
    body = PACK[encoding](b"some text that is long enough" * 3)
    for length in range(len(body)):
        with pytest.raises(HoldfastError) as caught:
            unpack(encoding, [body[:length]], MIB)
        assert caught.value.code == "encoding_unsupported", length


@pytest.mark.parametrize("encoding", PACKED)
def test_garbage_after_the_end_is_refused(encoding):
    with pytest.raises(HoldfastError) as caught:
        unpack(encoding, [PACK[encoding](b"text") + b"garbage"], MIB)
    assert caught.value.code == "encoding_unsupported"


@given(st.sampled_from(PACKED), st.binary(max_size=200))
def test_garbage_is_refused_or_unpacked_never_anything_else(encoding, data):
    try:
        unpack(encoding, [data], MIB)
    except HoldfastError as error:
        assert error.code == "encoding_unsupported"


@pytest.mark.parametrize("size", [16 * MIB - 1, 16 * MIB, 16 * MIB + 1])
@pytest.mark.parametrize("encoding", ["zstd", "gzip", "identity"])
def test_the_limit_is_exact(encoding, size):
    packed = PACK[encoding](b"\0" * size)
    if size <= 16 * MIB:
        assert len(unpack(encoding, [packed], 16 * MIB)) == size
    else:
        with pytest.raises(HoldfastError) as caught:
            unpack(encoding, [packed], 16 * MIB)
        assert caught.value.code == "request_too_large"


def bomb(encoding: str) -> bytes:
    """One gibibyte of zeros, packed without ever being in memory."""
    block = bytes(MIB)
    if encoding == "zstd":
        packer = zstandard.ZstdCompressor().compressobj()
    else:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(block) for _ in range(1024)) + packer.flush()


@pytest.mark.parametrize("encoding", PACKED)
def test_a_bomb_of_a_gibibyte_costs_little_memory(encoding):
    packed = bomb(encoding)
    tracemalloc.start()
    try:
        with pytest.raises(HoldfastError) as caught:
            unpack(encoding, [packed], 16 * MIB)
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()
    assert caught.value.code == "request_too_large"


def test_a_zstd_window_beyond_the_limit_is_refused():
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(HoldfastError, match="memory"):
        unpack("zstd", [packer.compress(b"text") + packer.flush()], MIB)


@pytest.mark.parametrize("encoding", PACKED)
def test_a_thousand_empty_frames_and_no_more(encoding):
    frame = PACK[encoding](b"")
    assert unpack(encoding, [frame * 1_000], 10) == b""
    with pytest.raises(HoldfastError, match="frames"):
        unpack(encoding, [frame * 1_001], 10)


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("", "identity"),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, zstd", "zstd"),
        ("GZIP , Zstd;q=1.0", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("zstd;q=0, gzip;q=0.001", "gzip"),
        ("zstd;q=0, gzip;q=0", "identity"),
        ("*", "zstd"),
        ("*;q=0", "identity"),
        ("zstd;q=0, *", "gzip"),
        ("identity, gzip;q=0.5", "identity"),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("br, deflate", "identity"),
        ("gzip;q=nonsense", "identity"),
        ("gzip;q=7", "identity"),
        ("gzip;q=nan", "identity"),
        (";;,,=;q=", "identity"),
    ],
)
def test_the_coding_of_a_response_follows_the_q_values(header, coding):
    assert choose(header) == coding


@given(st.text())
def test_any_accept_encoding_gives_a_coding(header):
    assert choose(header) in ("zstd", "gzip", "identity")


def test_names_of_codings():
    assert [named(name) for name in ("", " Identity", "GZIP", "x-gzip", "zstd")] == [
        "identity", "identity", "gzip", "gzip", "zstd",
    ]  # fmt: skip
    assert [named(name) for name in ("br", "gzip, zstd", "gzip;q=1")] == [None, None, None]
