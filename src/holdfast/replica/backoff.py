"""When the next attempt may be made: exponential delays with full jitter, a budget for retries, a circuit breaker.

Pure: `now` is passed in, in seconds of a clock that only goes forward; `random()` gives a number in [0, 1).
Sources: Brooker, *Exponential Backoff and Jitter*, AWS Architecture Blog, 2015 (full jitter spreads the devices that
lost one hub at one moment over the whole interval, so that their return is not a storm); Beyer et al., *Site
Reliability Engineering*, 2016, chapter 21 (retry budgets); Nygard, *Release It!*, 2007 (circuit breakers).
"""

from __future__ import annotations

from collections.abc import Callable

FIRST_SECONDS = 0.5
LAST_SECONDS = 60.0
MOST_SECONDS = 3600.0
"""The longest wait that a hub may ask for with Retry-After."""

RETRIES = 30
"""So many retries may be made in a burst, whatever asks for them."""
RETRY_EVERY_SECONDS = 20.0
"""In the long run one retry in so many seconds."""

EARNED = 5.0
"""So many retries an attempt earns that brought something through."""

TRIP = 3
"""So many failures in a row open a breaker."""
OPEN_SECONDS, LONGEST_OPEN_SECONDS = 30.0, 900.0


class Backoff:
    """Attempts that failed in a row."""

    def __init__(self, random: Callable[[], float], first: float | None = None, last: float | None = None) -> None:
        self._random = random
        self._first = FIRST_SECONDS if first is None else first
        self._last = LAST_SECONDS if last is None else last
        self.failures = 0

    def failed(self, retry_after: object = None) -> float:
        """Another failure; gives the seconds to wait. The hub's own wish (Retry-After) is the least, up to an hour."""
        ceiling = min(self._last, self._first * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return max(self._random() * ceiling, wished(retry_after))

    def succeeded(self) -> None:
        """An attempt succeeded: the next failure is the first one."""
        self.failures = 0


def wished(retry_after: object) -> float:
    """The seconds that a hub asked to wait, up to an hour; what is no number comes from somebody else and does not
    count.
    """
    if not isinstance(retry_after, (int, float)) or isinstance(retry_after, bool):
        return 0.0
    return min(max(float(retry_after), 0.0), MOST_SECONDS) if retry_after == retry_after else 0.0


class Budget:
    """Retries that may still be made: a bucket of `RETRIES`, refilled by one every `RETRY_EVERY_SECONDS` and by what
    comes through. Once it is empty, waits are random, so that they never beat in time with what breaks the network.
    """

    def __init__(self, now: float, random: Callable[[], float]) -> None:
        self._left, self._at, self._random = float(RETRIES), now, random

    def wait(self, now: float) -> float:
        """Seconds until a retry is in the budget."""
        self._refill(now)
        return max(0.0, (1.0 - self._left) * RETRY_EVERY_SECONDS) * (1.0 + self._random())

    def earn(self, now: float) -> None:
        """Something came through: that is worth some retries."""
        self._refill(now)
        self._left = min(float(RETRIES), self._left + EARNED)

    def take(self, now: float) -> None:
        """A retry is made."""
        self._refill(now)
        self._left = max(0.0, self._left - 1.0)

    def _refill(self, now: float) -> None:
        self._left = min(float(RETRIES), self._left + max(0.0, now - self._at) / RETRY_EVERY_SECONDS)
        self._at = now


BREAKER: dict[tuple[str, str], str] = {
    ("closed", "success"): "closed",
    ("closed", "failure"): "closed",
    ("closed", "failures in a row"): "open",
    ("open", "failure"): "open",
    ("open", "success"): "closed",
    ("open", "time"): "half-open",
    ("half-open", "success"): "closed",
    ("half-open", "failure"): "open",
}
"""(state, event) -> state of a circuit breaker. In "half-open" one attempt without uploads is made, as a probe."""


class Breaker:
    """The circuit breaker of one endpoint."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._failures = 0
        self._trips = 0
        self.state = "closed"
        self.until = 0.0

    def allows(self, now: float) -> bool:
        """Whether an attempt may be made now; an open breaker whose time is over becomes half-open."""
        if self.state == "open" and now >= self.until:
            self._move("time")
        return self.state != "open"

    def failed(self, now: float, alone: float | None) -> None:
        """An attempt failed. `alone`: there is no other endpoint, and the next attempt is due after so many seconds:
        the breaker must not make the wait longer, it only makes that attempt a probe.
        """
        self._failures += 1
        self._move("failures in a row" if self.state == "closed" and self._failures >= TRIP else "failure")
        if self.state == "open":
            ceiling = min(LONGEST_OPEN_SECONDS, OPEN_SECONDS * 2.0 ** min(self._trips, 16))
            self._trips += 1
            self.until = now + (ceiling * (0.5 + self._random() / 2) if alone is None else alone)

    def succeeded(self) -> None:
        """An attempt succeeded."""
        self._failures = self._trips = 0
        self._move("success")

    def _move(self, event: str) -> None:
        self.state = BREAKER[self.state, event]
