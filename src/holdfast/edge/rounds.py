"""One round at the hub's edge: an answer for every request, even where the hub raises, and its bytes in batches.

Used by the ASGI edge and by the in-process transport, so that both give the same status and body.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Protocol

from holdfast.edge.compression import Encoder, Encoding
from holdfast.errors import HoldfastError
from holdfast.hub.identity import Identity
from holdfast.hub.imaging import Image
from holdfast.hub.live import LiveChannel
from holdfast.hub.news import NewsChannel
from holdfast.hub.response import Response, error_response
from holdfast.protocol.conflicts import Conflict

BATCH = 64 * 1024

logger = logging.getLogger("holdfast")

Authenticate = Callable[[Mapping[str, str]], Identity | None]


class SyncServer(Protocol):
    """What the edge needs of a server. All methods are called from worker threads, several at once."""

    @property
    def authenticate(self) -> Authenticate | None:
        """Who sent a request with these headers (lower-case names); None: nobody we know."""
        ...

    def handle(self, body: bytes, identity: Identity) -> Response:
        """Process one round. Raises HoldfastError or answers with an error."""
        ...

    def health(self) -> dict[str, Any]:
        """What /healthz shows. Raises `hub_unavailable` when the store cannot be read."""
        ...

    def metrics(self, headers: Mapping[str, str]) -> str:
        """What /metrics shows to who sends these headers (lower-case names). Raises `unauthenticated`."""
        ...

    def close(self) -> None:
        """Give back everything; idempotent."""
        ...


class ImageServer(SyncServer, Protocol):
    """What /v1/images needs beside that."""

    def image(self, name: str, identity: Identity) -> Image:
        """The image with that name, if the identity may read all of it. Raises `image_unknown`."""
        ...

    def image_bytes(self, name: str, start: int) -> Iterator[bytes]:
        """Its bytes from there on, in pieces. Raises `image_unknown`."""
        ...


class LiveServer(ImageServer, Protocol):
    """What the live channel needs beside that."""

    def live(self, identity: Identity, wake: Callable[[], None]) -> LiveChannel:
        """A new channel; `wake` is called, from any thread, when there may be news for it."""
        ...

    def news(self, identity: Identity, wake: Callable[[], None]) -> NewsChannel:
        """A new channel that only says when there is news."""
        ...

    def sequence_foreign_writes(self) -> int:
        """Sequence what other programs wrote."""
        ...


class DecidingServer(LiveServer, Protocol):
    """What /v1/conflicts needs beside that."""

    def conflicts(
        self,
        identity: Identity | None = None,
        *,
        open: bool | None = None,  # noqa: A002 (the word of the state)
        table: str = "",
        space: str = "",
        after: str = "",
        limit: int = 100,
    ) -> list[Conflict]:
        """Those that the identity may read, oldest first."""
        ...

    def resolve(self, conflict: Conflict | str, choice: Any, identity: Identity) -> Conflict:
        """Decide one; gives it as it is then."""
        ...

    def restore(self, conflict: Conflict | str, identity: Identity) -> Conflict:
        """Bring back what lost."""
        ...


def unauthenticated(message: str) -> HoldfastError:
    """The error for a request of somebody unknown."""
    return HoldfastError("unauthenticated", message)


def failure_response(error: Exception) -> Response:
    """The answer to a request that `error` ended. What the hub must answer for is logged with its traceback."""
    if isinstance(error, HoldfastError):
        response = error_response(error)
        if response.status >= 500:
            logger.error("a request failed: %s", error, exc_info=error)
        return response
    logger.error("a request failed by a mistake of the hub", exc_info=error)
    return error_response(HoldfastError("internal_error", "the hub made a mistake; its log says more"))


class Round:
    """Drives one `Response`: `start` once, `read` until it says that the end has come, `close` in any case.

    The calls may come from different threads; a lock keeps them apart, so `close` waits for a call that is running. A
    round that was closed before its start does nothing. `closed` is also true after the last batch.
    """

    def __init__(self, respond: Callable[[], Response], encoding: Encoding = "identity") -> None:
        self._respond = respond
        self._accepted = encoding
        self._lock = threading.Lock()
        self._response: Response | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._encoder = Encoder("identity")
        self.closed = False
        self.encoding: Encoding = "identity"
        self.status = 0
        self.content_type = ""

    def start(self) -> tuple[bytes, bool]:
        """Ask the hub and read the first batch, as `read` does. Sets `status`, `content_type` and `encoding`.

        Whatever fails up to here becomes a whole error answer.
        """
        with self._lock:
            if self.closed:
                return b"", True
            try:
                self._open(self._respond())
                return self._batch()
            except Exception as error:  # noqa: BLE001 - the boundary: `failure_response` logs it
                self._release()
                self._open(failure_response(error))
                return self._batch()

    def read(self) -> tuple[bytes, bool]:
        """The next packed bytes, at least 64 KiB of lines or all that is left, and whether this was the end.

        Raises what the hub raises: the answer is then broken off and must not look complete.
        """
        with self._lock:
            return (b"", True) if self.closed else self._batch()

    def close(self) -> None:
        """Release what the response holds at the store; idempotent."""
        with self._lock:
            self.closed = True
            self._release()

    def _open(self, response: Response) -> None:
        self._response = response
        self._pieces = iter(response)
        self.status = response.status
        self.content_type = response.content_type
        self.encoding = self._accepted if response.status < 400 else "identity"
        self._encoder = Encoder(self.encoding)

    def _batch(self) -> tuple[bytes, bool]:
        packed: list[bytes] = []
        size = 0
        for piece in self._pieces:
            packed.append(self._encoder.add(piece))
            size += len(piece)
            if size >= BATCH:
                return b"".join(packed), False
        packed.append(self._encoder.end())
        self.closed = True
        self._release()
        return b"".join(packed), True

    def _release(self) -> None:
        if isinstance(self._pieces, Generator):
            self._pieces.close()
        if self._response is not None:
            self._response.close()
