"""Reading an update in the Yjs V1 format, strictly: what it brings, what it needs, what it deletes.

Format: Yjs, *Internals* and the V1 encoder (github.com/yjs/yjs, INTERNALS.md); numbers, strings and values as lib0
writes them. Specification: `spec/documents.md`, section 2.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from holdfast.kernel.values import MAX_INT, MAX_JSON_DEPTH, InvalidValue, check

MAX_UPDATE = 8 * 1024 * 1024
"""Most bytes of one update."""

TEXT_ROOT = "text"
JSON_ROOTS = frozenset({"object", "array", "value"})

Ranges = dict[int, list[tuple[int, int]]]
"""Client -> [(first clock, number of clocks)]."""

_ORIGIN, _RIGHT, _SUB = 0x80, 0x40, 0x20
_GC, _DELETED, _STRING, _TYPE, _ANY = 0, 1, 4, 7, 8
_ARRAY, _MAP = 0, 1


class Hidden(NamedTuple):
    """A deleted part in an update: its first clock and how many it has (`size`); where it begins in the bytes, where
    its length is written there, and where it ends.
    """

    client: int
    clock: int
    size: int
    start: int
    length_at: int
    end: int


@dataclass(slots=True)
class Update:
    """What an update brings (`structs`: client -> (first clock, clock after the last)), the ids that it needs, what it
    deletes, where the part about deletions begins in its bytes, the texts that were typed, and the deleted parts
    (`Hidden`).
    """

    structs: dict[int, tuple[int, int]] = field(default_factory=dict)
    needs: dict[int, int] = field(default_factory=dict)
    deletes: Ranges = field(default_factory=dict)
    deletes_at: int = 0
    typed: list[str] = field(default_factory=list)
    hidden: list[Hidden] = field(default_factory=list)

    def lacks(self, known: dict[int, int]) -> bool:
        """Whether something is missing for it in a document with that state vector (client -> number of clocks)."""
        if any(first > known.get(client, 0) for client, (first, _) in self.structs.items()):
            return True
        return any(
            clock >= max(known.get(client, 0), self.structs.get(client, (0, 0))[1])
            for client, clock in self.needs.items()
        )


def malformed(reason: str) -> InvalidValue:
    """The refusal of bytes that are no update for this kind of document."""
    return InvalidValue("document_malformed", f"this is not an update of the document: {reason}")


def read_update(data: bytes, *, text: bool) -> Update:
    """Read an update of a text document, or of a JSON one. Raises InvalidValue (`document_malformed`, `value_nul`)."""
    if len(data) > MAX_UPDATE:
        raise malformed(f"it has {len(data)} bytes, {MAX_UPDATE} are allowed")
    reader = _Reader(data, text=text)
    update = reader.update()
    if reader.at != len(data):
        raise malformed("something follows its end")
    return update


def read_ranges(data: bytes, at: int = 0) -> tuple[Ranges, int]:
    """A set of deletions as lib0 writes it, and where it ends. Raises InvalidValue."""
    reader = _Reader(data, text=True)
    reader.at = at
    return reader.ranges(), reader.at


def read_vector(data: bytes, at: int = 0) -> dict[int, int]:
    """A state vector: client -> number of clocks."""
    reader = _Reader(data, text=True)
    reader.at = at
    return {reader.number(): reader.number() for _ in range(reader.number())}


def write_ranges(ranges: Ranges) -> bytes:
    """A set of deletions as lib0 writes it, clients from the greatest down."""
    out = bytearray(_number(len(ranges)))
    for client in sorted(ranges, reverse=True):
        out += _number(client) + _number(len(ranges[client]))
        for first, count in ranges[client]:
            out += _number(first) + _number(count)
    return bytes(out)


def write_text(text: str) -> bytes:
    """A text as lib0 writes it."""
    data = text.encode()
    return _number(len(data)) + data


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


class _Reader:
    """Reads forward through bytes; every method raises InvalidValue where they are not what they should be."""

    def __init__(self, data: bytes, *, text: bool) -> None:
        self._data = data
        self._text = text
        self.at = 0
        self._found = Update()

    def number(self) -> int:
        data, at = self._data, self.at
        value = shift = 0
        try:
            while (byte := data[at]) > 127:
                value |= (byte & 127) << shift
                at, shift = at + 1, shift + 7
        except IndexError:
            raise malformed("it ends too early") from None
        value |= byte << shift
        if value > MAX_INT:
            raise malformed("a number is too large")
        self.at = at + 1
        return value

    def byte(self) -> int:
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self._data):
            raise malformed("it ends too early")
        part = self._data[self.at : end]
        self.at = end
        return part

    def string(self) -> str:
        try:
            found = self.take(self.number()).decode()
        except UnicodeDecodeError:
            raise malformed("a text is not UTF-8") from None
        return str(check("text", found))

    def update(self) -> Update:
        for _ in range(self.number()):
            count, client, clock = self.number(), self.number(), self.number()
            if client in self._found.structs or count == 0:
                raise malformed("a client is named twice, or without need")
            first = clock
            for _ in range(count):
                clock += self.struct(client, clock)
            if clock > MAX_INT:
                raise malformed("a number is too large")
            self._found.structs[client] = (first, clock)
        self._found.deletes_at = self.at
        self._found.deletes = self.ranges()
        return self._found

    def ranges(self) -> Ranges:
        found: Ranges = {}
        for _ in range(self.number()):
            client, count = self.number(), self.number()
            if client in found:
                raise malformed("a client is named twice")
            found[client] = [(self.number(), self.number()) for _ in range(count)]
        return found

    def struct(self, client: int, clock: int) -> int:
        """Read one struct, which begins at that clock; gives how many clocks it has."""
        start = self.at
        info = self.byte()
        kind = info & 31
        if kind == _GC:
            return self.count()
        if info & _ORIGIN:
            self.id()
        if info & _RIGHT:
            self.id()
        if not info & (_ORIGIN | _RIGHT):
            self.parent(named=bool(info & _SUB))
        if kind == _DELETED:
            at, count = self.at, self.count()
            self._found.hidden.append(Hidden(client, clock, count, start, at, self.at))
            return count
        if self._text and kind == _STRING:
            typed = self.string()
            self._found.typed.append(typed)
            return len(typed.encode("utf-16-le")) // 2 or self.empty()
        if not self._text and kind == _ANY:
            count = self.count()
            for _ in range(count):
                self.any(0)
            return count
        if not self._text and kind == _TYPE and self.number() in (_ARRAY, _MAP):
            return 1
        raise malformed(f"it has content of kind {kind}, which this kind of column does not take")

    def count(self) -> int:
        return self.number() or self.empty()

    def empty(self) -> int:
        raise malformed("a part of it has no length")

    def id(self) -> None:
        client, clock = self.number(), self.number()
        if clock >= self._found.needs.get(client, -1):
            self._found.needs[client] = clock

    def parent(self, *, named: bool) -> None:
        if self.number() == 1:
            root = self.string()
            if root != TEXT_ROOT if self._text else root not in JSON_ROOTS:
                raise malformed("it has another root than documents of this kind of column have")
            if self._text and named:
                raise malformed("a text has no members")
            if not self._text and named == (root == "array"):
                raise malformed("an array has no members, an object has nothing else")
        else:
            if self._text:
                raise malformed("a text has no parts")
            self.id()
        if named:
            self.string()

    def any(self, depth: int) -> None:
        """A value as lib0 writes it: JSON only, without undefined, big integers and bytes."""
        if depth > MAX_JSON_DEPTH:
            raise malformed(f"a value is more than {MAX_JSON_DEPTH} levels deep")
        kind = self.byte()
        if kind in (126, 121, 120):
            return
        if kind == 118:
            for _ in range(self.number()):
                self.string()
                self.any(depth + 1)
        elif kind == 117:
            for _ in range(self.number()):
                self.any(depth + 1)
        elif kind in _SIMPLE:
            _SIMPLE[kind](self)
        else:
            raise malformed(f"a value of kind {kind} is no JSON")

    def integer(self) -> None:
        if self.byte() & 128:
            self.number()

    def value_text(self) -> None:
        self._found.typed.append(self.string())

    def real(self, size: int) -> None:
        if not math.isfinite(struct.unpack(">f" if size == 4 else ">d", self.take(size))[0]):
            raise malformed("a number is not finite")


_SIMPLE: dict[int, Callable[[_Reader], object]] = {
    119: lambda reader: reader.value_text(),
    125: _Reader.integer,
    124: lambda reader: reader.real(4),
    123: lambda reader: reader.real(8),
}
