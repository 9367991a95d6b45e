"""Declaring that rows live where their parents live, and the rule itself."""

from __future__ import annotations

from typing import Any

import pytest

import holdfast as hf
from holdfast.schema import placing


class Project(hf.Table, space="project:{id}", unique=[("code",)]):
    code: str = ""


class Form(hf.Table, space=hf.via("project")):
    project: str = hf.column(references=Project)


class Node(hf.Table, space=hf.via("parent", root="user:{@user}")):
    parent: str | None = hf.column(default=None, references="node")


class Comment(hf.Table, space=hf.via("form", root="user:{@user}")):
    form: str | None = hf.column(default=None, references=Form)


SCHEMA = hf.Schema(Form, Project, Node, Comment)


def test_the_rule_is_part_of_the_schema_and_of_its_hash() -> None:
    form = SCHEMA.table("form")
    assert form.to_json()["space"] == {"via": ["project"]}
    assert SCHEMA.table("node").to_json()["space"] == {"via": ["parent"], "root": "user:{@user}"}
    assert hf.Schema.from_json(SCHEMA.to_json()) == SCHEMA
    assert form.via is not None and form.via.parent == "project"
    assert {parent: [t.name for t in children] for parent, children in SCHEMA.offspring.items()} == {
        "project": ["form"],
        "node": ["node"],
        "form": ["comment"],
    }


def declare(space: Any, **members: Any) -> hf.Schema:
    annotations = {"project": str | None} if members.pop("optional", False) else {"project": str}
    body = {"__annotations__": annotations, "__module__": __name__, **members}
    return hf.Schema(type("Thing", (hf.Table,), body, space=space), Project)


@pytest.mark.parametrize(
    ("space", "members", "says"),
    [
        (hf.via("project"), {}, "needs a foreign key on exactly these columns"),
        (hf.via("other"), {}, "names a column that does not exist"),
        (hf.via("project", "project"), {}, "names a column twice"),
        (hf.via("project"), {"project": hf.column(references=Project, default=None), "optional": True}, "may be NULL"),
        (hf.via("project", root="x"), {"project": hf.column(references=Project)}, "is never NULL; remove root="),
        (hf.via("project"), {"project": hf.column(references="project.code")}, "must refer to the key of project"),
        (
            hf.via("project", root="{nobody}"),
            {"project": hf.column(references=Project, default=None), "optional": True},
            "names a column that does not exist",
        ),
    ],
)
def test_a_wrong_declaration_says_what_to_do(space: Any, members: dict[str, Any], says: str) -> None:
    with pytest.raises(hf.HoldfastError, match=says) as caught:
        declare(space, **members)
    assert caught.value.code == "schema_invalid"


@pytest.mark.parametrize("columns", [(), (1,)])
def test_via_needs_names(columns: Any) -> None:
    with pytest.raises(hf.HoldfastError, match="names of foreign key columns"):
        hf.via(*columns)


def test_two_foreign_keys_on_the_columns_say_nothing() -> None:
    class Thing(hf.Table, space=hf.via("project"), foreign_keys=[hf.ForeignKey("project", Form)]):
        project: str = hf.column(references=Project)

    with pytest.raises(hf.HoldfastError, match="only one may be on these columns"):
        hf.Schema(Thing, Form, Project)


def test_tables_may_not_go_round_in_a_circle() -> None:
    class Egg(hf.Table, space=hf.via("hen")):
        hen: str = hf.column(references="hen")

    class Hen(hf.Table, space=hf.via("egg")):
        egg: str = hf.column(references=Egg)

    class Chick(hf.Table, space=hf.via("egg")):
        egg: str = hf.column(references=Egg)

    with pytest.raises(hf.HoldfastError, match="egg -> hen -> egg"):
        hf.Schema(Egg, Hen)
    with pytest.raises(hf.HoldfastError, match="go round in a circle"):
        hf.Schema(Chick, Egg, Hen)


def place(rows: dict[tuple[str, str], placing.Resident], user: str | None = "ann", **elsewhere: str) -> dict[str, str]:
    found = placing.Placing(SCHEMA, rows, lambda name: elsewhere.get(name[1]), user)
    return {name[1]: found.space_of(name) for name in rows}


def node(parent: str | None, space: str = "", life: int = 1) -> placing.Resident:
    return placing.Resident(life, [parent], space)


def test_a_deep_chain_is_no_recursion() -> None:
    rows = {("node", str(n)): node(str(n + 1)) for n in range(20_000)} | {("node", "20000"): node(None)}
    assert set(place(rows).values()) == {"user:ann"}


def test_dead_rows_stay_and_rows_of_a_user_stay_his() -> None:
    rows = {
        ("node", "dead"): node("x", "user:ben", 2),
        ("node", "top"): node(None, "user:ben"),
        ("node", "under"): node("top"),
        ("node", "never"): node(None, "", 2),
    }
    assert place(rows, x="user:cay") == {
        "dead": "user:ben",
        "top": "user:ben",
        "under": "user:ben",
        "never": "user:ann",
    }


def test_a_row_that_becomes_a_root_belongs_to_its_writer_unless_it_was_some_users() -> None:
    rows = {
        ("comment", "a"): placing.Resident(1, [None], "project:1"),
        ("comment", "b"): placing.Resident(1, [None], "user:ben"),
    }
    assert place(rows) == {"a": "user:ann", "b": "user:ben"}


@pytest.mark.parametrize(
    ("rows", "user", "code"),
    [
        ({("form", "f"): placing.Resident(1, ["nobody"], "")}, "ann", "foreign_key"),
        ({("node", "n"): node(None)}, None, "space_invalid"),
        ({("node", "n"): node("x" * 2000)}, "ann", "space_invalid"),
        ({("project", "\x01"): placing.Resident(1, [""], "")}, "ann", "space_invalid"),
    ],
)
def test_a_row_without_a_place_says_why(rows: Any, user: str | None, code: str) -> None:
    with pytest.raises(placing.Unplaced) as caught:
        place(rows, user)
    assert caught.value.code == code
    assert caught.value.name == next(iter(rows))
