"""Conflicts as rows: every merge type, both sides, answers, on all three stores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

import holdfast as hf
from tests.integration.conflicts.site import STORES, Site, site


class Note(hf.Table, space="{space}"):
    space: str = "s"
    title: str = ""
    stage: hf.Review[Literal["draft", "sent", "closed"]] = "draft"
    owner: hf.ServerWins[str] = ""
    lines: hf.Custom[str, Literal["join_lines"]] = ""
    data: hf.JsonValue | None = None
    hits: hf.Counter = 0
    tags: hf.Set[str]


class Plain(hf.Table, space="s", on_delete="delete"):
    name: str = ""
    hits: hf.Counter = 0


SCHEMA = hf.Schema(Note, Plain)


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with site(request.param, tmp_path, SCHEMA) as found:

        @found.server.merge("join_lines")
        def join_lines(base: Any, local: Any, remote: Any, context: hf.MergeContext) -> Any:
            if local == "ask":
                raise hf.NeedsReview("please look")
            if local == "fail":
                raise ZeroDivisionError("by zero")
            if local == "wrong":
                return 7
            return f"{remote}+{local}-{base}"

        yield found


def pair(place: Site) -> tuple[hf.Replica, hf.Replica]:
    """Two devices that hold the row k."""
    ann, ben = place.device("ann"), place.device("ben")
    ann.execute("insert into note (id, title, owner, lines) values ('k', 't', 'o', 'l')")
    ann.execute("insert into plain (id, name) values ('p', 'n')")
    place.rest(ann, ben)
    place.later()
    return ann, ben


def meet(place: Site, column: str, first: Any, second: Any) -> tuple[hf.Conflict, hf.Conflict]:
    """Ann writes first and arrives first; gives the conflict as each of them sees it."""
    ann, ben = pair(place)
    ann.execute(f"update note set {column} = ?", (first,))
    place.later()
    ben.execute(f"update note set {column} = ?", (second,))
    assert ann.sync().conflicts == []
    (of_ben,) = ben.sync().conflicts
    (of_ann,) = ann.sync().conflicts
    place.rest(ann, ben)
    return of_ann, of_ben


def test_a_register_is_decided_and_told_to_both(place: Site) -> None:
    of_ann, of_ben = meet(place, "title", "A", "B")
    assert of_ann.id == of_ben.id
    assert (of_ben.table, of_ben.key, of_ben.column, of_ben.rule) == ("note", "k", "title", "register")
    assert (of_ben.base, of_ben.mine, of_ben.theirs, of_ben.winner) == ("t", "B", "A", "mine")
    assert (of_ann.base, of_ann.mine, of_ann.theirs, of_ann.winner) == ("t", "A", "B", "theirs")
    assert (of_ann.state, of_ann.result) == ("auto", "B")
    assert (of_ann.mine_by.user, of_ann.theirs_by.user) == ("ann", "ben")
    assert of_ben.mine_by == of_ann.theirs_by
    assert (of_ann.mine_by.at, of_ann.theirs_by.at) == (place.now - 1_000, place.now)


def test_who_wrote_neither_sees_the_loser_as_mine(place: Site) -> None:
    meet(place, "title", "A", "B")
    cay = place.device("cay")
    assert cay.sync().conflicts == []
    (seen,) = cay.conflicts()
    assert (seen.mine, seen.theirs, seen.winner, seen.mine_by.user) == ("A", "B", "theirs", "ann")


def test_json_is_kept_as_it_was(place: Site) -> None:
    of_ann, of_ben = meet(place, "data", {"a": [1, None]}, [])
    assert (of_ann.mine, of_ben.mine, of_ben.base, of_ben.has_base) == ({"a": [1, None]}, [], None, True)


def test_server_wins(place: Site) -> None:
    of_ann, of_ben = meet(place, "owner", "A", "B")
    assert (of_ben.rule, of_ben.state, of_ben.winner, of_ben.result) == ("server_wins", "auto", "theirs", "A")
    assert place.device("cay").sync()
    assert of_ann.winner == "mine"


def test_under_review_the_row_shows_what_stands_until_somebody_decides(place: Site) -> None:
    of_ann, of_ben = meet(place, "stage", "sent", "closed")
    ann, ben = place.device("ann"), place.device("ben")
    assert (of_ben.state, of_ben.winner, of_ben.result) == ("open", "theirs", None)
    assert ben.execute("select stage from note") == [("sent",)]
    assert ben.status.conflict_count == 1
    ann.execute("update note set title = 'goes on', stage = 'draft'")
    place.rest(ann, ben)
    assert [c.id for c in ann.conflicts(open=True)] == [of_ann.id]
    place.later()
    decided = ben.resolve(of_ben, "mine")
    assert (decided.state, decided.result, decided.resolved_by) == ("resolved", "closed", "ben")
    assert ben.execute("select stage, title from note") == [("closed", "goes on")]
    place.rest(ann, ben)
    assert ann.conflicts(open=True) == []
    assert ann.conflicts(open=False)[0].resolved_at == place.now
    assert ann.execute("select stage from note") == [("closed",)]


def test_a_function_of_the_application_merges(place: Site) -> None:
    of_ann, of_ben = meet(place, "lines", "A", "B")
    assert (of_ben.rule, of_ben.state, of_ben.winner, of_ben.result) == ("custom:join_lines", "auto", "merged", "A+B-l")
    assert of_ann.mine == "A"
    assert place.device("ann").execute("select lines from note") == [("A+B-l",)]


def test_what_was_written_unseen_meets_the_merged_value(place: Site) -> None:
    """The second write of a device follows its first one, but has not seen what the function made of it."""
    ann, ben = pair(place)
    ann.execute("update note set lines = 'A'")
    ann.sync()
    ben.execute("update note set lines = 'B'")
    ben.execute("update note set lines = 'BB'")
    place.rest(ben, ann)
    assert ann.execute("select lines from note") == [("A+B-l+BB-B",)]
    assert [(c.base, c.theirs, c.mine) for c in ben.conflicts()] == [("l", "A", "B"), ("B", "A+B-l", "BB")]


@pytest.mark.parametrize(
    ("value", "reason"),
    [("ask", "please look"), ("fail", "join_lines failed: ZeroDivisionError"), ("wrong", "gave a wrong value")],
)
def test_a_function_that_does_not_decide_leaves_it_to_a_person(place: Site, value: str, reason: str) -> None:
    _, of_ben = meet(place, "lines", "A", value)
    assert (of_ben.state, of_ben.winner) == ("open", "theirs")
    assert reason in of_ben.error
    assert place.device("ann").execute("select lines from note") == [("A",)]


def test_lossless_types_make_no_conflict(place: Site) -> None:
    ann, ben = pair(place)
    ann.execute("update note set hits = hits + 2, tags = ?", (["a"],))
    ben.execute("update note set hits = hits - 1, tags = ?", (["b"],))
    place.rest(ann, ben)
    assert ann.conflicts() == []
    assert ann.execute("select hits, tags from note") == [(1, '["a","b"]')]


def test_the_losing_value_comes_back_in_one_call(place: Site) -> None:
    of_ann, _ = meet(place, "title", "A", "B")
    ann, ben = place.device("ann"), place.device("ben")
    restored = ann.restore(of_ann)
    assert (restored.state, restored.result, restored.winner) == ("resolved", "A", "theirs")
    place.rest(ann, ben)
    assert ben.execute("select title from note") == [("A",)]
    assert len(ben.conflicts()) == 1


@pytest.mark.parametrize("first", ["ann", "ben"])
@pytest.mark.parametrize("choices", [("mine", "mine"), ("mine", "theirs"), ("theirs", "mine"), ("theirs", "theirs")])
def test_two_people_who_decide_at_once_agree(place: Site, choices: tuple[str, str], first: str) -> None:
    of_ann, of_ben = meet(place, "stage", "sent", "closed")
    ann, ben = place.device("ann"), place.device("ben")
    ann.resolve(of_ann, choices[0])
    place.later()
    ben.resolve(of_ben, choices[1])
    of_choice = {("ann", "mine"): "sent", ("ann", "theirs"): "closed", ("ben", "mine"): "closed"}
    values = of_choice["ann", choices[0]], of_choice.get(("ben", choices[1]), "sent")
    order = (ann, ben) if first == "ann" else (ben, ann)
    place.rest(*order)
    (found,) = ann.conflicts()
    last = values[1] if first == "ann" else values[0]
    assert (found.state, found.result, found.resolved_by) == ("resolved", last, "ben" if first == "ann" else "ann")
    assert ann.execute("select stage from note") == [(last,)]


def test_a_third_persons_write_meets_an_answer_like_any_other(place: Site) -> None:
    of_ann, _ = meet(place, "title", "A", "B")
    ann, ben = place.device("ann"), place.device("ben")
    ann.restore(of_ann)
    place.later()
    ben.execute("update note set title = 'C'")
    ben.sync()
    place.rest(ann, ben)
    assert ann.execute("select title from note") == [("C",)]
    assert sorted((c.mine, c.theirs) for c in ann.conflicts()) == [("A", "B"), ("A", "C")]


def test_a_kept_row_can_be_deleted_after_all(place: Site) -> None:
    ann, ben = pair(place)
    ann.execute("update note set title = 'A'")
    ben.execute("delete from note")
    place.rest(ann, ben)
    (kept,) = ben.conflicts()
    assert (kept.rule, kept.column, kept.mine, kept.theirs, kept.winner) == ("kept", "", None, {"title": "A"}, "theirs")
    assert kept.theirs_by.user == "ann"
    ben.restore(kept)
    place.rest(ben, ann)
    assert ann.execute("select * from note") == []


def test_an_edit_revives_a_deleted_row(place: Site) -> None:
    ann, ben = pair(place)
    ann.execute("delete from note")
    ben.execute("update note set title = 'B'")
    place.rest(ann, ben)
    (revived,) = ben.conflicts()
    assert (revived.rule, revived.mine, revived.theirs, revived.winner) == ("revived", {"title": "B"}, None, "mine")
    assert revived.theirs_by.user == "ann"
    ann.resolve(revived, "theirs" if revived.mine is None else "mine")
    place.rest(ann, ben)


@pytest.mark.parametrize("deleter_first", [True, False])
def test_where_deletions_win_the_row_comes_back_whole(place: Site, deleter_first: bool) -> None:
    ann, ben = pair(place)
    ann.execute("delete from plain")
    ben.execute("update plain set name = 'edited'")
    place.rest(*((ann, ben) if deleter_first else (ben, ann)))
    assert ann.execute("select * from plain") == []
    (lost,) = ben.conflicts()
    assert (lost.rule, lost.mine, lost.theirs, lost.winner) == ("deleted", {"name": "edited"}, None, "theirs")
    assert lost.base["hits"] == 0
    ben.restore(lost)
    place.rest(ben, ann)
    assert ann.execute("select id, name from plain") == [("p", "edited")]


def test_every_edit_of_a_deleted_row_meets_the_deletion_and_no_other_edit(place: Site) -> None:
    ann, ben = pair(place)
    cay = place.device("cay")
    place.rest(cay)
    ann.execute("delete from plain")
    ben.execute("update plain set name = 'of ben'")
    cay.execute("update plain set name = 'of cay'")
    place.rest(ann, ben, cay)
    sql = "select mine_user, theirs_user from holdfast_conflict order by id"
    assert ann.execute(sql) == [("ben", "ann"), ("cay", "ann")]


def test_conflicts_go_with_their_row_into_another_space(place: Site) -> None:
    meet(place, "title", "A", "B")
    ben, cay = place.device("ben", spaces="s x"), place.device("cay", spaces="x")
    ben.sync()
    cay.sync()
    assert cay.conflicts() == []
    ben.execute("update note set space = 'x'")
    ben.sync()
    cay.sync()
    assert [(c.key, c.space) for c in cay.conflicts()] == [("k", "x")]
    ann = place.device("ann")
    ann.sync()
    assert (ann.conflicts(), ann.execute("select * from note")) == ([], [])


def test_who_may_only_read_sees_and_does_not_decide(place: Site) -> None:
    meet(place, "stage", "sent", "closed")
    cay = place.device("cay", access="r")
    cay.sync()
    (seen,) = cay.conflicts(open=True)
    with pytest.raises(hf.HoldfastError) as refusal:
        cay.resolve(seen, "mine")
    assert refusal.value.code == "forbidden_space"
    assert cay.pending() == []
    cay.execute("update holdfast_conflict set state = 'resolved'")
    cay.sync()
    assert [r.code for r in cay.refused()] == ["forbidden_space"]
    assert len(cay.conflicts(open=True)) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "delete from holdfast_conflict",
        "update holdfast_conflict set state = 'auto'",
        "update holdfast_conflict set state = 'resolved', mine = '1'",
        "insert into holdfast_conflict (id, space) values ('x', 's')",
    ],
)
def test_a_device_writes_nothing_but_answers(place: Site, sql: str) -> None:
    meet(place, "stage", "sent", "closed")
    ann, ben = place.device("ann"), place.device("ben")
    ann.execute(sql)
    ann.sync()
    assert [r.code for r in ann.refused()] == ["conflict_readonly"]
    place.rest(ann, ben)
    assert len(ann.conflicts(open=True)) == 1


def test_an_answer_is_given_in_the_name_of_who_gives_it(place: Site) -> None:
    meet(place, "stage", "sent", "closed")
    ann, ben = place.device("ann"), place.device("ben")
    ann.execute("update holdfast_conflict set state = 'resolved', result = '\"sent\"', resolved_by = 'ben'")
    place.rest(ann, ben)
    assert ben.conflicts()[0].resolved_by == "ann"


def test_choices_that_do_not_fit(place: Site) -> None:
    _, of_ben = meet(place, "stage", "sent", "closed")
    ben = place.device("ben")
    with pytest.raises(hf.HoldfastError) as refusal:
        ben.resolve(of_ben, "nonsense")
    assert refusal.value.code == "value_choice"
    with pytest.raises(hf.HoldfastError) as refusal:
        ben.resolve("no such", "mine")
    assert refusal.value.code == "conflict_unknown"
    ben.execute("delete from note")
    with pytest.raises(hf.HoldfastError) as refusal:
        ben.resolve(of_ben, "mine")
    assert refusal.value.code == "conflict_gone"


def test_an_event_tells_of_conflicts(place: Site) -> None:
    ann, ben = pair(place)
    told: list[hf.Conflict] = []
    ann.on_conflict(told.extend)
    ann.execute("update note set title = 'A'")
    ben.execute("update note set title = 'B'")
    place.rest(ann, ben)
    assert [conflict.column for conflict in told] == ["title"]


def test_a_base_from_before_the_kept_history_is_not_invented(place: Site) -> None:
    """Two inserts of one key: neither writer had seen a row."""
    ann, ben = place.device("ann"), place.device("ben")
    ann.execute("insert into note (id, title) values ('n', 'A')")
    ben.execute("insert into note (id, title) values ('n', 'B')")
    place.rest(ann, ben)
    (found,) = [c for c in ben.conflicts() if c.column == "title"]
    assert (found.has_base, found.base, {found.mine, found.theirs}) == (False, None, {"A", "B"})


def test_another_program_at_the_hub_is_named_as_the_writer(place: Site) -> None:
    ann, _ = pair(place)
    place.foreign("note", "k", "title", "P")
    place.later()
    ann.execute("update note set title = 'A'")
    (found,) = ann.sync().conflicts
    assert (found.theirs, found.theirs_by.user, found.theirs_by.device) == ("P", "(database)", "")


def test_the_row_of_a_conflict_can_be_read_by_sql(place: Site) -> None:
    meet(place, "title", "A", "B")
    sql = (
        "select mine, theirs, mine_user, theirs_user from holdfast_conflict where table_name = 'note' and row_key = 'k'"
    )
    (row,) = place.device("ann").execute(sql)
    assert (json.loads(row["mine"]), json.loads(row["theirs"]), row["mine_user"]) == ("B", "A", "ben")


def test_what_was_decided_can_be_decided_again(place: Site) -> None:
    """By the same person and by another one, after both have seen the decision: neither is refused."""
    of_ann, _ = meet(place, "title", "A", "B")
    ann, ben = place.device("ann"), place.device("ben")
    for device, user, value in ((ann, "ann", "one"), (ann, "ann", "two"), (ben, "ben", "three")):
        device.resolve(of_ann, value)
        place.rest(ann, ben)
        assert device.refused() == []
        assert ann.execute("select title from note") == [(value,)]
        assert [(c.result, c.resolved_by, c.state) for c in ben.conflicts()] == [(value, user, "resolved")]
