"""A parent goes while a child and its child are made, both living where their parents live: all four policies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import holdfast as hf
from tests.integration.spaces.ground import BOTH, World, keys


class Form(hf.Table, space="project:{project}"):
    project: str


class Refused(hf.Table, space=hf.via("form"), on_parent_deleted="refuse"):
    form: str = hf.column(references=Form)


class RefusedPart(hf.Table, space=hf.via("parent"), on_parent_deleted="refuse"):
    parent: str = hf.column(references=Refused)


class Revived(hf.Table, space=hf.via("form"), on_parent_deleted="revive"):
    form: str = hf.column(references=Form)


class RevivedPart(hf.Table, space=hf.via("parent"), on_parent_deleted="revive"):
    parent: str = hf.column(references=Revived)


class Emptied(hf.Table, space=hf.via("form", root="project:1"), on_parent_deleted="null"):
    form: str | None = hf.column(default=None, references=Form)


class EmptiedPart(hf.Table, space=hf.via("parent", root="project:1"), on_parent_deleted="null"):
    parent: str | None = hf.column(default=None, references=Emptied)


class Gone(hf.Table, space=hf.via("form"), on_parent_deleted="cascade"):
    form: str = hf.column(references=Form)


class GonePart(hf.Table, space=hf.via("parent"), on_parent_deleted="cascade"):
    parent: str = hf.column(references=Gone)


SCHEMA = hf.Schema(Form, Refused, RefusedPart, Revived, RevivedPart, Emptied, EmptiedPart, Gone, GonePart)
HOME, ROOT = "project:2", "project:1"


@pytest.fixture(params=["memory", "sqlite"], scope="module")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as things:
        yield World(request.param, tmp_path_factory.mktemp("hub"), things, SCHEMA)


@pytest.mark.parametrize(
    ("table", "spaces", "rule"),
    [
        ("refused", None, ""),
        ("revived", (HOME, HOME, HOME), "parent_revived"),
        ("emptied", (None, ROOT, ROOT), "parent_deleted"),
        ("gone", (None, None, None), "parent_deleted"),
    ],
)
@pytest.mark.parametrize("children_first", [True, False])
@pytest.mark.parametrize("together", [True, False])
def test_a_chain_of_two(
    world: World,
    table: str,
    spaces: tuple[str | None, str | None, str | None] | None,
    rule: str,
    children_first: bool,
    together: bool,
) -> None:
    name = f"{table}-{children_first}-{together}"
    anna, ben = world.device(f"anna-{name}", BOTH), world.device(f"ben-{name}", BOTH)
    anna.execute("insert into form (id, project) values (?, '2')", (name,))
    world.agree(anna, ben)
    anna.execute("delete from form where id = ?", (name,))
    if together:
        with ben.transaction():
            ben.execute(f"insert into {table} (id, form) values (?1, ?1)", (name,))
            ben.execute(f"insert into {table}_part (id, parent) values (?1, ?1)", (name,))
    else:
        ben.execute(f"insert into {table} (id, form) values (?1, ?1)", (name,))
        ben.execute(f"insert into {table}_part (id, parent) values (?1, ?1)", (name,))
    for device in (ben, anna) if children_first else (anna, ben):
        device.sync()
    world.agree(anna, ben)
    found = tuple(world.spaces(one).get(name) for one in ("form", table, f"{table}_part"))
    if spaces is None:
        assert found == ((HOME, HOME, HOME) if children_first else (None, None, None))
        blamed = (anna if children_first else ben).refused()
        assert {one.code for one in blamed} == {"foreign_key"} if together or children_first else len(blamed) == 2
    else:
        assert found == spaces
        assert anna.refused() == ben.refused() == []
        assert rule in {one.rule for one in ben.conflicts() if one.key == name}
    for one in ("form", table, f"{table}_part"):
        assert (name in keys(anna, one)) == (name in keys(ben, one)) == (name in world.spaces(one))
