"""A device's file that is copied, or put back from a copy: what waited in it counts once, whoever sends it, and both
files are right in the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import apsw
import pytest

import holdfast as hf
from holdfast.testing import LocalTransport
from tests.postgres import database

ANNA = hf.Identity("anna", {"site": "rw"})
BOB = hf.Identity("bob", {"site": "rw"})


class Stock(hf.Table, space="site"):
    """A value of each kind that merges in a way of its own."""

    status: str = "draft"
    count: hf.Counter = 0
    tags: hf.Set[str]
    notes: hf.Text = ""
    memo: hf.MergeText = ""


class Part(hf.Table, space="site"):
    """Rows that come and go."""

    stock: str = hf.column(references=Stock)
    name: str = hf.column(unique=True)


SCHEMA = hf.Schema(Stock, Part)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[hf.Server]:
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path_factory.mktemp('hub')}/hub.db"
        if request.param == "postgres":
            url = stack.enter_context(database())
        server = stack.enter_context(hf.Server(url, SCHEMA))
        server.migrate()
        yield server


class Desk:
    """The files of one test, and who has them open. Every row of a test has its name in front."""

    def __init__(self, hub: hf.Server, folder: Path, test: str) -> None:
        self.hub, self.folder, self.test = hub, folder, test
        self.open: dict[str, hf.Replica] = {}

    def device(self, name: str, identity: hf.Identity = ANNA) -> hf.Replica:
        way = LocalTransport(self.hub, identity)
        self.open[name] = hf.Replica(self.folder / f"{name}.db", SCHEMA, transport=way)
        return self.open[name]

    def close(self, name: str) -> None:
        self.open.pop(name).close()

    def copy(self, source: str, target: str) -> None:
        """As a backup makes it: of a file that nobody writes, as it is at that moment."""
        with (
            closing(apsw.Connection(str(self.folder / f"{source}.db"))) as db,
            closing(apsw.Connection(str(self.folder / f"{target}.db"))) as copied,
            copied.backup("main", db, "main") as copying,
        ):
            copying.step()

    def key(self, name: str) -> str:
        return f"{self.test} {name}"

    def begin(self) -> hf.Replica:
        """A device that has a row of everybody's."""
        a = self.device("a")
        a.execute("insert into stock (id, count, notes, memo) values (?, 10, 'one', 'one')", (self.key("x"),))
        a.sync()
        return a

    def edit(self, replica: hf.Replica, word: str, more: int) -> None:
        """One transaction that changes the row in every way."""
        with replica.transaction():
            replica.execute(
                """update stock set status = ?1, count = count + ?2, tags = json_insert(tags, '$[#]', ?1),
                   notes = notes || ' ' || ?1, memo = memo || ' ' || ?1 where id = ?3""",
                (word, more, self.key("x")),
            )

    def shown(self, replica: hf.Replica) -> list[tuple[object, ...]]:
        sql = "select status, count, tags, notes, memo from stock where id = ?"
        return [tuple(row) for row in replica.execute(sql, (self.key("x"),))]

    def end(self, *expected: object) -> None:
        """All devices come to rest on that row, with nothing left over, and are what the hub has."""
        for _ in range(2):
            for replica in self.open.values():
                replica.sync()
        for name, replica in self.open.items():
            assert self.shown(replica) == [expected], name
            assert (replica.status.pending_count, replica.status.refused_count) == (0, 0), name
            report = replica.verify()
            assert (report.ok, list(report.repaired)) == (True, []), name
        assert self.conflicts() == []

    def conflicts(self) -> list[tuple[object, ...]]:
        """What the hub has in its inbox of the rows of this test."""
        with self.device("inbox", BOB) as reader:
            reader.sync()
            sql = "select table_name, column_name, rule from holdfast_conflict where row_key like ?"
            found = [tuple(row) for row in reader.execute(sql, (f"{self.test} %",))]
        del self.open["inbox"]
        return found


@pytest.fixture
def desk(hub: hf.Server, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    made = Desk(hub, tmp_path, request.node.name)
    yield made
    for name in list(made.open):
        made.close(name)


@pytest.mark.parametrize("sealed", [False, True], ids=["captured", "sealed"])
@pytest.mark.parametrize("first", ["original", "copy"])
def test_both_files_go_on(desk: Desk, first: str, sealed: bool) -> None:
    """The file is copied with work in it that is not sent; both are opened, write more, and send what they hold."""
    a = desk.begin()
    desk.edit(a, "shared", 5)
    a.execute("insert into part (id, stock, name) values (?1, ?2, ?1)", (desk.key("p"), desk.key("x")))
    if sealed:
        assert len(a.pending()) == 2
    desk.close("a")
    desk.copy("a", "b")
    a, b = desk.device("a"), desk.device("b")
    one, other = (a, b) if first == "original" else (b, a)
    one.sync()
    other.sync()
    assert desk.shown(a) == desk.shown(b) == [("shared", 15, '["shared"]', "one shared", "one shared")]
    desk.edit(one, "one", 1)
    one.sync()
    other.sync()
    desk.edit(other, "other", 2)
    both = "one shared one other"
    desk.end("other", 18, '["one","other","shared"]', both, both)
    rows = [tuple(row) for row in b.execute("select name from part where id like ?", (f"{desk.test} %",))]
    assert rows == [(desk.key("p"),)]


def test_an_old_copy_is_put_back(desk: Desk) -> None:
    """Work of the copy was joined with later work and sent; others wrote after it; the copy has an old cursor."""
    a, b = desk.begin(), desk.device("b", BOB)
    desk.edit(a, "early", 5)
    a.execute("insert into part (id, stock, name) values (?1, ?2, ?1)", (desk.key("p"), desk.key("x")))
    desk.close("a")
    desk.copy("a", "old")
    a = desk.device("a")
    desk.edit(a, "later", 3)
    assert len(a.sync().refused) == 0
    a.execute("delete from part where id = ?", (desk.key("p"),))
    a.sync()
    desk.close("a")
    b.sync()
    b.execute("update stock set status = 'bob', count = count + 100 where id = ?", (desk.key("x"),))
    b.execute("insert into part (id, stock, name) values (?1, ?2, ?1)", (desk.key("q"), desk.key("x")))
    b.sync()
    shutil.move(desk.folder / "old.db", desk.folder / "a.db")
    for suffix in ("-wal", "-shm"):
        (desk.folder / f"a.db{suffix}").unlink(missing_ok=True)
    a = desk.device("a")
    assert desk.shown(a)[0][:2] == ("early", 15)
    a.execute("update stock set count = count + 1000 where id = ?", (desk.key("x"),))
    a.sync()
    text = "one early later"
    desk.end("bob", 1118, '["early","later"]', text, text)
    found = [tuple(row) for row in a.execute("select id from part where id like ?", (f"{desk.test} %",))]
    assert found == [(desk.key("q"),)], "a row that was deleted since does not come back"


def test_no_number_is_used_again(desk: Desk) -> None:
    """Each opening of each copy writes under an origin of its own, however often the same old file is put back."""
    a = desk.begin()
    desk.edit(a, "shared", 5)
    desk.close("a")
    for number in range(3):
        desk.copy("a", f"copy {number}")
        desk.edit(desk.device(f"copy {number}"), f"word {number}", 1)
        desk.open[f"copy {number}"].sync()
    with desk.hub.hub.reading() as tx:
        made = [entry.stamp for entry in tx.history("stock", desk.key("x"))]
    assert len({stamp.split("-")[1] for stamp in made}) >= 4
    assert len(set(made)) == len(made)
    for replica in [*desk.open.values(), *desk.open.values()]:
        replica.sync()
    shown = [desk.shown(replica)[0] for replica in desk.open.values()]
    assert shown == [shown[0]] * 3
    assert shown[0][:3] == ("word 2", 18, '["shared","word 0","word 1","word 2"]')
    for text in map(str, shown[0][3:]):
        assert sorted(text.replace("word ", "word-").split()) == ["one", "shared", "word-0", "word-1", "word-2"]
    assert {(column, rule) for _, column, rule in desk.conflicts()} == {("status", "register")}, "they did not see them"


def test_work_that_has_a_name_keeps_it(desk: Desk) -> None:
    """The copy was made while an answer was awaited: both files send it under one name."""
    a = desk.begin()
    desk.edit(a, "named", 5)
    a.execute("insert into part (id, stock, name) values (?1, ?2, ?1)", (desk.key("p"), desk.key("x")))
    deaf = Deaf(desk.hub)
    desk.close("a")
    with (
        hf.Replica(desk.folder / "a.db", SCHEMA, transport=deaf) as unheard,
        pytest.raises(hf.HoldfastError, match="lost"),
    ):
        unheard.sync()
    desk.copy("a", "b")
    a, b = desk.device("a"), desk.device("b")
    a.sync()
    desk.edit(a, "later", 1)
    a.sync()
    b.sync()
    desk.end("later", 16, '["later","named"]', "one named later", "one named later")
    assert len(b.execute("select * from part where id = ?", (desk.key("p"),))) == 1


class Deaf:
    """A way to the hub on which every request arrives and no answer does."""

    def __init__(self, hub: hf.Server) -> None:
        self._way = LocalTransport(hub, ANNA)

    def exchange(self, body: bytes) -> object:
        exchange = self._way.exchange(body)
        for _ in exchange.chunks():
            pass
        exchange.close()
        raise hf.HoldfastError("network", "the answer was lost")

    def close(self) -> None:
        """Nothing is held."""


def test_a_copy_that_was_faster_than_a_running_process(desk: Desk) -> None:
    """The file is copied while its application runs on, which sends last, and never was opened anew."""
    a = desk.begin()
    desk.edit(a, "shared", 5)
    desk.copy("a", "b")
    desk.device("b").sync()
    a.sync()
    desk.end("shared", 15, '["shared"]', "one shared", "one shared")


def test_increments_that_were_joined_after_the_copy_sent_some(desk: Desk) -> None:
    """The original, which runs on, joins what the copy has sent with what it wrote since: only the rest counts. Of text
    that cannot be told, so the transaction is refused, and kept."""
    a = desk.begin()
    a.execute("update stock set count = count + 5 where id = ?", (desk.key("x"),))
    desk.copy("a", "b")
    a.execute("update stock set count = count + 3 where id = ?", (desk.key("x"),))
    desk.device("b").sync()
    a.sync()
    assert desk.shown(a)[0][1] == 18
    desk.end("draft", 18, "[]", "one", "one")
    a.execute("update stock set notes = notes || ' two' where id = ?", (desk.key("x"),))
    desk.copy("a", "b2")
    a.execute("update stock set notes = notes || ' three' where id = ?", (desk.key("x"),))
    desk.device("b2").sync()
    assert [refusal.code for refusal in a.sync().refused] == ["sent_in_part"]
    assert desk.shown(a)[0][3] == "one two"
    assert "' two three'" in a.refused()[0].message
