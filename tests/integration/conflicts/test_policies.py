"""Unique and foreign keys that two devices break at once: refused, or mended as the table declares, on all stores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast as hf
from tests.integration.conflicts.site import STORES, Site, site


class Refused(hf.Table, space="s", unique=[("name",)]):
    name: str = ""


class Renamed(hf.Table, space="s", unique=[("level", "name")], on_unique="rename"):
    level: int = 0
    name: str = ""


class Reviewed(hf.Table, space="s", unique=[("name",)], on_unique="review"):
    name: str = ""


class Owner(hf.Table, space="s"):
    name: str = ""
    points: hf.Counter = 0


class Tree(hf.Table, space="s", on_parent_deleted="refuse"):
    owner: str | None = hf.column(default=None, references=Owner)


class Dog(hf.Table, space="s", on_parent_deleted="revive"):
    owner: str | None = hf.column(default=None, references=Owner)


class Toy(hf.Table, space="s", on_parent_deleted="null"):
    owner: str | None = hf.column(default=None, references=Owner)


class Pet(hf.Table, space="s", on_parent_deleted="cascade"):
    name: str = ""
    owner: str | None = hf.column(default=None, references=Owner)


class Flea(hf.Table, space="s", on_parent_deleted="cascade"):
    pet: str | None = hf.column(default=None, references=Pet)


SCHEMA = hf.Schema(Refused, Renamed, Reviewed, Owner, Tree, Dog, Toy, Pet, Flea)


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with site(request.param, tmp_path, SCHEMA) as found:
        yield found


def both(place: Site) -> tuple[hf.Replica, hf.Replica]:
    ann, ben = place.device("ann"), place.device("ben")
    ann.execute("insert into owner (id, name, points) values ('o', 'Olga', 3)")
    place.rest(ann, ben)
    place.later()
    return ann, ben


def test_refused_with_the_other_rows_key(place: Site) -> None:
    ann, ben = both(place)
    ann.execute("insert into refused values ('a', 'roof')")
    ben.execute("insert into refused values ('b', 'roof')")
    ann.sync()
    (refusal,) = ben.sync().refused
    assert (refusal.code, refusal.table, refusal.key, refusal.column) == ("unique", "refused", "b", "name")
    assert ben.refused()[0].details["other"] == "a"
    assert ben.refused()[0].details["columns"] == ["name"]


def test_a_second_name_gets_a_number(place: Site) -> None:
    ann, ben = both(place)
    ann.execute("insert into renamed values ('a', 1, 'roof'), ('c', 1, 'roof (2)')")
    ben.execute("insert into renamed values ('b', 1, 'roof'), ('d', 2, 'roof')")
    ann.sync()
    (told,) = ben.sync().conflicts
    assert (told.rule, told.column, told.mine, told.result, told.winner) == (
        "unique",
        "name",
        "roof",
        "roof (3)",
        "theirs",
    )
    assert (told.state, told.error) == ("auto", "another row: a")
    place.rest(ann, ben)
    assert sorted(ann.execute("select id, name from renamed")) == [
        ("a", "roof"),
        ("b", "roof (3)"),
        ("c", "roof (2)"),
        ("d", "roof"),
    ]
    ben.execute("update renamed set name = 'attic' where id = 'b'")
    place.rest(ben, ann)
    assert len(ann.conflicts()) == 1


def test_an_update_into_a_taken_name_gets_a_number_too(place: Site) -> None:
    ann, ben = both(place)
    ann.execute("insert into renamed values ('a', 1, 'x'), ('b', 1, 'y')")
    place.rest(ann, ben)
    ann.execute("update renamed set name = 'z' where id = 'a'")
    ben.execute("update renamed set name = 'z' where id = 'b'")
    place.rest(ann, ben)
    assert sorted(ben.execute("select name from renamed")) == [("z",), ("z (2)",)]


def test_a_renamed_row_waits_for_a_person(place: Site) -> None:
    ann, ben = both(place)
    ann.execute("insert into reviewed values ('a', 'roof')")
    ben.execute("insert into reviewed values ('b', 'roof')")
    place.rest(ann, ben)
    (waiting,) = ann.conflicts(open=True)
    assert (waiting.key, waiting.rule, waiting.mine, waiting.theirs) == ("b", "unique", "roof", "roof (2)")
    ann.resolve(waiting, "roof of ben")
    place.rest(ann, ben)
    assert ben.execute("select name from reviewed where id = 'b'") == [("roof of ben",)]


@pytest.mark.parametrize("deletion_first", [True, False])
def test_a_child_of_a_deleted_parent_is_refused(place: Site, deletion_first: bool) -> None:
    ann, ben = both(place)
    ann.execute("delete from owner")
    ben.execute("insert into tree values ('t', 'o')")
    first, second = (ann, ben) if deletion_first else (ben, ann)
    first.sync()
    assert [refusal.code for refusal in second.sync().refused] == ["foreign_key"]
    place.rest(first, second)


@pytest.mark.parametrize("deletion_first", [True, False])
def test_the_parent_comes_back_whole(place: Site, deletion_first: bool) -> None:
    ann, ben = both(place)
    ann.execute("delete from owner")
    ben.execute("insert into dog values ('d', 'o')")
    place.rest(*((ann, ben) if deletion_first else (ben, ann)))
    assert ann.execute("select owner from dog") == [("o",)]
    assert ann.execute("select name, points from owner") == [("Olga", 3)]
    (told,) = ann.conflicts()
    assert (told.table, told.key, told.rule, told.state) == ("owner", "o", "parent_revived", "auto")


@pytest.mark.parametrize("deletion_first", [True, False])
def test_the_reference_is_emptied(place: Site, deletion_first: bool) -> None:
    ann, ben = both(place)
    ann.execute("delete from owner")
    ben.execute("insert into toy values ('t', 'o')")
    place.rest(*((ann, ben) if deletion_first else (ben, ann)))
    assert ann.execute("select owner from toy") == [(None,)]
    assert ann.execute("select * from owner") == []
    (told,) = ben.conflicts()
    assert (told.table, told.column, told.rule) == ("toy", "owner", "parent_deleted")
    assert {told.mine, told.theirs} == {"o", None}


@pytest.mark.parametrize("deletion_first", [True, False])
def test_children_go_with_their_parent_and_stay_readable(place: Site, deletion_first: bool) -> None:
    ann, ben = both(place)
    ann.execute("delete from owner")
    with ben.transaction():
        ben.execute("insert into pet values ('p', 'Rex', 'o')")
        ben.execute("insert into flea values ('f', 'p')")
    place.rest(*((ann, ben) if deletion_first else (ben, ann)))
    assert ann.execute("select * from pet") == ann.execute("select * from flea") == []
    told = {conflict.table: conflict for conflict in ben.conflicts()}
    assert sorted(told) == ["flea", "pet"]
    row = ben.execute("select base from holdfast_conflict where table_name = 'pet'")
    assert json.loads(row[0][0]) == {"name": "Rex", "owner": "o"}
    assert {told["pet"].rule, told["flea"].rule} == {"parent_deleted"}


def test_what_no_policy_mends_is_refused_whole(place: Site) -> None:
    ann, ben = both(place)
    ann.execute("delete from owner")
    ann.sync()
    with ben.transaction():
        ben.execute("insert into toy values ('t', 'o')")
        ben.execute("insert into tree values ('u', 'o')")
    assert [refusal.code for refusal in ben.sync().refused] == ["foreign_key"]
    place.rest(ann, ben)
    assert ann.execute("select * from toy") == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unique": [("n",)], "on_unique": "rename"}, "has nothing to rename"),
        ({"on_unique": "guess"}, "use one of refuse, rename, review"),
        ({"on_parent_deleted": "guess"}, "use one of refuse, revive, null, cascade"),
        ({"history": "soon"}, "write a number of days"),
        ({"merge": "guess"}, "use one of register"),
    ],
)
def test_policies_are_checked_when_they_are_declared(options: dict[str, object], message: str) -> None:
    with pytest.raises(hf.HoldfastError, match=message):
        hf.Schema(
            type("Bad", (hf.Table,), {"__annotations__": {"n": int, "t": str}, "__module__": __name__}, **options)
        )
