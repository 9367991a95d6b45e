"""A conflict from its row, and what a choice about it does."""

from __future__ import annotations

from typing import Any

import pytest

import holdfast as hf
from holdfast.protocol.conflicts import (
    Conflict,
    Other,
    chosen,
    conflict_of,
    decided,
    decode_decision,
    losing_side,
    shown_over_http,
)


class Sheet(hf.Table, space="s"):
    title: str = ""
    size: hf.Counter = 0
    tags: hf.Set[str]
    memo: hf.MergeText = ""
    note: str | None = None


SCHEMA = hf.Schema(Sheet)
ROW = {
    "id": "0bd6f3c4a01000-a1b2c3d4e5f6", "state": "auto", "result": '"B"', "resolved_by": None, "resolved_at": None,
    "space": "s", "table_name": "sheet", "row_key": "k", "column_name": "title", "rule": "register", "winner": "mine",
    "base": None, "mine": '"B"', "mine_user": "ben", "mine_device": "b", "mine_at": 2, "theirs": '"A"',
    "theirs_user": "ann", "theirs_device": "a", "theirs_at": 1, "error": "",
}  # fmt: skip


def found(device: str | None = None, **members: Any) -> Conflict:
    return conflict_of({**ROW, **members}, device)


@pytest.mark.parametrize(
    ("device", "winner", "mine", "seen"),
    [
        ("b", "mine", "B", "mine"),
        ("a", "mine", "A", "theirs"),
        ("c", "mine", "A", "theirs"),
        (None, "mine", "A", "theirs"),
        (None, "theirs", "B", "theirs"),
        ("b", "theirs", "B", "theirs"),
        ("a", "merged", "A", "merged"),
        (None, "merged", "B", "merged"),
    ],
)
def test_each_sees_it_from_his_own_side(device: str | None, winner: str, mine: str, seen: str) -> None:
    conflict = found(device, winner=winner)
    assert (conflict.mine, conflict.winner) == (mine, seen)
    assert conflict.mine_by.user == {"A": "ann", "B": "ben"}[mine]


def test_a_program_at_the_hub_is_no_device() -> None:
    row = {**ROW, "theirs_device": "", "winner": "mine"}
    assert conflict_of(row, "").mine == "B"
    assert conflict_of(row, None).mine == "A"


def test_what_lost() -> None:
    assert losing_side(found("b")) == "theirs"
    assert losing_side(found(None)) == "mine"
    with pytest.raises(hf.HoldfastError) as refused:
        losing_side(found(winner="merged"))
    assert refused.value.code == "conflict_choice"


def test_choices() -> None:
    assert chosen("mine") == "mine"
    assert chosen("theirs") == "theirs"
    assert chosen("ours") == Other("ours")
    assert chosen(Other("mine")) == Other("mine")
    assert chosen(None) == Other(None)


def test_a_cell_is_written_only_when_it_shows_something_else() -> None:
    assert decided(SCHEMA, found("b"), "theirs", {"title": "B"}) == ("A", "update", {"title": "A"})
    assert decided(SCHEMA, found("b"), "mine", {"title": "B"}) == ("B", "none", {})
    assert decided(SCHEMA, found("b"), Other("mine"), {"title": "B"}) == ("mine", "update", {"title": "mine"})
    about_note = found(column_name="note")
    assert decided(SCHEMA, about_note, Other(None), {"note": "n"}) == (None, "update", {"note": None})


@pytest.mark.parametrize(
    ("choice", "shown", "code"),
    [
        (Other(7), {"title": "B"}, "value_type"),
        (Other(None), {"title": "B"}, "value_null"),
        ("mine", None, "conflict_gone"),
    ],
    ids=["type", "null", "gone"],
)
def test_what_a_cell_cannot_take(choice: Any, shown: Any, code: str) -> None:
    with pytest.raises(hf.HoldfastError) as refused:
        decided(SCHEMA, found(), choice, shown)
    assert refused.value.code == code


LIFE = {"column_name": "", "mine": '{"title":"new","tags":{"add":["x"],"remove":[]},"size":2}', "theirs": "null"}
IMAGE = '{"title":"old","size":5,"tags":["t"],"note":null,"gone":1}'


def test_a_row_comes_back_with_what_its_edit_says_plainly() -> None:
    about = found("b", **LIFE, base=IMAGE)
    values = {"title": "new", "size": 5, "tags": ["t"], "note": None}
    assert decided(SCHEMA, about, "mine", None) == ({"alive": True}, "insert", values)
    assert decided(SCHEMA, about, "mine", {}) == ({"alive": True}, "none", {})
    assert decided(SCHEMA, about, "theirs", {}) == (None, "delete", {})
    assert decided(SCHEMA, about, "theirs", None) == (None, "none", {})


def test_what_a_deletion_cannot_take() -> None:
    for choice, code in ((Other("x"), "conflict_choice"), ("mine", "conflict_gone")):
        with pytest.raises(hf.HoldfastError) as refused:
            decided(SCHEMA, found("b", **LIFE), choice, None)
        assert refused.value.code == code


def test_over_http() -> None:
    shown = shown_over_http(found("b"))
    assert (shown.mine, shown.mine_by.user, shown.theirs_by.at, shown.has_base) == ("B", "ben", 1, False)
    assert decode_decision(b'{"choice":"mine"}') == "mine"
    assert decode_decision(b'{"value":"mine"}') == Other("mine")
    assert decode_decision(b'{"value":null}') == Other(None)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"{}", b'{"choice":"mine","value":1}', b'{"choice":"ours"}', b"[" * 100_000, b'{"value":"\\ud800"}'],
)
def test_what_is_no_decision(body: bytes) -> None:
    with pytest.raises(hf.HoldfastError) as refused:
        decode_decision(body)
    assert refused.value.code == "request_malformed"


def test_an_edit_whose_text_is_not_kept_is_chosen_as_what_it_typed() -> None:
    conflict = found(column_name="memo", rule="merge_text", winner="theirs", mine='{"op":["a"]}')
    assert decided(SCHEMA, conflict, "mine", {"memo": "b"}).values == {"memo": "a"}
    conflict = found(column_name="memo", rule="merge_text", winner="theirs", mine='{"op":[3,"a"]}')
    with pytest.raises(hf.HoldfastError, match="an edit of a text that is not kept"):
        decided(SCHEMA, conflict, "mine", {"memo": "b"})
