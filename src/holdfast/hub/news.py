"""A channel that only says that there is news: for devices where no live channel comes through."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.hub.identity import Identity

if TYPE_CHECKING:
    from holdfast.hub.hub import Hub


class NewsChannel:
    """What one such channel waits for. `wake` is called (from any thread) when there may be news."""

    def __init__(self, hub: Hub, identity: Identity, wake: Callable[[], None]) -> None:
        self._hub = hub
        self._wake = wake
        self._spaces = hub.spaces_of(identity)
        self._stop = hub.watch.add(self._spaces, wake)

    def mark(self) -> str:
        """Where things stand now."""
        return self._hub.watch.mark()

    def missed(self, mark: str) -> bool:
        """Whether something came since the mark."""
        return self._hub.watch.missed(mark, self._spaces)

    def review(self, identity: Identity) -> bool:
        """The hub asked anew who the device is; gives whether its access has changed, which is news."""
        spaces = self._hub.spaces_of(identity)
        if spaces == self._spaces:
            return False
        self._stop()
        self._spaces = spaces
        self._stop = self._hub.watch.add(spaces, self._wake)
        return True

    def close(self) -> None:
        """Wake nobody any more; idempotent."""
        self._stop()
