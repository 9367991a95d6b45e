"""The hash tree over a space: equal roots mean equal rows, and unequal ones lead to the rows that differ.

4,096 buckets by hash of (table, key), 64 branches of 64 buckets, one root. A bucket is the sum of its rows' leaves
modulo 2^128, so that a row is replaced without reading the others; a sum, because with XOR an attacker finds collisions
by linear algebra (Bellare and Micciancio, *A New Paradigm for Collision-free Hashing*, 1997). All hashes are BLAKE2s
with 16 bytes of output (RFC 7693), numbers big-endian. Specification: `spec/merge.md`, section 7. Vectors:
`spec/vectors/digests`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

BUCKETS = 4096
BRANCHES = 64
BUCKETS_PER_BRANCH = 64
MAX_KEY_BYTES = 32
PARTS = 16
TAG_BYTES = 4
_BYTES = 16
_NO_SUMS = bytes(BUCKETS_PER_BRANCH * _BYTES)
"""The sums of a branch without rows."""
_MODULUS = 2**128


def bucket(table: str, key: str) -> int:
    """The bucket (0 .. 4095) of a row: the first 12 bits of the hash of its table and key."""
    hashed = hashlib.blake2s(_field(table) + _field(key), digest_size=_BYTES).digest()
    return hashed[0] * 16 + hashed[1] // 16


def part(table: str, key: str) -> int:
    """The part (0 .. 15) of its bucket in which a row lies: the next 4 bits of the same hash."""
    return hashlib.blake2s(_field(table) + _field(key), digest_size=_BYTES).digest()[1] % PARTS


def tag(number: int, turn: int) -> bytes:
    """4 of the 16 bytes of a hash or sum, big-endian: those of `turn` (0 .. 3). Two that differ may have one tag, but
    not in every turn.
    """
    return number.to_bytes(_BYTES, "big")[turn * TAG_BYTES : (turn + 1) * TAG_BYTES]


def leaf(digest_key: bytes, table: str, key: str, life: int, stamps: str) -> int:
    """The 128-bit number of a row's state, hashed with `digest_key` (at most 32 bytes); `stamps` as in the image."""
    fields = _field(table) + _field(key) + _field(str(life)) + _field(stamps)
    return int.from_bytes(hashlib.blake2s(fields, digest_size=_BYTES, key=digest_key).digest(), "big")


def add(total: int, leaf_number: int) -> int:
    """The sum of a bucket with one more row."""
    return (total + leaf_number) % _MODULUS


def sub(total: int, leaf_number: int) -> int:
    """The sum of a bucket with one row less."""
    return (total - leaf_number) % _MODULUS


def total(sums: Mapping[int, int]) -> int:
    """The sum of all leaves: of a space with one row more it is that of the space, plus one leaf."""
    return sum(sums.values()) % _MODULUS


def branch(sums: Mapping[int, int], number: int) -> int:
    """The hash of branch `number` (0 .. 63): of the sums of its 64 buckets, 16 bytes each. An absent bucket is 0."""
    first = number * BUCKETS_PER_BRANCH
    return _hash(b"".join([sums.get(first + i, 0).to_bytes(_BYTES, "big") for i in range(BUCKETS_PER_BRANCH)]))


def _hash(content: bytes | bytearray) -> int:
    return int.from_bytes(hashlib.blake2s(content, digest_size=_BYTES).digest(), "big")


def branches(sums: Mapping[int, int]) -> list[int]:
    """The hashes of the 64 branches; `sums`: bucket -> sum, empty buckets may be absent."""
    contents: dict[int, bytearray] = {}
    for bucket_number, total in sums.items():
        number, place = divmod(bucket_number, BUCKETS_PER_BRANCH)
        content = contents.get(number)
        if content is None:
            content = contents[number] = bytearray(len(_NO_SUMS))
        content[place * _BYTES : (place + 1) * _BYTES] = total.to_bytes(_BYTES, "big")
    empty = _hash(_NO_SUMS)
    return [_hash(contents[number]) if number in contents else empty for number in range(BRANCHES)]


def root(sums: Mapping[int, int]) -> str:
    """The root as 32 hexadecimal digits: the hash of the 64 branches, 16 bytes each."""
    content = b"".join([number.to_bytes(_BYTES, "big") for number in branches(sums)])
    return hashlib.blake2s(content, digest_size=_BYTES).hexdigest()


def held(
    hub: str, user: str, version: int, schema_hash: str, layout: str, spaces: Mapping[str, tuple[str, str]]
) -> str:
    """What a device holds, in 24 hexadecimal digits: whose hub and user it knows, its schema and layout, and by space
    its access and its cursor ("" where it has none). Equal on a hub that has nothing new for it
    (`spec/protocol.md`, section 11).
    """
    texts = [hub, user, str(version), schema_hash, layout]
    for name in sorted(spaces):
        texts += [name, *spaces[name]]
    return hashlib.blake2s(b"".join(map(_field, texts)), digest_size=_BYTES).hexdigest()[:24]


def _field(text: str) -> bytes:
    encoded = text.encode("utf-8")
    return len(encoded).to_bytes(4, "big") + encoded
