"""The live channel from the device's side, over the `websockets` library."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.sync.client import connect

from holdfast.errors import HoldfastError
from holdfast.protocol.codec import decode_error

SUBPROTOCOL = "holdfast.1"
PING_SECONDS = 20.0
OPEN_SECONDS = 10.0

Deliver = Callable[[bytes | HoldfastError], None]


class WebSocketLink:
    """One open channel. A thread of its own hands each message to `deliver`, and at the end one error."""

    def __init__(self, url: str, headers: Mapping[str, str], deliver: Deliver) -> None:
        self._url = url
        self._deliver = deliver
        self._stack = ExitStack()
        opening = connect(
            url,
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]
            additional_headers=dict(headers),
            compression=None,
            max_size=None,
            open_timeout=OPEN_SECONDS,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            close_timeout=0.5,
            proxy=None,
        )
        try:
            self._socket = self._stack.enter_context(opening)
        except (OSError, InvalidHandshake, InvalidURI, ConnectionClosed) as error:
            raise HoldfastError("network", f"{url}: the live channel cannot be opened: {error}", url=url) from error
        self._thread = threading.Thread(target=self._read, name="holdfast-live", daemon=True)
        self._thread.start()

    def send(self, message: bytes) -> None:
        """Send one message. Raises `network`."""
        try:
            self._socket.send(message)
        except (OSError, ConnectionClosed) as error:
            raise HoldfastError("network", f"{self._url}: the live channel broke: {error}", url=self._url) from error

    def close(self) -> None:
        """Close the channel; idempotent."""
        self._stack.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=1.0)

    def _read(self) -> None:
        last = b""
        try:
            while True:
                message = self._socket.recv()
                last = message.encode() if isinstance(message, str) else message
                self._deliver(last)
        except ConnectionClosed as closed:
            self._deliver(self._ended(closed, last))
        except OSError as error:
            self._deliver(HoldfastError("network", f"{self._url}: the live channel broke: {error}", url=self._url))

    def _ended(self, closed: ConnectionClosed, last: bytes) -> HoldfastError:
        code = closed.rcvd.code if closed.rcvd is not None else 0
        told = decode_error(last) if 4000 <= code < 4200 else None
        if told is not None:
            return HoldfastError(told.code, told.message, **told.details)
        return HoldfastError("network", f"{self._url}: the live channel was closed ({code})", url=self._url)
