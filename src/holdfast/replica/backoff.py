"""How long to wait before the next attempt: exponential, with full jitter.

Source: Brooker, *Exponential Backoff and Jitter*, AWS Architecture Blog, 2015. Full jitter spreads the devices that
lost one hub at one moment over the whole interval, so that their return is not a storm.
"""

from __future__ import annotations

from collections.abc import Callable

FIRST_SECONDS = 0.5
LAST_SECONDS = 60.0


class Backoff:
    """Attempts that failed in a row. `random()` gives a number in [0, 1)."""

    def __init__(self, random: Callable[[], float], first: float = FIRST_SECONDS, last: float = LAST_SECONDS) -> None:
        self._random, self._first, self._last = random, first, last
        self.failures = 0

    def failed(self, retry_after: float | None = None) -> float:
        """Another failure; gives the seconds to wait. The hub's own wish (Retry-After) is the least."""
        ceiling = min(self._last, self._first * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return max(self._random() * ceiling, retry_after or 0.0)

    def succeeded(self) -> None:
        """An attempt succeeded: the next failure is the first one."""
        self.failures = 0
