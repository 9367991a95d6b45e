"""The stamps of a row's cells as one short text.

Specification: `spec/encoding.md`, section 3. Vectors: `spec/vectors/stamps`. Most rows were written once, by one
insert, so the uniform case `S*n` is the one that is made fast.
"""

from __future__ import annotations

from holdfast.kernel.clock import STAMP_LENGTH, is_stamp
from holdfast.kernel.values import InvalidValue

MAX_SLOTS = 32_767
"""Most cells of a row; a limit, so that a short text cannot ask for a huge list."""


def encode_stamps(stamps: list[str | None]) -> str:
    """The canonical text of the stamps by slot; `None` is a cell that was never written."""
    if not stamps:
        return ""
    first = stamps[0]
    if first is not None and stamps.count(first) == len(stamps):
        return f"{first}*{len(stamps)}"
    size = len(stamps)
    while size and stamps[size - 1] is None:
        size -= 1
    if size < len(stamps):
        return encode_stamps(stamps[:size])
    index: dict[str, int] = {}
    places = ["" if stamp is None else str(index.setdefault(stamp, len(index))) for stamp in stamps]
    return ",".join(index) + ":" + ".".join(places)


def decode_stamps(text: str) -> list[str | None]:
    """The stamps by slot of a canonical text; slots at the end that have no stamp are absent from the list.

    Raises InvalidValue (`value_format`) for a text that `encode_stamps` would not have written.
    """
    if text == "":
        return []
    if text[STAMP_LENGTH : STAMP_LENGTH + 1] == "*":
        stamp, count = text[:STAMP_LENGTH], text[STAMP_LENGTH + 1 :]
        if is_stamp(stamp) and _is_index(count) and 0 < int(count) <= MAX_SLOTS:
            return [stamp] * int(count)
        raise _malformed()
    return _decode_mixed(text)


def _decode_mixed(text: str) -> list[str | None]:
    head, colon, tail = text.partition(":")
    known = head.split(",")
    places = tail.split(".")
    if not colon or len(places) > MAX_SLOTS or len(set(known)) != len(known) or not all(map(is_stamp, known)):
        raise _malformed()
    meaning: dict[str, str | None] = {str(index): stamp for index, stamp in enumerate(known)}
    indexes = list(meaning)
    used = dict.fromkeys(places)
    used.pop("", None)
    # Stamps are numbered by first use, and each is used.
    if list(used) != indexes or places[-1] == "" or (len(known) == 1 and "" not in places):
        raise _malformed()
    meaning[""] = None
    return [meaning[place] for place in places]


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and (text[0] != "0" or text == "0")


def _malformed() -> InvalidValue:
    return InvalidValue("value_format", "row stamps are not in canonical form (spec/encoding.md, section 3)")
