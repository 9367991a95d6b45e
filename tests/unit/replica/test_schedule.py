"""Which endpoint, when: every status of the table in spec/protocol.md, breakers, budgets, several URLs."""

from __future__ import annotations

import random

import pytest

from holdfast.errors import HoldfastError
from holdfast.replica import backoff
from holdfast.replica.backoff import BREAKER, Breaker, Budget, wished
from holdfast.replica.failures import BY_STATUS, behaviour
from holdfast.replica.ladder import LADDER, Ladder
from holdfast.replica.schedule import NEVER, RETURN_SECONDS, Schedule

NETWORK = HoldfastError("network", "no route")


def most() -> float:
    """The longest that jitter makes of a delay."""
    return 1.0


def answered(status: int, **details: object) -> HoldfastError:
    return HoldfastError("some_code", "no", status=status, **details)


def test_delays_grow_to_a_minute_and_end_with_success() -> None:
    schedule, now, delays = Schedule(1, most, 0.0), 0.0, []
    for _ in range(10):
        assert schedule.choose(now) == 0
        schedule.failed(0, now, NETWORK)
        assert schedule.choose(now) is None
        delays.append(schedule.next_at() - now)
        now = schedule.next_at()
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert schedule.choose(now) == 0
    assert schedule.probing(0)
    schedule.succeeded(0, now)
    assert not schedule.probing(0)
    schedule.failed(0, now, NETWORK)
    assert schedule.next_at() - now == 0.5


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (400, "blocked"),
        (401, "paused"),
        (403, "blocked"),
        (409, "blocked"),
        (410, "blocked"),
        (413, "blocked"),
        (415, "blocked"),
        (426, "blocked"),
        (429, "offline"),
        (500, "offline"),
        (503, "offline"),
        (404, "offline"),
    ],
)
def test_what_each_status_means(status: int, state: str) -> None:
    do = behaviour(answered(status))
    assert do.state == state
    assert do.elsewhere == (status not in BY_STATUS)


def test_a_page_of_a_proxy_says_nothing_about_what_the_hub_has() -> None:
    for status in (400, 403, 409, 410, 426, 502):
        assert behaviour(HoldfastError("hub_error", "a page", status=status)).elsewhere
    assert not behaviour(HoldfastError("hub_error", "a page", status=429)).elsewhere
    assert not behaviour(HoldfastError("disk_full", "full")).elsewhere


def test_what_only_a_change_can_help_is_tried_slowly_or_when_asked() -> None:
    schedule = Schedule(1, most, 0.0)
    schedule.failed(0, 0.0, answered(409))
    assert schedule.next_at() == 60.0
    schedule.wish(5.0, person=True)
    assert schedule.choose(5.0) == 0
    schedule.failed(0, 5.0, answered(410))
    assert schedule.next_at() == NEVER
    schedule.wish(7.0, person=False)
    assert schedule.choose(7.0) == 0


def test_the_hubs_wish_holds_whoever_asks() -> None:
    schedule = Schedule(1, most, 0.0)
    schedule.failed(0, 0.0, answered(429, retry_after=90))
    assert schedule.next_at() == 90.0
    schedule.wish(10.0, person=True)
    assert schedule.choose(10.0) is None
    assert schedule.next_at() == 90.0
    assert schedule.choose(90.0) == 0


@pytest.mark.parametrize("wish", [None, True, "7", float("nan"), -3, [1]])
def test_a_wish_that_is_no_number_does_not_count(wish: object) -> None:
    assert wished(wish) == 0.0
    assert wished(1e300) == backoff.MOST_SECONDS


def test_the_next_url_is_tried_at_once_and_the_first_one_again_later() -> None:
    schedule = Schedule(2, most, 0.0)
    assert schedule.choose(0.0) == 0
    schedule.failed(0, 0.0, NETWORK)
    assert schedule.choose(0.0) == 1
    schedule.succeeded(1, 0.0)
    assert not schedule.better(1, 1.0)
    assert schedule.better(1, RETURN_SECONDS)
    schedule.back(RETURN_SECONDS)
    assert schedule.choose(RETURN_SECONDS) == 0
    schedule.failed(0, RETURN_SECONDS, NETWORK)
    assert schedule.choose(RETURN_SECONDS) == 1
    assert not schedule.better(0, 10 * RETURN_SECONDS)


def test_an_open_breaker_is_passed_over_until_its_probe() -> None:
    schedule, now = Schedule(2, most, 0.0), 0.0
    for _ in range(3):
        assert schedule.choose(now) == 0
        schedule.failed(0, now, NETWORK)
        assert schedule.choose(now) == 1
        schedule.succeeded(1, now)
        now += 10.0
    assert schedule.choose(now) == 1, "three failures opened the breaker of the first"
    now += 30.0
    assert schedule.choose(now) == 0
    assert schedule.probing(0)


def test_when_nobody_answers_somebody_is_tried_soon() -> None:
    schedule, now = Schedule(2, most, 0.0), 0.0
    for _ in range(20):
        number = schedule.choose(now)
        if number is None:
            assert now < schedule.next_at() <= now + 60.0
            now = schedule.next_at()
        else:
            schedule.failed(number, now, NETWORK)
    assert schedule.failures > 8


def test_a_poke_every_second_is_held_to_the_budget() -> None:
    schedule, tried = Schedule(1, most, 0.0), 0
    for second in range(3_600):
        schedule.wish(float(second), person=False)
        if schedule.choose(float(second)) is not None:
            tried += 1
            schedule.failed(0, float(second), NETWORK)
    assert tried <= backoff.RETRIES + 3_600 / backoff.RETRY_EVERY_SECONDS + 1


def test_the_budget_fills_again() -> None:
    budget = Budget(0.0, lambda: 0.0)
    for _ in range(backoff.RETRIES):
        assert budget.wait(0.0) == 0.0
        budget.take(0.0)
    assert budget.wait(0.0) == backoff.RETRY_EVERY_SECONDS
    assert budget.wait(backoff.RETRY_EVERY_SECONDS) == 0.0


def test_the_table_of_the_breaker_is_whole() -> None:
    assert {state for state, _ in BREAKER} == set(BREAKER.values()) == {"closed", "open", "half-open"}
    breaker = Breaker(most)
    for _ in range(backoff.TRIP):
        breaker.failed(0.0, None)
    assert not breaker.allows(0.0)
    assert breaker.allows(breaker.until)
    breaker.failed(breaker.until, None)
    assert breaker.state == "open"
    breaker.succeeded()
    assert breaker.allows(0.0)


def test_the_ladder_goes_down_and_up_again() -> None:
    ladder = Ladder(LADDER, most)
    assert ladder.choose(0.0) == "websocket"
    ladder.failed("websocket", 0.0)
    ladder.failed("events", 0.0)
    assert ladder.choose(1.0) == "longpoll"
    assert not ladder.better("longpoll", 59.0)
    assert ladder.better("longpoll", 60.0)
    assert ladder.choose(60.0) == "websocket"
    ladder.failed("websocket", 60.0)
    assert ladder.choose(179.0) == "events"
    assert not ladder.better("websocket", 1e9)
    for _ in range(3):
        assert ladder.choose(180.0) == "websocket"
        ladder.lived("websocket", 180.0, 1.0)
    assert ladder.choose(180.0) == "events", "three short lives are a failure"
    ladder.lived("events", 180.0, 100.0)
    assert ladder.choose(180.0) == "events"
    assert Ladder(["poll"], random.random).choose(0.0) == "poll"
