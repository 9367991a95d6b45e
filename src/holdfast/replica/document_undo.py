"""Taking back edits of a text document: what they typed is deleted, what they deleted is typed again where it stood.

The document keeps of every deleted part its place, as a number of clocks without text. In a copy of the document in
which those parts are written out again with a sign for each clock, the library itself says where they stand.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from holdfast.kernel.documents.content import joined
from holdfast.kernel.documents.library import library
from holdfast.kernel.documents.update import Hidden, Ranges, read_update, read_vector, write_ranges, write_text
from holdfast.replica.document_seal import Renamed
from holdfast.replica.document_text import DocumentText

_STRING = 4
_OTHER = "x"
_FIRST_SIGN, _SIGNS = 0x4E00, 20_000
"""Characters of one UTF-16 unit each, so that they take one clock."""


def take_back(text: DocumentText, updates: Sequence[bytes], gone: str, renamed: Sequence[Renamed]) -> bool:
    """Take back edits of this device: `updates` brought them, `gone` is what they deleted of the text before them, in
    its order; `renamed` is what undos have written again since. Gives False, and changes nothing, when the document
    does not know any more where that stood.
    """
    wrote: Ranges = {}
    deleted: Ranges = {}
    for data in updates:
        update = read_update(data, text=True)
        for client, (first, end) in update.structs.items():
            wrote.setdefault(client, []).append((first, end - first))
        for client, ranges in update.deletes.items():
            deleted.setdefault(client, []).extend(ranges)
    state, found = text.get_update(), _without(deleted, wrote)
    copy = _Copy(state, found, text.client)
    again = copy.placed(gone)
    if again is None or str(copy) != str(text):
        return False
    typed = with_new_names(wrote, renamed)
    shown = str(text).encode()
    changes = [(place, size, 0) for place, size in copy.delete(typed)]
    changes += [(one.place, 0, len(one.text)) for one in again]
    back, names = _Copy(state, found, text.client).written(again)
    text.take_back([back, _deletion(typed)], names, _in_code_points(shown, changes))
    return True


def with_new_names(ranges: Ranges, renamed: Sequence[Renamed]) -> Ranges:
    """Clocks, with those under which they were written again, and again. `renamed` in the order of the undos."""
    result = {client: list(found) for client, found in ranges.items()}
    for one in renamed:
        for first, count in _both(result.get(one.client, []), (one.clock, one.count)):
            result.setdefault(one.new_client, []).append((one.new_clock + first - one.clock, count))
    return result


class _Again(NamedTuple):
    """A text to write again: at which byte of the shown text, before which byte of the copy with the signs, and the
    name that it had.
    """

    place: int
    sign: int
    text: str
    was: Renamed


def _in_code_points(shown: bytes, changes: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Changes of a text, (byte, bytes that go, code points that come), from the end on and in code points. What comes
    inside of what goes cuts it in two.
    """
    cut: list[tuple[int, int, int]] = []
    for start, size, written in changes:
        inside = [place for place, gone, _ in changes if not gone and start < place < start + size]
        places = [start, *sorted(set(inside)), start + size] if size else [start, start]
        cut += [(first, last - first, written) for first, last in itertools.pairwise(places)]
    return [
        (len(shown[:start].decode()), len(shown[start : start + size].decode()), written)
        for start, size, written in sorted(cut, reverse=True)
    ]


def _deletion(ranges: Ranges) -> bytes:
    """An update that deletes clocks."""
    return b"\0" + write_ranges({client: joined(list(found)) for client, found in ranges.items() if found})


def _whole(units: bytes, end: int) -> int:
    """An end that does not cut a pair of surrogates."""
    if 2 <= end < len(units) and 0xD8 <= units[end - 1] <= 0xDB:
        return end + 2
    return end


class _Copy:
    """A copy of a text document in which what was deleted of `found` stands as signs, one for each clock; each part
    has a sign of its own.
    """

    def __init__(self, state: bytes, found: Ranges, client: int) -> None:
        self._found = found
        self._parts: list[tuple[int, int]] = []
        update = read_update(state, text=True)
        out, at = bytearray(), 0
        for part in update.hidden:
            out += state[at : part.start] + bytes([state[part.start] & 0xE0 | _STRING])
            out += state[part.start + 1 : part.length_at] + self._signs(part)
            at = part.end
        out += state[at : update.deletes_at] + b"\0"
        lib = library()
        self._doc: Any = lib.Doc(client_id=client)
        self._client = client
        self._text: Any = self._doc.get("text", type=lib.Text)
        self._doc.apply_update(bytes(out))
        self._places: list[tuple[int, int]] = []
        self.delete(_without(update.deletes, found))
        self._subscription = self._text.observe(self._note)

    def _signs(self, part: Hidden) -> bytes:
        """What stands for a deleted part: a sign for each clock, with its length in bytes before it."""
        shown, at = "", part.clock
        for first, count in _both(self._found.get(part.client, []), (part.clock, part.size)):
            shown += _OTHER * (first - at) + chr(_FIRST_SIGN + len(self._parts) % _SIGNS) * count
            self._parts.append((part.client, first))
            at = first + count
        return write_text(shown + _OTHER * (part.clock + part.size - at))

    def __str__(self) -> str:
        return str(self._text)

    def placed(self, gone: str) -> list[_Again] | None:
        """Delete what was found; gives where it stood. None when it has not as many clocks as the text `gone`."""
        before, units = str(self._text).encode(), gone.encode("utf-16-le")
        places = self.delete(self._found)
        signs = [before[place : place + size].decode() for place, size in places]
        if sum(map(len, signs)) * 2 != len(units) or len(self._parts) > _SIGNS:
            return None
        again, used = [], [0] * len(self._parts)
        at = hidden = 0
        for (place, _), run in zip(places, signs, strict=True):
            sign_at = place
            # Part by part: between two of them there may be a place where something else has to come back, too.
            for sign, group in itertools.groupby(run):
                part, count = ord(sign) - _FIRST_SIGN, len(list(group))
                client, first = self._parts[part]
                was = Renamed(client, first + used[part], 0, 0, count)
                end = _whole(units, at + 2 * count)
                again.append(_Again(place - hidden, sign_at, units[at:end].decode("utf-16-le"), was))
                used[part] += count
                sign_at += count * len(sign.encode())
                at = end
            hidden += sign_at - place
        return again

    def delete(self, ranges: Ranges) -> list[tuple[int, int]]:
        """Delete clocks; gives where something went: (byte in the text before it, bytes), in order."""
        self._places = []
        if any(ranges.values()):
            self._doc.apply_update(_deletion(ranges))
        return self._places

    def written(self, again: Sequence[_Again]) -> tuple[bytes, list[Renamed]]:
        """The update that writes the texts again, each just before its signs, where the library puts nothing between
        them; and the names that they get.
        """
        vector = self._doc.get_state()
        clock = read_vector(vector).get(self._client, 0)
        names = []
        for one in reversed(again):
            self._text.insert(one.sign, one.text)
            names.append(Renamed(one.was.client, one.was.clock, self._client, clock, one.was.count))
            clock += len(one.text.encode("utf-16-le")) // 2
        return self._doc.get_update(vector), names

    def _note(self, event: Any) -> None:
        at = 0
        for part in event.delta:
            if "delete" in part:
                self._places.append((at, part["delete"]))
            at += part.get("retain", 0) + part.get("delete", 0)


def _without(ranges: Ranges, others: Ranges) -> Ranges:
    """The clocks of `ranges` that are not in `others`."""
    result: Ranges = {}
    for client, found in ranges.items():
        for first, count in joined(found):
            start = first
            for other, size in joined(others.get(client, [])):
                if start < other + size and other < first + count:
                    if other > start:
                        result.setdefault(client, []).append((start, other - start))
                    start = max(start, other + size)
            if start < first + count:
                result.setdefault(client, []).append((start, first + count - start))
    return result


def _both(ranges: list[tuple[int, int]], other: tuple[int, int]) -> list[tuple[int, int]]:
    """The clocks of a range that are in others, too."""
    start, end = other[0], other[0] + other[1]
    found = [(max(start, first), min(end, first + count)) for first, count in joined(list(ranges))]
    return [(first, last - first) for first, last in found if first < last]
