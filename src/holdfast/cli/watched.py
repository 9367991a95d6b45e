"""A transport that tells what passes through it: for progress bars, and for accidents in the demo."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from holdfast.protocol.transport import Exchange, Transport


class WatchedTransport:
    """Carries rounds over `inner`. `sent(bytes)` is called when a request has gone out and the head of its answer has
    come, `received(bytes)` for each piece of the answer, with the bytes of the whole sync so far."""

    def __init__(self, inner: Transport, sent: Callable[[int], None], received: Callable[[int], None]) -> None:
        self._inner = inner
        self._sent, self._received = sent, received
        self.bytes_sent = self.bytes_received = 0

    def exchange(self, body: bytes) -> Exchange:
        """One round. Raises what the inner transport raises."""
        exchange = self._inner.exchange(body)
        self.bytes_sent += exchange.bytes_sent
        self._sent(self.bytes_sent)
        return WatchedExchange(exchange, self._count)

    def _count(self, more: int) -> None:
        self.bytes_received += more
        self._received(self.bytes_received)

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
