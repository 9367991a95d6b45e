"""A hub in the same process, without a socket: for tests, simulations and embedded hubs."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.edge.compression import too_large
from holdfast.edge.rounds import ImageServer, Round, logger, unauthenticated
from holdfast.errors import HoldfastError
from holdfast.hub.identity import Identity
from holdfast.hub.response import Response
from holdfast.protocol.messages import MAX_REQUEST


class LocalExchange:
    """One round with a hub in this process. The bytes counted are those of the plain bodies: there is no wire."""

    def __init__(self, first: bytes, ended: bool, answer: Round, sent: int) -> None:
        self.status = answer.status
        self.bytes_sent = sent
        self.bytes_received = 0
        self._first = first
        self._ended = ended
        self._answer = answer

    def chunks(self) -> Iterator[bytes]:
        """The body in pieces. Raises `network` when the hub breaks its answer off, as it would look over HTTP."""
        chunk, ended = self._first, self._ended
        try:
            while True:
                self.bytes_received += len(chunk)
                if chunk:
                    yield chunk
                if ended:
                    return
                chunk, ended = self._next()
        finally:
            self.close()

    def close(self) -> None:
        """Release the hub's snapshot; idempotent."""
        self._answer.close()

    def _next(self) -> tuple[bytes, bool]:
        try:
            return self._answer.read()
        except Exception as error:
            logger.exception("an answer was broken off")
            raise HoldfastError("network", f"the hub in this process broke its answer off: {error}") from error


class LocalTransport:
    """Carries rounds to `server` in this process, as `identity`. Status and body are the same as over HTTP.

    `identity` None asks as somebody unknown, which is answered with 401.
    """

    def __init__(self, server: ImageServer, identity: Identity | None) -> None:
        self._server = server
        self._identity = identity

    def exchange(self, body: bytes) -> LocalExchange:
        """Process one round, up to its first lines. Raises nothing: errors are answers with a status, as over HTTP."""
        answer = Round(lambda: self._respond(body))
        first, ended = answer.start()
        return LocalExchange(first, ended, answer, len(body))

    def image(self, name: str, start: int) -> LocalExchange:
        """The bytes of a file image from `start` on, or an error with a status, as over HTTP."""
        answer = Round(lambda: self._image(name, start))
        first, ended = answer.start()
        return LocalExchange(first, ended, answer, len(name))

    def _image(self, name: str, start: int) -> Response:
        if self._identity is None:
            raise unauthenticated("the request has no valid credentials")
        image = self._server.image(name, self._identity)
        if start >= image.size:
            raise HoldfastError("image_range", f"the image has {image.size} bytes", size=image.size)
        pieces = self._server.image_bytes(name, start)
        return Response(206 if start else 200, "application/zstd", pieces, lambda: None)

    def close(self) -> None:
        """Nothing to close: the server belongs to its owner."""

    def _respond(self, body: bytes) -> Response:
        if self._identity is None:
            raise unauthenticated("the request has no valid credentials")
        if len(body) > MAX_REQUEST:
            raise too_large(MAX_REQUEST)
        return self._server.handle(body, self._identity)
