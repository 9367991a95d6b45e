"""Undo and redo of what was edited in documents: only one's own, around what others wrote, offline, after a restart."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from tests.integration.conflicts.site import Site, site


class Note(hf.Table, space="s"):
    body: hf.Text
    setup: hf.Json = {}  # noqa: RUF012
    title: str = ""


SCHEMA = hf.Schema(Note)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with site("sqlite", tmp_path, SCHEMA) as found:
        yield found


def pair(place: Site, body: str = "one two three", setup: Any = None) -> tuple[hf.Replica, hf.Replica]:
    ann, ben = place.device("ann"), place.device("ben")
    ann.execute("insert into note (id, body, setup) values ('k', ?, ?)", (body, setup or {}))
    place.rest(ann, ben)
    return ann, ben


def body_of(replica: hf.Replica) -> str:
    return str(replica.execute("select body from note")[0][0])


def setup_of(replica: hf.Replica) -> str:
    return str(replica.execute("select setup from note")[0][0])


def test_what_was_typed_goes_and_what_was_deleted_comes_back_around_others(place: Site) -> None:
    ann, ben = pair(place, "one 🏗 two e\u0301 three")
    with ann.transaction(label="edit"):
        text = ann.document("note", "k", "body")
        text.insert(len(text), "!")
        del text[4:10]
        text.insert(4, "ZWEI 🐙 ")
        assert str(text) == "one ZWEI 🐙 e\u0301 three!"
    with ben.transaction():
        text = ben.document("note", "k", "body")
        text.insert(0, "👩‍👧 ")
        text.insert(str(text).index("two"), "[ben] ")
        text += " end"
    place.rest(ann, ben)
    both = body_of(ann)
    assert "ZWEI" in both and "[ben]" in both and "two" not in both
    undone = ann.undo()
    assert undone is not None and (undone.label, undone.rows, undone.left) == ("edit", 1, [])
    place.rest(ann, ben)
    assert body_of(ben) == "👩‍👧 one 🏗 [ben] two e\u0301 three end"
    redone = ann.redo()
    assert redone is not None and redone.left == []
    place.rest(ann, ben)
    assert body_of(ben) == both
    ann.undo()
    place.rest(ann, ben)
    assert body_of(ben) == "👩‍👧 one 🏗 [ben] two e\u0301 three end"
    assert ann.conflicts() == []


def test_it_works_offline_step_by_step_and_after_a_restart(place: Site) -> None:
    ann, ben = pair(place, "")
    shown = [""]
    for word in ("alpha ", "beta ", "gamma "):
        with ann.transaction(label=word):
            text = ann.document("note", "k", "body")
            text += word
            if word == "gamma ":
                del text[0:3]
        shown.append(body_of(ann))
    ann.close()
    ann = place.device("ann")
    for wanted in reversed(shown[:-1]):
        ann.undo()
        assert body_of(ann) == wanted
    ann.close()
    ann = place.device("ann")
    for wanted in shown[1:]:
        ann.redo()
        assert body_of(ann) == wanted
    place.rest(ann, ben)
    assert body_of(ben) == shown[-1]


def test_every_edit_of_a_transaction_is_one_undo_however_it_was_made(place: Site) -> None:
    ann, ben = pair(place, "The pump is on.")
    with ann.transaction(label="several"):
        ann.execute("update note set body = 'The red pump is on.', title = 't'")
        text = ann.document("note", "k", "body")
        text.insert(len(text), " Checked.")
        assert ann.execute("select body from note")[0][0] == "The red pump is on. Checked."
        del text[0:4]
        ann.execute("update note set body = replace(body, 'Checked', 'Well checked')")
        text += " By me."
        del text[0:4]
        assert str(text) == "pump is on. Well checked. By me."
    place.rest(ann, ben)
    with ben.transaction():
        text = ben.document("note", "k", "body")
        text += " [ben]"
    place.rest(ann, ben)
    undone = ann.undo()
    assert undone is not None and undone.left == []
    place.rest(ann, ben)
    assert ben.execute("select body, title from note") == [("The pump is on. [ben]", "")]
    redone = ann.redo()
    assert redone is not None and redone.left == []
    place.rest(ann, ben)
    assert ben.execute("select body, title from note") == [("pump is on. Well checked. By me. [ben]", "t")]


def test_plain_writes_and_edits_of_one_text_are_taken_back_in_turn(place: Site) -> None:
    ann, ben = pair(place, "one two")
    with ann.transaction(label="typed"):
        ann.document("note", "k", "body").insert(3, " alpha")
    ann.execute("update note set body = replace(body, 'alp', '')")
    with ann.transaction(label="typed again"):
        ann.document("note", "k", "body").insert(0, "zero ")
    ann.execute("update note set body = replace(body, 'zero one', '')")
    shown = [body_of(ann)]
    place.rest(ann, ben)
    ben.execute("update note set body = body || '!'")
    place.rest(ann, ben)
    for wanted in ("zero one ha two!", "one ha two!", "one alpha two!", "one two!"):
        undone = ann.undo()
        assert undone is not None and undone.left == []
        assert body_of(ann) == wanted
    while ann.redo() is not None:
        continue
    place.rest(ann, ben)
    assert body_of(ben) == shown[0] + "!"


def test_a_plain_write_makes_the_open_document_longer(place: Site) -> None:
    ann, _ = pair(place, "short")
    with ann.transaction():
        text = ann.document("note", "k", "body")
        ann.execute("update note set body = 'a much longer text'")
        assert len(text) == 18
        text += "!"
    assert body_of(ann) == "a much longer text!"


def test_json_is_taken_back_path_by_path(place: Site) -> None:
    ann, ben = pair(place, setup={"net": {"host": "x", "port": 1}, "list": [1, 2, 3], "old": True})
    with ann.transaction(label="settings"):
        settings = ann.document("note", "k", "setup")
        settings["net"]["port"] = 2
        settings["net"]["tls"] = True
        settings["list"].append(4)
        settings["mine"] = "m"
        del settings["old"]
    after = setup_of(ann)
    place.rest(ann, ben)
    ben.execute("update note set setup = json_set(setup, '$.net.host', 'y', '$.list[0]', 0, '$.mine', 'b')")
    place.rest(ann, ben)
    undone = ann.undo()
    assert undone is not None
    assert undone.left == [hf.Left("note", "k", "setup", "somebody else has written it, at $.mine")]
    place.rest(ann, ben)
    assert setup_of(ben) == '{"list":[0,2,3],"mine":"b","net":{"host":"y","port":1},"old":true}'
    ann.redo()
    place.rest(ann, ben)
    assert setup_of(ben) == '{"list":[0,2,3,4],"mine":"b","net":{"host":"y","port":2,"tls":true}}'
    assert after == '{"list":[1,2,3,4],"mine":"m","net":{"host":"x","port":2,"tls":true}}'


def test_a_row_that_was_made_again_is_left_alone(place: Site) -> None:
    ann, ben = pair(place, "mine")
    with ann.transaction(label="typing"):
        text = ann.document("note", "k", "body")
        text += " and more"
    place.rest(ann, ben)
    ben.execute("delete from note")
    ben.execute("insert into note (id, body) values ('k', 'another')")
    place.rest(ann, ben)
    undone = ann.undo()
    assert undone is not None and undone.rows == 0
    assert undone.left == [hf.Left("note", "k", "body", "the row was deleted and made again")]
    place.rest(ann, ben)
    assert body_of(ben) == "another"


def test_what_cannot_be_taken_back_is_said(place: Site) -> None:
    ann, ben = pair(place, "base")
    with ben.transaction():
        text = ben.document("note", "k", "body")
        text += " ben"
        update = text.get_update()
    with ann.transaction(label="took over"):
        ann.document("note", "k", "body").apply_update(update)
    undone = ann.undo()
    assert undone is not None and undone.rows == 0
    assert [(left.column, left.reason[:11]) for left in undone.left] == [("body", "what the ed")]
    with ann.transaction(label="very many"):
        text = ann.document("note", "k", "body")
        for place_ in range(1500):
            text.insert(2 * (place_ % 3), f"{place_ % 10}")
    undone = ann.undo()
    assert undone is not None
    shown = body_of(ann)
    assert (undone.left == []) == (shown == "base ben")
    place.rest(ann, ben)
    assert body_of(ben) == shown


def test_a_refused_edit_is_passed_over(place: Site) -> None:
    ann, ben = pair(place, "base")
    with ann.transaction(label="first"):
        text = ann.document("note", "k", "body")
        text += " one"
    place.rest(ann, ben)

    @place.server.before_write("note")
    def no(context: Any, old: Any, new: Any) -> None:
        raise hf.Refuse("not today", code="not_today")

    with ann.transaction(label="second"):
        text = ann.document("note", "k", "body")
        text += " two"
    ann.sync()
    assert body_of(ann) == "base one"
    undone = ann.undo()
    assert undone is not None and undone.label == "first"
    assert body_of(ann) == "base"


LETTERS = ["a", "é", "🏗", "e\u0301", "～ ", "bc", "👩‍👧"]


def type_at_random(replica: hf.Replica, dice: random.Random, letters: str) -> None:
    """A few insertions and deletions in one transaction; some in a savepoint that is rolled back."""
    with replica.transaction():
        text = replica.document("note", "k", "body")
        for _ in range(dice.randint(1, 4)):
            at = dice.randint(0, len(text))
            if dice.random() < 0.4:
                del text[at : at + dice.randint(1, 3)]
            else:
                text.insert(at, letters + dice.choice(LETTERS))
            if dice.random() < 0.3:
                replica.execute("select body from note")
        if dice.random() < 0.2:
            with contextlib.suppress(InTheEnd), replica.transaction():
                replica.document("note", "k", "body").insert(0, "in vain")
                raise InTheEnd


class InTheEnd(Exception):
    """Raised to roll back."""


@pytest.mark.parametrize("seed", range(3))
def test_everything_undone_leaves_what_others_wrote_and_redone_is_what_it_was(seed: int, tmp_path: Path) -> None:
    dice = random.Random(f"undo {seed}")
    with site("memory", tmp_path, SCHEMA) as place:
        ben, ann = pair(place, "")
        written = ""
        for number in range(10):
            type_at_random(ann, dice, "A")
            if dice.random() < 0.4:
                place.rest(ann, ben)
                with ben.transaction():
                    text = ben.document("note", "k", "body")
                    text.insert(dice.randint(0, len(text)), f"[{number}]")
                    written += f"[{number}]"
            if dice.random() < 0.3:
                ann.undo()
                ann.redo()
            if dice.random() < 0.1:
                ann.close()
                ann = place.device("ben")
        place.rest(ann, ben)
        before, others = body_of(ann), []
        for _ in range(2):
            while (undone := ann.undo()) is not None:
                assert undone.left == []
            place.rest(ann, ben)
            others.append(body_of(ben))
            while (redone := ann.redo()) is not None:
                assert redone.left == []
            place.rest(ann, ben)
            assert body_of(ben) == before
        assert sorted(others[0]) == sorted(written)
        assert others[1] == others[0]
