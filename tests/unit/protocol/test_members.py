"""Members of JSON values, named by pointers, and decisions about them."""

from __future__ import annotations

from typing import Any

import pytest

import holdfast as hf
from holdfast.protocol.conflicts import Conflict, Decided, Other, Writer, conflict_of, decided
from holdfast.protocol.members import ABSENT, END, alike, member, pointer, split, steps_of, text_of, with_member

VALUE = {"a": {"b/c": [1, {"~": 2}]}, "n": None}


class Plant(hf.Table, space="s"):
    config: hf.Json = {}  # noqa: RUF012 (a declaration)


SCHEMA = hf.Schema(Plant)


def test_pointers() -> None:
    assert pointer([]) == ""
    assert pointer(["a", "b/c", 1, "~"]) == "/a/b~1c/1/~0"
    assert steps_of("/a/b~1c/1/~0") == ["a", "b/c", "1", "~"]
    assert split("config/a/b") == ("config", "/a/b")
    assert split("config") == ("config", "")


def test_absence() -> None:
    assert text_of(ABSENT) is None
    assert text_of(None) == "null"
    assert repr(ABSENT) == "ABSENT"
    assert alike(ABSENT, ABSENT)
    assert not alike(ABSENT, None)
    assert not alike(None, ABSENT)
    assert alike(1, 1.0)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("", VALUE),
        ("/a/b~1c/1/~0", 2),
        ("/n", None),
        ("/x", ABSENT),
        ("/a/b~1c/2", ABSENT),
        ("/a/b~1c/-", ABSENT),
        ("/n/x", ABSENT),
    ],
)
def test_what_stands_there(path: str, wanted: Any) -> None:
    assert alike(member(VALUE, path), wanted)


@pytest.mark.parametrize(
    ("value", "path", "new", "wanted"),
    [
        ({"a": 1}, "", 5, 5),
        ({"a": 1}, "/a", 2, {"a": 2}),
        ({"a": 1}, "/a", ABSENT, {}),
        ({"a": 1}, "/b", ABSENT, {"a": 1}),
        ({}, "/a/b", 1, {"a": {"b": 1}}),
        ({"l": [{"a": 1}]}, "/l/0/a", 2, {"l": [{"a": 2}]}),
        ([1, 2], "/1", 3, [1, 3]),
        ([1, 2], "/0", ABSENT, [2]),
        ([1], f"/{END}", 2, [1, 2]),
        ([1], f"/{END}", ABSENT, ABSENT),
        ([1], "/1", 2, ABSENT),
        ([1], "/1/a", 2, ABSENT),
        ({"a": 1}, "/a/b", 2, ABSENT),
        ({"a": 1}, "/a/b/c", 2, ABSENT),
    ],
)
def test_a_value_with_another_member(value: Any, path: str, new: Any, wanted: Any) -> None:
    before = text_of(value)
    assert alike(with_member(value, path, new), wanted)
    assert text_of(value) == before


def conflict(path: str, mine: str | None, theirs: str | None, result: str | None = None) -> Conflict:
    by = {f"{side}_{name}": "" for side in ("mine", "theirs") for name in ("user", "device")}
    told = {"mine_at": 1, "theirs_at": 2, "resolved_by": None, "resolved_at": None, "error": "", "space": "s"}
    about = {"id": "i", "table_name": "plant", "row_key": "k", "column_name": f"config{path}", "rule": "json"}
    row = {**by, **told, **about, "state": "auto", "winner": "theirs", "base": None, "result": result}
    return conflict_of({**row, "mine": mine, "theirs": theirs}, None)


def test_a_conflict_about_a_member() -> None:
    found = conflict("/a/b", "1", None)
    assert (found.column, found.path, found.mine, found.theirs, found.deleted) == ("config", "/a/b", 1, None, "theirs")
    assert (conflict("", None, "null").deleted, conflict("", "1", "null").deleted) == ("mine", "")
    assert found.mine_by == Writer("", "", 1)


def choose(found: Conflict, choice: Any, shown: Any) -> Decided:
    return decided(SCHEMA, found, choice, {"config": shown})


def test_a_decision_writes_the_member_alone() -> None:
    found = conflict("/a/b", "1", None, None)
    assert choose(found, "mine", {"x": 1}) == Decided(1, "update", {"config": {"x": 1, "a": {"b": 1}}})
    assert choose(found, "mine", {"a": {"b": 1}}) == Decided(1, "none")
    assert choose(found, "theirs", {"a": {"b": 1}}) == Decided(ABSENT, "update", {"config": {"a": {}}})
    assert choose(found, Other([2]), {}) == Decided([2], "update", {"config": {"a": {"b": [2]}}})


def test_what_has_moved_is_not_written() -> None:
    found = conflict("/l/1", "1", "2", "2")
    assert choose(found, "mine", {"l": [0, 2]}).values == {"config": {"l": [0, 1]}}
    for shown in ({"l": [2, 0]}, {"l": 5}):
        with pytest.raises(hf.HoldfastError) as problem:
            choose(found, "mine", shown)
        assert problem.value.code == "conflict_gone"
    assert choose(conflict("/l/-", "1", None), "mine", {"l": [0]}).values == {"config": {"l": [0, 1]}}


def test_a_value_that_is_no_json_is_refused() -> None:
    with pytest.raises(hf.HoldfastError) as problem:
        choose(conflict("/a", "1", "2", "2"), Other(float("nan")), {"a": 2})
    assert problem.value.message.startswith("plant.config: ")
