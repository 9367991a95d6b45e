"""The answer of a hub: a status and a stream of bytes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from holdfast.errors import HoldfastError
from holdfast.observe.logs import event
from holdfast.protocol import messages
from holdfast.protocol.errors import CODES
from holdfast.stores.base import StoreUnavailable

log = logging.getLogger("holdfast.hub")


class Response:
    """`status` is an HTTP status, `content_type` that of the body; "": it needs none.

    Iterate to read the body in pieces, each a whole number of lines; `close()` (idempotent, also called at the end of
    the iteration) gives back what the stream holds at the store.
    """

    def __init__(self, status: int, content_type: str, chunks: Iterator[bytes], release: Callable[[], None]) -> None:
        self.status = status
        self.content_type = content_type
        self._chunks = chunks
        self._release = release
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._chunks
        finally:
            self.close()

    def close(self) -> None:
        """Release the store's snapshot."""
        if not self._closed:
            self._closed = True
            self._release()


def error_response(error: HoldfastError) -> Response:
    """The JSON answer for a request that failed as a whole."""
    status = CODES[error.code].status if error.code in CODES else 0
    body = messages.encode(messages.ErrorBody(error.code, error.message, error.details))
    return Response(status or 500, "application/json", iter([body]), lambda: None)


def told_of(failure: Exception) -> HoldfastError:
    """What a device is told of a round that failed; what the hub must answer for is logged."""
    if isinstance(failure, HoldfastError):
        if failure.code == "store_closed":  # a round that came while the process ends; another one takes it
            return HoldfastError("hub_unavailable", "the hub is being stopped; nothing was stored")
        if failure.code in CODES and not 400 <= CODES[failure.code].status < 500:
            log.error("a round failed: %s", failure)  # the fault is ours, or the database's
        return failure
    if isinstance(failure, StoreUnavailable):
        event(log, "hub.store_unavailable", error=str(failure))
        return HoldfastError("hub_unavailable", f"the hub cannot store anything now: {failure}")
    log.error("a round failed", exc_info=failure)
    return HoldfastError("internal_error", "the hub made a mistake; nothing was stored")
