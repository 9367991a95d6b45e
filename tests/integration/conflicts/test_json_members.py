"""Members of JSON that two devices wrote at once: in the inbox, decided on devices and at the hub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.errors import HoldfastError
from tests.integration.conflicts.site import STORES, Site, site

OFFICE = hf.Identity("office", {"s": "rw"})


class Plant(hf.Table, space="s"):
    config: hf.Json = {}  # noqa: RUF012 (a declaration)
    name: str = ""


SCHEMA = hf.Schema(Plant)
START = {"limits": {"max": 10, "min": 1}, "steps": ["a", {"do": "b"}], "note": "n"}


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with site(request.param, tmp_path, SCHEMA) as found:
        yield found


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Site]:
    with site("memory", tmp_path, SCHEMA) as found:
        yield found


def started(place: Site) -> tuple[hf.Replica, hf.Replica]:
    ann, ben = place.device("ann"), place.device("ben")
    ann.execute("insert into plant (id, config) values ('k', ?)", (json.dumps(START),))
    place.rest(ann, ben)
    place.later()
    return ann, ben


def put(device: hf.Replica, path: str, value: Any) -> None:
    device.execute("update plant set config = json_set(config, ?, json(?))", (path, json.dumps(value)))


def config(device: hf.Replica) -> Any:
    return json.loads(device.execute("select config from plant")[0][0])


def meet(place: Site) -> tuple[hf.Replica, hf.Replica, hf.Conflict]:
    """Both write one limit, each another member beside it; gives the conflict as Ben sees it."""
    ann, ben = started(place)
    put(ann, "$.limits.max", 20)
    put(ann, "$.note", "ann's")
    place.later()
    put(ben, "$.limits.max", 30)
    put(ben, "$.limits.min", 3)
    place.rest(ann, ben)
    (found,) = ben.conflicts()
    return ann, ben, found


def test_one_member_is_in_the_inbox_and_the_rest_is_merged(place: Site) -> None:
    ann, ben, found = meet(place)
    assert (found.column, found.path, found.rule, found.state) == ("config", "/limits/max", "json", "auto")
    assert (found.base, found.has_base, found.mine, found.theirs) == (10, True, 30, 20)
    assert (found.mine_by.user, found.theirs_by.user, found.deleted) == ("ben", "ann", "")
    stays = found.mine if found.winner == "mine" else found.theirs
    assert found.result == stays
    merged = {**START, "limits": {"max": stays, "min": 3}, "note": "ann's"}
    assert config(ann) == config(ben) == merged
    (again,) = ann.conflicts()
    assert (again.mine, again.theirs) == (20, 30)
    (entry,) = [entry for entry in place.server.history("plant", "k") if entry.conflicts]
    assert [one["column"] for one in entry.conflicts] == ["config/limits/max"]
    other = "theirs" if found.winner == "mine" else "mine"
    put(ann, "$.note", "later")
    place.later()
    ben.resolve(found, other)
    place.rest(ann, ben)
    assert config(ann) == {**merged, "limits": {"max": 50 - stays, "min": 3}, "note": "later"}
    assert len(ann.conflicts()) == 1
    assert [(c.state, c.result, c.resolved_by) for c in ann.conflicts()] == [("resolved", 50 - stays, "ben")]


def test_two_answers_at_once_come_to_one_and_make_no_new_conflict(memory: Site) -> None:
    """Whoever answers later at the hub is right, whichever way the documents' own order goes."""
    for first, second in ((100, 200), (200, 100)):
        with site("memory", memory.folder, SCHEMA) as place:
            place.folder = memory.folder / f"{first}"
            place.folder.mkdir()
            ann, ben, found = meet(place)
            ann.resolve(found.id, first)
            place.later()
            ben.resolve(found.id, second)
            place.rest(ann, ben)
            assert config(ann)["limits"] == {"max": second, "min": 3}
            assert [(c.state, c.result, c.resolved_by) for c in ann.conflicts()] == [("resolved", second, "ben")]


def test_a_decision_at_the_hub(memory: Site) -> None:
    ann, ben, found = meet(memory)
    lost = found.theirs if found.winner == "mine" else found.mine
    decided = memory.server.restore(memory.server.conflicts()[0], OFFICE)
    assert (decided.result, decided.path, decided.resolved_by) == (lost, "/limits/max", "office")
    memory.rest(ann, ben)
    assert config(ben)["limits"] == {"max": lost, "min": 3}


def test_a_part_that_one_deleted_while_the_other_wrote_in_it(memory: Site) -> None:
    ann, ben = started(memory)
    ann.execute("update plant set config = json_remove(config, '$.limits')")
    memory.later()
    put(ben, "$.limits.max", 30)
    memory.rest(ann, ben)
    (found,) = ben.conflicts()
    assert (found.path, found.base, found.mine, found.deleted) == ("/limits/max", 10, 30, "theirs")
    assert "limits" not in config(ann)
    assert found.result is None
    ben.resolve(found, "mine")
    memory.rest(ann, ben)
    assert config(ann)["limits"] == {"max": 30}
    ben.resolve(found, "theirs")
    memory.rest(ann, ben)
    assert config(ann)["limits"] == {}


def test_a_member_that_one_deleted_and_the_other_wrote(memory: Site) -> None:
    ann, ben = started(memory)
    put(ann, "$.note", "new")
    memory.later()
    ben.execute("update plant set config = json_remove(config, '$.note')")
    memory.rest(ann, ben)
    (found,) = ben.conflicts()
    assert (found.path, found.base, found.theirs, found.deleted, found.result) == ("/note", "n", "new", "mine", "new")
    ben.restore(found)
    memory.rest(ann, ben)
    assert "note" not in config(ann)
    assert ann.conflicts()[0].result is None


def test_an_element_that_has_moved_is_not_written(memory: Site) -> None:
    ann, ben = started(memory)
    put(ann, "$.steps[1].do", "x")
    memory.later()
    put(ben, "$.steps[1].do", "y")
    memory.rest(ann, ben)
    (found,) = ben.conflicts()
    assert found.path == "/steps/1/do"
    put(ann, "$.steps[#]", {"do": "last"})
    ann.execute("update plant set config = json_remove(config, '$.steps[0]')")
    memory.rest(ann, ben)
    with pytest.raises(HoldfastError) as problem:
        ben.resolve(found, "theirs" if found.winner == "mine" else "mine")
    assert problem.value.code == "conflict_gone"
    assert config(ben)["steps"] == [{"do": found.result}, {"do": "last"}]


def test_who_has_seen_it_meets_nothing(memory: Site) -> None:
    ann, ben = started(memory)
    put(ann, "$.limits.max", 20)
    memory.rest(ann, ben)
    put(ben, "$.limits.max", 30)
    put(ann, "$.steps[#]", "c")
    put(ben, "$.steps[#]", "d")
    memory.rest(ann, ben)
    assert ben.conflicts() == []


def test_a_device_that_goes_on_writing_what_lost(memory: Site) -> None:
    """Each write of a member that met another one is told, with what its own writer had seen as base."""
    ann, ben = started(memory)
    put(ann, "$.note", "a")
    with ben.transaction():
        put(ben, "$.note", "b1")
    with ben.transaction():
        ben.execute("update plant set name = 'x'")
        put(ben, "$.note", "b2")
    memory.rest(ann, ben)
    found = ben.conflicts()
    assert [(c.base, c.mine, c.theirs) for c in found] in ([("n", "b2", "a")], [("n", "b1", "a"), ("b1", "b2", "a")])
    assert config(ann)["note"] == found[-1].result
