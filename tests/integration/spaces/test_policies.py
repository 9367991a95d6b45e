"""Rows that live where their parents live, when a parent is deleted and a policy mends what is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import holdfast as hf
from tests.integration.spaces.ground import BOTH, World, keys


class Form(hf.Table, space="project:{project}"):
    project: str


class Revived(hf.Table, space=hf.via("form"), on_parent_deleted="revive"):
    form: str = hf.column(references=Form)


class Emptied(hf.Table, space=hf.via("form", root="project:1"), on_parent_deleted="null"):
    form: str | None = hf.column(default=None, references=Form)


class Gone(hf.Table, space=hf.via("form"), on_parent_deleted="cascade"):
    form: str = hf.column(references=Form)


SCHEMA = hf.Schema(Form, Revived, Emptied, Gone)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as things:
        yield World(request.param, tmp_path, things, SCHEMA)


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ("revived", {"form": {"f": "project:2"}, "revived": {"c": "project:2"}}),
        ("emptied", {"form": {}, "emptied": {"c": "project:1"}}),
        ("gone", {"form": {}, "gone": {}}),
    ],
)
@pytest.mark.parametrize("child_first", [True, False])
def test_a_parent_is_deleted_while_a_child_is_made(
    world: World, table: str, found: dict[str, dict[str, str]], child_first: bool
) -> None:
    anna, ben = world.device("anna", BOTH), world.device("ben", BOTH)
    anna.execute("insert into form (id, project) values ('f', '2')")
    world.agree(anna, ben)
    anna.execute("delete from form")
    ben.execute(f"insert into {table} (id, form) values ('c', 'f')")
    for device in (ben, anna) if child_first else (anna, ben):
        device.sync()
    world.agree(anna, ben)
    assert {name: world.spaces(name) for name in found} == found
    assert anna.refused() == ben.refused() == []
    for name, rows in found.items():
        assert keys(anna, name) == keys(ben, name) == sorted(rows)
