"""Sending copies of rows that the hub has lost: so many in a request, and what the hub said of them."""

from __future__ import annotations

import logging
from collections.abc import Callable

import apsw

from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m
from holdfast.replica.device import Device
from holdfast.replica.file import applying
from holdfast.replica.lost import Lost
from holdfast.replica.suspects import may_be_about_one

log = logging.getLogger("holdfast.replica")


class Returning:
    """What one process sends of them. `sent` are the copies of the last request, `taken` those that the hub has looked
    at in the answer that is under way. `seal` is called inside a transaction of the engine, before rows are shown.
    """

    def __init__(self, db: apsw.Connection, device: Device, seal: Callable[[apsw.Connection], None]) -> None:
        self._db = db
        self._device = device
        self._seal = seal
        self._lost = Lost(db, device.tables)
        self._most = m.MAX_RESTORED
        self.sent: list[m.Restore] = []
        self.taken: list[m.Restore] = []

    def waits(self) -> bool:
        """Whether a copy is to be sent."""
        return self._most > 0 and self._lost.waits()

    def choose(self) -> list[m.Restore]:
        """What goes with the next request. As long as there is something, no transaction goes: it may build on it."""
        self.sent = self._lost.batch(self._most) if not self.taken else []
        return self.sent

    def answered(self, header: m.Header) -> bool:
        """The hub has looked at what was sent; gives whether to go on at once. A hub that does not know what copies are
        gets them no more from this process."""
        sent, self.sent = self.sent, []
        if header.restored:
            self.taken += sent
            self._most = min(self._most * 2, m.MAX_RESTORED)
        elif sent:
            log.error("%s: the hub cannot take back rows that it has lost; update it", self._device.path)
            self._most = 0
        return bool(header.restored)

    def finished(self) -> bool:
        """The answer is applied; gives whether more copies wait."""
        self.taken = []
        return self.waits()

    def narrow(self, error: HoldfastError) -> bool:
        """The hub could not process the copies of a request: fewer of them go, until the one to blame is alone and is
        only kept. Gives whether there were any."""
        if not self.sent or not may_be_about_one(error):
            return False
        if len(self.sent) > 1:
            self._most = len(self.sent) // 2
            return True
        (copy,) = self.sent
        reason = m.Kept(copy.table, copy.key, error.code, error.message)
        log.error("%s: the hub cannot take back %s %r: %s", self._device.path, copy.table, copy.key, error)
        with applying(self._db, self._device.path):
            self._seal(self._db)
            self._lost.show(self._lost.answered([copy], [reason]))
        self._most = m.MAX_RESTORED
        return True

    def allow(self, header: m.Header) -> None:
        """Inside a transaction of the engine: the hub says where this device may write now."""
        writable = self._lost.allowed(header.spaces)
        if writable:
            self._seal(self._db)
            self._lost.show(writable)
