"""Damages bytes as networks, proxies and attackers do: from a seed, several damages in one."""

from __future__ import annotations

import random

INTERESTING = (
    b"\x00",
    b"\xff",
    b"\n",
    b"{",
    b"[",
    b'"',
    b"\\u0000",
    b"\xed\xa0\x80",
    b"1e999",
    b"-0",
    b"null",
    b"9" * 40,
)


def damaged(original: bytes, chance: random.Random) -> bytes:
    """`original` with one to four damages; never equal to it."""
    data = original
    while data == original:
        for _ in range(chance.randint(1, 4)):
            data = chance.choice(DAMAGES)(data, chance)
    return data


def flip(data: bytes, chance: random.Random) -> bytes:
    """One bit."""
    if not data:
        return b"\x01"
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]


def replace(data: bytes, chance: random.Random) -> bytes:
    """One byte by any other."""
    place = chance.randrange(len(data) + 1)
    return data[:place] + chance.randbytes(1) + data[place + 1 :]


def insert(data: bytes, chance: random.Random) -> bytes:
    """Something that parsers stumble over."""
    place = chance.randrange(len(data) + 1)
    return data[:place] + chance.choice(INTERESTING) + data[place:]


def cut(data: bytes, chance: random.Random) -> bytes:
    """The end is missing."""
    return data[: chance.randrange(len(data) + 1)]


def remove(data: bytes, chance: random.Random) -> bytes:
    """A part is missing."""
    place = chance.randrange(len(data) + 1)
    return data[:place] + data[place + chance.randint(1, 40) :]


def repeat(data: bytes, chance: random.Random) -> bytes:
    """A part comes twice."""
    place = chance.randrange(len(data) + 1)
    part = data[place : place + chance.randint(1, 400)]
    return data[: place + len(part)] + part + data[place + len(part) :]


def number(data: bytes, chance: random.Random) -> bytes:
    """A digit becomes another one: what is still JSON gets furthest."""
    digits = [place for place, byte in enumerate(data) if 48 <= byte <= 57]
    if not digits:
        return replace(data, chance)
    place = chance.choice(digits)
    return data[:place] + b"%d" % chance.randrange(10) + data[place + 1 :]


def swap(data: bytes, chance: random.Random) -> bytes:
    """Two parts change places."""
    first, second = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    length = chance.randint(1, 40)
    return data[:first] + data[second : second + length] + data[first:second] + data[second + length :]


DAMAGES = (flip, replace, insert, cut, remove, repeat, number, number, swap)
