"""Being told how the device stands, and what it did."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.replica.facade.opened import Opened
from holdfast.replica.status import Status
from holdfast.replica.sync_log import LogLine, read_log


class Observing(Opened):
    """Being told how the device stands, and what it did."""

    def on_status(self, callback: Callable[[Status], None]) -> Callable[[], None]:
        """Call `callback(status)` now and whenever the status has changed; gives the function that ends it.

        Callbacks run in one thread of the replica, `holdfast-observer`, in the order of subscription. Changes that come
        quickly are told as one: each call has the latest status. What a callback raises is logged; it is called again
        the next time. A slow callback delays others and `watch`, never a sync or a write.
        """
        self._open()
        return self._observer.add_listener(callback)

    def log(self, limit: int = 100) -> list[LogLine]:
        """What the latest rounds did, newest first, of whichever process; 1,000 are kept."""
        self._open()
        return read_log(self.path, limit)
