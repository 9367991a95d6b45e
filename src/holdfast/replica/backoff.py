"""How long to wait before the next attempt: exponential, with full jitter.

Source: Brooker, *Exponential Backoff and Jitter*, AWS Architecture Blog, 2015. Full jitter spreads the devices that
lost one hub at one moment over the whole interval, so that their return is not a storm.
"""

from __future__ import annotations

from collections.abc import Callable

FIRST_SECONDS = 0.5
LAST_SECONDS = 60.0
MOST_SECONDS = 3600.0


class Backoff:
    """Attempts that failed in a row. `random()` gives a number in [0, 1)."""

    def __init__(self, random: Callable[[], float], first: float = FIRST_SECONDS, last: float = LAST_SECONDS) -> None:
        self._random, self._first, self._last = random, first, last
        self.failures = 0

    def failed(self, retry_after: object = None) -> float:
        """Another failure; gives the seconds to wait. The hub's own wish (Retry-After) is the least, up to an hour;
        what is no number comes from somebody else and does not count."""
        ceiling = min(self._last, self._first * 2.0 ** min(self.failures, 32))
        self.failures += 1
        wish = float(retry_after) if type(retry_after) in (int, float) else 0.0  # type: ignore[arg-type]
        return max(self._random() * ceiling, min(wish, MOST_SECONDS))

    def succeeded(self) -> None:
        """An attempt succeeded: the next failure is the first one."""
        self.failures = 0
