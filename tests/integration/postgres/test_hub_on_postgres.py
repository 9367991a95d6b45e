"""Devices, a hub on PostgreSQL, other programs with plain SQL, and two hubs on one database."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.edge.local import LocalTransport
from holdfast.stores.base import Need, StoreConflict
from holdfast.stores.postgres import PostgresStore, PostgresTransaction
from tests.postgres import connect, database

SPACE = "project:42"
PATIENCE = 60.0


class Form(hf.Table, space="project:{project_id}"):
    project_id: str
    status: str = "draft"
    crew: hf.Counter = 0
    tags: hf.Set[str]
    seen: hf.GrowSet[str]
    first: hf.Earliest[datetime.date] | None = None
    last: hf.Latest[int] | None = None
    extra: hf.JsonValue | None = None


class Line(hf.Table, space="project:{project_id}"):
    project_id: str
    form: str = hf.column(references=Form)
    text: str = ""


SCHEMA = hf.Schema(Form, Line, version=1)


class World:
    """One database, its servers and the devices of one test."""

    def __init__(self, dsn: str, folder: Path, things: ExitStack) -> None:
        self.dsn = dsn
        self._folder = folder
        self._things = things

    def server(self, store: PostgresStore | None = None) -> hf.Server:
        return self._things.enter_context(hf.Server(store or self.dsn, SCHEMA))

    def device(self, name: str, server: hf.Server) -> hf.Replica:
        transport = LocalTransport(server, hf.Identity(name, {SPACE: "rw"}))
        return self._things.enter_context(hf.Replica(self._folder / f"{name}.db", SCHEMA, transport=transport))

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What another program does."""
        with connect(self.dsn) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as things:
        yield World(things.enter_context(database()), tmp_path, things)


def shown(replica: hf.Replica) -> list[dict[str, Any]]:
    return [dict(row) for row in replica.execute("select * from form order by id")]


def agree(*replicas: hf.Replica) -> None:
    for _ in range(2):
        for replica in replicas:
            replica.sync()
    first = replicas[0]
    for other in replicas[1:]:
        assert shown(other) == shown(first)
        assert other.digest(SPACE) == first.digest(SPACE)


def insert(replica: hf.Replica) -> str:
    key = hf.new_id()
    replica.execute("insert into form (id, project_id) values (?, '42')", (key,))
    return key


def test_two_devices_converge_in_every_merge_type(world: World) -> None:
    server = world.server()
    anna, ben = world.device("anna", server), world.device("ben", server)
    key = insert(anna)
    agree(anna, ben)
    anna.execute(
        "update form set status = 'done', crew = crew + 3, tags = ?, seen = ?, first = '2026-01-05', last = 3,"
        " extra = ?",
        (["x", "y"], ["a"], {"n": 1e22, "deep": [None, 0.1]}),
    )
    ben.execute(
        "update form set status = 'open', crew = crew + 4, tags = ?, seen = ?, first = '2026-01-03', last = 9",
        (["z"], ["b"]),
    )
    agree(anna, ben)
    (row,) = shown(anna)
    assert (row["crew"], row["first"], row["last"]) == (7, "2026-01-03", 9)
    assert (row["tags"], row["seen"]) == ('["x","y","z"]', '["a","b"]')
    assert world.sql("select crew, tags, first, extra->'deep' from form where id = %s", key) == [
        (7, ["x", "y", "z"], datetime.date(2026, 1, 3), [None, 0.1])
    ]


def test_plain_sql_reaches_a_device_and_the_other_way_round(world: World) -> None:
    server = world.server()
    anna = world.device("anna", server)
    world.sql(
        "insert into form (id, project_id, status, crew)"
        " select n::text, '42', 'theirs', n from generate_series(1, 50) n"
    )
    anna.sync()
    assert len(shown(anna)) == 50
    world.sql("update form set status = 'again', tags = '[\"q\"]' where id = '7'")
    world.sql("delete from form where id = '8'")
    world.sql("update form set id = 'nine' where id = '9'")
    anna.execute("update form set crew = crew + 100 where id = '7'")
    agree(anna, world.device("ben", server))
    rows = {row["id"]: row for row in shown(anna)}
    assert (rows["7"]["status"], rows["7"]["crew"], rows["7"]["tags"]) == ("again", 107, '["q"]')
    assert "8" not in rows
    assert "9" not in rows
    assert rows["nine"]["crew"] == 9
    world.sql("truncate form cascade")
    agree(anna)
    assert shown(anna) == []


def test_an_existing_table_is_adopted_with_its_rows(world: World) -> None:
    world.sql(
        "create table form (id varchar(40) primary key, project_id text not null, status text not null,"
        " crew int not null, tags jsonb not null, seen jsonb not null, first date, last bigint, extra jsonb,"
        " theirs text default 'x')"
    )
    world.sql("insert into form values ('a', '42', 'old', 5, '[]', '[]', null, null, null, 'kept')")
    with pytest.raises(hf.HoldfastError, match="store_migrate") as refusal:
        world.server()
    assert "watch form" in " ".join(refusal.value.details["steps"])
    assert hf.Server(world.dsn, SCHEMA).migrate() == 1
    anna = world.device("anna", world.server())
    anna.sync()
    assert [(row["id"], row["crew"]) for row in shown(anna)] == [("a", 5)]
    anna.execute("update form set crew = crew + 1")
    insert(anna)
    anna.sync()
    assert world.sql("select crew, theirs from form order by crew desc") == [(6, "kept"), (0, "x")]
    anna.execute("update form set crew = 3000000000")
    anna.sync()
    assert [refused.code for refused in anna.refused()] == ["check"]


def test_what_cascades_in_the_hubs_own_transaction_is_sequenced(world: World) -> None:
    server = world.server()
    anna = world.device("anna", server)
    key = insert(anna)
    anna.sync()
    world.sql("alter table line drop constraint line_form_fkey")
    world.sql("alter table line add foreign key (form) references form on delete cascade")
    world.sql("insert into line (id, project_id, form) values ('l', '42', %s)", key)
    anna.execute("delete from form where id = ?", (key,))
    agree(anna)
    assert world.sql("select id from line") == []
    assert list(anna.execute("select id from line")) == []


def test_what_a_trigger_of_the_application_makes_of_a_row_reaches_its_writer(world: World) -> None:
    world.server()
    world.sql(
        "create function shout() returns trigger language plpgsql as"
        " $$ begin new.status = upper(new.status); return new; end $$;"
        " create trigger shout before insert or update on form for each row execute function shout()"
    )
    server = world.server()
    anna, ben = world.device("anna", server), world.device("ben", server)
    key = insert(anna)
    agree(anna, ben)
    assert shown(ben)[0]["status"] == "DRAFT"
    ben.execute("update form set status = 'quiet', crew = 2 where id = ?", (key,))
    agree(ben, anna)
    assert (shown(anna)[0]["status"], shown(anna)[0]["crew"]) == ("QUIET", 2)
    assert world.sql("select * from holdfast.dirty") == []


def test_two_hubs_on_one_database(world: World) -> None:
    one, two = world.server(), world.server()
    anna, ben = world.device("anna", one), world.device("ben", two)
    key = insert(anna)
    anna.sync()
    ben.sync()
    assert [row["id"] for row in shown(ben)] == [key]
    anna.execute("update form set crew = crew + 1")
    ben.execute("update form set crew = crew + 10")
    agree(anna, ben)
    assert shown(anna)[0]["crew"] == 11


def test_a_transaction_sent_to_two_hubs_at_once_counts_once(world: World) -> None:
    """Trap 13, with every round of the device going to both hubs at the same moment."""
    hubs = [world.server(), world.server()]
    anna = world.device("anna", hubs[0])
    insert(anna)
    anna.sync()
    identity = hf.Identity("anna", {SPACE: "rw"})
    for _ in range(15):
        anna.execute("update form set crew = crew + 1")
        request, meet, answers = anna.build_request(), threading.Barrier(2), []

        def send(server: hf.Server, request: bytes = request, meet: Any = meet, answers: list[Any] = answers) -> None:
            meet.wait(PATIENCE)
            answers.append(list(server.handle(request, identity)))

        threads = [threading.Thread(target=send, args=(server,)) for server in hubs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert len(answers) == 2
        anna.apply_response(answers[0])
    agree(anna, world.device("ben", hubs[1]))
    assert shown(anna)[0]["crew"] == 15
    assert world.sql("select crew from form") == [(15,)]


def test_a_hub_hears_of_the_other_and_of_other_programs(world: World) -> None:
    one, two = world.server(), world.server()
    heard = threading.Semaphore(0)
    two.hub.watch.add([SPACE], heard.release)
    anna = world.device("anna", one)
    insert(anna)
    anna.sync()
    assert heard.acquire(timeout=PATIENCE)
    world.sql("update form set status = 'by sql'")
    assert heard.acquire(timeout=PATIENCE)
    ben = world.device("ben", two)
    ben.sync()
    assert shown(ben)[0]["status"] == "by sql"


class Slow(PostgresStore):
    """A store that lets a foreign write happen between what a push has seen and what it writes."""

    before_write: Any = None

    def transaction_for(self, need: Need, *, write: bool) -> Any:
        found = super().transaction_for(need, write=write)
        if not write or self.before_write is None:
            return found
        return _Interrupting(found, self)


class _Interrupting:
    def __init__(self, context: Any, store: Slow) -> None:
        self._context, self._store = context, store

    def __enter__(self) -> PostgresTransaction:
        tx: PostgresTransaction = self._context.__enter__()
        write, store = tx.write, self._store

        def interrupted(batch: Any) -> Any:
            act, store.before_write = store.before_write, None
            if act is not None:
                act()
            return write(batch)

        tx.write = interrupted  # type: ignore[method-assign]
        return tx

    def __exit__(self, *error: Any) -> Any:
        return self._context.__exit__(*error)


def test_a_foreign_write_in_the_middle_of_a_push_is_not_lost(world: World) -> None:
    store = Slow(world.dsn)
    server = world.server(store)
    anna = world.device("anna", server)
    key = insert(anna)
    anna.sync()
    store.before_write = lambda: world.sql("update form set status = 'by sql' where id = %s", key)
    anna.execute("update form set crew = 5")
    agree(anna)
    assert (shown(anna)[0]["status"], shown(anna)[0]["crew"]) == ("by sql", 5)
    assert world.sql("select status, crew from form") == [("by sql", 5)]


def test_a_hub_that_is_never_the_first_gives_up_and_the_device_tries_again(world: World) -> None:
    server = world.server()
    anna = world.device("anna", server)
    insert(anna)
    tried = []

    def never(tx: Any) -> None:
        tried.append(tx)
        raise StoreConflict("somebody was faster")

    with pytest.raises(StoreConflict):
        server.hub._writer.change(never)
    assert len(tried) == 10
    anna.sync()
    assert len(world.sql("select id from form")) == 1


def test_without_the_extra_the_message_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "holdfast.stores.postgres":
            raise ModuleNotFoundError("no", name="psycopg")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(hf.HoldfastError, match=r"pip install .holdfast\[postgres\]") as refusal:
        hf.Server("postgres://somewhere/x", SCHEMA)
    assert refusal.value.code == "store_open"


def test_presence_is_carried_from_hub_to_hub(world: World) -> None:
    one, two = world.server().hub.presence, world.server().hub.presence
    woken = threading.Semaphore(0)
    ben = two.enter(lambda space: woken.release())
    two.announce(ben, "device-b", "ben", {SPACE: {"page": 1}})
    anna = one.enter(lambda space: None)
    assert woken.acquire(timeout=PATIENCE)
    one.announce(anna, "device-a", "anna", {SPACE: "é" * 400})
    assert woken.acquire(timeout=PATIENCE)
    assert [(here.user, here.data) for here in two.here(SPACE)] == [("anna", "é" * 400), ("ben", {"page": 1})]
    one.leave(anna)
    assert woken.acquire(timeout=PATIENCE)
    assert [here.user for here in two.here(SPACE)] == ["ben"]
    two.leave(ben)
