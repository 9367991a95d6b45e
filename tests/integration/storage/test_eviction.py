"""Rows leave a device to make room, nobody takes it for a deletion, and they come back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

import holdfast as hf
from holdfast.testing import LocalTransport
from tests.integration.storage.forms import ANNA, DAY, SCHEMA, Clock, agree, keeping, opened


@pytest.fixture
def anna(tmp_path: Path, server: hf.Server, clock: Clock) -> Iterator[hf.Replica]:
    with opened(tmp_path / "anna.db", server, clock) as made:
        yield made


@pytest.fixture
def ben(tmp_path: Path, server: hf.Server, clock: Clock) -> Iterator[hf.Replica]:
    """A device on which nothing leaves."""
    with hf.Replica(tmp_path / "ben.db", keeping(), transport=LocalTransport(server, ANNA), now=clock) as made:
        yield made


def keys(replica: hf.Replica, table: str) -> list[str]:
    return [row[0] for row in replica.execute(f"select id from {table} order by id")]


def form(replica: hf.Replica, key: str, day: str, **values: object) -> None:
    names = ["id", "visited_on", *values]
    marks = ", ".join("?" * len(names))
    replica.execute(f"insert into form ({', '.join(names)}) values ({marks})", (key, day, *values.values()))


def evicted(replica: hf.Replica) -> dict[str, int]:
    return {name: found.evicted for name, found in replica.storage.tables.items() if found.evicted}


def equal(anna: hf.Replica, ben: hf.Replica, server: hf.Server) -> bool:
    for replica in (ben, anna, ben):
        replica.sync()
    return agree(anna, server) and anna.digest("site") == ben.digest("site")


def test_old_rows_leave_and_nobody_takes_it_for_a_deletion(
    anna: hf.Replica, ben: hf.Replica, server: hf.Server, clock: Clock
) -> None:
    form(anna, "old", clock.day(-40), title="x", crew=2, tags=["a"], notes="long")
    form(anna, "young", clock.day(-3))
    anna.sync()
    assert keys(anna, "form") == ["young"], "a sync lets go of what is old"
    assert evicted(anna) == {"form": 1}
    assert anna.pending() == []
    assert equal(anna, ben, server)
    assert keys(ben, "form") == ["old", "young"]
    [row] = anna.fetch("form", "old")
    assert (row["title"], row["crew"], row["tags"], row["notes"]) == ("x", 2, '["a"]', "long")
    assert equal(anna, ben, server)
    assert keys(anna, "form") == ["old", "young"], "what was fetched stays for a day"
    clock.now += 2 * DAY
    anna.sync()
    assert keys(anna, "form") == ["young"]
    assert equal(anna, ben, server)


def test_changes_by_others_keep_the_digest_right_and_come_with_the_row(
    anna: hf.Replica, ben: hf.Replica, server: hf.Server, clock: Clock
) -> None:
    form(anna, "f", clock.day(-40), title="x", crew=2, tags=["a"], notes="long")
    form(anna, "g", clock.day(-40), title="y", notes="other")
    anna.sync()
    ben.sync()
    ben.execute("update form set title = 'by ben', crew = crew + 5, tags = '[\"a\",\"b\"]' where id = 'f'")
    ben.execute("update form set notes = 'longer' where id = 'g'")
    assert equal(anna, ben, server)
    assert keys(anna, "form") == []
    found = anna.fetch("form", "g", "f")
    assert [(row["title"], row["crew"], row["tags"], row["notes"]) for row in found] == [
        ("y", 0, "[]", "longer"),
        ("by ben", 7, '["a","b"]', "long"),
    ]
    anna.execute("update form set crew = crew + 1, notes = notes || '!'")
    ben.execute("update form set notes = '>' || notes where id = 'f'")
    assert equal(anna, ben, server)
    ben.sync()
    shown = [tuple(row) for row in ben.execute("select id, crew, notes from form order by id")]
    assert shown == [("f", 8, ">long!"), ("g", 1, "longer!")]
    assert shown == [tuple(row) for row in anna.execute("select id, crew, notes from form order by id")]


def test_a_row_that_others_delete_is_gone_and_its_key_is_free(
    anna: hf.Replica, ben: hf.Replica, server: hf.Server, clock: Clock
) -> None:
    form(anna, "f", clock.day(-40))
    anna.sync()
    ben.sync()
    ben.execute("delete from form where id = 'f'")
    assert equal(anna, ben, server)
    assert evicted(anna) == {}
    with pytest.raises(hf.HoldfastError) as caught:
        anna.fetch("form", "f")
    assert caught.value.code == "row_missing"
    form(anna, "f", clock.day(-1), title="again")
    assert equal(anna, ben, server)
    assert keys(anna, "form") == ["f"]


def test_nothing_unsent_or_refused_leaves(tmp_path: Path, clock: Clock) -> None:
    with hf.Server(f"sqlite:///{tmp_path}/hub2.db", SCHEMA, now=clock) as server:

        @server.before_write("form")
        def check(change: hf.Change, context: hf.Context) -> None:
            if change.new is not None and change.new["title"] == "bad":
                raise hf.Refuse("no")

        with opened(tmp_path / "anna.db", server, clock) as anna:
            form(anna, "a", clock.day(-3), title="first")
            form(anna, "b", clock.day(-3), title="first")
            anna.sync()
            clock.now += 60 * DAY
            anna.execute("update form set title = 'bad' where id = 'a'")
            form(anna, "c", clock.day(-40), title="captured only")
            assert anna.prune().rows == {}, "without a network nothing grows old"
            anna.sync()
            assert keys(anna, "form") == ["a"], "b and c are on the hub; the refused value of a is here only"
            assert evicted(anna) == {"form": 2}
            [refused] = anna.refused()
            anna.edit(refused.txn, "form", "a", title="good")
            anna.retry(refused.txn)
            assert anna.prune().rows == {}
            anna.sync()
            anna.prune()
            assert keys(anna, "form") == []
            assert agree(anna, server)
            assert anna.fetch("form", "a")[0]["title"] == "good"


def test_a_parent_stays_as_long_as_a_child_and_comes_back_with_one(
    tmp_path: Path, server: hf.Server, ben: hf.Replica, clock: Clock
) -> None:
    small = hf.Storage(total=1)
    with opened(tmp_path / "anna.db", server, clock, small) as anna:
        anna.execute("insert into project (id, title) values ('p', 'bridge'), ('q', 'tower')")
        form(anna, "f", clock.day(-3), project="p")
        anna.execute("insert into photo (id, form, body) values ('h', 'f', x'00')")
        anna.sync()
        anna.prune()
        assert (keys(anna, "project"), keys(anna, "form"), keys(anna, "photo")) == (["p"], ["f"], [])
        clock.now += 60 * DAY
        anna.sync()
        assert (keys(anna, "project"), keys(anna, "form")) == ([], [])
        assert evicted(anna) == {"project": 2, "form": 1, "photo": 1}
        assert anna.fetch("photo", "h")[0]["form"] == "f"
        assert (keys(anna, "project"), keys(anna, "form")) == (["p"], ["f"]), "what a row refers to comes with it"
        ben.sync()
        form(ben, "new", clock.day(60), project="q")
        assert equal(anna, ben, server)
        assert keys(anna, "project") == ["p", "q"], "and so it does for a row that somebody else makes"
        assert anna.execute("pragma foreign_key_check") == []


def test_the_key_of_a_row_that_left_is_not_free(
    tmp_path: Path, anna: hf.Replica, ben: hf.Replica, server: hf.Server, clock: Clock
) -> None:
    form(anna, "f", clock.day(-40), title="x")
    form(anna, "g", clock.day(-1))
    for number in range(5):
        anna.execute("insert into visit (day, place) values (?, 'here')", (clock.day(-number),))
    anna.sync()
    assert [row[0] for row in anna.execute("select day from visit order by day")] == [clock.day(-n) for n in (2, 1, 0)]
    old, gone = clock.day(-40), clock.day(-4)
    for sql in (
        f"insert into form (id, visited_on) values ('f', '{old}')",
        f"insert or replace into form (id, visited_on) values ('f', '{old}')",
        f"insert or ignore into form (id, visited_on) values ('f', '{old}')",
        f"insert into form (id, visited_on) values ('f', '{old}') on conflict (id) do update set title = 'z'",
        "update form set id = 'f' where id = 'g'",
        f"insert into visit (day, place) values ('{gone}', 'here')",
    ):
        with pytest.raises(hf.HoldfastError) as caught:
            anna.execute(sql)
        assert caught.value.code == "row_evicted", sql
    other = apsw.Connection(str(tmp_path / "anna.db"))
    with pytest.raises(apsw.ConstraintError, match="row_evicted"):
        other.execute("insert into form (id, visited_on) values ('f', '2025-01-01')")
    other.close()
    assert equal(anna, ben, server)
    assert anna.fetch("visit", [gone, "here"])[0]["place"] == "here"
    anna.fetch("form", "f")
    anna.execute("insert into form (id, visited_on) values ('f', ?) on conflict (id) do update set title = 'z'", (old,))
    assert equal(anna, ben, server)
    assert ben.execute("select title from form where id = 'f'")[0][0] == "z"


def photos(replica: hf.Replica, *names: str) -> None:
    for name in names:
        replica.execute("insert into photo (id, body) values (?, ?)", (name, b"x" * 40_000))


def test_the_least_recently_used_leave_first(tmp_path: Path, server: hf.Server, ben: hf.Replica, clock: Clock) -> None:
    with opened(tmp_path / "anna.db", server, clock, hf.Storage(photos="200 kB")) as anna:
        for name in "abcd":
            photos(anna, name)
            clock.now += 1_000
        anna.sync()
        assert keys(anna, "photo") == ["a", "b", "c", "d"]
        assert anna.status.storage["photos"] == "warning"
        anna.touch("photo", "a")
        clock.now += 1_000
        photos(anna, "e")
        anna.sync()
        assert keys(anna, "photo") == ["a", "c", "d", "e"], "b is the one that nobody has used for longest"
        assert anna.storage.classes["photos"].bytes < 200_000
        anna.fetch("photo", "b")
        clock.now += 1_000
        photos(anna, "f")
        anna.sync()
        assert keys(anna, "photo") == ["a", "b", "e", "f"], "what was fetched or touched is in use"
        assert equal(anna, ben, server)
        assert keys(ben, "photo") == list("abcdef")


def test_it_holds_over_a_restart_and_in_two_processes(
    tmp_path: Path, server: hf.Server, ben: hf.Replica, clock: Clock
) -> None:
    path = tmp_path / "anna.db"
    with opened(path, server, clock) as first, opened(path, server, clock) as second:
        form(first, "f", clock.day(-40), title="x")
        first.sync()
        ben.sync()
        ben.execute("update form set title = 'y'")
        ben.sync()
        second.sync()
        assert keys(second, "form") == []
        assert agree(second, server)
        assert second.fetch("form", "f")[0]["title"] == "y"
        assert keys(first, "form") == ["f"]
        clock.now += 2 * DAY
        first.sync()
        assert keys(second, "form") == []
        second.sync()
    with hf.Replica(path, keeping(), transport=LocalTransport(server, ANNA), now=clock) as again:
        with pytest.raises(hf.HoldfastError) as caught:
            form(again, "f", clock.day(0))
        assert caught.value.code == "row_evicted", "the guard stays as long as a row is away"
        assert equal(again, ben, server)
        again.fetch("form", "f")
        assert equal(again, ben, server)


def test_full_text_search_and_watches_see_only_what_is_here(
    anna: hf.Replica, server: hf.Server, clock: Clock, tmp_path: Path
) -> None:
    other = apsw.Connection(str(tmp_path / "anna.db")) if anna.device else None
    assert other is not None
    other.execute(
        """create virtual table form_text using fts5(key unindexed, title);
           create trigger form_ai after insert on form begin insert into form_text values (new.id, new.title); end;
           create trigger form_ad after delete on form begin delete from form_text where key = old.id; end"""
    )
    other.close()
    form(anna, "old", clock.day(-40), title="crane")
    form(anna, "new", clock.day(-1), title="crane")
    with anna.watch("select id from form order by id") as watch:
        seen = iter(watch)
        assert [row[0] for row in next(seen)] == ["new", "old"]
        anna.sync()
        assert [row[0] for row in next(seen)] == ["new"]
        search = "select key from form_text where form_text match 'crane' order by key"
        assert [row[0] for row in anna.execute(search)] == ["new"]
        anna.fetch("form", "old")
        assert [row[0] for row in anna.execute(search)] == ["new", "old"]
        assert [row[0] for row in next(seen)] == ["new", "old"]


def test_a_space_that_is_lost_or_read_anew_forgets_what_had_left(
    tmp_path: Path, server: hf.Server, ben: hf.Replica, clock: Clock
) -> None:
    path = tmp_path / "anna.db"
    with opened(path, server, clock) as anna:
        form(anna, "f", clock.day(-40), title="x")
        anna.sync()
        assert evicted(anna) == {"form": 1}
        nobody = LocalTransport(server, hf.Identity("anna", {}))
    with hf.Replica(path, SCHEMA, transport=nobody, now=clock) as anna:
        anna.sync()
        assert evicted(anna) == {}
        form(anna, "f", clock.day(-1))
    with opened(path, server, clock) as anna:
        anna.sync()
        assert agree(anna, server)


def test_what_left_is_not_undone(anna: hf.Replica, server: hf.Server, clock: Clock) -> None:
    form(anna, "f", clock.day(-3), title="x")
    anna.sync()
    anna.execute("update form set title = 'y'")
    clock.now += 60 * DAY
    anna.sync()
    assert keys(anna, "form") == []
    undone = anna.undo()
    assert undone is not None
    assert (undone.rows, [left.reason for left in undone.left]) == (0, ["the row has left this device"])
    assert agree(anna, server)
    assert anna.execute("select count(*) from holdfast_done where new_1 = 'y' or new_1 = 'x'")[0][0] == 0
    anna.fetch("form", "f")
    assert anna.redo() is None
    assert anna.execute("select title from form")[0][0] == "y"


def test_fetching_needs_the_hub_only_for_what_left(anna: hf.Replica, clock: Clock, tmp_path: Path) -> None:
    form(anna, "f", clock.day(-40))
    form(anna, "g", clock.day(-1))
    anna.sync()
    path = tmp_path / "anna.db"
    with hf.Replica(path, SCHEMA, now=clock) as alone:
        assert alone.fetch("form", "g")[0]["id"] == "g"
        with pytest.raises(hf.HoldfastError) as caught:
            alone.fetch("form", "f")
        assert caught.value.code == "no_transport"
        with pytest.raises(hf.HoldfastError) as caught:
            alone.fetch("form", "nothing")
        assert caught.value.code == "row_missing"
        with pytest.raises(hf.HoldfastError) as caught:
            alone.fetch("form", 7)
        assert caught.value.code == "value_type", "a number is no text"


def test_a_connected_device_prunes_fetches_and_completes(
    tmp_path: Path, server: hf.Server, ben: hf.Replica, clock: Clock
) -> None:
    with opened(tmp_path / "anna.db", server, clock, hf.Storage(total=1)) as anna:
        anna.execute("insert into project (id, title) values ('q', 'tower')")
        form(anna, "old", clock.day(-40))
        anna.connect()
        anna.sync()
        anna.prune()
        assert (keys(anna, "project"), keys(anna, "form")) == ([], [])
        assert anna.fetch("form", "old")[0]["id"] == "old"
        assert anna.status.state != "stopped", "the loop goes on"
        ben.sync()
        form(ben, "new", clock.day(0), project="q")
        ben.sync()
        anna.sync()
        assert keys(anna, "project") == ["q"]
        anna.disconnect()
        assert agree(anna, server)
