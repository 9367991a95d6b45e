"""Which endpoint to try, and when: delays, budget, breakers, the order of URLs. Pure: `now` is an argument."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.errors import HoldfastError
from holdfast.replica.backoff import Backoff, Breaker, Budget, wished
from holdfast.replica.failures import Behaviour, behaviour

SLOW_SECONDS, SLOWEST_SECONDS = 60.0, 3600.0
"""First and longest delay where only a change of the application or the hub will help."""
RETURN_SECONDS = 120.0
"""So long a device stays with a later URL before it looks whether an earlier one works again."""
NEVER = float("inf")


class Schedule:
    """Endpoints are numbered in the order of preference; times in seconds of a clock that only goes forward.

    `failures` counts attempts that failed in a row.
    """

    def __init__(self, endpoints: int, random: Callable[[], float], now: float) -> None:
        self._breakers = [Breaker(random) for _ in range(endpoints)]
        self._not_before = [0.0] * endpoints
        self._backoff = Backoff(random)
        self._slow = Backoff(random, SLOW_SECONDS, SLOWEST_SECONDS)
        self._budget = Budget(now, random)
        self._tried: set[int] = set()
        self._next = now
        self._since = now
        self.failures = 0

    def choose(self, now: float) -> int | None:
        """The endpoint to try now; None before `next_at`."""
        if now < self._next:
            return None
        for number, breaker in enumerate(self._breakers):
            if number not in self._tried and now >= self._not_before[number] and breaker.allows(now):
                if self.failures:
                    self._budget.take(now)
                return number
        return None

    def next_at(self) -> float:
        """When an attempt may be made; infinite when only a wish of the application leads to one."""
        ready = [
            max(self._not_before[number], breaker.until if breaker.state == "open" else 0.0)
            for number, breaker in enumerate(self._breakers)
            if number not in self._tried
        ]
        return max(self._next, min(ready, default=0.0))

    def probing(self, number: int) -> bool:
        """Whether the attempt is a probe: a round without uploads first."""
        return self._breakers[number].state == "half-open"

    def failed(self, number: int, now: float, error: HoldfastError, *, progress: bool = False) -> Behaviour:
        """An attempt failed. Gives what to do; `next_at` says when. `progress`: something new had come through before,
        so the link is bad but works, and the next attempt need not wait for long.
        """
        do = behaviour(error)
        if progress:
            self.succeeded(number, now)
        self.failures += 1
        wish = wished(error.details.get("retry_after"))
        self._not_before[number] = now + wish
        if not do.elsewhere:
            delay = NEVER if do.retry == "asked" else (self._slow if do.retry == "slowly" else self._backoff).failed()
            self._tried.clear()
            self._next = now + max(delay, wish, self._budget.wait(now))
            return do
        self._tried.add(number)
        others = [other for other in range(len(self._breakers)) if other not in self._tried]
        if any(self._breakers[other].allows(now) and now >= self._not_before[other] for other in others):
            self._breakers[number].failed(now, None)
            self._next = now
            return do
        self._tried.clear()
        delay = max(self._backoff.failed(), wish, self._budget.wait(now))
        self._breakers[number].failed(now, delay if len(self._breakers) == 1 else None)
        self._next = now + delay
        if len(self._breakers) > 1 and all(breaker.state == "open" for breaker in self._breakers):
            # Nobody is left: the wait is that of the backoff, and the one that has been open for longest is the probe.
            min(self._breakers, key=lambda breaker: breaker.until).until = self._next
        return do

    def succeeded(self, number: int, now: float) -> None:
        """An attempt succeeded."""
        if self.failures:
            self._since = now
        self.failures = 0
        self._budget.earn(now)
        self._backoff.succeeded()
        self._slow.succeeded()
        self._breakers[number].succeeded()
        self._tried.clear()
        self._next = now

    def better(self, number: int, now: float) -> bool:
        """Whether an endpoint that is preferred to this one deserves a look, after some time with this one."""
        if now - self._since < RETURN_SECONDS:
            return False
        return any(now >= self._not_before[n] and self._breakers[n].allows(now) for n in range(number))

    def back(self, now: float) -> None:
        """The device leaves its endpoint to look at a better one."""
        self._since = self._next = now
        self._tried.clear()

    def wish(self, now: float, *, person: bool) -> None:
        """Try now: the application asks for a sync (`person`), or something says that the network is back, which may
        happen every second and is held to the budget. What the hub asked for (Retry-After) holds in any case.
        """
        self._tried.clear()
        for breaker in self._breakers:
            breaker.until = min(breaker.until, now)
        self._next = min(self._next, now if person else now + self._budget.wait(now))
