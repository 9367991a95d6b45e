"""Tags of a digest in a row, as they cross the wire: 4 bytes each, joined, in base64 (`spec/protocol.md` section 9)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence

from holdfast.errors import HoldfastError
from holdfast.kernel.digest import PARTS, TAG_BYTES


def pack(tags: Iterable[bytes]) -> str:
    """Tags to text."""
    return base64.b64encode(b"".join(tags)).decode()


def unpack(text: str, code: str) -> list[bytes]:
    """Text to tags. Raises `code` when it is none."""
    try:
        joined = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise HoldfastError(code, f"the tags of a digest cannot be read: {error}") from None
    if len(joined) % TAG_BYTES:
        raise HoldfastError(code, f"{len(joined)} bytes are not a number of tags of {TAG_BYTES}")
    return [joined[place : place + TAG_BYTES] for place in range(0, len(joined), TAG_BYTES)]


def parts_for(rows: int) -> int:
    """In how many parts a bucket of so many rows is compared: 1, 4 or 16."""
    return 1 if rows <= 6 else 4 if rows <= 24 else PARTS


def part_in(part: int, parts: int) -> int:
    """Which of `parts` parts holds what is in `part` of 16."""
    return part * parts // PARTS


def differing(mine: Sequence[bytes], theirs: Sequence[bytes]) -> list[int]:
    """The places where two rows of tags differ; a place that only one of them has differs."""
    longest = max(len(mine), len(theirs))
    return [place for place in range(longest) if mine[place : place + 1] != theirs[place : place + 1]]
