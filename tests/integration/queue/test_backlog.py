"""A device comes back after thirty days with a long queue and one transaction that the hub must refuse."""

from __future__ import annotations

import pytest

import holdfast as hf
from holdfast.testing.clock import DAY, PartyClock, WorldTime
from tests.integration.queue.site import Site


@pytest.mark.parametrize("count", [1_000, 10_000])
def test_everything_else_arrives(site: Site, count: int) -> None:
    @site.hub.before_write("form")
    def check(change: hf.Change, context: hf.Context) -> None:
        if change.new and change.new["title"] == "poison":
            raise hf.Refuse("this form is poisoned", code="poisoned")

    time, middle = WorldTime(), count // 2
    with site.device(now=PartyClock(time)) as device:
        device.sync()
        for number in range(count - 2):
            if number == middle:
                with device.transaction("the poison"):
                    device.execute("INSERT INTO form (id, title) VALUES ('bad', 'poison')")
                    device.execute("INSERT INTO album (id) VALUES ('a1')")
            device.execute("INSERT INTO form (id, title) VALUES (?, ?)", (f"f{number}", f"form {number}"))
            if number == middle + 1:
                device.execute("INSERT INTO photo (id, album) VALUES ('p1', 'a1')")
            time.advance(30 * DAY // count)
        report = device.sync()
        assert report.pushed == count - 2
        poison, dependant = device.refused()
        assert (poison.label, poison.code, poison.message) == ("the poison", "poisoned", "this form is poisoned")
        assert (poison.txn, poison.dependants) == (middle + 1, [dependant.txn])
        assert (dependant.code, dependant.needed) == ("foreign_key", [poison.txn])
        assert device.pending() == []
    assert len(site.rows("form")) == count - 2
