"""Which kind of channel to use: the best one that works, tried upwards again from time to time. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.replica.events import Channel

LADDER: tuple[Channel, ...] = ("websocket", "events", "longpoll", "poll")
"""From the best to the one that always works."""
RETRY_SECONDS, LONGEST_SECONDS = 60.0, 3600.0
SHORT_SECONDS = 20.0
"""A channel that breaks sooner has not worked."""
SHORT_LIVES = 3
"""So many channels in a row that broke so soon are given up for a while."""


class Ladder:
    """The rungs of one endpoint. Times in seconds of a clock that only goes forward."""

    def __init__(self, rungs: Sequence[Channel], random: Callable[[], float]) -> None:
        self._rungs = [rung for rung in LADDER if rung in rungs or rung == "poll"]
        self._random = random
        self._again = [0.0] * len(self._rungs)
        self._failures = [0] * len(self._rungs)
        self._short = [0] * len(self._rungs)

    def choose(self, now: float) -> Channel:
        """The best rung that may be tried now."""
        return next(rung for number, rung in enumerate(self._rungs) if rung == "poll" or now >= self._again[number])

    def failed(self, rung: Channel, now: float) -> None:
        """This kind of channel does not work here: the next lower one is used for a while, longer each time."""
        number = self._rungs.index(rung)
        ceiling = min(LONGEST_SECONDS, RETRY_SECONDS * 2.0 ** min(self._failures[number], 16))
        self._failures[number] += 1
        self._short[number] = 0
        self._again[number] = now + ceiling * (0.5 + self._random() / 2)

    def lived(self, rung: Channel, now: float, seconds: float) -> None:
        """A channel of this kind ended after so long."""
        number = self._rungs.index(rung)
        if seconds >= SHORT_SECONDS:
            self._short[number] = self._failures[number] = 0
            return
        self._short[number] += 1
        if self._short[number] >= SHORT_LIVES:
            self.failed(rung, now)

    def better(self, rung: Channel, now: float) -> bool:
        """Whether a better kind may be tried now."""
        return self.choose(now) != rung and self._rungs.index(self.choose(now)) < self._rungs.index(rung)
