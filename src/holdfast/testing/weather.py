"""Bad networks between a real replica and a real hub in one process, in virtual time: no second is really waited.

    time = VirtualTime()
    way = FaultyTransport(LocalTransport(server, identity), Weather(round_trip=2.0, up=4_000, down=4_000), time, seed=1)
    with holdfast.Replica("device.db", schema, transport=way) as device:
        run_loop(device, time, done=lambda: not device.pending(), seed=1)
    assert time.now() < 60

The loop of the replica is the real one; it runs in the calling thread, and waiting only moves the virtual clock.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from holdfast.errors import HoldfastError
from holdfast.protocol.meter import Meter
from holdfast.protocol.transport import Exchange, Transport
from holdfast.replica.inbox import Stopped
from holdfast.replica.loop import Loop, Options
from holdfast.replica.replica import Replica

PIECE = 1024


class VirtualTime:
    """Seconds that pass only when somebody waits. `at` plans something for a moment."""

    def __init__(self) -> None:
        self._now = 0.0
        self._plans: list[tuple[float, int, Callable[[], object]]] = []
        self.done: Callable[[], bool] = lambda: False
        self.limit = 86_400.0

    def now(self) -> float:
        """Seconds since the beginning."""
        return self._now

    def at(self, seconds: float, plan: Callable[[], object]) -> None:
        """Call `plan` when that moment has come."""
        self._plans.append((seconds, len(self._plans), plan))

    def advance(self, seconds: float) -> None:
        """Let time pass, and what was planned happen."""
        until = self._now + seconds
        while self._plans and min(self._plans)[0] <= until:
            plan = min(self._plans)
            self._plans.remove(plan)
            self._now = max(self._now, plan[0])
            plan[2]()
        self._now = until

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """What the loop calls: ends it when `done()`, or when the time `limit` is over."""
        condition.release()
        try:
            if self.done() or self._now > self.limit:
                raise Stopped
            self.advance(min([seconds, *(max(0.0, plan[0] - self._now) for plan in self._plans)]))
        finally:
            condition.acquire()


@dataclass
class Weather:
    """What a link does to what it carries. Change it at any time.

    `round_trip` in seconds, `up` and `down` in bytes a second (None: no limit). `lose` is the share of requests that
    are lost, one half of them on the way there, of the other half only the answer; `twice` the share that arrives two
    times. `cut_up` and `cut_down` break a connection after so many bytes. `reachable(now)` says whether there is a
    network; `black_hole`: connections come about and nothing is ever answered; `refuses`: there are none.
    """

    round_trip: float = 0.0
    up: float | None = None
    down: float | None = None
    lose: float = 0.0
    twice: float = 0.0
    cut_up: int | None = None
    cut_down: int | None = None
    reachable: Callable[[float], bool] = field(default=lambda _: True)
    black_hole: bool = False
    refuses: bool = False


class FaultyTransport:
    """A `Transport` around another one. `rounds` counts what was begun, `sent` and `received` the bytes it carried."""

    def __init__(self, inner: Transport, weather: Weather, time: VirtualTime, seed: int) -> None:
        self.inner, self.weather, self._time = inner, weather, time
        self._random = random.Random(seed)
        self.meter = Meter()
        self.rounds = self.sent = self.received = 0

    def exchange(self, body: bytes) -> Exchange:
        """Carry one request. Raises `network`, after the time that a device would have waited."""
        weather, began = self.weather, self._time.now()
        self.rounds += 1
        lost = self._random.random() < weather.lose
        if weather.refuses or not weather.reachable(began):
            self._time.advance(weather.round_trip)
            self.meter.unreachable()
            raise HoldfastError("network", "the simulated network: no connection")
        self._time.advance(weather.round_trip)  # the connection
        cut = weather.cut_up is not None and len(body) > weather.cut_up
        carried = min(len(body), weather.cut_up) if weather.cut_up is not None else len(body)
        self.sent += carried
        self._time.advance(carried / weather.up if weather.up else 0.0)
        if cut:
            raise self._lost(len(body), "the connection was cut while the request went out")
        if weather.black_hole or (lost and self._random.random() < 0.5):
            raise self._silent(len(body))
        if self._random.random() < weather.twice:
            first = self.inner.exchange(body)
            list(first.chunks())
        exchange = self.inner.exchange(body)
        self._time.advance(weather.round_trip)
        if lost or not weather.reachable(self._time.now()):
            exchange.close()
            raise self._silent(len(body))
        self.meter.answered(len(body), self._time.now() - began - weather.round_trip)
        self.meter.delivered(len(body))
        return FaultyExchange(exchange, self, self._time)

    def _silent(self, sent: int) -> HoldfastError:
        self._time.advance(self.meter.silence(sent))
        return self._lost(sent, "nothing came within the timeout")

    def _lost(self, sent: int, why: str) -> HoldfastError:
        self.meter.lost(sent)
        return HoldfastError("network", f"the simulated network: {why}")

    def close(self) -> None:
        """Close the inner transport."""
        self.inner.close()


class FaultyExchange:
    """An answer that comes slowly, and perhaps not to its end."""

    def __init__(self, inner: Exchange, link: FaultyTransport, time: VirtualTime) -> None:
        self._inner, self._link, self._time = inner, link, time
        self.status = inner.status
        self.bytes_sent, self.bytes_received = inner.bytes_sent, 0
        self.retry_after = getattr(inner, "retry_after", None)

    def chunks(self) -> Iterator[bytes]:
        """The body. Raises `network` where it is cut."""
        weather, began, left = self._link.weather, self._time.now(), self._link.weather.cut_down
        for chunk in self._inner.chunks():
            for start in range(0, len(chunk), PIECE):
                piece = chunk[start : start + PIECE]
                cut = left is not None and len(piece) > left
                piece = piece[:left] if cut else piece
                self.bytes_received += len(piece)
                self._link.received += len(piece)
                self._time.advance(len(piece) / weather.down if weather.down else 0.0)
                cut = cut or not weather.reachable(self._time.now())
                left = None if left is None else left - len(piece)
                if piece:
                    yield piece
                if cut:
                    self.close()
                    self._link.meter.cut(self.bytes_received)
                    raise HoldfastError("network", "the simulated network cut the answer off")
        self._link.meter.read(self.bytes_received, self._time.now() - began)

    def close(self) -> None:
        """Close the inner exchange."""
        self._inner.close()


def run_loop(
    replica: Replica,
    time: VirtualTime,
    done: Callable[[], bool],
    *,
    seed: int,
    limit: float = 86_400.0,
    begun: Callable[[Loop], object] = lambda _: None,
) -> None:
    """Run the replica's loop in this thread until `done()`; raises AssertionError when `limit` virtual seconds pass.
    `begun` gets the loop before it runs, to plan pokes and commits.
    """
    time.done, time.limit = done, time.now() + limit
    loop = replica.loop(Options(random.Random(seed).random, time))
    begun(loop)
    loop.run()
    assert done(), f"it was not done within {limit:g} virtual seconds"
