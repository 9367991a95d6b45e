"""One transaction that cannot be processed never blocks the others."""

from __future__ import annotations

import json
from typing import Any

import pytest

import holdfast as hf
from holdfast.testing.clock import HOUR, MINUTE, PartyClock, WorldTime
from tests.integration.queue.site import Site


def write_backlog(device: hf.Replica) -> None:
    """Ten forms, a poison in their middle, and what depends on it."""
    for number in range(5):
        device.execute("INSERT INTO form (id) VALUES (?)", (f"f{number}",))
    device.execute("INSERT INTO fragile (id, value) VALUES ('poison', 13)")
    device.execute("UPDATE fragile SET value = 14 WHERE id = 'poison'")
    for number in range(5, 10):
        device.execute("INSERT INTO form (id) VALUES (?)", (f"f{number}",))


def test_the_one_to_blame_is_found_and_the_others_arrive(site: Site) -> None:
    time = WorldTime()
    with site.device(now=PartyClock(time)) as device:
        write_backlog(device)
        site.way.dislikes = b'"value":13'
        assert device.sync().pushed == 10
        first, second = device.pending()
        assert (first.state, first.attempts, first.not_before, second.waits_for) == (
            "pending",
            1,
            time.now + MINUTE,
            [6],
        )
        assert "403" in first.error
        status = device.status
        assert "403" in str(status.upload_error) and status.download_error is None  # only the one direction is held up
        assert device.execute("SELECT value FROM fragile") == [(14,)]  # still shown
        requests = site.way.requests
        assert device.sync().pushed == 0
        assert site.way.requests == requests + 1  # it is not tried before its time


def test_after_its_retries_it_is_parked_and_told(site: Site) -> None:
    time = WorldTime()
    with site.device(now=PartyClock(time)) as device:
        write_backlog(device)
        site.way.dislikes = b'"value":13'
        device.sync()
        time.advance(MINUTE + 1)
        device.sync()
        parked, waiting = device.pending()
        assert (parked.state, parked.attempts, waiting.state, waiting.waits_for) == ("parked", 2, "pending", [6])
        time.advance(30 * HOUR)
        stopped = site.way.stopped
        device.sync()
        assert site.way.stopped == stopped  # no more
        site.way.dislikes = b""
        device.retry(6)
        assert device.sync().pushed == 2
        assert device.pending() == []
    assert site.rows("fragile") == [("poison", 14)]


def test_a_parked_transaction_is_edited_or_dropped_with_what_depends_on_it(site: Site) -> None:
    time = WorldTime()
    with site.device(now=PartyClock(time)) as device:
        write_backlog(device)
        site.way.dislikes = b'"value":13'
        device.sync()
        time.advance(MINUTE + 1)
        device.sync()
        device.edit(6, "fragile", "poison", value=12)
        device.retry(6)
        assert device.sync().pushed == 2
        device.execute("INSERT INTO fragile (id, value) VALUES ('other', 13)")
        device.sync()
        time.advance(MINUTE + 1)
        device.sync()
        device.execute("UPDATE fragile SET value = 20 WHERE id = 'other'")
        with pytest.raises(hf.HoldfastError) as error:
            device.drop(13)
        assert error.value.details["dependants"] == [14]
        device.drop(13, dependants=True)
        assert device.execute("SELECT id FROM fragile") == [("poison",)]
        assert device.pending() == []


def test_an_outage_is_nobodys_fault(site: Site) -> None:
    with site.device() as device:
        write_backlog(device)
        site.way.broken = True
        for _ in range(3):
            with pytest.raises(hf.HoldfastError, match="403"):
                device.sync()
        assert {item.attempts for item in device.pending()} == {0}
        site.way.broken = False
        assert device.sync().pushed == 12


def test_a_clock_that_was_set_back_does_not_hold_a_transaction_for_ever(site: Site) -> None:
    time = WorldTime()
    clock = PartyClock(time)
    with site.device(now=clock) as device:
        device.execute("INSERT INTO fragile (id, value) VALUES ('poison', 13)")
        site.way.dislikes = b'"value":13'
        device.sync()
        site.way.dislikes = b""
        clock.jump(-1000 * HOUR)
        assert device.sync().pushed == 1


def test_many_poisons_among_many(site: Site) -> None:
    with site.device() as device:
        for number in range(200):
            device.execute(
                "INSERT INTO fragile (id, value) VALUES (?, ?)", (f"x{number:03}", 13 if number % 50 == 7 else 1)
            )
        site.way.dislikes = b'"value":13'
        assert device.sync().pushed == 196
        assert len(device.pending()) == 4
        assert site.way.requests < 120


def test_what_depends_on_it_waits_also_when_the_answer_to_its_withdrawal_comes_in_parts(site: Site) -> None:
    """Found by the simulator: between two parts of that answer the dependant went out, and was refused for ever."""
    carry = site.way._way.exchange

    def in_parts(body: bytes) -> Any:
        if b'"withdrawn":true' in body and not written:
            written.append(body)
            for number in range(3):
                other.execute("INSERT INTO form (id, title) VALUES (?, ?)", (f"news {number}", "a page" * 300))
            other.sync()
            device.execute("UPDATE fragile SET value = 15 WHERE id = 'poison'")
            body = json.dumps(json.loads(body) | {"limit": 1, "page": 1}).encode()
        return carry(body)

    written: list[bytes] = []
    with site.device() as device, site.device("other") as other:
        other.sync()
        device.sync()
        device.execute("INSERT INTO fragile (id, value) VALUES ('poison', 13)")
        site.way.dislikes = b'"value":13'
        site.way._way.exchange = in_parts
        device.sync()
        assert len(written) == 1
        assert device.refused() == []
        first, second = device.pending()
        assert (first.attempts, second.waits_for) == (1, [first.txn])
        assert device.execute("SELECT value FROM fragile") == [(15,)]
        assert device.execute("SELECT count(*) FROM form") == [(3,)]
        site.way.dislikes = b""
        device.retry(first.txn)
        assert device.sync().pushed == 2
    assert site.rows("fragile") == [("poison", 15)]


@pytest.mark.parametrize(("failures", "state"), [(1, "pending"), (2, "parked")])
def test_a_hub_that_has_lost_its_history_has_let_go_too(site: Site, failures: int, state: str) -> None:
    """Found by the simulator: what had no name any more was waited for, by everything else, for ever."""
    time = WorldTime()
    with site.device(now=PartyClock(time)) as device:
        device.execute("INSERT INTO form (id) VALUES ('known')")
        device.sync()
        device.execute("INSERT INTO fragile (id, value) VALUES ('poison', 13)")
        site.way.dislikes = b'"value":13'
        for _ in range(failures - 1):
            device.sync()
            time.advance(MINUTE + 1)
        site.lose()
        site.way.most = site.way.requests + 10
        device.sync()
        device.execute("INSERT INTO form (id) VALUES ('more')")
        assert device.sync().pushed == 1
        (waiting,) = device.pending()
        assert (waiting.state, waiting.attempts, waiting.withdrawn) == (state, failures, False)
