"""In which order transactions are sent: classes first, but never past what they depend on."""

from __future__ import annotations

import pytest

import holdfast as hf
from tests.integration.queue.site import Site


def test_urgent_classes_overtake_slow_ones(site: Site) -> None:
    with site.device() as device:
        device.execute("INSERT INTO photo (id) VALUES ('p1')")
        device.execute("INSERT INTO form (id) VALUES ('f1')")
        device.execute("INSERT INTO photo (id) VALUES ('p2')")
        device.execute("INSERT INTO form (id) VALUES ('f2')")
        assert site.order(device) == ["f1", "f2", "p1", "p2"]


def test_a_slow_parent_is_drawn_forward_by_an_urgent_child(site: Site) -> None:
    with site.device() as device:
        device.execute("INSERT INTO photo (id) VALUES ('p1')")
        device.execute("INSERT INTO album (id) VALUES ('a1')")
        device.execute("INSERT INTO caption (id, album) VALUES ('c1', 'a1')")
        device.execute("INSERT INTO form (id) VALUES ('f1')")
        assert site.order(device) == ["f1", "a1", "c1", "p1"]
        device.sync()
        assert not device.refused()


def test_who_takes_a_unique_value_waits_for_who_frees_it(site: Site) -> None:
    with site.device() as device:
        device.execute("INSERT INTO album (id, name) VALUES ('a1', 'north')")
        device.sync()
        device.execute("UPDATE album SET name = 'south' WHERE id = 'a1'")
        with device.transaction():
            device.execute("INSERT INTO album (id, name) VALUES ('a2', 'north')")
            device.execute("INSERT INTO form (id) VALUES ('f1')")  # makes the transaction urgent
        assert site.order(device) == ["a1", "a2", "f1"]
        device.sync()
        assert not device.refused()


def test_a_parent_is_not_deleted_before_its_child_has_left_it(site: Site) -> None:
    with site.device() as device:
        device.execute("INSERT INTO album (id) VALUES ('a1')")
        device.execute("INSERT INTO photo (id, album) VALUES ('p1', 'a1')")
        device.sync()
        device.execute("UPDATE photo SET album = NULL WHERE id = 'p1'")
        with device.transaction():
            device.execute("DELETE FROM album WHERE id = 'a1'")
            device.execute("INSERT INTO form (id) VALUES ('f1')")
        assert site.order(device) == ["p1", "a1", "f1"]
        device.sync()
        assert not device.refused()


def test_after_holds_independent_transactions_in_order(site: Site) -> None:
    with site.device() as device:
        with device.transaction() as first:
            device.execute("INSERT INTO photo (id) VALUES ('p1')")
        device.pending()  # sealed in between
        with device.transaction(after=[first]) as second:
            device.execute("INSERT INTO form (id) VALUES ('f1')")
        with device.transaction(after=[second, first]):
            device.execute("INSERT INTO form (id) VALUES ('f0')")
        waits = {item.operations[0]["key"]: item.waits_for for item in device.pending()}
        assert waits == {"p1": [], "f1": [1], "f0": [1, 2]}
        assert site.order(device) == ["p1", "f1", "f0"]


def test_after_belongs_to_the_outermost_transaction(site: Site) -> None:
    with site.device() as device:
        with device.transaction() as first:
            device.execute("INSERT INTO photo (id) VALUES ('p1')")
        with (
            pytest.raises(hf.HoldfastError, match="outermost"),
            device.transaction(),
            device.transaction(after=[first]),
        ):
            pass


def test_a_class_has_its_own_batch_size(site: Site) -> None:
    with site.device() as device:
        for number in range(5):
            device.execute("INSERT INTO sample (id) VALUES (?)", (f"s{number}",))
        device.execute("INSERT INTO photo (id) VALUES ('p1')")
        assert site.order(device) == ["s0", "s1", "p1"]
        report = device.sync()
        assert (report.pushed, report.rounds) == (6, 3)


def test_what_is_under_way_goes_alone(site: Site) -> None:
    """As long as nobody knows where they are, nothing new gets a name: it stays free to be joined or cancelled."""
    with site.device() as device:
        device.execute("INSERT INTO form (id) VALUES ('f1')")
        assert site.order(device) == ["f1"]  # never arrives
        device.execute("INSERT INTO form (id) VALUES ('f2')")
        assert site.order(device) == ["f1"]
        assert [item.state for item in device.pending()] == ["sending", "pending"]
        assert device.sync().pushed == 2


def test_downloads_wait_for_a_class_that_goes_first(site: Site) -> None:
    with site.device("other") as other, other.transaction():
        for number in range(2_000):
            other.execute("INSERT INTO form (id, title) VALUES (?, ?)", (f"f{number}", "x" * 400))
    with site.device("other") as other:
        other.sync()
    with site.device() as device:
        for number in range(5):
            device.execute("INSERT INTO sample (id) VALUES (?)", (f"s{number}",))
        site.way.limits.clear()
        report = device.sync()
        assert report.pushed == 5
        assert device.execute("SELECT count(*) FROM form") == [(2_000,)]
        assert site.way.limits == [1, 1, None]
