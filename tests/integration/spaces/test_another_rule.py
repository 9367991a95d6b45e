"""The rule of a space changes: the rows that are there go where the new one sends them. And rows that come before
their parents.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import holdfast as hf
from tests.integration.spaces.ground import World, keys

ALL = {"all": "rw", "project:1": "rw", "project:2": "rw"}


def schema_of(version: int, task: str | hf.Via, note: str | hf.Via) -> hf.Schema:
    """Tasks and their notes, with these rules. The database has no foreign key between them."""

    class Task(hf.Table, space=task):
        project: str
        title: str = ""

    class Note(hf.Table, space=note, foreign_keys=[hf.ForeignKey(("task",), "task", ("id",))]):
        task: str
        project: str = "1"

    return hf.Schema(Task, Note, version=version)


FIRST = schema_of(1, "all", "all")
SECOND = schema_of(2, "project:{project}", hf.via("task"))


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as things:
        yield World(request.param, tmp_path, things, FIRST)


def restart(world: World, schema: hf.Schema) -> None:
    """The hub is deployed anew, with another schema."""
    world.server.close()
    world.schema = schema
    world.server = world.serve()


def fill(device: hf.Replica) -> None:
    for number in "12":
        device.execute("insert into task (id, project) values (?, ?)", (f"t{number}", number))
        device.execute("insert into note (id, task) values (?, ?)", (f"n{number}", f"t{number}"))
    device.execute("insert into task (id, project) values ('gone', '1')")
    device.sync()
    device.execute("delete from task where id = 'gone'")
    device.sync()


def test_rows_go_where_the_new_rule_sends_them(world: World) -> None:
    fill(old := world.device("anna", ALL))
    assert world.spaces("task") == {"t1": "all", "t2": "all"}
    old.close()
    restart(world, SECOND)
    assert world.spaces("task") == {"t1": "project:1", "t2": "project:2"}
    assert world.spaces("note") == {"n1": "project:1", "n2": "project:2"}
    bert = world.device("bert", {"project:1": "rw"})
    bert.sync()
    assert (keys(bert, "task"), keys(bert, "note")) == (["t1"], ["n1"])
    world.agree(bert, all_of_it := world.device("carl", ALL))
    assert keys(all_of_it, "task") == ["t1", "t2"]
    restart(world, schema_of(3, "all", "all"))
    assert set(world.spaces("note").values()) == set(world.spaces("task").values()) == {"all"}


def test_rows_are_not_looked_at_again_without_need(world: World) -> None:
    fill(world.device("anna", ALL))
    restart(world, FIRST)
    with world.server.hub._store.transaction(write=False) as tx:
        assert not tx.has_dirty()
    restart(world, SECOND)
    assert world.server.sequence_foreign_writes() == 4
    with world.server.hub._store.transaction(write=False) as tx:
        heads = tx.spaces(tx.all_spaces())
    restart(world, SECOND)
    with world.server.hub._store.transaction(write=False) as tx:
        assert tx.spaces(tx.all_spaces()) == heads


def test_a_hub_of_the_former_rule_during_the_deployment(tmp_path: Path) -> None:
    """It goes on placing rows where it always did, and moves nothing back; the step after the deployment ends that."""
    with ExitStack() as things:
        world = World("postgres", tmp_path, things, FIRST)
        old, anna = world.server, world.device("anna", ALL)
        fill(anna)
        new = things.enter_context(hf.Server(world.dsn, SECOND))
        new.sequence_foreign_writes()
        assert world.spaces("task") == {"t1": "project:1", "t2": "project:2"}
        anna.execute("insert into task (id, project) values ('late', '2')")
        anna.sync()
        assert world.spaces("task")["late"] == "all"
        things.enter_context(hf.Server(world.dsn, FIRST)).sequence_foreign_writes()  # a process of the old one restarts
        assert world.spaces("task") == {"t1": "project:1", "t2": "project:2", "late": "all"}
        old.close()
        world.server = new
        assert [step.title for step in new.plan()] == ["place the rows of task anew", "place the rows of note anew"]
        new.migrate(phases=["after"])
        assert world.spaces("task") == {"t1": "project:1", "t2": "project:2", "late": "project:2"}
        assert new.plan() == []


class Task(hf.Table, space="project:{project}"):
    project: str = "1"


class Note(hf.Table, space=hf.via("task"), foreign_keys=[hf.ForeignKey(("task",), Task, ("id",))]):
    task: str


ORPHANS = hf.Schema(Task, Note)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_device_brings_the_parent_of_a_row_that_waits_aside(kind: str, tmp_path: Path) -> None:
    """The application's table has no foreign key, so a program may write a child before its parent."""
    with ExitStack() as things:
        world = World(kind, tmp_path, things, ORPHANS)
        anna = world.device("anna", ALL)
        anna.sync()
        if kind == "postgres":
            world.run("alter table note drop constraint note_task_fkey")
        world.run("insert into note (id, task) values ('n', 't'), ('m', 'never')")
        anna.sync()
        assert {one.key for one in world.server.aside()} == {"n", "m"}
        anna.execute("insert into task (id) values ('t')")
        anna.sync()
        assert keys(anna, "note") == ["n"]
        assert [one.key for one in world.server.aside()] == ["m"]
        world.agree(anna)


def test_a_parent_that_came_just_when_its_child_was_put_aside(tmp_path: Path) -> None:
    """Neither has seen the other: the next look finds them."""
    with ExitStack() as things:
        world = World("postgres", tmp_path, things, ORPHANS)
        anna = world.device("anna", ALL)
        anna.execute("insert into task (id) values ('t')")
        anna.sync()
        world.run("alter table note drop constraint note_task_fkey", "insert into note (id, task) values ('n', 't')")
        world.run("update holdfast.dirty set problem = 'as if its parent were not there'")
        world.server.hub._looked -= 3_600_000
        world.server.hub._beat()
        anna.sync()
        assert (keys(anna, "note"), world.server.aside()) == (["n"], [])
