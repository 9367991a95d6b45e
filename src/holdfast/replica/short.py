"""Rounds in short form: most rounds of a device that polls bring nothing, and say so in a few bytes.

A device that heard of nothing new in its last round asks only whether what it holds is still all there is. The hub
works that out from its store. When it is not, the device says its whole request, which has been built already.
"""

from __future__ import annotations

import apsw

from holdfast.kernel import digest
from holdfast.protocol import messages as m
from holdfast.protocol.codec import decode_short_answer
from holdfast.replica.spaces import LocalSpaces


class Short:
    """Knows whether the last whole answer brought nothing, and says the next request in short."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._spaces = LocalSpaces(db)
        self.quiet = False
        """Whether the last answer was whole and brought nothing."""
        self._request: m.Request | None = None

    def built(self, request: m.Request | None) -> None:
        """The next request, or None when it carries transactions."""
        self._request = request

    def request(self) -> bytes | None:
        """The request that was built last, in short form; None when it asks for more than whether anything is new."""
        whole, self._request = self._request, None
        if whole is None or not self.quiet or whole.acknowledged or whole.limit or whole.digests or whole.echo:
            return None
        if whole.compare or whole.blocks or whole.history:
            return None
        spaces = self._spaces.all().values()
        if not all(space.ready and space.access for space in spaces):
            return None
        holds = {space.name: (space.access, whole.cursors.get(space.name, "")) for space in spaces}
        hub: str = self._db.execute("SELECT hub FROM holdfast_state").get
        held = digest.held(hub, whole.user, whole.schema.version, whole.schema.hash, whole.layout, holds)
        return m.encode(m.ShortRequest(held, whole.want))

    def whole(self, answer: bytes) -> bytes:
        """The answer to a short request as the lines that the whole one would have got. Raises `response_malformed`."""
        unchanged = decode_short_answer(answer).same
        hub, user = self._db.execute("SELECT hub, user FROM holdfast_state").get
        access = {name: space.access for name, space in self._spaces.all().items()}
        header = m.Header(hub, user, unchanged.time, 0, access)  # type: ignore[arg-type]
        return m.encode(m.Line(header=header)) + b"\n" + m.encode(m.Line(footer=m.Footer(False))) + b"\n"
