"""Whether an empty device gets its first load as one file (`spec/protocol.md`, section 19), and which.

The hub decides; where the files are, and who makes them, is behind `Images`: the core knows neither disks nor devices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from holdfast.errors import HoldfastError
from holdfast.hub.cursor import is_behind, is_ours, parse_cursor
from holdfast.hub.identity import Identity
from holdfast.hub.observation import Observation
from holdfast.hub.pull import Asked
from holdfast.hub.serving import Served
from holdfast.protocol import messages as m
from holdfast.stores.base import Space, Transaction

if TYPE_CHECKING:
    from holdfast.hub.hub import Hub

AGED = 10
"""An image is made anew when more than a tenth of its rows have been written since."""


class Wanted(NamedTuple):
    """What an image is of: these spaces, all of them and no other, as a device of that version reads them."""

    hub: str
    version: int
    schema: str
    layout: str
    spaces: tuple[str, ...]

    @property
    def key(self) -> str:
        """32 hexadecimal digits that name it."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:32]


class Image(NamedTuple):
    """One that is there. `cursors` maps those of its spaces that hold anything to how far they were read."""

    name: str
    size: int
    plain: int
    rows: int
    spaces: tuple[str, ...]
    cursors: Mapping[str, str]

    @property
    def offer(self) -> m.ImageOffer:
        """What the header says of it."""
        return m.ImageOffer(self.name, self.size, self.plain, self.rows)


class Images(Protocol):
    """Where images are kept. Every method may be called by any thread; none raises for what a disk does."""

    @property
    def least_rows(self) -> int:
        """Fewer rows come by pages."""
        ...

    def found(self, key: str, name: str = "") -> Image | None:
        """The latest image of that key, or just the one with that name; None when there is none."""
        ...

    def wish(self, wanted: Wanted) -> None:
        """Let it be made when there is time; nobody waits for that."""
        ...

    def named(self, name: str) -> Image | None:
        """The image with that name."""
        ...

    def read(self, name: str, start: int) -> Iterator[bytes] | None:
        """The compressed bytes from there on, in pieces; None when the image is gone."""
        ...

    def close(self) -> None:
        """Make nothing any more; idempotent."""
        ...


class Found(NamedTuple):
    """An image that is given, and whether it is time for a newer one."""

    image: Image
    aged: bool


def may_take(request: m.Request) -> bool:
    """Whether who asks holds nothing, so that a file may come instead of pages."""
    busy = request.cursors or request.transactions or request.acknowledged or request.restore or request.compare
    return bool(request.image) and not busy


def with_image(tx: Transaction, asked: Asked, images: Images | None, view: Served, observation: Observation) -> Asked:
    """The same, answered with an image when there is one for who asks."""
    if images is None or asked.live or not may_take(asked.request):
        return asked
    offer = choose(tx, images, asked.request, asked.hub, view, list(asked.spaces))
    observation.metrics.add("image_offers_total", 1, "none" if offer is None else "offered")
    return asked if offer is None else asked._replace(image=offer)


def choose(
    tx: Transaction, images: Images, request: m.Request, hub: str, view: Served, spaces: Sequence[str]
) -> m.ImageOffer | None:
    """The image for a device that may read and wants just these spaces; None: it gets pages. One that is missing, or
    has aged, is wished for, so that the next device finds it.
    """
    heads = tx.spaces(sorted(spaces))
    # Numbers of a feed are never fewer than its rows: this tells at once that a small space is small.
    if sum(space.head for space in heads.values()) < images.least_rows:
        return None
    wanted = Wanted(hub, view.schema.version, view.schema.hash, view.layout.hash, tuple(sorted(spaces)))
    part = request.image if request.image != "any" else ""
    names = [part, ""] if part else [""]
    for name in names:
        image = images.found(wanted.key, name)
        found = None if image is None else _fits(tx, image, heads, view.mark)
        if found is not None:
            if found.aged:
                images.wish(wanted)
            return found.image.offer
    if rows_of(tx, heads) >= images.least_rows:
        images.wish(wanted)
    return None


def permitted(hub: Hub, name: str, identity: Identity) -> Image:
    """The image with that name, if its reader may read every space that is in it, now. Raises `image_unknown`, which
    does not say whether it is there."""
    image = hub.images.named(name) if hub.images is not None else None
    if image is None or not set(image.spaces) <= hub.spaces_of(identity).keys():
        raise _unknown()
    return image


def bytes_of(hub: Hub, name: str, start: int) -> Iterator[bytes]:
    """The bytes of an image from there on, counted. Raises `image_unknown`."""
    pieces = hub.images.read(name, start) if hub.images is not None else None
    if pieces is None:
        raise _unknown()
    return _counted(pieces, hub.observation)


def _counted(pieces: Iterator[bytes], observation: Observation) -> Iterator[bytes]:
    for piece in pieces:
        observation.metrics.add("image_bytes_sent_total", len(piece))
        yield piece


def _unknown() -> HoldfastError:
    return HoldfastError("image_unknown", "there is no such image for you")


def rows_of(tx: Transaction, heads: Mapping[str, Space]) -> int:
    """How many living rows the spaces hold."""
    return sum(count for name in heads for count, _ in tx.digest(name).values())


def _fits(tx: Transaction, image: Image, heads: Mapping[str, Space], mark: int) -> Found | None:
    """Whether a device can go on from the image's cursors, and for less than the image itself."""
    since = 0
    for name, space in heads.items():
        text = image.cursors.get(name)
        if text is None:
            since += space.head  # nothing was there when it was made
            continue
        cursor = parse_cursor(text)
        if cursor is None or cursor.level or cursor.version != mark or not is_ours(cursor, space, tx):
            return None
        if is_behind(cursor, space):
            return None
        since += space.head - cursor.seq
    if image.cursors.keys() - heads.keys() or since > image.rows:
        return None
    return Found(image, since * AGED > image.rows)
