"""One live channel, without its socket: it answers requests, and knows what it has sent, so it can send what is new."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from holdfast.errors import HoldfastError
from holdfast.hub.identity import Identity
from holdfast.hub.response import Response
from holdfast.protocol import messages as m
from holdfast.protocol.codec import decode_line, decode_request, is_short

if TYPE_CHECKING:
    from holdfast.hub.hub import Hub


class Message(Struct):
    """What a device sends on the channel: exactly one member is present, and perhaps `trace` beside a request."""

    request: Raw = Raw()
    applied: bool = False
    announce: dict[m.SpaceName, Any] | None = None
    trace: dict[str, str] = {}


_message = msgspec.json.Decoder(Message)


def decode_message(body: bytes) -> Message:
    """A message of the device. Raises `request_malformed`."""
    try:
        message = _message.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise HoldfastError(
            "request_malformed", f"the message is not what spec/protocol.md describes: {error}"
        ) from None
    if [bool(bytes(message.request)), message.applied, message.announce is not None].count(True) != 1:
        raise HoldfastError("request_malformed", "a message has one member: request, applied or announce")
    if message.announce and any(len(m.encode(data)) > m.MAX_ANNOUNCED for data in message.announce.values()):
        raise HoldfastError("request_malformed", f"an announcement has at most {m.MAX_ANNOUNCED} bytes")
    return message


class LiveChannel:
    """What the hub has sent on one channel. Not thread-safe: its socket calls one method at a time.

    `identity` is who asks; the socket replaces it when it has asked anew. `wake` is called (from any
    thread) when there may be news; `news()` then gives the answer, or None.
    """

    def __init__(self, hub: Hub, identity: Identity, wake: Callable[[], None]) -> None:
        self._hub = hub
        self.identity = identity
        self._wake = wake
        self._last: m.Request | None = None
        self._spaces: dict[str, str] = {}
        self._behind = False
        self._mark = hub.watch.mark()
        self._stop = hub.watch.add((), self._woken)
        self.awaiting = False
        self._more = False
        self._said: dict[str, Any] = {}
        self._present: set[str] = set()
        self._number = hub.presence.enter(self._come_or_gone)

    def handle(self, body: bytes) -> Response:
        """Answer a request of the device, as over HTTP."""
        if is_short(body):
            raise HoldfastError(
                "request_malformed", "a live channel takes whole requests: the hub follows their cursors"
            )
        response = self._hub.handle(body, self.identity, self._looks)
        if response.status != 200:
            return response
        request = decode_request(body)
        request.transactions, request.acknowledged, request.digests, request.compare = [], [], False, {}
        request.history = []
        self._last, self._more = request, False
        return Response(200, response.content_type, self._follow(iter(response)), response.close)

    def _woken(self) -> None:
        """Something was committed."""
        self._behind = True
        self._wake()

    def _looks(self) -> None:
        """A snapshot is about to be taken: what was committed before this moment is in it."""
        self._behind = False
        self._mark = self._hub.watch.mark()

    def due(self) -> bool:
        """Whether `news` or `presence` may have something: most of what wakes a channel is in an answer already, such
        as what its own device has just sent."""
        return bool(self._present) or (self._behind and self._last is not None and not self.awaiting and not self._more)

    def applied(self) -> None:
        """The device has applied the last answer that it had not asked for."""
        self.awaiting = False

    def news(self) -> Response | None:
        """What has come since the last answer; None when nothing has, when the device is still busy with it, or when
        it stopped at the limit: the device then asks for the rest, and says itself how far it is."""
        if self._last is None or self.awaiting or self._more:
            return None
        self._looks()
        lines = self._hub.news(self._last, self._spaces, self.identity)
        if lines is None:
            return None
        self.awaiting = True
        return Response(lines.status, lines.content_type, self._follow(iter(lines)), lines.close)

    def announce(self, said: dict[str, Any]) -> None:
        """The device is present in these spaces, with small data of its application."""
        self._said = said
        self._show()

    def _show(self) -> None:
        if self._last is None:
            return
        readable = {space: data for space, data in self._said.items() if space in self._spaces}
        self._present |= readable.keys()
        self._hub.presence.announce(self._number, self._last.device, self.identity.user, readable)

    def _come_or_gone(self, space: str) -> None:
        self._present.add(space)
        self._wake()

    def presence(self) -> bytes | None:
        """Who is in the spaces where somebody came or went since the last time, as a message; None: nobody did."""
        self._hub.presence.beat()
        if not self._present:
            return None
        changed, self._present = self._present, set()
        here = {space: self._hub.presence.here(space) for space in sorted(changed) if space in self._said}
        return m.encode(m.PresenceLine({s: [tuple(one) for one in who] for s, who in here.items()})) if here else None

    def close(self) -> None:
        """Wake nobody any more; idempotent."""
        self._stop()
        self._hub.presence.leave(self._number)

    def _follow(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        """Pass the lines on and remember what they say about cursors and access."""
        for line in lines:
            part = decode_line(line[:-1]) if not line.startswith(b'{"page"') else None
            if isinstance(part, m.Header):
                self._granted(part)
            elif isinstance(part, m.Footer) and self._last is not None:
                self._last.cursors.update(part.cursors)
                self._more = part.more
            yield line

    def _granted(self, header: m.Header) -> None:
        assert self._last is not None
        for name in (*header.revoked, *header.reset):
            self._last.cursors.pop(name, None)
        if header.layout is not None:
            self._last.layout = header.layout.hash
        if header.spaces != self._spaces:
            self._stop()
            self._spaces = dict(header.spaces)
            self._stop = self._hub.watch.add(self._spaces, self._woken)
            # Between the snapshot and now nobody listened.
            self._behind |= self._hub.watch.missed(self._mark, self._spaces)
            self._show()
