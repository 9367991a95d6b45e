"""The first load by a file image: when a device asks for one, and what becomes of it. Pages do the rest in any case."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import Any

import apsw

from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m
from holdfast.protocol.transport import Transport
from holdfast.replica.device import Device
from holdfast.replica.events import Events, ImageEnded, PiecesArrived
from holdfast.replica.file import free_bytes
from holdfast.replica.image_download import Fetching, parts_of
from holdfast.replica.image_file import check_image, is_empty, take

log = logging.getLogger("holdfast.replica")

REFUSED = frozenset({"image_damaged", "image_unfit", "image_unknown", "image_range"})
"""What makes a device take pages instead. Anything else is of the network, or of its disk, and is tried again."""


class FirstImage:
    """Knows whether this file may still take one. Used with the file's sync lock held."""

    def __init__(self, db: apsw.Connection, device: Device, events: Events) -> None:
        self._db, self._device, self._events = db, device, events
        self._over = False

    def asks(self, way: Transport) -> str:
        """What a request over that way says: "", "any", or the name of the one of which a part is here."""
        if self._over or not hasattr(way, "image"):
            return ""
        if not is_empty(self._db, self._device.schema):
            self._give_up()
            return ""
        names = [part.name.rpartition("-")[2] for part in parts_of(self._device.path)]
        return next((name for name in names if len(name) == 64), "any")

    def take(self, way: Any, header: m.Header) -> tuple[int, int]:
        """Fetch what the hub offers and make it the content of the file; gives the rows, none when it was refused, and
        the bytes that came. Raises what the network or the disk does.
        """
        offer = header.image
        assert offer is not None, "it is called with an offer"
        fetching, began = Fetching(self._device.path, offer), time.monotonic()
        for left in parts_of(self._device.path):
            if left not in (fetching.part, fetching.plain):
                left.unlink(missing_ok=True)
        try:
            if free_bytes(self._device.path) < offer.size + 3 * offer.plain:
                raise HoldfastError("image_unfit", "the disk has no room for a file image beside the file")
            fetching.run(way, lambda here: self._events.emit(PiecesArrived(here)))
            check_image(self._db, str(fetching.plain), self._device.schema, header.spaces)
            identity = {"hub": header.hub, "user": header.user, "hlc": header.hlc, "access": header.spaces}
            take(self._db, self._device.path, str(fetching.plain), self._device.schema, identity)
        except HoldfastError as error:
            if error.code not in REFUSED:
                raise
            log.warning("%s: %s; pages instead", self._device.path, error)
            self._give_up()
            self._events.emit(ImageEnded(offer.name, fetching.received, 0, time.monotonic() - began, error))
            return 0, fetching.received
        self._give_up()
        self._events.emit(ImageEnded(offer.name, fetching.received, offer.rows, time.monotonic() - began, None))
        return offer.rows, fetching.received

    def _give_up(self) -> None:
        """This file takes no image any more; what is left of one goes."""
        self._over = True
        with suppress(OSError):
            for left in parts_of(self._device.path):
                left.unlink(missing_ok=True)
