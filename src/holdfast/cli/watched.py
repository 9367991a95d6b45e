"""A transport that tells what passes through it, for progress bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from holdfast.protocol.transport import Exchange, Transport


class WatchedTransport:
    """Carries rounds over `inner`. `sending(bytes)` is called before each request with the size of its plain body,
    `received(bytes)` for each piece of an answer, with the bytes of all answers so far."""

    def __init__(self, inner: Transport, sending: Callable[[int], None], received: Callable[[int], None]) -> None:
        self._inner = inner
        self._sending, self._received = sending, received
        self._bytes_received = 0

    def exchange(self, body: bytes) -> Exchange:
        """One round. Raises what the inner transport raises."""
        self._sending(len(body))
        return WatchedExchange(self._inner.exchange(body), self._count)

    def _count(self, more: int) -> None:
        self._bytes_received += more
        self._received(self._bytes_received)

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()


class WatchedExchange:
    """One round of a `WatchedTransport`."""

    def __init__(self, inner: Exchange, count: Callable[[int], None]) -> None:
        self._inner = inner
        self._count = count
        self.status = inner.status
        self.bytes_sent = inner.bytes_sent
        self.bytes_received = inner.bytes_received

    def chunks(self) -> Iterator[bytes]:
        """The answer, piece by piece."""
        self._count(self.bytes_received)
        for chunk in self._inner.chunks():
            self._count(self._inner.bytes_received - self.bytes_received)
            self.bytes_received = self._inner.bytes_received
            yield chunk
        self.bytes_received = self._inner.bytes_received

    def close(self) -> None:
        """Give the connection back."""
        self._inner.close()
