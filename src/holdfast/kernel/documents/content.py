"""What a document holds: a Yjs document that is loaded, changed and written again, without a clock or chance.

Specification: `spec/documents.md`. The same functions serve the hub, the device and the tests.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from holdfast.kernel.documents.library import library
from holdfast.kernel.documents.update import Ranges, read_ranges, read_update, read_vector, write_ranges
from holdfast.kernel.fingerprint import fingerprint
from holdfast.kernel.values import InvalidValue

MAX_STATE = 8 * 1024 * 1024
"""Most bytes of a whole document."""
SHOWN = 1000
"""So much of what was typed stands in a refusal."""
NOTHING = b"\0\0"
"""The update that brings nothing."""


def client_of(*fields: str) -> int:
    """The Yjs client for those fields: 48 bits of a hash over them."""
    return int(fingerprint(*fields), 16)


def decoded(update: str) -> bytes:
    """The bytes of an update in base64. Raises InvalidValue (`value_format`)."""
    try:
        data = base64.b64decode(update, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if encoded(data) != update or not data:
        raise InvalidValue("value_format", "an update is written in base64 with padding (RFC 4648, section 4)")
    return data


def encoded(data: bytes) -> str:
    """Bytes in base64."""
    return base64.b64encode(data).decode("ascii")


def merged(updates: Sequence[str]) -> str:
    """Several updates, each building on the one before it, as one."""
    if len(updates) == 1:
        return updates[0]
    return encoded(library().merge_updates(*map(decoded, updates)))


class Content:
    """One document in memory. `text`: a text, else JSON; `client` writes what is edited here."""

    def __init__(self, *, text: bool, client: int = 0) -> None:
        lib = library()
        self.is_text = text
        self.doc = lib.Doc(client_id=client)
        if text:
            self.text = self.doc.get("text", type=lib.Text)
        else:
            self.object = self.doc.get("object", type=lib.Map)
            self.array = self.doc.get("array", type=lib.Array)
            self.scalar = self.doc.get("value", type=lib.Map)

    def load(self, state: bytes) -> None:
        """Take a whole state that was written by `state` or by another implementation of the same format."""
        if state:
            self.doc.apply_update(state)

    def vector(self) -> dict[int, int]:
        """The state vector: client -> number of clocks."""
        return read_vector(self.doc.get_state())

    def apply(self, data: bytes) -> None:
        """Apply an update. Deletions of what is not here say nothing and are left out: nothing may wait in a document.

        Raises InvalidValue: `document_gap` when it needs what is not here, `document_malformed`.
        """
        update = read_update(data, text=self.is_text)
        known = self.vector()
        if update.lacks(known):
            lost = "".join(update.typed)[:SHOWN]
            raise InvalidValue("document_gap", f"it builds on edits that are not in the document; it typed {lost!r}")
        for client, (_, end) in update.structs.items():
            known[client] = max(known.get(client, 0), end)
        present = _present(update.deletes, known)
        if present != update.deletes:
            data = data[: update.deletes_at] + write_ranges(present)
        if data != NOTHING:
            self.doc.apply_update(data)

    def state(self) -> bytes:
        """The whole document, compact: what was deleted is there only as numbers."""
        data: bytes = self.doc.get_update()
        if len(data) > MAX_STATE:
            raise InvalidValue("value_range", f"a document has at most {MAX_STATE} bytes, with what was deleted in it")
        return data

    def name(self) -> str:
        """12 hexadecimal digits that name the content: equal names, equal content."""
        snapshot = library().Snapshot.from_doc(self.doc).encode()
        ranges, at = read_ranges(snapshot)
        vector = read_vector(snapshot, at)
        parts = [f"{client}:{clock}" for client, clock in sorted(vector.items()) if clock]
        gone = [f"{client}:{first}+{count}" for client in sorted(ranges) for first, count in joined(ranges[client])]
        return fingerprint(",".join(parts), ",".join(gone))


def joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges in order, with those that touch made one."""
    result: list[tuple[int, int]] = []
    for first, count in sorted(ranges):
        if result and result[-1][0] + result[-1][1] >= first:
            start = result[-1][0]
            result[-1] = (start, max(result[-1][1], first + count - start))
        elif count:
            result.append((first, count))
    return result


def _present(deletes: Ranges, known: dict[int, int]) -> Ranges:
    """The deletions of what is there."""
    result: Ranges = {}
    for client, ranges in deletes.items():
        end = known.get(client, 0)
        clipped = [(first, min(count, end - first)) for first, count in ranges if first < end]
        if clipped:
            result[client] = clipped
    return result
