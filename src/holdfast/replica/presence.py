"""Who is here: what the hub says of the other devices in a space, and what this one says of itself."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import msgspec

from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m


class Present(NamedTuple):
    """A device that is connected now. `data` is what its application announced (None: nothing)."""

    device: str
    user: str
    data: Any


class Presence:
    """Filled by the loop, read from any thread. What is lost with a connection comes again with the next one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._here: dict[str, list[Present]] = {}
        self.mine: dict[str, Any] = {}

    def announce(self, space: str, data: Any) -> None:
        """This device is in the space, with small data of the application (JSON). Raises `announcement_invalid`."""
        try:
            size = len(m.encode(data))
        except (TypeError, ValueError, RecursionError) as error:
            raise HoldfastError("announcement_invalid", f"what is announced must be JSON: {error}") from None
        if size > m.MAX_ANNOUNCED:
            message = f"what is announced has {size} bytes of JSON; at most {m.MAX_ANNOUNCED} are sent"
            raise HoldfastError("announcement_invalid", message)
        with self._lock:
            self.mine = {**self.mine, space: data}

    def leave(self, space: str) -> None:
        """This device is not in the space any more."""
        with self._lock:
            self.mine = {name: data for name, data in self.mine.items() if name != space}
            self._here.pop(space, None)

    def message(self) -> bytes:
        """What is sent to the hub."""
        return b'{"announce":' + m.encode(self.mine) + b"}"

    def heard(self, text: bytes) -> None:
        """The hub tells who is in a space."""
        try:
            told = m.decode_presence(text)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise HoldfastError("response_malformed", f"the hub tells of presence unreadably: {error}") from None
        with self._lock:
            for space, present in told.presence.items():
                if space in self.mine:
                    self._here[space] = [Present(*entry) for entry in present]

    def here(self, space: str) -> list[Present]:
        """Who is in the space, this device included."""
        with self._lock:
            return list(self._here.get(space, ()))

    def clear(self) -> None:
        """The channel is gone: nobody is known to be here."""
        with self._lock:
            self._here.clear()
