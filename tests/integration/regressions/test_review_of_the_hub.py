"""What a review of the hub found: each test failed before its fix."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import holdfast as hf
from holdfast.hub import serving
from holdfast.hub.presence import Presence
from holdfast.hub.serving import Serving
from holdfast.protocol import messages as m
from holdfast.stores.memory import MemoryStore
from holdfast.testing import LocalTransport
from tests.postgres import database


class Note(hf.Table, space="all"):
    body: str = ""


class Item(hf.Table, space="all", exclude=["secret"]):
    count: int


NOTES = hf.Schema(Note)
ANN, BEN = (hf.Identity(user, {"all": "rw"}) for user in ("ann", "ben"))


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/hub.db"
    else:
        with database() as made:
            yield made


def device(server: hf.Server, path: Path, schema: hf.Schema, identity: hf.Identity = ANN) -> hf.Replica:
    return hf.Replica(path, schema, transport=LocalTransport(server, identity))


def asked(server: hf.Server, identity: hf.Identity, **members: Any) -> tuple[int, list[dict[str, Any]]]:
    """Status and lines of the answer to a request made by hand."""
    schema = {"version": NOTES.version, "hash": NOTES.hash}
    body = {"protocol": m.PROTOCOL, "device": "ben's", "schema": schema, "clock": 0, **members}
    response = server.handle(json.dumps(body).encode(), identity)
    return response.status, [json.loads(line) for line in b"".join(response).splitlines()]


def test_nobody_goes_on_with_the_numbers_of_another_user(tmp_path: Path) -> None:
    """Who shares a space reads there what devices and origins there are. With them he could send a transaction under
    the next number of somebody else, whose own next one the hub then took for known: gone, and called accepted."""
    with hf.Server("memory:", NOTES) as server, device(server, tmp_path / "ann.db", NOTES) as ann:
        ann.execute("insert into note (id, body) values ('1', 'seen by all')")
        ann.sync()
        _, lines = asked(server, BEN, history=[["note", "1"]])
        entry = lines[-1]["footer"]["history"][0]["entries"][0]
        name, origin = entry["device"], entry["stamp"].partition("-")[2]
        for forged in (
            {"transactions": [{"origin": origin, "n": 2, "ops": []}]},
            {"transactions": [{"origin": origin, "n": 2, "ops": [], "withdrawn": True}]},
            {"acknowledged": [[origin, 1]]},
        ):
            status, lines = asked(server, BEN, **(forged | {"device": name}))
            assert (status, lines[0]["code"]) == (409, "user_changed")
        ann.execute("insert into note (id, body) values ('2', 'important')")
        ann.sync()
        assert [change.key for change in server.history("note", "2")] == ["2"]


def test_a_refusal_does_not_show_columns_that_devices_never_hear_of(tmp_path: Path) -> None:
    schema = hf.Schema(Item)
    with database() as url, psycopg.connect(url, autocommit=True) as program:
        program.execute(
            "create table item (id text primary key, secret text, count bigint not null,"
            " check (secret is null or count < 100))"
        )
        server = hf.Server(url, schema)
        server.migrate()
        program.execute("insert into item values ('1', 'of the hub alone', 1)")
        with server, device(server, tmp_path / "ann.db", schema) as ann:
            ann.sync()
            ann.execute("update item set count = 500")
            ann.sync()
            (refused,) = ann.refused()
            assert refused.code == "check"
            assert "item_check" in refused.message
            assert "of the hub alone" not in repr(refused)


def test_texts_that_no_database_holds_are_refused_on_every_store(url: str) -> None:
    """On PostgreSQL each was an error of the hub: 500, or an answer that broke off."""
    stamp, origin = "032a191928a000-00000000000a", "00000000000a"
    insert = {"op": "insert", "table": "note", "stamp": stamp}
    writes = [insert | {"key": "a\0"}, insert | {"key": "b", "set": {"body": "\0"}}, insert | {"key": "c"}]
    transactions = [{"origin": origin, "n": n, "ops": [op]} for n, op in enumerate(writes, 1)]
    asking = {"history": [["note", "a\0"]], "compare": {"all": {"names": [["note", "a\0"]]}}}
    with hf.Server(url, NOTES) as server:
        status, lines = asked(server, BEN, transactions=transactions, **asking)
        assert (status, lines[0]["header"]["through"]) == (200, {origin: 3})
        assert [(one["n"], one["code"]) for one in lines[0]["header"]["results"]] == [
            (1, "value_nul"),
            (2, "value_nul"),
        ]
        assert lines[-1]["footer"]["history"][0]["entries"] == []
        assert lines[-1]["footer"]["compared"]["all"]["unknown"] == [["note", "a\0"]]
        assert server.conflicts(BEN, table="\0") == []
        status, lines = asked(server, BEN, device="\0", transactions=[{"origin": "00000000000b", "n": 1, "ops": []}])
        assert (status, lines[0]["code"]) == (400, "request_malformed")


class Visit1(hf.Table, name="visit", space="all"):
    name: str = ""
    crew: str = ""


class Visit2(hf.Table, name="visit", space="all"):
    title: str = ""
    crew: str = ""


class Visit3(hf.Table, name="visit", space="all"):
    name: str = ""
    crew: str = ""
    title: str = "new"


class Moved(hf.Table, name="visit", space="all"):
    crew: str = ""
    name: str = ""


class Changed(hf.Table, name="visit", space="all"):
    crew: str = ""
    title: str = ""


TO2 = hf.migrate(1, 2, hf.rename("visit", "name", "title"))
BACK = hf.migrate(2, 3, hf.rename("visit", "title", "name"))
PLACES = hf.migrate(
    2, 3, hf.rename("visit", "title", "x"), hf.rename("visit", "crew", "title"), hf.rename("visit", "x", "crew")
)
V1 = hf.Schema(Visit1, version=1)
V2 = hf.Schema(Visit2, version=2, migrations=[TO2])


def first_visit(url: str, folder: Path) -> None:
    with hf.Server(url, V1) as server, device(server, folder / "first.db", V1) as ann:
        ann.execute("insert into visit (id, name, crew) values ('1', 'Ann', 'Bo')")
        ann.sync()


def visits(server: hf.Server, path: Path, schema: hf.Schema, columns: str) -> list[tuple[Any, ...]]:
    with device(server, path, schema) as fresh:
        fresh.sync()
        return [tuple(row) for row in fresh.execute(f"select {columns} from visit")]


def test_a_hub_from_before_a_rename_does_not_start_again(url: str, tmp_path: Path) -> None:
    """It made the column of the old name anew, empty, and took its emptiness for what a program had written."""
    first_visit(url, tmp_path)
    with hf.Server(url, V2) as later:
        later.migrate()
    with pytest.raises(hf.HoldfastError) as caught, hf.Server(url, V1) as earlier:
        earlier.health()
    assert caught.value.code == "schema_changed"
    with hf.Server(url, V2) as later:
        assert visits(later, tmp_path / "new.db", V2, "title, crew") == [("Ann", "Bo")]


def test_columns_that_change_places_without_a_new_version_are_refused(url: str, tmp_path: Path) -> None:
    """The hub read the values of one column as those of the other."""
    first_visit(url, tmp_path)
    with pytest.raises(hf.HoldfastError) as caught, hf.Server(url, hf.Schema(Moved, version=1)) as moved:
        moved.health()
    assert caught.value.code == "schema_changed"
    with hf.Server(url, V1) as server:
        assert visits(server, tmp_path / "new.db", V1, "name, crew") == [("Ann", "Bo")]


@pytest.mark.parametrize(
    ("third", "columns", "expected"),
    [
        (hf.Schema(Visit3, version=3, migrations=[TO2, BACK]), "name, crew, title", ("Ann", "Bo", "new")),
        (hf.Schema(Changed, version=3, migrations=[TO2, PLACES]), "crew, title", ("Ann", "Bo")),
    ],
    ids=["back, and the other name anew", "two change places"],
)
def test_names_that_come_back(
    url: str, tmp_path: Path, third: hf.Schema, columns: str, expected: tuple[Any, ...]
) -> None:
    """Followed name by name, the same renames were done again at every start, and `migrate` came to no end."""
    first_visit(url, tmp_path)
    with hf.Server(url, V2) as server:
        server.migrate()
    for start in range(3):
        with hf.Server(url, third) as server:
            server.migrate()
            assert server.plan() == []
            assert visits(server, tmp_path / f"{start}.db", third, columns) == [expected]
            with server.hub.reading() as tx:
                (row,) = tx.current([("visit", "1")])
                assert row.values is not None and row.values[1][:2] == ["Ann", "Bo"]


class Weather(hf.Table, name="visit", space="all"):
    name: str = ""
    crew: str = ""
    weather: str | None = None


def test_hubs_of_a_new_version_that_start_at_once(url: str, tmp_path: Path) -> None:
    """The second one to say since when the version runs said a later moment: devices that changed to it later lacked,
    in rows written in between, what is new in it, and no comparison tells, for digests are over stamps."""
    first_visit(url, tmp_path)
    schema = hf.Schema(Weather, version=2)
    slow = hf.Server(url, schema)
    starting = Serving(slow._store, schema)
    with hf.Server(url, schema) as server:
        with device(server, tmp_path / "new.db", schema) as new:
            new.sync()
            new.execute("update visit set weather = 'rain'")
            new.sync()
        with device(server, tmp_path / "first.db", V1) as old:
            old.sync()
        starting.open(slow._store)
    slow._store.close()
    with hf.Server(url, schema) as server:
        assert visits(server, tmp_path / "first.db", schema, "name, weather") == [("Ann", "rain")]


class Told1(hf.Table, name="visit", space="all"):
    name: str
    memo: str


class Told2(hf.Table, name="visit", space="all"):
    first: str
    last: str


def parts(name: str) -> tuple[str, str]:
    first, _, last = name.partition(" ")
    return first, last


TOLD1 = hf.Schema(Told1, version=1)
TOLD2 = hf.Schema(
    Told2,
    version=2,
    migrations=[
        hf.migrate(
            1,
            2,
            hf.lens("visit", "name", ["first", "last"], parts, lambda first, last: f"{first} {last}"),
            hf.drop("visit", "memo", fill="none"),
        )
    ],
)


def test_no_program_and_no_stranger_writes_a_null_that_a_version_cannot_read(tmp_path: Path) -> None:
    """Columns of other versions take nulls in the database, because a program need not know them. The null went to the
    devices that do: they could take no answer any more."""
    with database() as url, psycopg.connect(url, autocommit=True) as program:
        with hf.Server(url, TOLD1) as server, device(server, tmp_path / "old.db", TOLD1) as old:
            old.sync()
        with hf.Server(url, TOLD2) as server:
            server.migrate()
            program.execute("insert into visit (id, first, last) values ('1', 'Ann', 'Lee'), ('2', 'Bo', 'Ray')")
            program.execute("insert into visit (id) values ('3')")
            server.sequence_foreign_writes()
            program.execute("update visit set memo = null, first = 'Bea' where id = '2'")
            assert [one.key for one in _aside(server)] == ["3", "2"]
            null = {"op": "update", "table": "visit", "key": "1", "stamp": "032a191928a000-00000000000a", "life": 1}
            lacking = {"op": "insert", "table": "visit", "key": "4", "stamp": "032a191928a000-00000000000a", "set": {}}
            ops = [null | {"set": {"memo": None}}, null | {"set": {"first": None}}, lacking]
            transactions = [{"origin": "00000000000a", "n": n, "ops": [op]} for n, op in enumerate(ops, 1)]
            names = {"schema": {"version": 2, "hash": TOLD2.hash}}
            _, lines = asked(server, BEN, transactions=transactions, **names)
            assert [one["code"] for one in lines[0]["header"]["results"]] == ["value_null"] * 3
            with device(server, tmp_path / "old.db", TOLD1) as old:
                old.sync()
                found = [tuple(row) for row in old.execute("select * from visit order by id")]
                assert found == [("1", "Ann Lee", "none"), ("2", "Bo Ray", "none")]


def _aside(server: hf.Server) -> list[Any]:
    server.sequence_foreign_writes()
    return server.aside()


class Maybe(hf.Table, name="visit", space="all"):
    name: str | None = None
    crew: str = ""


def test_a_column_that_may_be_null_stays_one(url: str, tmp_path: Path) -> None:
    """Its nulls went to devices that could not hold them."""
    first = hf.Schema(Maybe, version=1)
    with hf.Server(url, first) as server, device(server, tmp_path / "first.db", first) as ann:
        ann.execute("insert into visit (id) values ('1')")
        ann.sync()
    with pytest.raises(hf.HoldfastError) as caught:
        hf.Server(url, hf.Schema(Visit1, version=2)).health()
    assert caught.value.code == "schema_change"


def test_a_row_that_moves_while_rows_are_filled_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It had gone to the end of the feed, where nobody looked: devices of the new version could take no answer."""
    monkeypatch.setattr(serving, "FILLED", 1)
    with database() as url, psycopg.connect(url, autocommit=True) as program, hf.Server(url, TOLD1) as former:
        server = hf.Server(url, TOLD2)
        server.migrate(phases=["before"])
        with server:
            with device(former, tmp_path / "old.db", TOLD1) as old:
                old.execute("insert into visit (id, name, memo) values ('1', 'Ann Lee', ''), ('2', 'Bo Ray', '')")
                old.sync()
            former.close()
            look = serving.Serving._names

            def names(self: Serving, *asked: Any) -> Iterator[Any]:
                for found in look(self, *asked):
                    yield found
                    if found == [("visit", "1")]:
                        program.execute("update visit set memo = 'seen' where id = '2'")
                        server.sequence_foreign_writes()

            monkeypatch.setattr(serving.Serving, "_names", names)
            server.migrate(phases=["after"])
            assert visits(server, tmp_path / "new.db", TOLD2, "first, last") == [("Ann", "Lee"), ("Bo", "Ray")]


class Task(hf.Table, space="project:{project}"):
    project: str
    text: str = ""


def test_a_conflict_that_came_after_access_was_lost_is_not_shown(tmp_path: Path) -> None:
    """Access was read in one snapshot, the conflicts in a later one."""
    schema = hf.Schema(Task)
    with database() as url, psycopg.connect(url, autocommit=True) as program:
        program.execute(
            "create table member as select * from (values ('ann', 'project:1'), ('ben', 'project:1')) m(name, space)"
        )
        members = hf.sql("select space from member where name = :user")
        with hf.Server(url, schema, spaces=members, install=True) as server:
            first, second = (device(server, tmp_path / f"{n}.db", schema, hf.Identity("ben")) for n in (1, 2))
            with first, second:
                first.execute("insert into task (id, project) values ('1', '1')")
                first.sync()
                second.sync()
                sequence = server.hub.sequence_foreign_writes

                def lose(**asked: Any) -> int:
                    server.hub.sequence_foreign_writes = sequence
                    program.execute("delete from member where name = 'ann'")
                    for one in (first, second):
                        one.execute("update task set text = ?", (one.path,))
                        one.sync()
                    return sequence(**asked)

                server.hub.sequence_foreign_writes = lose  # between the question for access and that for conflicts
                assert server.conflicts(hf.Identity("ann")) == []
                assert len(server.conflicts(hf.Identity("ben"))) == 1


def test_presence_is_told_by_many_channels_at_once() -> None:
    """One looked through the spaces while another one came into a space: its channel broke."""
    presence = Presence(MemoryStore())
    many = presence.enter(lambda _: None)
    presence.announce(many, "d", "ann", {f"far:{number}": {} for number in range(3_000)})
    broken: list[BaseException] = []

    def come_and_go(name: int) -> None:
        number = presence.enter(lambda _: None)
        try:
            for step in range(300):
                presence.announce(number, f"d{name}", "ann", {f"near:{name}:{step}": {}})
        except RuntimeError as error:
            broken.append(error)

    threads = [threading.Thread(target=come_and_go, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken == []
