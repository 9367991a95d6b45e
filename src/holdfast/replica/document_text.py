"""A text of the library whose edits are joined into runs before they reach it, and whose positions are code points.

The library counts bytes of UTF-8, and a thousand edits of one letter cost it a thousand times what one edit of a
thousand letters costs. Within one transaction nobody can tell the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from holdfast.errors import HoldfastError
from holdfast.kernel.documents.content import Content
from holdfast.kernel.documents.library import AVAILABLE, library
from holdfast.kernel.edit_script import edits
from holdfast.kernel.merges.text import replace
from holdfast.kernel.values import InvalidValue, check
from holdfast.replica.document_pieces import Pieces
from holdfast.replica.document_seal import Renamed

_Text: Any = library().Text if AVAILABLE else object


class DocumentText(_Text):  # type: ignore[misc] # the library is an extra
    """A `pycrdt.Text` for one transaction: `insert`, `del`, `+=` and slices count code points, as Python does."""

    def __init__(self, content: Content) -> None:
        super().__init__(_doc=content.doc, _integrated=content.text.integrated)
        self._content = content
        self._open = True
        found = str(content.text)
        self._pieces = Pieces(found)
        self.again: list[Renamed] = []
        self._length = len(found)
        self._at = self._removed = 0
        self._typed = ""

    def insert(self, index: int, value: str, attrs: dict[str, Any] | None = None) -> None:
        """Insert a text at a place from 0 to the length."""
        if attrs:
            _plain()
        self._check(index, index)
        try:
            check("text", value)
        except InvalidValue as error:
            raise HoldfastError(error.code, error.message) from None
        offset = index - self._at
        if offset == len(self._typed):
            self._typed += value
        elif 0 <= offset < len(self._typed):
            self._typed = self._typed[:offset] + value + self._typed[offset:]
        else:
            self.settle()
            self._at, self._typed = index, value
        self._length += len(value)

    def remove(self, start: int, end: int) -> None:
        """Remove the code points from `start` to `end`."""
        self._check(start, end)
        count, first = end - start, start - self._at
        if first >= 0 and first + count <= len(self._typed):
            self._typed = self._typed[:first] + self._typed[first + count :]
        elif not self._typed and end == self._at:
            self._at, self._removed = start, self._removed + count
        elif not self._typed and start == self._at:
            self._removed += count
        else:
            self.settle()
            self._at, self._removed = start, count
        self._length -= count

    def apply_update(self, update: bytes) -> None:
        """Take what was edited in another copy of this document, such as one that a browser holds with yjs, or a device
        that came by without a network. It is captured like an edit of one's own; the hub takes nothing twice.
        """
        self._check(0, 0)
        self.settle()
        try:
            self._content.apply(update)
        except InvalidValue as error:
            raise HoldfastError(error.code, error.message) from None
        self._pieces.give_up()
        self._length = len(str(self._content.text))

    def absorbed(self, before: str) -> None:
        """SQL has written the plain column, and the document, which was `before`, has been brought to it."""
        after = str(self._content.text)
        for start, end, first, last in reversed(edits(before, after)):
            self._pieces.replace(start, end - start, last - first)
        self._length = len(after)

    @property
    def client(self) -> int:
        """The client that writes here."""
        return int(self._content.doc.client_id)

    def take_back(
        self, updates: Sequence[bytes], names: Sequence[Renamed], changes: Sequence[tuple[int, int, int]]
    ) -> None:
        """Take an undo: its updates, the new names of what it writes again, and what it does to the text, from the end
        on: (code point, how many go, how many come).
        """
        self.settle()
        with self._content.doc.transaction():
            for update in updates:
                self._content.doc.apply_update(update)
        self.again.extend(names)
        for at, removed, written in changes:
            self._pieces.replace(at, removed, written)
        self._length = len(str(self._content.text))

    def gone(self) -> str | None:
        """What this transaction deleted of the text that it found; None when it took over somebody else's edits, or
        made very many.
        """
        return self._pieces.gone()

    def get_update(self, state: bytes = b"\0") -> bytes:
        """What the document holds beyond a state vector, for another copy of it."""
        self.settle()
        update: bytes = self._content.doc.get_update(state)
        return update

    def get_state(self) -> bytes:
        """The state vector of the document."""
        self.settle()
        state: bytes = self._content.doc.get_state()
        return state

    def settle(self) -> None:
        """Give the run to the library."""
        if not (self._typed or self._removed):
            return
        text = self._content.text
        with self._content.doc.transaction():
            replace(text, str(text), self._at, self._at + self._removed, self._typed)
        self._pieces.replace(self._at, self._removed, len(self._typed))
        self._at = self._removed = 0
        self._typed = ""

    def close(self) -> None:
        """The transaction has ended."""
        self._open = False

    def _check(self, start: int, end: int) -> None:
        if not self._open:
            message = "the transaction of this document has ended; ask for it again with replica.document()"
            raise HoldfastError("document_closed", message)
        if not 0 <= start <= end <= self._length:
            raise IndexError(f"{start} to {end} is not within a text of {self._length} characters")

    def _range(self, key: int | slice) -> tuple[int, int]:
        if isinstance(key, slice):
            start, end, step = key.indices(self._length)
            if step != 1:
                raise IndexError("a text is edited without a step")
            return start, max(start, end)
        place = key + self._length if key < 0 else key
        if not 0 <= place < self._length:
            raise IndexError(f"{key} is not within a text of {self._length} characters")
        return place, place + 1

    def __delitem__(self, key: int | slice) -> None:
        start, end = self._range(key)
        if end > start:
            self.remove(start, end)

    def __setitem__(self, key: int | slice, value: str) -> None:
        start, end = self._range(key)
        if end > start:
            self.remove(start, end)
        self.insert(start, value)

    def __iadd__(self, value: str) -> DocumentText:
        self.insert(self._length, value)
        return self

    def clear(self) -> None:
        """Remove everything."""
        del self[:]

    def __len__(self) -> int:
        return self._length

    def __str__(self) -> str:
        self.settle()
        return str(self._content.text)

    def format(self, *_: Any, **__: Any) -> NoReturn:
        """Not for plain text: raises `document_plain`."""
        _plain()

    def insert_embed(self, *_: Any, **__: Any) -> NoReturn:
        """Not for plain text: raises `document_plain`."""
        _plain()


def _plain() -> NoReturn:
    raise HoldfastError("document_plain", "the column holds plain text: no attributes, nothing embedded")
