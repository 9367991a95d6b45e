"""What a replica needs of a transport: one exchange of bytes. HTTP, in-process and test transports implement it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Exchange(Protocol):
    """One request on its way and its streamed answer.

    `status` is an HTTP status. `bytes_sent` and `bytes_received` count what crossed the wire (compressed, bodies and
    headers as far as the transport can tell); the latter grows while `chunks` is read.
    """

    status: int
    bytes_sent: int
    bytes_received: int

    def chunks(self) -> Iterator[bytes]:
        """The decompressed body, in pieces as they arrive. Raises `HoldfastError("network")` when the connection
        breaks.
        """
        ...

    def close(self) -> None:
        """Give the connection back; idempotent."""
        ...


class Transport(Protocol):
    """Carries rounds to one hub.

    A transport may also have `url` (a name for people), `meter` (a `protocol.meter.Meter`, from which the sizes of
    requests and pages follow), `abort()` (break off what is under way in another thread), `open_live(deliver)` and
    `open_news(kind, deliver)` (see `LiveLink` and `NewsLink`), and `image(name, start)` (see
    `ImageTransport`). An exchange may have `retry_after` (seconds).
    """

    def exchange(self, body: bytes) -> Exchange:
        """Send a request. Raises `HoldfastError("network")` when the hub cannot be reached."""
        ...

    def close(self) -> None:
        """Close all connections; idempotent."""
        ...


class ImageTransport(Protocol):
    """A transport that can fetch file images (`spec/protocol.md` section 19)."""

    def image(self, name: str, start: int) -> Exchange:
        """Ask for the bytes of an image from `start` on: status 200 from its beginning, 206 from a later place. Raises
        `HoldfastError("network")`."""
        ...


class LiveLink(Protocol):
    """An open live channel (`spec/protocol.md` section 8).

    A transport that has one offers `open_live(deliver)`: `deliver` gets every message of the hub, from any thread, and
    at the end one `HoldfastError`. It may block: that is how a slow device slows the hub down.
    """

    def send(self, message: bytes) -> None:
        """Send one message. Raises `HoldfastError("network")`."""
        ...

    def close(self) -> None:
        """Close the channel; idempotent."""
        ...


class NewsLink(Protocol):
    """An open channel that only says that there is news (`spec/protocol.md` section 8).

    A transport that has one offers `open_news(kind, deliver)`, with kind "events" (server-sent events) or "longpoll":
    `deliver(None)` says that there is news, from any thread, and at the end comes one `HoldfastError`.
    """

    def close(self) -> None:
        """Close the channel; idempotent."""
        ...
