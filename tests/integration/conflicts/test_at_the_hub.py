"""Conflicts listed and decided at the hub, in Python and over HTTP, by who has no device; on all three stores."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import apsw
import pytest
import urllib3

import holdfast as hf
from tests.integration.conflicts.site import STORES, Site, site
from tests.integration.edge.stand_in import serving

OFFICE = hf.Identity("office", {"s": "rw", "t": "rw"})
READER = hf.Identity("reader", {"s": "r"})
STRANGER = hf.Identity("stranger", {"elsewhere": "rw"})
WHO = {identity.user: identity for identity in (OFFICE, READER, STRANGER)}


class Note(hf.Table, space="{space}"):
    space: str = "s"
    title: str = ""
    stage: hf.Review[Literal["draft", "sent", "closed"]] = "draft"
    body: hf.MergeText = ""
    due: hf.Review[int] = 0
    hits: hf.Counter = 0


class Plain(hf.Table, space="s", on_delete="delete"):
    name: str = ""


SCHEMA = hf.Schema(Note, Plain)


def known(headers: Mapping[str, str]) -> hf.Identity | None:
    return WHO.get(headers.get("authorization", "").removeprefix("Bearer "))


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with site(request.param, tmp_path, SCHEMA, authenticate=known) as found:
        yield found


def pair(place: Site) -> tuple[hf.Replica, hf.Replica]:
    ann, ben = place.device("ann"), place.device("ben")
    ann.execute("insert into note (id, title, body) values ('k', 't', 'one two three')")
    ann.execute("insert into plain (id, name) values ('p', 'n')")
    place.rest(ann, ben)
    place.later()
    return ann, ben


def meet(place: Site, sql: str, first: Any, second: Any) -> tuple[hf.Replica, hf.Replica]:
    """Ann writes and arrives first."""
    ann, ben = pair(place)
    ann.execute(sql, (first,))
    place.later()
    ben.execute(sql, (second,))
    place.rest(ann, ben)
    return ann, ben


def test_the_hub_shows_what_lost_as_mine_whoever_asks(place: Site) -> None:
    ann, _ = meet(place, "update note set title = ?", "A", "B")
    (everything,) = place.server.conflicts()
    (found,) = place.server.conflicts(OFFICE)
    assert found == everything
    assert (found.mine, found.theirs, found.winner, found.base) == ("A", "B", "theirs", "t")
    assert (found.mine_by.user, found.theirs_by.user, found.id) == ("ann", "ben", ann.conflicts()[0].id)
    assert place.server.conflicts(READER) == [found]
    assert place.server.conflicts(STRANGER) == []


def test_a_decision_of_the_office_reaches_every_device(place: Site) -> None:
    ann, ben = meet(place, "update note set stage = ?", "sent", "closed")
    (waiting,) = place.server.conflicts(OFFICE, open=True)
    assert (waiting.mine, waiting.theirs) == ("closed", "sent")
    place.later()
    decided = place.server.resolve(waiting, "mine", OFFICE)
    assert (decided.state, decided.result, decided.resolved_by, decided.resolved_at) == (
        "resolved", "closed", "office", place.now,
    )  # fmt: skip
    place.rest(ann, ben)
    assert ann.execute("select stage from note") == [("closed",)]
    assert [c.resolved_by for c in ben.conflicts()] == ["office"]
    assert place.server.conflicts(OFFICE, open=True) == []
    assert len(place.server.conflicts()) == 1


def test_many_offices_that_decide_at_once_agree(place: Site) -> None:
    """Each is told what stands when he is answered; in the end one decision does, in the row, in the conflict and on
    every device.
    """
    ann, ben = meet(place, "update note set due = ?", 1, 2)
    (waiting,) = place.server.conflicts(open=True)
    place.later()
    start = threading.Barrier(6)

    def decide(value: int) -> Any:
        start.wait()
        return place.server.resolve(waiting, value, OFFICE).result

    with ThreadPoolExecutor(6) as offices:
        answers = list(offices.map(decide, range(10, 16)))
    assert set(answers) <= set(range(10, 16))
    place.rest(ann, ben)
    (decided,) = place.server.conflicts()
    assert decided.state == "resolved"
    assert ann.execute("select due from note") == [(decided.result,)]
    assert [one.result for one in ben.conflicts()] == [decided.result]
    assert decided.result in answers


def test_another_value_and_one_that_the_column_refuses(place: Site) -> None:
    ann, ben = meet(place, "update note set due = ?", 1, 2)
    (waiting,) = place.server.conflicts(open=True)
    with pytest.raises(hf.HoldfastError) as refused:
        place.server.resolve(waiting.id, "soon", OFFICE)
    assert refused.value.code == "value_type"
    assert place.server.conflicts(open=True) == [waiting]
    place.server.resolve(waiting.id, 7, OFFICE)
    place.rest(ann, ben)
    assert ben.execute("select due from note") == [(7,)]


def test_restore_brings_back_what_lost(place: Site) -> None:
    ann, ben = meet(place, "update note set title = ?", "A", "B")
    (lost,) = place.server.conflicts()
    place.later()
    assert place.server.restore(lost, OFFICE).result == "A"
    place.rest(ann, ben)
    assert ann.execute("select title from note") == [("A",)]
    assert len(place.server.conflicts()) == 1


def test_a_device_that_decided_unseen_is_replaced_or_replaces(place: Site) -> None:
    ann, ben = meet(place, "update note set stage = ?", "sent", "closed")
    (waiting,) = place.server.conflicts(open=True)
    place.later()
    ben.resolve(waiting.id, "draft")
    place.later()
    place.server.resolve(waiting, "mine", OFFICE)
    place.rest(ann, ben)
    assert ann.execute("select stage from note") == [("draft",)]
    assert [(c.state, c.resolved_by) for c in place.server.conflicts()] == [("resolved", "ben")]
    place.later()
    place.server.resolve(waiting, "theirs", OFFICE)
    place.rest(ann, ben)
    assert ann.execute("select stage from note") == [("sent",)]
    assert len(place.server.conflicts()) == 1


def test_an_edit_that_the_office_had_not_seen_meets_its_decision(place: Site) -> None:
    ann, ben = meet(place, "update note set stage = ?", "sent", "closed")
    (waiting,) = place.server.conflicts(open=True)
    place.later()
    ann.execute("update note set stage = 'draft'")
    place.server.resolve(waiting, "mine", OFFICE)
    place.rest(ann, ben)
    assert [c.state for c in place.server.conflicts()] == ["resolved", "open"]


def test_a_merged_text_takes_the_decision_as_its_next_version(place: Site) -> None:
    ann, ben = meet(place, "update note set body = ?", "one 2 three", "one TWO three")
    (found,) = place.server.conflicts()
    place.later()
    place.server.resolve(found, "two", OFFICE)
    place.rest(ann, ben)
    assert ben.execute("select body from note") == [("two",)]


def test_a_deleted_row_comes_back_and_goes_again(place: Site) -> None:
    ann, ben = pair(place)
    ann.execute("delete from plain")
    place.later()
    ben.execute("update plain set name = 'kept'")
    place.rest(ann, ben)
    (found,) = place.server.conflicts()
    assert (found.column, found.mine, found.theirs) == ("", {"name": "kept"}, None)
    place.later()
    assert place.server.resolve(found, "mine", OFFICE).result == {"alive": True}
    place.rest(ann, ben)
    assert ann.execute("select name from plain") == [("kept",)]
    place.later()
    assert place.server.resolve(found, "theirs", OFFICE).result is None
    place.rest(ann, ben)
    assert ben.execute("select name from plain") == []


@pytest.mark.parametrize(
    ("identity", "code"), [(READER, "forbidden_space"), (STRANGER, "conflict_unknown")], ids=["reader", "stranger"]
)
def test_only_who_may_write_the_space_decides(place: Site, identity: hf.Identity, code: str) -> None:
    meet(place, "update note set stage = ?", "sent", "closed")
    (waiting,) = place.server.conflicts(open=True)
    with pytest.raises(hf.HoldfastError) as refused:
        place.server.resolve(waiting, "mine", identity)
    assert refused.value.code == code
    assert place.server.conflicts() == [waiting]


@pytest.mark.parametrize("key", ["", "\0", "k", "0bd6f3c4a01000-a1b2c3d4e5f6"], ids=["empty", "nul", "other", "none"])
def test_an_unknown_conflict(place: Site, key: str) -> None:
    with pytest.raises(hf.HoldfastError) as refused:
        place.server.resolve(key, "mine", OFFICE)
    assert refused.value.code == "conflict_unknown"


def test_a_hook_refuses_a_decision_whole(place: Site) -> None:
    meet(place, "update note set stage = ?", "sent", "closed")

    @place.server.before_write("note")
    def closed_stays_away(change: Any, context: Any) -> None:
        if change.new["stage"] == "closed":
            raise hf.Refuse("not closed", code="no_closing")

    (waiting,) = place.server.conflicts(open=True)
    with pytest.raises(hf.HoldfastError) as refused:
        place.server.resolve(waiting, "mine", OFFICE)
    assert (refused.value.code, refused.value.details["table"]) == ("no_closing", "note")
    assert place.server.conflicts(open=True) == [waiting]


def test_a_list_is_cut_into_pages_and_filtered(place: Site) -> None:
    ann, ben = pair(place)
    ann.execute("insert into note (id, space) values ('e', 's')")
    place.rest(ann, ben)
    for number in range(3):
        ann.execute("update note set title = ?", (f"a{number}",))
        place.later()
        ben.execute("update note set title = ?", (f"b{number}",))
        place.rest(ann, ben)
    ann.execute("update note set stage = 'sent' where id = 'k'")
    ben.execute("update note set stage = 'closed' where id = 'k'")
    place.rest(ann, ben)
    everything = place.server.conflicts()
    assert len(everything) == 7
    pages, after = [], ""
    while page := place.server.conflicts(OFFICE, after=after, limit=3):
        pages.append(page)
        after = page[-1].id
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [one for page in pages for one in page] == everything == sorted(everything, key=lambda one: one.id)
    assert [c.column for c in place.server.conflicts(open=True)] == ["stage"]
    assert len(place.server.conflicts(open=False, table="note", space="s")) == 6
    assert place.server.conflicts(table="plain") == place.server.conflicts(space="t") == []
    for limit in (0, 1_001):
        with pytest.raises(hf.HoldfastError) as refused:
            place.server.conflicts(limit=limit)
        assert refused.value.code == "request_malformed"


def ask(url: str, user: str, path: str, body: Any = None) -> tuple[int, Any]:
    """One request as an office application sends it."""
    sent = None if body is None else json.dumps(body).encode()
    method = "GET" if body is None else "POST"
    answer = urllib3.request(method, url + path, body=sent, headers={"Authorization": f"Bearer {user}"}, retries=False)
    return answer.status, json.loads(answer.data)


def test_over_http(place: Site) -> None:
    ann, ben = meet(place, "update note set title = ?", "A", "B")
    with serving(place.server.asgi()) as url:
        status, listed = ask(url, "office", "/v1/conflicts?table=note&open=false&limit=1")
        (found,) = listed["conflicts"]
        assert (status, listed["next"], found["mine"], found["mine_by"]["user"]) == (200, found["id"], "A", "ann")
        status, listed = ask(url, "office", f"/v1/conflicts?after={found['id']}")
        assert (status, listed) == (200, {"conflicts": [], "next": None})
        path = f"/v1/conflicts/{found['id']}"
        place.later()
        status, restored = ask(url, "office", path + "/restore", {})
        assert (status, restored["result"], restored["resolved_by"]) == (200, "A", "office")
        status, decided = ask(url, "office", path + "/resolve", {"value": "mine"})
        assert (status, decided["result"]) == (200, "mine")
        place.rest(ann, ben)
        assert ben.execute("select title from note") == [("mine",)]
        refused = [
            ask(url, "reader", path + "/resolve", {"choice": "mine"}),
            ask(url, "stranger", path + "/resolve", {"choice": "mine"}),
            ask(url, "nobody", "/v1/conflicts"),
            ask(url, "office", "/v1/conflicts?limit=many"),
            ask(url, "office", "/v1/conflicts?open=true&open=false"),
            ask(url, "office", "/v1/conflicts?tabel=note"),
            ask(url, "office", path + "/resolve", {"choice": "mine", "value": 1}),
            ask(url, "office", path + "/resolve", {"value": 1}),
        ]
    assert [(status, body["code"]) for status, body in refused] == [
        (403, "forbidden_space"),
        (404, "conflict_unknown"),
        (401, "unauthenticated"),
        (400, "request_malformed"),
        (400, "request_malformed"),
        (400, "request_malformed"),
        (400, "request_malformed"),
        (422, "value_type"),
    ]


def test_a_list_of_conflicts_reads_no_others(tmp_path: Path) -> None:
    """Neither at the hub nor on a device; by the plan of SQLite, which an index decides."""
    with site("sqlite", tmp_path, SCHEMA) as place:
        _ = place.device("ann").execute("select 1")
        for file in ("hub.db", "ann.db"):
            with apsw.Connection(str(tmp_path / file)) as db:
                # A page of the list, and what is collected: in the order of the index, so no further than the limit.
                for columns in ("state, space", "table_name, state"):
                    given = " and ".join(f"{name} = ''" for name in columns.split(", "))
                    sql = f"""explain query plan select id from holdfast_conflict where {given}
                              and id > '' and ('' = '' or id < 'x') order by id limit 9"""
                    plan = str(list(db.execute(sql)))
                    assert f"holdfast_conflict({columns}, id)" in plan
                    assert "TEMP B-TREE" not in plan
