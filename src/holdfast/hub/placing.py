"""What a batch did to the feeds: what enters the chains, and where each row went."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from holdfast.hub.workspace import RowName, Workspace
from holdfast.stores.base import RowWrite, Space

ELSEWHERE = 2**63 - 1
"""The former sequence number of a row that came from another space: no cursor of this space has seen it."""


class Written(NamedTuple):
    """Where a row of this batch went: its space and seq, and the seq it had before (0: the hub did not have it)."""

    space: str
    seq: int
    before: int


def content_of(writes: Sequence[RowWrite]) -> dict[str, bytes]:
    """What enters the chain of each space: a hash over the images written there."""
    hashes: dict[str, Any] = {}
    for write in writes:
        hashes.setdefault(write.space, hashlib.blake2s(digest_size=16)).update(write.image)
        if write.left is not None and write.left_image is not None:
            hashes.setdefault(write.left, hashlib.blake2s(digest_size=16)).update(write.left_image)
    return {space: hash_.digest() for space, hash_ in hashes.items()}


def places(writes: Sequence[RowWrite], heads: Mapping[str, Space], workspace: Workspace) -> dict[RowName, Written]:
    """Where each row went: rows (and leave marks) take the numbers of their space in the order in which they were
    given.
    """
    counts: dict[str, int] = {}
    order: list[tuple[RowWrite, int]] = []
    for write in writes:
        counts[write.space] = counts.get(write.space, 0) + 1
        order.append((write, counts[write.space]))
        if write.left is not None:
            counts[write.left] = counts.get(write.left, 0) + 1
    result = {}
    for write, place in order:
        stored = workspace.stored((write.table, write.key))
        seq = heads[write.space].head - counts[write.space] + place
        before = 0 if stored is None else stored.seq if write.left is None else ELSEWHERE
        result[(write.table, write.key)] = Written(write.space, seq, before)
    return result
