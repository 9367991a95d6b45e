"""Access is taken away while a device has unsent edits: rows go, edits stay, and go out when access is back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import holdfast as hf
from tests.integration.spaces.ground import World, family, keys, refusals

ONE = {"project:1": "rw"}


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as things:
        yield World(request.param, tmp_path, things)


def one_round(world: World, device: hf.Replica, user: str) -> None:
    """One request and its answer, by hand."""
    answer = world.server.handle(device.build_request(), hf.Identity(user))
    assert answer.status == 200
    device.apply_response(iter(answer))


def typed_offline(ben: hf.Replica) -> None:
    """Three transactions: an edit, a new row, and a child of the new row."""
    ben.execute("update answer set text = 'typed offline', stars = stars + 5")
    ben.execute("insert into answer (id, submission, text) values ('new', 's', 'mine')")
    ben.execute("insert into photo (id, answer, name) values ('of new', 'new', 'mine too')")


def test_trap_16_a_revoked_space_is_gone_after_one_round_and_unsent_edits_are_listed(world: World) -> None:
    anna, ben = world.device("anna"), world.device("ben", {**ONE, "project:2": "rw"})
    family(anna)
    anna.execute("insert into submission (id, project) values ('other', '2')")
    world.agree(anna, ben)
    typed_offline(ben)
    world.access["ben"] = {"project:2": "rw"}
    one_round(world, ben, "ben")
    assert [keys(ben, table) for table in ("submission", "answer", "photo")] == [["other"], [], []]
    edit, new, child = ben.refused()
    assert [one.code for one in (edit, new, child)] == ["forbidden_space", "forbidden_space", "foreign_key"]
    assert edit.operations[0]["set"] == {"text": "typed offline", "stars": 5}
    assert new.operations[0]["set"]["text"] == "mine"
    assert new.dependants == [child.txn] and child.needed == [new.txn]
    assert list(ben.spaces()) == ["project:2"]
    world.agree(ben, anna)
    assert anna.execute("select text from answer")[0][0] == ""


def test_what_was_kept_can_be_sent_again_when_access_is_back(world: World) -> None:
    anna, ben = world.device("anna"), world.device("ben", ONE)
    family(anna)
    world.agree(anna, ben)
    typed_offline(ben)
    world.access["ben"] = {}
    ben.sync()
    assert len(ben.refused()) == 3 and keys(ben, "answer") == []
    ben.retry(ben.refused()[0].txn)
    ben.sync()
    assert len(ben.refused()) == 3, "still forbidden, still kept"
    anna.execute("update answer set text = 'meanwhile'")
    anna.sync()
    world.access["ben"] = ONE
    ben.sync()
    assert keys(ben, "answer") == ["a"]
    assert len(ben.refused()) == 3
    for one in ben.refused():
        ben.retry(one.txn)
    assert keys(ben, "photo") == ["of new", "photo of a"]
    world.agree(ben, anna)
    assert ben.refused() == []
    assert keys(anna, "photo") == ["of new", "photo of a"]
    assert anna.execute("select stars from answer where id = 'a'")[0][0] == 5
    assert world.spaces("photo")["of new"] == "project:1"


def test_access_that_is_back_before_anybody_asked_changes_nothing(world: World) -> None:
    anna, ben = world.device("anna"), world.device("ben", ONE)
    family(anna)
    world.agree(anna, ben)
    typed_offline(ben)
    world.access["ben"] = {}
    world.access["ben"] = ONE
    world.agree(ben, anna)
    assert ben.refused() == [] and keys(anna, "photo") == ["of new", "photo of a"]


def test_a_reader_knows_that_he_is_one_and_his_edits_are_refused_and_kept(world: World) -> None:
    anna, ben = world.device("anna"), world.device("ben", {"project:1": "r", "project:2": "rw"})
    family(anna)
    world.agree(anna, ben)
    assert ben.spaces() == {"project:1": "r", "project:2": "rw"}
    assert ben.status.spaces["project:1"]["access"] == "r"
    typed_offline(ben)
    world.agree(ben, anna)
    assert refusals(ben) == [
        ("forbidden_space", "answer", "a"),
        ("forbidden_space", "answer", "new"),
        ("foreign_key", "photo", "of new"),
    ]
    assert ben.refused()[0].details == {"space": "project:1", "access": "r"}
    assert [tuple(row) for row in ben.execute("select id, text from answer")] == [("a", "")]
    world.access["ben"] = ONE
    for one in ben.refused():
        ben.retry(one.txn)
    world.agree(ben, anna)
    assert ben.spaces() == ONE
    assert ben.refused() == [] and keys(anna, "answer") == ["a", "new"]


def test_write_access_that_becomes_read_access_keeps_the_rows(world: World) -> None:
    anna, ben = world.device("anna"), world.device("ben", ONE)
    family(anna)
    world.agree(anna, ben)
    ben.execute("update submission set title = 'typed offline'")
    world.access["ben"] = {"project:1": "r"}
    world.agree(ben, anna)
    assert refusals(ben) == [("forbidden_space", "submission", "s")]
    assert [tuple(row) for row in ben.execute("select id, title from submission")] == [("s", "")]
    anna.execute("update submission set title = 'goes on'")
    world.agree(anna, ben)
    assert ben.execute("select title from submission")[0][0] == "goes on"
