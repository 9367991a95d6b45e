"""Rows out of one page of an SQLite file, cell by cell: one that cannot be read takes no other one with it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

TABLE_LEAF, INDEX_LEAF, TABLE_BRANCH, INDEX_BRANCH = 13, 10, 5, 2
BRANCHES = (TABLE_BRANCH, INDEX_BRANCH)
MOST_BYTES = 1 << 30
INTEGERS = (0, 1, 2, 3, 4, 6, 8)
"""Bytes of an integer by its serial type."""


class Damaged(Exception):
    """A cell cannot be read."""


class Found(NamedTuple):
    """A row as stored: `rowid` is None in tables without one; the column that is the rowid holds None."""

    rowid: int | None
    values: list[Any]


def varint(content: bytes, place: int) -> tuple[int, int]:
    """A number of one to nine bytes, signed, and the place behind it. Raises `Damaged`."""
    value = 0
    for length in range(9):
        if place + length >= len(content):
            raise Damaged
        byte = content[place + length]
        if length == 8:
            value = value << 8 | byte
            return value - (1 << 64) if value >= 1 << 63 else value, place + 9
        value = value << 7 | byte & 127
        if byte < 128:
            return value, place + length + 1
    raise Damaged


def cells(page: bytes, start: int) -> Iterator[int]:
    """Where the cells of a page begin; `start` is where its header does. None for a page that is no tree's."""
    if len(page) < start + 8 or page[start] not in (TABLE_LEAF, INDEX_LEAF, *BRANCHES):
        return
    first = start + (12 if page[start] in BRANCHES else 8)
    count = int.from_bytes(page[start + 3 : start + 5], "big")
    for place in range(first, min(first + 2 * count, len(page) - 1), 2):
        yield int.from_bytes(page[place : place + 2], "big")


def children_of(page: bytes, start: int) -> list[int]:
    """The pages below a page."""
    if len(page) < start + 12 or page[start] not in BRANCHES:
        return []
    found = [int.from_bytes(page[cell : cell + 4], "big") for cell in cells(page, start)]
    return [*found, int.from_bytes(page[start + 8 : start + 12], "big")]


def rows(page: bytes, start: int, usable: int, read: Callable[[int], bytes | None]) -> Iterator[Found | None]:
    """The rows of a page; None for each that cannot be read. `read` gives pages by number, for what is longer."""
    kind = page[start] if len(page) > start else 0
    if kind == TABLE_BRANCH:
        return
    for place in cells(page, start):
        try:
            at = place + (4 if kind == INDEX_BRANCH else 0)
            size, at = varint(page, at)
            rowid = None
            if kind == TABLE_LEAF:
                rowid, at = varint(page, at)
            yield Found(rowid, record(payload(page, at, size, usable, read, table=kind == TABLE_LEAF)))
        except (Damaged, UnicodeDecodeError, struct.error):
            yield None


def payload(
    page: bytes, place: int, size: int, usable: int, read: Callable[[int], bytes | None], *, table: bool
) -> bytes:
    """The bytes of a cell, with those of its overflow pages. Raises `Damaged`."""
    if not 0 < size < MOST_BYTES:
        raise Damaged
    most = usable - 35 if table else (usable - 12) * 64 // 255 - 23
    least = (usable - 12) * 32 // 255 - 23
    if size <= most:
        if place + size > usable:
            raise Damaged
        return page[place : place + size]
    local = least + (size - least) % (usable - 4)
    local = local if local <= most else least
    if place + local + 4 > usable:
        raise Damaged
    content, further = (
        bytearray(page[place : place + local]),
        int.from_bytes(page[place + local : place + local + 4], "big"),
    )
    seen: set[int] = set()
    while len(content) < size:
        beyond = read(further) if further and further not in seen else None
        if beyond is None:
            raise Damaged
        seen.add(further)
        further = int.from_bytes(beyond[:4], "big")
        content += beyond[4 : 4 + min(usable - 4, size - len(content))]
    return bytes(content)


def record(content: bytes) -> list[Any]:
    """The values of a row. Raises `Damaged`, and `UnicodeDecodeError`."""
    end, place = varint(content, 0)
    if not 0 < end <= len(content):
        raise Damaged
    values: list[Any] = []
    body = end
    while place < end:
        kind, place = varint(content, place)
        value, body = _value(content, kind, body)
        values.append(value)
    if place != end or body != len(content):
        raise Damaged
    return values


def _value(content: bytes, kind: int, place: int) -> tuple[Any, int]:
    if kind in (0, 8, 9):
        return (None, 0, 1)[max(0, kind - 7)], place
    if 1 <= kind <= 6:
        length = INTEGERS[kind]
    elif kind == 7:
        length = 8
    elif kind >= 12:
        length = (kind - 12) // 2
    else:
        raise Damaged
    part = content[place : place + length]
    if len(part) != length:
        raise Damaged
    if kind == 7:
        return struct.unpack(">d", part)[0], place + 8
    if kind < 7:
        return int.from_bytes(part, "big", signed=True), place + length
    return part if kind % 2 == 0 else part.decode("utf-8"), place + length
