"""Time in a simulation: one true time for the world, and for each party a clock that shows something else."""

from __future__ import annotations

START = 210_000_000_000
"""Where a world begins, in milliseconds since 2020-01-01 UTC: in the year 2026."""
SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
YEAR = 365 * DAY


class WorldTime:
    """The true time, in milliseconds since 2020-01-01 UTC. It moves when somebody says so, and never backwards."""

    def __init__(self, start: int = START) -> None:
        self.now = start

    def advance(self, ms: int) -> None:
        """Let `ms` milliseconds pass."""
        self.now += max(0, ms)


class PartyClock:
    """What one party's clock shows: the true time, `skew` milliseconds off, running `drift` parts per million too fast.

    Call it to read it: milliseconds since 2020-01-01 UTC, as `Replica(now=)` and `Server(now=)` want them.
    """

    def __init__(self, time: WorldTime, *, skew: int = 0, drift: int = 0) -> None:
        self._time = time
        self._since = time.now
        self._skew = skew
        self._drift = drift

    def __call__(self) -> int:
        return self._time.now + self._off()

    def _off(self) -> int:
        return self._skew + (self._time.now - self._since) * self._drift // 1_000_000

    def jump(self, ms: int) -> None:
        """Somebody sets the clock `ms` milliseconds forward (or back, if negative)."""
        self._skew += ms

    def run(self, drift: int) -> None:
        """From now on the clock runs `drift` parts per million too fast (too slow, if negative)."""
        self._skew, self._since = self._off(), self._time.now
        self._drift = drift
