"""A text that many edit at once: every insertion and every deletion is kept, down to the character.

Positions are Unicode code points; the library counts bytes. Specification: `spec/documents.md`, section 4.
"""

from __future__ import annotations

from typing import Any, ClassVar

from holdfast.kernel.column import Column
from holdfast.kernel.documents.content import Content
from holdfast.kernel.edit_script import edits
from holdfast.kernel.merges.document import Document


class Text(Document):
    """The value is the text; the document has one root, a text named "text"."""

    text = True
    empty: ClassVar[Any] = ""

    def write(self, content: Content, value: Any) -> None:
        """Turn the text into `value` by the edits of `edit_script`, from the end to the start."""
        old = str(content.text)
        for start, end, first, last in reversed(edits(old, value)):
            replace(content.text, old, start, end, value[first:last])

    def read(self, column: Column, content: Content) -> Any:
        """The text."""
        return column.accept(str(content.text))


def replace(text: Any, shown: str, start: int, end: int, new: str) -> None:
    """Replace code points `start` to `end` of a library text that shows `shown`."""
    at, size = start, end - start
    if not shown.isascii():
        at, size = len(shown[:start].encode()), len(shown[start:end].encode())
    if size:
        del text[at : at + size]
    if new:
        text.insert(at, new)
