"""The parts of a JSON document in the Yjs format: which member or element each clock stands for, and where it hangs.

The library merges and forgets what lost; here are read the bytes that it merges, to tell people what that was. The
bytes are the hub's own, or were read strictly before (`kernel/documents/update.py`). Format: Yjs, INTERNALS.md.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from holdfast.kernel.documents.update import Ranges, read_ranges

Id = tuple[int, int]
"""Client and clock: the name of one member or element."""
Parent = str | Id
"""Where a part hangs: a root, or the object or array with that id."""

_ORIGIN, _RIGHT, _SUB = 0x80, 0x40, 0x20
_GC, _TYPE, _ANY = 0, 7, 8


class Part:
    """`size` clocks from `clock` on. `kind` is "value" (with as many `values`), "map", "array" or "gone". `origin` and
    `right` are its neighbours when it was written; `parent` and `key` are there when it had none, else they are theirs.
    """

    __slots__ = ("client", "clock", "key", "kind", "origin", "parent", "right", "size", "values")

    def __init__(self, client: int, clock: int) -> None:
        self.client = client
        self.clock = clock
        self.size = 1
        self.origin: Id | None = None
        self.right: Id | None = None
        self.parent: Parent | None = None
        self.key: str | None = None
        self.kind: Literal["value", "map", "array", "gone"] = "gone"
        self.values: Sequence[Any] = ()

    @property
    def id(self) -> Id:
        """The name of its first clock."""
        return self.client, self.clock

    @property
    def homeless(self) -> bool:
        """Whether nothing tells any more where it hung: it went with what it was in."""
        return self.kind == "gone" and self.parent is None and self.origin is None is self.right


class Parts:
    """What one update, or the state of a whole document, holds."""

    def __init__(self, data: bytes) -> None:
        self._parts: dict[int, list[Part]] = {}
        self._starts: dict[int, list[int]] = {}
        reader = _Reader(data)
        for _ in range(reader.number()):
            count, client, clock = reader.number(), reader.number(), reader.number()
            found: list[Part] = []
            for _ in range(count):
                part = reader.part(client, clock)
                clock += part.size
                found.append(part)
            self._parts[client] = found
            self._starts[client] = [part.clock for part in found]
        self.deletes, _ = read_ranges(data, reader.at)
        self._gone = {client: sorted(ranges) for client, ranges in self.deletes.items()}

    def __iter__(self) -> Iterator[Part]:
        for parts in self._parts.values():
            yield from parts

    def find(self, name: Id | None) -> Part | None:
        """The part with that clock."""
        if name is None or name[0] not in self._parts:
            return None
        place = bisect_right(self._starts[name[0]], name[1]) - 1
        part = self._parts[name[0]][place] if place >= 0 else None
        return part if part is not None and name[1] < part.clock + part.size else None

    def deletes_it(self, name: Id) -> bool:
        """Whether that clock is among those that were deleted."""
        ranges = self._gone.get(name[0], [])
        place = bisect_right(ranges, (name[1], 1 << 60)) - 1
        return place >= 0 and name[1] < ranges[place][0] + ranges[place][1]

    def lives(self, name: Id) -> bool:
        """Whether that member or element is here and not deleted."""
        part = self.find(name)
        return part is not None and part.kind != "gone" and not self.deletes_it(name)

    def deleted_by(self, deletes: Ranges) -> Iterator[Id]:
        """The members and elements here that those deletions name, whether they live or not. Deleted elements, of which
        nobody says how many one part may stand for, are left out.
        """
        for client, ranges in deletes.items():
            starts = self._starts.get(client, [])
            for first, count in ranges:
                for place in range(max(bisect_right(starts, first) - 1, 0), bisect_left(starts, first + count)):
                    part = self._parts[client][place]
                    size = min(part.size, len(part.values) or 1)
                    for clock in range(max(part.clock, first), min(part.clock + size, first + count)):
                        yield client, clock


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def number(self) -> int:
        data, at = self._data, self.at
        byte = data[at]
        if byte < 128:
            self.at = at + 1
            return byte
        value = shift = 0
        while (byte := data[at]) > 127:
            value |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
        self.at = at + 1
        return value | byte << shift

    def take(self, count: int) -> bytes:
        self.at += count
        return self._data[self.at - count : self.at]

    def text(self) -> str:
        return self.take(self.number()).decode()

    def part(self, client: int, clock: int) -> Part:
        part = Part(client, clock)
        info = self._data[self.at]
        self.at += 1
        kind = info & 31
        if kind == _GC:
            part.size = self.number()
            return part
        if info & _ORIGIN:
            part.origin = self.number(), self.number()
        if info & _RIGHT:
            part.right = self.number(), self.number()
        if not info & (_ORIGIN | _RIGHT):
            part.parent = self.text() if self.number() == 1 else (self.number(), self.number())
            if info & _SUB:
                part.key = self.text()
        if kind == _ANY:
            part.kind, part.size = "value", self.number()
            part.values = [self.any() for _ in range(part.size)]
        elif kind == _TYPE:
            part.kind = "map" if self.number() == 1 else "array"
        else:
            part.size = self.number()
        return part

    def any(self) -> Any:
        kind = self._data[self.at]
        self.at += 1
        if kind == 119:
            return self.text()
        if kind == 118:
            return {self.text(): self.any() for _ in range(self.number())}
        if kind == 117:
            return [self.any() for _ in range(self.number())]
        if kind == 125:
            return self.integer()
        if kind in (124, 123):
            return struct.unpack(">f" if kind == 124 else ">d", self.take(4 if kind == 124 else 8))[0]
        return {126: None, 121: False, 120: True}[kind]

    def integer(self) -> int:
        first = self.take(1)[0]
        value = first & 63
        if first & 128:
            value |= self.number() << 6
        return -value if first & 64 else value
