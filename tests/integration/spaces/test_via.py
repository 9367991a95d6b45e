"""Rows that live where their parents live: on every store, by devices and by other programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.stores.memory import MemoryTransaction
from tests.integration.spaces.ground import BOTH, World, family, keys, refusals, write_past_constraints

KINDS = ("memory", "sqlite", "postgres")
WITH_SQL = pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)
IN_MEMORY = pytest.mark.parametrize("world", ["memory"], indirect=True)


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as things:
        yield World(request.param, tmp_path, things)


def test_children_live_where_their_parents_live(world: World) -> None:
    anna, one, two = (
        world.device("anna"),
        world.device("one", {"project:1": "r"}),
        world.device("two", {"project:2": "r"}),
    )
    family(anna)
    world.agree(anna, one, two)
    assert world.spaces("answer") == {"a": "project:1"}
    assert world.spaces("photo") == {"photo of a": "project:1"}
    assert keys(one, "photo") == ["photo of a"]
    assert keys(two, "photo") == []


def test_children_move_with_their_parent(world: World) -> None:
    anna, ben = world.device("anna"), world.device("ben")
    one, two = world.device("one", {"project:1": "r"}), world.device("two", {"project:2": "r"})
    family(anna, names=("a", "b"))
    world.agree(anna, ben, one, two)
    ben.execute("update submission set project = '2'")
    world.agree(ben, anna, one, two)
    assert set(world.spaces("photo").values()) == {"project:2"}
    for table, found in (("submission", ["s"]), ("answer", ["a", "b"]), ("photo", ["photo of a", "photo of b"])):
        assert keys(anna, table) == keys(two, table) == found
        assert keys(one, table) == []
    anna.execute("update submission set project = '1'")
    world.agree(anna, ben, one, two)
    assert keys(one, "photo") == ["photo of a", "photo of b"]
    assert keys(two, "photo") == []


def test_a_child_moves_when_it_names_another_parent(world: World) -> None:
    anna, two = world.device("anna"), world.device("two", {"project:2": "r"})
    family(anna)
    anna.execute("insert into submission (id, project) values ('t', '2')")
    world.agree(anna, two)
    anna.execute("update answer set submission = 't'")
    world.agree(anna, two)
    assert world.spaces("answer") == {"a": "project:2"}
    assert keys(two, "photo") == ["photo of a"]


def test_a_child_may_come_before_its_parent_in_a_transaction(world: World) -> None:
    anna, ben = world.device("anna"), world.device("ben")
    with anna.transaction():
        anna.execute("insert into photo (id, answer) values ('p', 'a')")
        anna.execute("insert into answer (id, submission) values ('a', 's')")
        anna.execute("insert into submission (id, project) values ('s', '2')")
    world.agree(anna, ben)
    assert world.spaces("photo") == {"p": "project:2"}
    assert keys(ben, "photo") == ["p"]


def test_parent_and_child_move_and_change_in_one_transaction(world: World) -> None:
    anna, ben = world.device("anna"), world.device("ben")
    family(anna)
    world.agree(anna, ben)
    with anna.transaction():
        anna.execute("update photo set name = 'first'")
        anna.execute("update submission set project = '2'")
        anna.execute("insert into answer (id, submission) values ('b', 's')")
        anna.execute("update answer set text = 'after', stars = stars + 1")
    world.agree(anna, ben)
    assert world.spaces("answer") == {"a": "project:2", "b": "project:2"}
    assert world.spaces("photo") == {"photo of a": "project:2"}
    assert [tuple(row) for row in ben.execute("select id, text, stars from answer order by id")] == [
        ("a", "after", 1),
        ("b", "after", 1),
    ]


def test_a_new_child_follows_a_parent_that_somebody_else_moved(world: World) -> None:
    """The device that sends the child learns of the move in the same answer, and is not sent its own row."""
    anna, ben = world.device("anna"), world.device("ben")
    family(anna)
    world.agree(anna, ben)
    ben.execute("update submission set project = '2'")
    ben.sync()
    anna.execute("insert into answer (id, submission) values ('late', 's')")
    anna.execute("insert into photo (id, answer) values ('later', 'late')")
    anna.sync()
    for space in BOTH:
        assert anna.digest(space) == world.hub_digest(space)
    assert world.spaces("photo")["later"] == "project:2"
    world.agree(anna, ben)


@pytest.mark.parametrize("parent_on_the_hub", [False, True])
def test_a_child_whose_parent_the_hub_does_not_have_is_refused(world: World, parent_on_the_hub: bool) -> None:
    """Ben made the parent on his device and has not synced; what names it on Anna's device is refused and kept."""
    anna, ben = world.device("anna"), world.device("ben")
    ben.execute("insert into submission (id, project) values ('s', '1')")
    if parent_on_the_hub:
        ben.sync()
    anna.sync()
    write_past_constraints(anna, "insert into answer (id, submission) values ('a', 's')")
    anna.sync()
    if parent_on_the_hub:
        assert anna.refused() == []
        assert world.spaces("answer") == {"a": "project:1"}
    else:
        assert refusals(anna) == [("foreign_key", "answer", "a")]
        assert anna.refused()[0].column == "submission"
        assert world.spaces("answer") == {}
    world.agree(anna, ben)


def test_a_child_of_a_parent_that_this_device_has_not_read_yet(world: World) -> None:
    """The parent arrives with the answer that accepts the child."""
    anna, ben = world.device("anna"), world.device("ben")
    family(ben, project="2")
    ben.sync()
    write_past_constraints(anna, "insert into answer (id, submission) values ('mine', 's')")
    anna.sync()
    assert anna.digest("project:2") == world.hub_digest("project:2")
    world.agree(anna, ben)


def test_a_child_of_a_dead_parent_is_refused_and_lives_again_with_it(world: World) -> None:
    anna, ben = world.device("anna"), world.device("ben")
    family(anna)
    world.agree(anna, ben)
    anna.execute("delete from submission")
    anna.sync()
    ben.execute("update submission set project = '2'")  # has not seen the deletion: the row is kept
    ben.execute("insert into answer (id, submission) values ('b', 's')")
    world.agree(ben, anna)
    assert world.spaces("submission") == {"s": "project:2"}
    assert world.spaces("answer")["b"] == "project:2"
    ben.execute("delete from photo")
    ben.execute("delete from answer")
    ben.execute("delete from submission")
    ben.sync()
    write_past_constraints(ben, "insert into answer (id, submission) values ('c', 's')")
    ben.sync()
    assert [code for code, _, _ in refusals(ben)] == ["foreign_key"]
    world.agree(ben, anna)


def test_a_parent_can_only_be_moved_to_where_its_writer_may_write(world: World) -> None:
    anna, ben = world.device("anna"), world.device("ben", {"project:1": "rw"})
    family(anna)
    world.agree(anna, ben)
    ben.execute("update submission set project = '2'")
    ben.execute("update photo set name = 'goes on'")
    world.agree(ben, anna)
    assert refusals(ben) == [("forbidden_space", "submission", "s")]
    assert set(world.spaces("photo").values()) == {"project:1"}
    assert ben.execute("select project from submission")[0][0] == "1"
    assert anna.execute("select name from photo")[0][0] == "goes on"


def test_nobody_pulls_a_parent_out_of_a_space_that_he_may_only_read(world: World) -> None:
    anna, ben = world.device("anna"), world.device("ben", {"project:1": "r", "project:2": "rw"})
    family(anna)
    world.agree(anna, ben)
    ben.execute("update submission set project = '2'")
    ben.execute("insert into answer (id, submission) values ('b', 's')")
    world.agree(ben, anna)
    assert refusals(ben) == [("forbidden_space", "submission", "s"), ("forbidden_space", "answer", "b")]
    assert set(world.spaces("answer").values()) == {"project:1"}


def test_a_child_does_not_leak_into_a_hidden_space_nor_tell_its_name(world: World) -> None:
    anna, ben = world.device("anna"), world.device("ben", {"project:1": "rw"})
    family(anna, project="2")
    anna.sync()
    ben.sync()
    write_past_constraints(ben, "insert into answer (id, submission) values ('spy', 's')")
    ben.sync()
    [refused] = ben.refused()
    assert (refused.code, refused.key) == ("forbidden_space", "spy")
    assert "project:2" not in refused.message and refused.details == {}
    world.agree(anna, ben)
    assert keys(anna, "answer") == ["a"]


@pytest.mark.parametrize("readable", [True, False])
def test_trap_16_a_parent_moves_while_its_children_have_unsent_edits(world: World, readable: bool) -> None:
    anna = world.device("anna")
    ben = world.device("ben", BOTH if readable else {"project:1": "rw"})
    family(anna)
    world.agree(anna, ben)
    ben.execute("update photo set name = 'typed offline'")
    ben.execute("insert into answer (id, submission, text) values ('b', 's', 'typed offline')")
    anna.execute("update submission set project = '2'")
    anna.sync()
    world.agree(ben, anna)
    if readable:
        assert ben.refused() == []
        assert anna.execute("select name from photo")[0][0] == "typed offline"
        assert world.spaces("answer")["b"] == "project:2"
        return
    assert [(one.code, one.table) for one in ben.refused()] == [
        ("forbidden_space", "photo"),
        ("forbidden_space", "answer"),
    ]
    assert [one.operations[0]["set"] for one in ben.refused()] == [
        {"name": "typed offline"},
        {"submission": "s", "text": "typed offline"},
    ]
    assert keys(ben, "photo") == keys(ben, "answer") == []
    assert anna.execute("select name from photo")[0][0] == ""


def test_a_tree_moves_with_its_root(world: World) -> None:
    anna, ben = world.device("anna"), world.device("ben")
    with anna.transaction():
        for key, parent in (("d", "c"), ("c", "b"), ("b", "a"), ("a", None)):
            anna.execute("insert into folder (id, parent) values (?, ?)", (key, parent))
    world.agree(anna, ben)
    assert set(world.spaces("folder").values()) == {"project:1"}
    ben.execute("update folder set project = '2' where id = 'a'")
    world.agree(ben, anna)
    assert set(world.spaces("folder").values()) == {"project:2"}
    anna.execute("update folder set parent = null where id = 'c'")
    world.agree(anna, ben)
    assert world.spaces("folder") == {"a": "project:2", "b": "project:2", "c": "project:1", "d": "project:1"}


def test_rows_that_name_each_other_in_a_circle_stay_together(world: World) -> None:
    anna, ben = world.device("anna"), world.device("ben")
    with anna.transaction():
        anna.execute("insert into folder (id, project, parent) values ('a', '2', 'b')")
        anna.execute("insert into folder (id, parent) values ('b', 'a')")
        anna.execute("insert into folder (id, parent) values ('c', 'b')")
        anna.execute("insert into folder (id, parent) values ('self', 'self')")
    world.agree(anna, ben)
    assert world.spaces("folder") == {"a": "project:2", "b": "project:2", "c": "project:2", "self": "project:1"}
    anna.execute("update folder set parent = null, project = '1' where id = 'a'")
    world.agree(anna, ben)
    assert set(world.spaces("folder").values()) == {"project:1"}


def test_children_of_a_users_own_rows_belong_to_him(world: World) -> None:
    anna = world.device("anna", {"user:anna": "rw"})
    boss = world.device("boss", {"user:anna": "rw", "user:boss": "rw"})
    anna.execute("insert into diary (id) values ('d')")
    world.agree(anna, boss)
    boss.execute("insert into leaf (id, diary) values ('l', 'd')")
    world.agree(boss, anna)
    assert world.spaces("leaf") == {"l": "user:anna"}
    assert keys(anna, "leaf") == ["l"]


def test_a_foreign_key_of_several_columns_in_another_order(world: World) -> None:
    anna, ben = world.device("anna", {"city": "rw"}), world.device("ben", {"city": "rw"})
    anna.execute("insert into street (town, number) values ('x', 7)")
    anna.execute("insert into house (id, number, town) values ('h', 7, 'x')")
    world.agree(anna, ben)
    assert world.spaces("house") == {"h": "city"}


@WITH_SQL
def test_other_programs_move_parents_and_children(world: World) -> None:
    anna, two = world.device("anna"), world.device("two", {"project:2": "r"})
    world.run(
        "insert into submission (id, project) values ('s', '1'), ('t', '2')",
        "insert into answer (id, submission) values ('a', 's')",
        "insert into photo (id, answer) values ('p', 'a')",
    )
    world.agree(anna, two)
    assert world.spaces("photo") == {"p": "project:1"}
    world.run("update submission set project = '2' where id = 's'")
    world.agree(anna, two)
    assert keys(two, "photo") == ["p"]
    world.run("update submission set project = '1'", "update answer set submission = 't'")
    world.agree(anna, two)
    assert world.spaces("photo") == {"p": "project:1"}
    assert keys(two, "photo") == []


@WITH_SQL
@pytest.mark.parametrize("count", [10, 2_500])
def test_other_programs_may_write_children_before_parents(world: World, count: int) -> None:
    """The notes of the parents come after those of all children, in another part of the drain."""
    anna = world.device("anna")
    if world.kind == "postgres":
        world.run("alter table answer alter constraint answer_submission_fkey initially deferred")
    values = ", ".join(f"('a{n:04}', 's{n % 7}')" for n in range(count))
    world.run(
        f"insert into answer (id, submission) values {values}",
        "insert into submission (id, project) values " + ", ".join(f"('s{n}', '{1 + n % 2}')" for n in range(7)),
    )
    world.agree(anna)
    assert len(keys(anna, "answer")) == count
    assert set(world.spaces("answer").values()) == {"project:1", "project:2"}


@WITH_SQL
def test_a_child_waits_aside_until_its_parent_can_be_read(world: World) -> None:
    """The parent's project has a control character, and no space can be named so; then somebody corrects it."""
    anna = world.device("anna")
    world.run(
        "insert into submission (id, project) values ('s', 'a\x01b'), ('fine', '1')",
        "insert into answer (id, submission) values ('a', 's'), ('b', 'fine')",
        "insert into photo (id, answer) values ('p', 'a')",
    )
    world.agree(anna)
    assert keys(anna, "answer") == ["b"]
    assert [(one.table, one.key) for one in world.server.aside()] == [
        ("submission", "s"),
        ("answer", "a"),
        ("photo", "p"),
    ]
    world.run("update submission set project = '2' where id = 's'")
    world.agree(anna)
    assert world.server.aside() == []
    assert world.spaces("photo") == {"p": "project:2"}
    assert keys(anna, "photo") == ["p"]


@IN_MEMORY
def test_foreign_writes_in_the_memory_store(world: World) -> None:
    anna, two = world.device("anna"), world.device("two", {"project:2": "r"})
    store = world.memory
    store.foreign_write("submission", ["s"], ["1", ""])
    store.foreign_write("answer", ["a"], ["s", "", 0])
    world.agree(anna, two)
    store.foreign_write("submission", ["s"], ["2", ""])
    world.agree(anna, two)
    assert keys(two, "answer") == ["a"]


@IN_MEMORY
@pytest.mark.parametrize("by_device", [True, False])
def test_a_move_asks_the_store_the_same_number_of_questions_for_any_number_of_children(
    world: World, by_device: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for name in ("rows", "children", "current"):
        real: Any = getattr(MemoryTransaction, name)

        def counted(self: Any, *arguments: Any, real: Any = real, name: str = name) -> Any:
            asked.append(name)
            return real(self, *arguments)

        monkeypatch.setattr(MemoryTransaction, name, counted)
    anna = world.device("anna")
    family(anna, names=["a"])
    anna.sync()
    counts = []
    for project in ("2", "1", "2"):
        if len(counts) == 2:
            with anna.transaction():
                for number in range(200):
                    anna.execute("insert into answer (id, submission) values (?, 's')", (f"b{number:03}",))
            anna.sync()
        asked.clear()
        if by_device:
            anna.execute("update submission set project = ?", (project,))
            anna.sync()
        else:
            world.memory.foreign_write("submission", ["s"], [project, ""])
            world.server.sequence_foreign_writes()
        counts.append(len(asked))
    assert counts[0] == counts[1] == counts[2] <= 8
    assert set(world.spaces("answer").values()) == {"project:2"}


def test_every_child_insert_of_a_push_is_placed_by_one_question(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    anna = world.device("anna")
    family(anna)
    anna.sync()
    for number in range(50):
        anna.execute("insert into answer (id, submission) values (?, 's')", (f"b{number:03}",))
    asked = 0
    kind = type(world.server.hub._store.transaction(write=False).__enter__()) if world.kind == "memory" else None
    if kind is not None:
        real = kind.rows

        def counted(self: Any, *arguments: Any) -> Any:
            nonlocal asked
            asked += 1
            return real(self, *arguments)

        monkeypatch.setattr(kind, "rows", counted)
    anna.sync()
    assert asked <= 2
    assert len(world.spaces("answer")) == 51


def in_steps(device: hf.Replica, *steps: Sequence[str]) -> None:
    """Each step is a transaction of its own on the wire: a row of its own keeps it apart from the others."""
    for number, statements in enumerate(steps):
        with device.transaction():
            device.execute("insert into submission (id, project) values (?, '1')", (f"step {number}",))
            for statement in statements:
                device.execute(statement)


STEP_BY_STEP = {
    "a row becomes its own parent": (
        ["insert into folder (id, project) values ('f', '1')"],
        ["update folder set parent = 'f', project = '2' where id = 'f'"],
    ),
    "its own parent names another project": (
        ["insert into folder (id, project, parent) values ('f', '1', 'f')"],
        ["update folder set project = '2' where id = 'f'"],
    ),
    "a circle is closed after its rows were placed": (
        ["insert into folder (id, project) values ('f', '2')"],
        ["insert into folder (id, project, parent) values ('e', '1', 'f')"],
        ["update folder set parent = 'e' where id = 'f'", "insert into folder (id, parent) values ('g', 'e')"],
    ),
    "a row dies before its parent moves": (
        ["insert into folder (id, project) values ('f', '1')"],
        ["insert into folder (id, parent) values ('e', 'f')"],
        ["delete from folder where id = 'e'"],
        ["update folder set project = '2' where id = 'f'"],
    ),
}


@pytest.mark.parametrize("name", STEP_BY_STEP)
def test_new_rows_that_are_placed_step_by_step_are_where_the_hub_has_them(world: World, name: str) -> None:
    """A device places new rows by what the request leaves of them; the hub has seen each transaction of it."""
    anna, ben = world.device("anna"), world.device("ben")
    in_steps(anna, *STEP_BY_STEP[name])
    assert len(anna.pending()) == len(STEP_BY_STEP[name])
    world.agree(anna, ben)
    assert anna.verify().repaired == []
    assert keys(anna, "folder") == keys(ben, "folder")


def test_a_new_row_that_its_user_wrote_where_another_user_lives_is_where_the_hub_has_it(world: World) -> None:
    """It stays with the user in whose space it lived first, whoever wrote it there."""
    both = {"user:anna": "rw", "user:ben": "rw", "project:1": "rw"}
    anna, ben = world.device("anna", both), world.device("ben", both)
    ben.execute("insert into shelf (id) values ('of ben')")
    world.agree(ben, anna)
    in_steps(
        anna,
        ["insert into shelf (id, above) values ('of anna', 'of ben')"],
        ["update shelf set above = null where id = 'of anna'"],
    )
    world.agree(anna, ben)
    assert world.spaces("shelf")["of anna"] == "user:ben"
    assert anna.verify().repaired == []
