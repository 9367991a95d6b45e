"""The live channel from the device's side, over the `websockets` library."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.sync.client import connect

from holdfast.edge.compression import UndecodableError
from holdfast.edge.live_messages import MAX_MESSAGE, PACKED_SUBPROTOCOL, SUBPROTOCOL, pack, unpack
from holdfast.errors import HoldfastError
from holdfast.protocol.codec import decode_error

PING_SECONDS = 20.0
"""Both sides send pings; a side that hears nothing for two intervals closes."""
OPEN_SECONDS = 10.0
CLOSE_SECONDS = 0.2

Deliver = Callable[[bytes | str | HoldfastError | None], None]


class WebSocketLink:
    """One open channel. A thread of its own hands each message to `deliver`, and at the end one error.

    `sock` is connected to the hub already; `tls` is used for a wss URL.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        deliver: Deliver,
        *,
        sock: socket.socket,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._url = url
        self._deliver = deliver
        self._stack = ExitStack()
        try:
            opening = connect(
                url,
                sock=sock,
                ssl=tls,
                subprotocols=[PACKED_SUBPROTOCOL, SUBPROTOCOL],  # type: ignore[list-item]
                additional_headers=dict(headers),
                compression=None,  # messages are packed by zstd where it pays
                max_size=MAX_MESSAGE + 1024,
                open_timeout=OPEN_SECONDS,
                ping_interval=PING_SECONDS,
                ping_timeout=PING_SECONDS,
                close_timeout=CLOSE_SECONDS,
                proxy=None,
            )
            self._socket = self._stack.enter_context(opening)
        except (OSError, InvalidHandshake, InvalidURI, ConnectionClosed) as error:
            sock.close()
            raise HoldfastError("network", f"{url}: the live channel cannot be opened: {error}", url=url) from error
        self._packs = self._socket.subprotocol == PACKED_SUBPROTOCOL
        self._thread = threading.Thread(target=self._read, name="holdfast-live", daemon=True)
        self._thread.start()

    def send(self, message: bytes) -> None:
        """Send one message. Raises `network`."""
        try:
            self._socket.send(pack(message) if self._packs else message)
        except (OSError, ConnectionClosed) as error:
            raise HoldfastError("network", f"{self._url}: the live channel broke: {error}", url=self._url) from error

    def close(self) -> None:
        """Close the channel; idempotent."""
        with contextlib.suppress(OSError, ConnectionClosed):
            self._stack.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=1.0)

    def _read(self) -> None:
        last = b""
        try:
            while True:
                message = self._socket.recv()
                if isinstance(message, bytes):
                    message = last = unpack(message, MAX_MESSAGE)
                self._deliver(message)
        except ConnectionClosed as closed:
            self._deliver(self._ended(closed, last))
        except (OSError, UndecodableError) as error:
            self._deliver(HoldfastError("network", f"{self._url}: the live channel broke: {error}", url=self._url))

    def _ended(self, closed: ConnectionClosed, last: bytes) -> HoldfastError:
        code = closed.rcvd.code if closed.rcvd is not None else 0
        told = decode_error(last) if 4000 <= code < 4200 else None
        if told is not None:
            return HoldfastError(told.code, told.message, **{**told.details, "status": code - 4000 + 400})
        return HoldfastError("network", f"{self._url}: the live channel was closed ({code})", url=self._url)
