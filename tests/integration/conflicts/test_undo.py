"""Undo and redo across sync: only one's own, offline, after a restart, after merges, refusals and deletions."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast as hf
from tests.integration.conflicts.site import STORES, Site, site


class Task(hf.Table, space="s"):
    title: str = ""
    owner: hf.Review[str] = ""
    hits: hf.Counter = 0
    tags: hf.Set[str]
    seen: hf.GrowSet[int]
    due: hf.Earliest[datetime.date] | None = None
    data: hf.JsonValue | None = None
    body: hf.MergeText = ""


class Code(hf.Table, space="s", key="number", unique=[("label",)]):
    number: int
    label: str


SCHEMA = hf.Schema(Task, Code)


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with site(request.param, tmp_path, SCHEMA) as found:
        yield found


def pair(place: Site) -> tuple[hf.Replica, hf.Replica]:
    ann, ben = place.device("ann"), place.device("ben")
    with ann.transaction(label="new task"):
        ann.execute("insert into task (id, title, tags, body) values ('k', 't', ?, 'one two three')", (["x", "y"],))
    place.rest(ann, ben)
    place.later()
    return ann, ben


def task(replica: hf.Replica, columns: str = "title, owner, hits, tags, body") -> tuple[object, ...]:
    (row,) = replica.execute(f"select {columns} from task")
    return tuple(row)


def test_every_type_is_undone_and_done_again(place: Site) -> None:
    ann, ben = pair(place)
    before = task(ann)
    with ann.transaction(label="edit"):
        ann.execute("update task set title = 'A', owner = 'O', hits = hits + 5, tags = ?", (["y", "z"],))
        ann.execute("update task set body = 'one 2 three', data = ?", ({"a": 1},))
    after = task(ann)
    place.rest(ann, ben)
    undone = ann.undo()
    assert undone is not None and (undone.label, undone.rows, undone.left) == ("edit", 1, [])
    assert (task(ann), task(ann, "data")) == (before, (None,))
    place.rest(ann, ben)
    assert task(ben) == before
    redone = ann.redo()
    assert redone is not None and (redone.label, redone.left) == ("edit", [])
    place.rest(ann, ben)
    assert (task(ben), task(ben, "data")) == (after, ('{"a":1}',))
    assert ben.conflicts() == []


def test_what_somebody_else_changed_is_left_alone_and_reported(place: Site) -> None:
    ann, ben = pair(place)
    ann.execute("update task set title = 'A', owner = 'O', hits = hits + 5, tags = ?", (["x"],))
    place.rest(ann, ben)
    ben.execute("update task set title = 'B', hits = hits + 1, tags = ?", (["x", "ben"],))
    place.rest(ann, ben)
    undone = ann.undo()
    assert undone is not None
    assert undone.left == [hf.Left("task", "k", "title", "somebody else has written it")]
    place.rest(ann, ben)
    assert task(ben) == ("B", "", 1, '["ben","x","y"]', "one two three")


def test_a_text_is_undone_around_what_others_wrote(place: Site) -> None:
    ann, ben = pair(place)
    ann.execute("update task set body = 'one TWO three'")
    place.rest(ann, ben)
    ben.execute("update task set body = 'zero one TWO three'")
    place.rest(ann, ben)
    ann.undo()
    place.rest(ann, ben)
    assert task(ben, "body") == ("zero one two three",)


def test_types_that_only_grow_are_reported(place: Site) -> None:
    ann, ben = pair(place)
    ann.execute("update task set seen = ?, due = '2026-01-01'", ([7],))
    undone = ann.undo()
    assert undone is not None and {left.column for left in undone.left} == {"seen", "due"}
    place.rest(ann, ben)
    assert task(ben, "seen, due") == ("[7]", "2026-01-01")


def test_undo_twice_and_redo_twice(place: Site) -> None:
    ann, ben = pair(place)
    for title in ("A", "B"):
        with ann.transaction(label=title):
            ann.execute("update task set title = ?", (title,))
    assert [undone and undone.label for undone in (ann.undo(), ann.undo())] == ["B", "A"]
    place.rest(ann, ben)
    assert task(ben, "title") == ("t",)
    assert [done and done.label for done in (ann.redo(), ann.redo(), ann.redo())] == ["A", "B", None]
    assert (undone := ann.undo()) is not None and undone.label == "B"
    place.rest(ann, ben)
    assert task(ben, "title") == ("A",)


def test_a_new_transaction_ends_what_could_be_redone(place: Site) -> None:
    ann, _ = pair(place)
    ann.execute("update task set title = 'A'")
    ann.undo()
    ann.execute("update task set title = 'C'")
    assert ann.redo() is None
    assert task(ann, "title") == ("C",)


def test_it_works_offline_and_after_a_restart(place: Site) -> None:
    ann, ben = pair(place)
    ann.execute("update task set title = 'A'")
    ann.sync()
    ann.close()
    again = place.device("ann")
    assert again.undo() is not None
    assert task(again, "title") == ("t",)
    again.close()
    once_more = place.device("ann")
    assert once_more.redo() is not None
    place.rest(once_more, ben)
    assert task(ben, "title") == ("A",)


def test_a_value_that_lost_cannot_be_undone_over_the_winner(place: Site) -> None:
    """Undo after a merge: what stands is the other one's."""
    ann, ben = pair(place)
    ann.execute("update task set title = 'A'")
    place.later()
    ben.execute("update task set title = 'B'")
    ben.sync()
    place.rest(ann, ben)
    undone = ann.undo()
    assert undone is not None and [left.column for left in undone.left] == ["title"]
    assert task(ann, "title") == ("B",)


def test_a_refused_transaction_is_passed_over(place: Site) -> None:
    ann, ben = pair(place)
    ben.execute("insert into code values (1, 'x')")
    ben.sync()
    with ann.transaction(label="first"):
        ann.execute("update task set title = 'A'")
    with ann.transaction(label="refused"):
        ann.execute("insert into code values (2, 'x')")
    place.rest(ann, ben)
    assert len(ann.refused()) == 1
    undone = ann.undo()
    assert undone is not None and undone.label == "first"


@pytest.mark.parametrize("how", ["cancel", "drop", "join and drop"])
def test_what_had_no_effect_is_not_taken_back(how: str, place: Site) -> None:
    ann, _ = pair(place)
    if how != "cancel":

        @place.server.before_write("task")
        def refuse(change: object, context: object) -> None:
            raise hf.Refuse("not today")

    for _ in range(2 if how == "join and drop" else 1):
        with ann.transaction(label="five more"):
            ann.execute("update task set hits = hits + 5, body = 'none'")
    if how == "cancel":
        ann.cancel(ann.pending()[0].txn)
    else:
        ann.sync()
        if how == "join and drop":
            assert len(ann.refused()) == 1
        else:
            ann.drop(ann.refused()[0].txn)
    assert task(ann, "hits, body") == (0, "one two three")
    undone = ann.undo()
    assert undone is not None and undone.label == "new task"
    assert ann.execute("select * from task") == []


def test_an_undo_that_is_cancelled_can_be_made_again(place: Site) -> None:
    ann, ben = pair(place)
    with ann.transaction(label="five more"):
        ann.execute("update task set hits = hits + 5")
    place.rest(ann, ben)
    ann.undo()
    ann.cancel(ann.pending()[0].txn)
    assert task(ann, "hits") == (5,)
    assert ann.redo() is None
    undone = ann.undo()
    assert undone is not None and undone.label == "five more"
    place.rest(ann, ben)
    assert task(ben, "hits") == (0,)


def test_a_new_row_goes_and_comes_back(place: Site) -> None:
    ann, ben = pair(place)
    assert (undone := ann.undo()) is not None and undone.label == "new task"
    place.rest(ann, ben)
    assert ben.execute("select * from task") == []
    ann.redo()
    place.rest(ann, ben)
    assert task(ben, "title, tags") == ("t", '["x","y"]')


def test_a_new_row_that_somebody_else_wrote_stays(place: Site) -> None:
    ann, ben = pair(place)
    ben.execute("update task set title = 'B'")
    place.rest(ben, ann)
    undone = ann.undo()
    assert undone is not None and undone.left == [hf.Left("task", "k", "", "somebody else has written the row")]
    assert task(ann, "title") == ("B",)


def test_a_deletion_is_taken_back_whole(place: Site) -> None:
    ann, ben = pair(place)
    ann.execute("update task set hits = 4")
    ann.execute("delete from task")
    place.rest(ann, ben)
    ann.undo()
    place.rest(ann, ben)
    assert task(ben) == ("t", "", 4, '["x","y"]', "one two three")


def test_the_row_was_deleted_elsewhere(place: Site) -> None:
    ann, ben = pair(place)
    ann.execute("update task set title = 'A'")
    place.rest(ann, ben)
    ben.execute("delete from task")
    place.rest(ben, ann)
    undone = ann.undo()
    assert undone is not None and (undone.rows, undone.left[0].reason) == (0, "the row was deleted")
    place.rest(ann, ben)


def test_an_undo_meets_a_deletion_that_it_has_not_seen_like_any_edit(place: Site) -> None:
    ann, ben = pair(place)
    ann.execute("update task set title = 'A'")
    place.rest(ann, ben)
    ben.execute("delete from task")
    ann.undo()
    place.rest(ben, ann)
    assert task(ben, "title") == ("t",)
    assert [conflict.rule for conflict in ann.conflicts()] == ["revived"]


def test_what_replace_overwrote_comes_back(place: Site) -> None:
    ann, ben = pair(place)
    ann.execute("insert into code values (1, 'x'), (2, 'y')")
    place.rest(ann, ben)
    ann.execute("replace into code values (1, 'y')")
    assert ann.execute("select * from code") == [(1, "y")]
    ann.undo()
    assert sorted(ann.execute("select * from code")) == [(1, "x"), (2, "y")]
    place.rest(ann, ben)


def test_an_insert_that_was_ignored_is_no_deletion(place: Site) -> None:
    ann, ben = pair(place)
    with ann.transaction(label="ignored"):
        ann.execute("insert or ignore into task (id, title) values ('k', 'new')")
        ann.execute("update task set title = 'A'")
    ann.execute("insert or ignore into task (id, title) values ('k', 'new')")
    place.rest(ann, ben)
    ben.execute("delete from task")
    place.rest(ann, ben)
    while (undone := ann.undo()) is not None:
        assert undone.rows == 0
    place.rest(ann, ben)
    assert ben.execute("select * from task") == []


def test_a_changed_key_changes_back(place: Site) -> None:
    ann, ben = pair(place)
    ann.execute("insert into code values (1, 'x')")
    ann.execute("update code set number = 5")
    ann.undo()
    place.rest(ann, ben)
    assert ben.execute("select * from code") == [(1, "x")]


def test_nothing_to_undo(place: Site) -> None:
    ben = place.device("ben")
    assert ben.undo() is None
    assert ben.redo() is None
    with ben.transaction():
        ben.execute("insert into code values (1, 'x')")
        with pytest.raises(hf.HoldfastError, match="writes in a transaction of its own"):
            ben.undo()
