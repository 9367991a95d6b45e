"""A hub that is put back from a backup, or fails over without its last commits: what it lost comes back, once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

import holdfast as hf
from holdfast.testing import LocalTransport

WRITER = hf.Identity("anna", {"project:1": "rw"})
READER = hf.Identity("rita", {"project:1": "r"})


class Form(hf.Table, space="project:{project}"):
    """A form with a value of each kind that merges in a way of its own."""

    project: str = "1"
    status: str = "draft"
    crew: hf.Counter = 0
    tags: hf.Set[str]
    notes: hf.Text = ""
    plan: hf.Json = {}  # noqa: RUF012
    memo: hf.MergeText = ""


class Photo(hf.Table, space=hf.via("form")):
    """A child, which can only come back after its parent."""

    form: str = hf.column(references=Form)


class Mine(hf.Table, space="user:{@user}"):
    """Rows of one person."""

    text: str = ""


SCHEMA = hf.Schema(Form, Photo, Mine)


class Place:
    """A hub in a file that can be copied and put back, and devices."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open: list[hf.Replica] = []
        self.answers = 1_000
        self.server = self._start()

    def _start(self) -> hf.Server:
        return hf.Server(f"sqlite:///{self.folder}/hub.db", SCHEMA)

    def device(self, name: str, identity: hf.Identity = WRITER) -> hf.Replica:
        made = hf.Replica(self.folder / f"{name}.db", SCHEMA, transport=Late(self, identity))
        self.open.append(made)
        return made

    def back_up(self) -> None:
        db = apsw.Connection(str(self.folder / "hub.db"))
        copy = apsw.Connection(str(self.folder / "backup.db"))
        with copy.backup("main", db, "main") as copying:
            copying.step()
        copy.close()
        db.close()

    def restore(self) -> None:
        self.server.close()
        for suffix in ("", "-wal", "-shm"):
            (self.folder / f"hub.db{suffix}").unlink(missing_ok=True)
        shutil.copy(self.folder / "backup.db", self.folder / "hub.db")
        self.server = self._start()

    def close(self) -> None:
        for replica in self.open:
            replica.close()
        self.server.close()


class Late:
    """A transport to whatever hub stands there now."""

    def __init__(self, place: Place, identity: hf.Identity) -> None:
        self._place, self._identity = place, identity

    def exchange(self, body: bytes) -> Any:
        if self._place.answers == 0:
            raise hf.HoldfastError("network", "no network")
        self._place.answers -= 1
        return LocalTransport(self._place.server, self._identity).exchange(body)

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


def forms(replica: hf.Replica) -> list[tuple[object, ...]]:
    return [tuple(row) for row in replica.execute("select id, status, crew, tags, notes from form order by id")]


def test_an_edit_of_a_document_meets_one_that_came_back(place: Place) -> None:
    """The history has the value that came back, and no edit: nobody knows any more who wrote a part of it."""
    a, b, c = (place.device(name) for name in "abc")
    a.execute("insert into form (id, plan) values ('x', '{\"crane\": {\"tons\": 1}}')")
    for replica in (a, b, c):
        replica.sync()
    place.back_up()
    a.execute('update form set plan = \'{"crane": {"tons": 2}}\'')
    for replica in (a, b):
        replica.sync()
    place.restore()
    b.sync()
    c.execute("update form set plan = '{}'")
    assert c.sync().pushed == 1
    (met,) = c.conflicts()
    assert (met.rule, met.column, met.path, met.mine, met.theirs) == ("json", "plan", "/crane/tons", None, 2)
    assert met.theirs_by.user == ""
    assert [row["plan"] for row in c.execute("select plan from form")] == ["{}"]


def test_an_edit_of_a_long_merged_text_meets_one_that_came_back(place: Place) -> None:
    """Its writer does not send the text that he had seen; the history goes back past what came back to find it."""
    a, b, c = (place.device(name) for name in "abc")
    text = "line\n" * 1_000
    a.execute("insert into form (id, memo) values ('x', ?)", (text,))
    for replica in (a, b, c):
        replica.sync()
    place.back_up()
    a.execute("update form set memo = 'first ' || memo")
    for replica in (a, b):
        replica.sync()
    place.restore()
    b.sync()
    c.execute("update form set memo = memo || 'last'")
    assert c.sync().pushed == 1
    for replica in (a, b, c):
        replica.sync()
        assert [row["memo"] for row in replica.execute("select memo from form")] == [f"first {text}last"]


def test_what_was_lost_comes_back_from_whoever_has_it_and_counts_once(place: Place) -> None:
    a, b, c = (place.device(name) for name in "abc")
    a.execute("insert into form (id, crew) values ('x', 10), ('gone', 1)")
    for replica in (a, b, c):
        replica.sync()
    place.back_up()
    a.execute("update form set crew = crew + 5, tags = '[\"t\"]', notes = 'seen' where id = 'x'")
    a.execute("insert into form (id, status, crew) values ('y', 'new', 3)")
    a.execute("insert into photo (id, form) values ('p', 'y')")
    a.execute("delete from form where id = 'gone'")
    a.sync()
    b.sync()
    place.restore()
    c.execute("update form set crew = crew + 100 where id = 'x'")
    c.sync()
    b.execute("update form set crew = crew + 1000 where id = 'y'")
    assert b.sync().pushed == 1
    b.close()  # a comes later, with the same copies and others do not matter any more
    for replica in (a, c, a):
        replica.sync()
    expected = [("x", "draft", 115, '["t"]', "seen"), ("y", "new", 1003, "[]", "")]
    for replica in (a, c):
        assert forms(replica) == expected
        assert [tuple(row) for row in replica.execute("select id, form from photo")] == [("p", "y")]
        assert replica.lost_rows() == []
        assert replica.verify().ok
    assert [entry.op for entry in place.server.history("form", "y")] == ["restore", "update"]
    (problem,) = [text for text in place.server.problems() if text.startswith("project:1: ")]
    assert "restored or failed over" in problem


def test_what_was_shown_stays_shown_while_it_waits(place: Place) -> None:
    """The answer that tells of the loss arrives, and then there is no network for a while."""
    a = place.device("a")
    a.execute("insert into form (id) values ('x')")
    a.sync()
    place.back_up()
    a.execute("insert into form (id, crew) values ('y', 3)")
    a.sync()
    place.restore()
    place.answers = 2  # a short request is answered, and the whole one
    with pytest.raises(hf.HoldfastError, match="no network"):
        a.sync()
    assert [(row.key, row.state) for row in a.lost_rows()] == [("y", "waits")]
    assert [(row[0], row[2]) for row in forms(a)] == [("x", 0), ("y", 3)]
    a.execute("update form set crew = crew + 1 where id = 'y'")
    place.answers = 1_000
    a.sync()
    assert [(row[0], row[2]) for row in forms(a)] == [("x", 0), ("y", 4)]
    assert a.lost_rows() == []


def test_who_may_only_read_keeps_his_copies_until_he_may_write(place: Place) -> None:
    a, rita = place.device("a"), place.device("rita", READER)
    a.execute("insert into form (id) values ('x')")
    a.sync()
    rita.sync()
    place.back_up()
    a.execute("insert into form (id, crew) values ('y', 3)")
    a.sync()
    rita.sync()
    a.close()
    place.restore()
    rita.sync()
    (kept,) = rita.lost_rows()
    assert (kept.table, kept.key, kept.state, kept.code) == ("form", "y", "kept", "forbidden_space")
    assert kept.values is not None
    assert kept.values["crew"] == 3
    assert [row[0] for row in forms(rita)] == ["x"]
    rita.close()
    again = place.device("rita", hf.Identity("rita", {"project:1": "rw"}))
    again.sync()
    assert [row[0] for row in forms(again)] == ["x", "y"]
    assert again.lost_rows() == []


def test_rows_of_another_hub_are_kept_until_somebody_offers_them(place: Place) -> None:
    a = place.device("a")
    a.execute("insert into form (id) values ('x')")
    a.sync()
    place.server.close()
    for path in place.folder.glob("hub.db*"):
        path.unlink()
    place.server = place._start()
    a.sync()
    assert forms(a) == []
    assert [(row.key, row.state, row.code) for row in a.lost_rows()] == [("x", "kept", "other_hub")]
    assert a.offer_lost_rows() == 1
    a.sync()
    assert [row[0] for row in forms(a)] == ["x"]
    assert a.lost_rows() == []


def test_a_row_that_the_hub_refuses_is_kept_with_the_reason(place: Place) -> None:
    a = place.device("a")
    a.execute("insert into form (id) values ('x')")
    a.sync()
    place.back_up()
    a.execute("insert into form (id) values ('y'), ('z')")
    a.sync()
    place.restore()

    @place.server.before_write("form")
    def no(change: hf.Change, context: hf.Context) -> None:
        if change.key == "y":
            raise hf.Refuse("not this one", code="never")

    a.sync()
    assert [row[0] for row in forms(a)] == ["x", "z"]
    assert [(row.key, row.code, row.message) for row in a.lost_rows()] == [("y", "never", "not this one")]


def test_a_hub_that_was_closed_and_opened_counts_under_the_same_name(place: Place) -> None:
    a = place.device("a")
    a.execute("insert into form (id, crew) values ('x', 1)")
    a.sync()
    names = []
    for _ in range(2):
        place.server.close()
        place.server = place._start()
        with place.server.hub.reading() as tx:
            names.append(tx.hub().counts)
    place.server.close()
    (place.folder / "hub.db-closed").unlink()
    place.server = place._start()
    with place.server.hub.reading() as tx:
        assert names[0] == names[1] != tx.hub().counts


def test_what_was_stamped_while_the_clock_of_the_hub_was_behind_comes_back(tmp_path: Path) -> None:
    """The hub's clock was set back by a year: it stamps by its hybrid time, a year ahead of the clock."""
    year, path = 365 * 24 * 60 * 60 * 1000, tmp_path / "hub.db"
    now = [3 * year]

    def hub() -> hf.Server:
        return hf.Server(f"sqlite:///{path}", SCHEMA, now=lambda: now[0])

    def device(server: hf.Server) -> hf.Replica:
        return hf.Replica(tmp_path / "a.db", SCHEMA, transport=LocalTransport(server, WRITER), now=lambda: 3 * year)

    with hub() as server, device(server) as a:
        a.execute("insert into form (id, crew) values ('x', 1)")
        a.sync()
    shutil.copy(path, tmp_path / "backup.db")
    now[0] -= year
    with hub() as server, device(server) as a:
        a.execute("update form set crew = crew + 4, status = 'later' where id = 'x'")
        a.sync()
    shutil.copy(tmp_path / "backup.db", path)
    with hub() as server, device(server) as a:
        a.sync()
        assert a.lost_rows() == []
        assert [tuple(row) for row in a.execute("select status, crew from form")] == [("later", 5)]
        assert [entry.op for entry in server.history("form", "x")] == ["insert", "restore"]
