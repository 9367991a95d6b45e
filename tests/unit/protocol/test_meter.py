"""Measured links: what is expected of a 2G link, of a satellite and of the loopback."""

from __future__ import annotations

from holdfast.protocol import meter as of
from holdfast.protocol.meter import Meter


def measured(round_trip: float, up: float, down: float) -> Meter:
    """A link after a few exchanges."""
    meter = Meter()
    for _ in range(8):
        meter.answered(200, round_trip)
        meter.answered(50_000, round_trip + 50_000 / up)
        meter.read(100_000, 100_000 / down)
    return meter


def test_nothing_is_assumed_before_anything_is_measured() -> None:
    meter = Meter()
    assert (meter.page, meter.batch) == (of.MOST_PAGE, of.MOST_BATCH)
    assert (meter.connecting, meter.silence(0)) == (of.CONNECT_SECONDS, of.SILENCE_SECONDS)
    assert meter.silence(10_000) == of.SILENCE_SECONDS + 20.0


def test_a_2g_link_gets_small_pieces_and_the_loopback_large_ones() -> None:
    slow = measured(0.8, 4_000, 4_000)
    assert 3_000 < slow.page < 5_000
    assert 12_000 < slow.batch < 20_000
    fast = measured(0.001, 200e6, 200e6)
    assert (fast.page, fast.batch) == (of.MOST_PAGE, of.MOST_BATCH)


def test_timeouts_follow_the_round_trip() -> None:
    near, far = measured(0.01, 1e6, 1e6), measured(4.0, 1e6, 1e6)
    assert near.silence(0) == 10.0
    assert near.connecting == 3.0
    assert 16.0 < far.connecting < 40.0
    assert far.silence(0) > 20.0
    assert far.silence(1_000_000) > far.silence(0) + 1.9


def test_a_failure_makes_patient_and_pieces_small_until_it_goes_well_again() -> None:
    meter = measured(1.0, 1e6, 1e6)
    before = meter.silence(0)
    meter.cut(3_000)
    assert meter.page == 3_000
    assert meter.silence(0) > before
    for _ in range(20):
        meter.cut(100)
        meter.lost(100_000)
        meter.unreachable()
    assert (meter.page, meter.batch) == (of.LEAST_PAGE, of.LEAST_BATCH)
    assert meter.silence(0) <= of.MOST_SECONDS
    assert meter.connecting <= of.MOST_SECONDS
    for _ in range(40):
        meter.read(300_000, 0.001)
        meter.delivered(of.MOST_BATCH)
    assert meter.silence(0) < before + 1
    assert meter.page == of.MOST_PAGE
    assert meter.batch > of.LEAST_BATCH


def test_small_messages_say_nothing_about_sizes() -> None:
    meter = Meter()
    meter.lost(100)
    meter.read(100, 9.0)
    meter.delivered(100)
    assert (meter.page, meter.batch, meter.down) == (of.MOST_PAGE, of.MOST_BATCH, None)
