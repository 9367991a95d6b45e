"""A network in one thread: links that lose, cut, delay and repeat what they carry, as they are told."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Literal, NamedTuple

from holdfast.errors import HoldfastError
from holdfast.protocol.transport import Exchange

Kind = Literal["lost request", "lost response", "cut", "twice", "late", "lost and late"]
KINDS: tuple[Kind, ...] = ("lost request", "lost response", "cut", "twice", "late", "lost and late")
PIECES = 5
MAX_KEPT = 32


class Fault(NamedTuple):
    """What happens to one exchange.

    "lost request": it never arrives. "lost response": its effect stands, nobody hears of it. "cut": the response
    breaks off after `at` thousandths of its bytes. "twice": the request arrives two times. "late": a copy of it stays
    in the network and may arrive at any time. "lost and late": only that copy will arrive.
    """

    kind: Kind
    at: int = 0


class Delivery(NamedTuple):
    """A request that a link carried, as it may arrive once more."""

    link: str
    body: bytes


Reach = Callable[[bytes], Exchange]
"""Hands a request to whatever is at the other end of a link."""


class Answer:
    """An exchange whose whole answer is here already; `chunks` gives it in pieces, broken off where it was cut."""

    def __init__(self, status: int, body: bytes, sent: int, cut: int | None) -> None:
        self.status, self.bytes_sent, self.bytes_received = status, sent, 0
        self._body, self._cut = body, cut

    def chunks(self) -> Iterator[bytes]:
        """The body in pieces that do not care about lines. Raises `network` where it was cut."""
        body = self._body if self._cut is None else self._body[: self._cut]
        step = max(1, -(-len(body) // PIECES))
        for start in range(0, len(body), step):
            piece = body[start : start + step]
            self.bytes_received += len(piece)
            yield piece
        if self._cut is not None:
            raise HoldfastError("network", "the simulated network broke the response off")

    def close(self) -> None:
        """Nothing is held."""


class Link:
    """The way from one party to another: a `Transport`. `reach` is what stands at its end.

    `fault` is what happens to the next exchange, once. `sending` and `receiving` are False while that direction is
    partitioned. `meanwhile`, if set, is called once while the next answer is on its way; `heard`, if set, is told every
    good answer, whole. `exchanges` counts.
    """

    def __init__(self, network: Network, name: str, reach: Reach) -> None:
        self.name = name
        self.fault: Fault | None = None
        self.sending = True
        self.receiving = True
        self.meanwhile: Callable[[], None] | None = None
        self.heard: Callable[[bytes], None] | None = None
        self.exchanges = 0
        self.image: Callable[[str, int], Answer]
        self._network = network
        self._reach = reach

    def exchange(self, body: bytes) -> Answer:
        """Carry one request. Raises `network` when request or response is lost."""
        fault, self.fault = self.fault, None
        self.exchanges += 1
        kind = fault.kind if fault else None
        if kind in ("late", "lost and late"):
            self._network.keep(Delivery(self.name, body))
        if not self.sending or kind in ("lost request", "lost and late"):
            raise HoldfastError("network", "the simulated network lost the request")
        if kind == "twice":
            self.deliver(body)
        status, answer = self.deliver(body)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        if not self.receiving or kind == "lost response":
            raise HoldfastError("network", "the simulated network lost the response")
        cut = len(answer) * fault.at // 1000 if fault is not None and kind == "cut" else None
        return Answer(status, answer, len(body), cut)

    def image_over(self, fetch: Callable[[str, int], Exchange]) -> Callable[[str, int], Answer]:
        """What fetches file images over this link, with its faults: the `image` of an `ImageTransport`."""

        def image(name: str, start: int) -> Answer:
            fault, self.fault = self.fault, None
            self.exchanges += 1
            kind = fault.kind if fault else None
            if not self.sending or kind in ("lost request", "lost and late"):
                raise HoldfastError("network", "the simulated network lost the request")
            exchange = fetch(name, start)
            status, body = exchange.status, b"".join(exchange.chunks())
            meanwhile, self.meanwhile = self.meanwhile, None
            if meanwhile is not None:
                meanwhile()
            if not self.receiving or kind == "lost response":
                raise HoldfastError("network", "the simulated network lost the response")
            cut = len(body) * fault.at // 1000 if fault is not None and kind == "cut" else None
            return Answer(status, body, len(name), cut)

        return image

    def deliver(self, body: bytes) -> tuple[int, bytes]:
        """Let a request arrive now, and read the whole answer: (status, body)."""
        exchange = self._reach(body)
        try:
            status, body = exchange.status, b"".join(exchange.chunks())
        finally:
            exchange.close()
        if self.heard is not None and status == 200:
            self.heard(body)
        return status, body

    def close(self) -> None:
        """Nothing is held."""


class Network:
    """All links, and the requests that are still somewhere on their way."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self.underway: list[Delivery] = []

    def link(self, name: str, reach: Reach) -> Link:
        """A new link; `name` must be new."""
        self.links[name] = Link(self, name, reach)
        return self.links[name]

    def keep(self, delivery: Delivery) -> None:
        """A copy of a request stays in the network; the oldest is forgotten when there are more than 32."""
        self.underway = [*self.underway, delivery][-MAX_KEPT:]

    def arrive(self, index: int) -> Delivery:
        """A kept request arrives, whatever was sent after it; nobody reads the answer."""
        delivery = self.underway[index]
        with suppress(HoldfastError):
            self.links[delivery.link].deliver(delivery.body)
        return delivery

    def arrive_late(self, dice: random.Random) -> str:
        """Any of the kept requests arrives; says whose."""
        return f"of {self.arrive(dice.randrange(len(self.underway))).link}" if self.underway else "nothing"

    def heal(self) -> None:
        """Every link carries everything again; what is still under way is forgotten."""
        self.underway = []
        for link in self.links.values():
            link.fault, link.meanwhile, link.sending, link.receiving = None, None, True, True
