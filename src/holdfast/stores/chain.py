"""The chain of a space: one hash over everything that was ever committed to it, so that a lost history is noticed."""

from __future__ import annotations

from hashlib import blake2s

INITIAL_CHAIN = "0" * 16
"""The chain of a space whose head is 0."""


def next_chain(previous: str, head: int, content: bytes) -> str:
    """The chain after a commit: 16 hexadecimal digits of blake2s(previous | head | content).

    `head` is the head that the commit leaves, `content` what the hub says it wrote. The first two parts have no `|` in
    them, so the parts cannot run into each other.
    """
    return blake2s(f"{previous}|{head}|".encode() + content, digest_size=8).hexdigest()
