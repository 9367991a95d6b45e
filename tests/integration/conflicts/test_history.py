"""The history: read at the hub and on a device, rows as they were, retention, export, on all stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast as hf
from tests.integration.conflicts.site import STORES, Site, site

DAY = 24 * 60 * 60 * 1000


class Kept(hf.Table, space="{room}"):
    room: str = "s"
    title: str = ""
    hits: hf.Counter = 0


class Short(hf.Table, space="s", history="10 days"):
    title: str = ""


SCHEMA = hf.Schema(Kept, Short)


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with site(request.param, tmp_path, SCHEMA) as found:
        yield found


def busy_row(place: Site) -> tuple[hf.Replica, hf.Replica, list[int]]:
    """A row with a history, and the moments after each of its changes."""
    ann, ben = place.device("ann"), place.device("ben")
    moments = []
    for label, sql in (
        ("made", "insert into kept (id, title) values ('k', 'one')"),
        ("named", "update kept set title = 'two', hits = hits + 3"),
        ("gone", "delete from kept"),
        ("again", "insert into kept (id, title) values ('k', 'three')"),
    ):
        with ann.transaction(label=label):
            ann.execute(sql)
        ann.sync()
        moments.append(place.now)
        place.later()
    place.rest(ann, ben)
    return ann, ben, moments


def test_who_changed_what_when_and_from_what(place: Site) -> None:
    ann, _, moments = busy_row(place)
    found = place.server.history("kept", "k")
    assert [(one.label, one.op, one.was_there, one.is_there, one.at) for one in found] == [
        ("made", "insert", False, True, moments[0]),
        ("named", "update", True, True, moments[1]),
        ("gone", "delete", True, False, moments[2]),
        ("again", "insert", False, True, moments[3]),
    ]
    assert (found[1].user, found[1].device) == ("ann", ann.device)
    assert (found[1].changes, found[1].old) == ({"title": "two", "hits": 3}, {"title": "one", "hits": 0})


def test_a_row_as_it_was(place: Site) -> None:
    _, _, moments = busy_row(place)
    as_of = place.server.as_of
    assert as_of("kept", "k", moments[0] - 1) is None
    assert as_of("kept", "k", moments[0]) == {"id": "k", "room": "s", "title": "one", "hits": 0}
    assert as_of("kept", "k", moments[1]) == {"id": "k", "room": "s", "title": "two", "hits": 3}
    assert as_of("kept", "k", moments[2]) is None
    assert as_of("kept", "k", moments[3] + DAY) == {"id": "k", "room": "s", "title": "three", "hits": 0}
    assert as_of("kept", "nobody", moments[3]) is None


def test_the_rule_is_told_and_what_lost(place: Site) -> None:
    ann, ben, _ = busy_row(place)
    ann.execute("update kept set title = 'A'")
    place.later()
    ben.execute("update kept set title = 'B'")
    ben.sync()
    ann.sync()
    last = place.server.history("kept", "k")[-1]
    assert (last.user, last.kept, last.conflicts[0]["rule"]) == ("ann", ["title"], "register")
    place.rest(ann, ben)
    assert last.conflicts[0]["id"] == ben.conflicts()[0].id


def test_another_programs_write_is_in_it(place: Site) -> None:
    busy_row(place)
    place.foreign("kept", "k", "title", "P")
    last = place.server.history("kept", "k")[-1]
    assert (last.user, last.device, last.changes, last.old) == ("(database)", "", {"title": "P"}, {"title": "three"})


def test_a_device_asks_and_remembers(place: Site) -> None:
    _, ben, _ = busy_row(place)
    told = ben.history("kept", "k")
    assert told == place.server.history("kept", "k")
    with pytest.raises(hf.HoldfastError, match="no table"):
        ben.history("nothing", "k")
    with hf.Replica(ben.path, SCHEMA, url="http://127.0.0.1:1") as offline:
        assert offline.history("kept", "k") == told
        with pytest.raises(hf.HoldfastError) as refusal:
            offline.history("kept", "another")
        assert refusal.value.code == "network"


def test_a_device_is_told_only_of_spaces_that_it_may_read(place: Site) -> None:
    ann, _, _ = busy_row(place)
    wide = place.device("ann", spaces="s x")
    wide.sync()
    wide.execute("update kept set room = 'x', title = 'secret'")
    wide.sync()
    assert [one.label for one in ann.history("kept", "k")] == ["made", "named", "gone", "again"]
    assert len(wide.history("kept", "k")) == 5


def test_old_history_goes_with_its_conflicts(place: Site) -> None:
    ann, ben = place.device("ann"), place.device("ben")
    ann.execute("insert into short values ('s', '0')")
    ann.execute("insert into kept (id) values ('k')")
    place.rest(ann, ben)
    for table in ("short", "kept"):
        ann.execute(f"update {table} set title = 'A'")
        place.later()
        ben.execute(f"update {table} set title = 'B'")
        place.rest(ann, ben)
    assert place.server.collect() == 0
    place.later(11 * DAY)
    assert place.server.collect() == 1
    assert place.server.history("short", "s") == []
    assert len(place.server.history("kept", "k")) == 3
    place.rest(ann, ben)
    assert [conflict.table for conflict in ann.conflicts()] == ["kept"]
    assert place.server.as_of("short", "s", place.now) == {"id": "s", "title": "B"}


def test_old_history_goes_in_steps_that_a_round_comes_between(place: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step is a short transaction; what is left after a stop goes the next time."""
    monkeypatch.setattr("holdfast.hub.history.COLLECTED", 4)
    ann, ben = place.device("ann"), place.device("ben")
    ann.executemany("insert into short values (?, '0')", [(f"s{number}",) for number in range(10)])
    place.rest(ann, ben)
    ann.execute("update short set title = 'A'")
    place.later()
    ben.execute("update short set title = 'B'")
    place.rest(ann, ben)
    place.later(11 * DAY)
    pauses: list[int] = []

    def pause() -> bool:
        pauses.append(len(list(place.server.export_history("short"))))
        ben.execute("insert into kept (id) values (?)", (f"during {len(pauses)}",))
        assert ben.sync().pushed == 1
        return len(pauses) == 3

    assert place.server.hub.collect(pause) == 10
    assert pauses == [26, 22, 18]
    assert place.server.collect() == 0
    assert list(place.server.export_history("short")) == []


def test_an_open_conflict_is_never_collected(tmp_path: Path) -> None:
    class Asked(hf.Table, space="s", history="1 day"):
        title: hf.Review[str] = ""

    with site("memory", tmp_path, hf.Schema(Asked)) as place:
        ann, ben = place.device("ann"), place.device("ben")
        ann.execute("insert into asked values ('k', '')")
        place.rest(ann, ben)
        ann.execute("update asked set title = 'A'")
        ben.execute("update asked set title = 'B'")
        place.rest(ann, ben)
        place.later(9 * DAY)
        assert place.server.collect() == 0
        ann.resolve(ann.conflicts()[0], "mine")
        place.rest(ann, ben)
        assert place.server.collect() == 1


def test_export(place: Site) -> None:
    busy_row(place)
    assert [one.label for one in place.server.export_history("kept")] == ["made", "named", "gone", "again"]
    assert len(list(place.server.export_history())) == 4
