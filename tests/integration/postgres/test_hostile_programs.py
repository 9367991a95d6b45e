"""Programs that write an application's tables in every way that PostgreSQL has: devices get what the tables hold.

The tables have reserved names, are in a schema of their own, and have what applications have: triggers that write
other tables, identity and generated columns, deferred constraints, cascades, a view to write through.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors

import holdfast as hf
from holdfast.edge.local import LocalTransport
from holdfast.stores.postgres import PostgresStore
from holdfast.stores.postgres.ahead import LOCK_SPACE
from tests.postgres import connect, database


class User(hf.Table, space="all"):
    name: str
    rank: int | None = None
    orders: int = 0


class Order(hf.Table, space="all"):
    user: str = hf.column(references=User, on_delete="cascade")
    total: int = 0
    twice: int | None = hf.column(read_only=True)
    number: int | None = hf.column(read_only=True)


class Line(hf.Table, key=("order", "place"), space="all"):
    order: str = hf.column(references=Order, on_delete="cascade")
    place: int = hf.column(stored="integer")
    text: str = ""


SCHEMA = hf.Schema(User, Order, Line, version=1)
TABLES = """
create schema "App Data";
set search_path = "App Data";
create table "user" (id text primary key, name text not null, rank bigint unique deferrable initially deferred,
  orders bigint not null default 0);
create table "order" (id text primary key, "user" text not null references "user" on delete cascade on update cascade
  deferrable initially deferred, total bigint not null default 0, twice bigint generated always as (total * 2) stored,
  number integer generated always as identity);
create table line ("order" text not null references "order" on delete cascade on update cascade,
  place integer not null, text text not null default '', primary key ("order", place));
create function counted() returns trigger language plpgsql as $$ begin
  update "App Data"."user" u set orders = (select count(*) from "App Data"."order" o where o."user" = u.id)
    where u.id in (coalesce(new."user", old."user"), coalesce(old."user", new."user"));
  return null; end $$;
create trigger counted after insert or update or delete on "order" for each row execute function counted();
create view open_order as select id, "user", total from "order";
create view named as select id, name from "user" where name <> 'hidden';
create rule renamed as on update to named do instead update "user" set name = upper(new.name) where id = old.id;
"""


class World:
    """A server with these tables, a hub, a device."""

    def __init__(self, folder: Path, things: ExitStack) -> None:
        self.things = things
        self.dsn = things.enter_context(database())
        self.store = PostgresStore(self.dsn, within="App Data", install=True)
        with connect(self.dsn) as db:
            db.execute(TABLES.encode())
        self.hub = things.enter_context(hf.Server(self.store, SCHEMA))
        way = LocalTransport(self.hub, hf.Identity("anna", {"all": "rw"}))
        self.device = things.enter_context(hf.Replica(folder / "anna.db", SCHEMA, transport=way))

    def program(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of another program."""
        db = self.things.enter_context(connect(self.dsn))
        db.execute(b'set search_path = "App Data"')
        return db

    def run(self, *statements: str) -> None:
        """Statements of another program."""
        with self.program() as db:
            for statement in statements:
                db.execute(statement.encode())

    def check(self) -> None:
        """The device shows what the tables hold, and feeds are as they say they are."""
        for _ in range(2):
            self.device.sync()
        assert self.device.pending() == []
        with self.program() as db:
            for table in ("user", "order", "line"):
                columns = ", ".join(f'"{column.name}"' for column in SCHEMA.table(table).columns)
                sql = f'select {columns} from "{table}"'
                assert sorted(map(tuple, self.device.execute(sql)), key=repr) == sorted(
                    db.execute(sql.encode()).fetchall(), key=repr
                )
        assert self.device.verify().ok
        assert self.hub.aside() == []


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as things:
        yield World(tmp_path_factory.mktemp("hostile"), things)


@pytest.fixture
def world(place: World) -> World:
    place.run(
        'truncate "user" cascade',
        "insert into \"user\" (id, name, rank) values ('a', 'Ada', 1), ('b', 'Ben', 2)",
        "insert into \"order\" (id, \"user\", total) values ('1', 'a', 10), ('2', 'b', 20)",
        "insert into line values ('1', 1, 'x'), ('1', 2, 'y'), ('2', 1, 'z')",
    )
    place.check()
    return place


WRITES: dict[str, list[str]] = {
    "truncate that cascades": ['truncate "order" cascade'],
    "insert or update": [
        (
            "insert into \"user\" (id, name) values ('a', 'Eve'), ('c', 'Cleo') on conflict (id) do update set name = "
            "excluded.name"
        ),
        "insert into \"user\" (id, name) values ('a', 'no') on conflict do nothing",
    ],
    "keys that change, and what refers to them": [
        "update \"user\" set id = 'z' where id = 'a'",
        "update \"order\" set id = id || '0'",
        "update line set place = place + 10",
    ],
    "keys that change hands": [
        "update \"user\" set id = 'tmp' where id = 'a'",
        "update \"user\" set id = 'a' where id = 'b'",
        "update \"user\" set id = 'b' where id = 'tmp'",
    ],
    "a child before its parent, constraints deferred": [
        "begin",
        "insert into \"order\" (id, \"user\") values ('9', 'late')",
        "insert into \"user\" (id, name) values ('late', 'Liv')",
        "commit",
    ],
    "unique values that change hands": ['update "user" set rank = 3 - rank'],
    "a part that is rolled back": [
        "begin",
        "update \"user\" set name = 'kept' where id = 'a'",
        "savepoint one",
        'delete from "user"',
        "rollback to one",
        "insert into \"user\" (id, name) values ('after', 'x')",
        "commit",
    ],
    "a transaction that is rolled back": ["begin", 'delete from "user"', "rollback"],
    "through a view and a rule": [
        "insert into open_order values ('v', 'a', 7)",
        "delete from open_order where id = '1'",
        "update named set name = 'bea' where id = 'b'",
    ],
    "made and gone in one transaction": [
        "begin",
        "insert into \"user\" (id, name) values ('short', 'x')",
        "delete from \"user\" where id = 'short'",
        "commit",
    ],
    "gone and made again": [
        "begin",
        "delete from \"user\" where id = 'a'",
        "insert into \"user\" (id, name) values ('a', 'anew')",
        "commit",
    ],
    "by a function": [
        "do $$ begin for i in 1..50 loop insert into \"user\" (id, name) values ('f' || i, i); end loop; end $$",
        (
            'with gone as (delete from "user" where id like \'f1%\' returning id) insert into "user" (id, name) '
            "select 'g' || id, 'moved' from gone"
        ),
    ],
    "as another role": [
        "create role writer",
        'grant usage on schema "App Data" to writer',
        'grant all on all tables in schema "App Data" to writer',
        "set role writer",
        "update \"user\" set name = 'by another'",
        "reset role",
        "drop owned by writer",
        "drop role writer",
    ],
    "with a hostile search path": [
        "create schema evil",
        "create function evil.current_setting(text, boolean) returns text language sql as $$ select 'on' $$",
        "create table evil.dirty (tbl text, key text)",
        "set search_path = evil, pg_catalog, holdfast",
        'update "App Data"."user" set name = \'seen\'',
        "drop schema evil cascade",
    ],
    "a large value": ["update \"user\" set name = repeat('0123456789abcdef', 250000) where id = 'a'"],
    "in strict isolation": [
        "begin isolation level serializable",
        'update "user" set rank = (select max(rank) + 1 from "user") where id = \'a\'',
        "commit",
    ],
}


@pytest.mark.parametrize("way", WRITES)
def test_what_a_program_writes_is_what_devices_get(world: World, way: str) -> None:
    world.run(*WRITES[way])
    world.check()


def test_copy(world: World) -> None:
    with world.program() as db, db.cursor().copy(b'copy "user" (id, name) from stdin') as copy:
        for number in range(200):
            copy.write_row((f"copied {number}", 'tab\t, line\n, "quote", \\ and 🙂'))
    world.check()
    copying = b'copy "user" (id, name) from stdin'
    with world.program() as db, pytest.raises(errors.UniqueViolation), db.cursor().copy(copying) as copy:
        copy.write_row(("new", "x"))
        copy.write_row(("a", "x"))
    world.check()


def test_merge(world: World) -> None:
    with world.program() as db:
        if db.info.server_version < 150000:
            return  # MERGE came with PostgreSQL 15
        db.execute(
            b"merge into \"user\" u using (values ('a', 'merged'), ('b', null), ('m', 'new')) as s(id, name) "
            b"on u.id = s.id when matched and s.name is null then delete when matched then update set name = s.name "
            b"when not matched then insert (id, name) values (s.id, s.name)"
        )
    world.check()
    assert sorted(row[0] for row in world.device.execute('select id from "user"')) == ["a", "m"]


def test_a_trigger_of_the_application_writes_another_synced_table(world: World) -> None:
    world.device.execute("insert into \"order\" (id, \"user\", total) values ('new', 'a', 4)")
    world.device.execute("update \"order\" set \"user\" = 'a' where id = '2'")
    world.check()
    assert world.device.execute("select orders from \"user\" where id = 'a'") == [(3,)]
    world.device.execute("delete from \"order\" where id = 'new'")
    world.check()
    assert world.device.execute("select orders from \"user\" where id = 'a'") == [(2,)]


def test_both_sides_write_one_row_while_a_key_changes(world: World) -> None:
    world.device.execute("update \"user\" set name = 'offline' where id = 'a'")
    world.device.execute("insert into line values ('1', 7, 'offline')")
    world.run("update \"user\" set id = 'renamed' where id = 'a'", "delete from \"order\" where id = '1'")
    world.check()


def test_serializable_programs_do_not_fail_because_of_the_triggers(world: World) -> None:
    """Two transactions that touch different rows: neither reads what the other writes."""
    one, two = world.program(), world.program()
    for db in (one, two):
        db.execute(b"begin isolation level serializable")
    one.execute(b"update \"user\" set name = 'one' where id = 'a'")
    two.execute(b"update \"user\" set name = 'two' where id = 'b'")
    for db in (one, two):
        db.execute(b"commit")
    world.check()


def test_a_transaction_that_is_prepared_commits_when_it_is_told_to(world: World) -> None:
    """PostgreSQL refuses to prepare a transaction that has notified, so triggers do not where it could be."""
    with world.program() as db:
        assert db.execute(b"select current_setting('max_prepared_transactions')").fetchone() is not None
        allowed = db.execute(b"show max_prepared_transactions").fetchall() != [("0",)]
        db.execute(b"begin")
        db.execute(b"set local holdfast.notify = ''" if allowed else b"set local holdfast.notify = off")
        db.execute(b"update \"user\" set name = 'prepared' where id = 'a'")
        with ExitStack() as refusals:
            if not allowed:  # it is the server that allows none, not the notification
                refusals.enter_context(pytest.raises(errors.ObjectNotInPrerequisiteState))
            db.execute(b"prepare transaction 'later'")
        if allowed:
            world.device.sync()
            assert world.device.execute("select name from \"user\" where id = 'a'") == [("Ada",)]
            db.execute(b"commit prepared 'later'")
    world.check()


def test_a_key_that_no_index_of_ours_takes_does_not_stop_its_writer(world: World) -> None:
    key = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(880))  # 2,640 bytes that do not compress
    with world.program() as db:
        db.execute(b'insert into "user" (id, name) values (%s, %s)', (key, "long"))
        world.device.sync()
        (waiting,) = world.hub.aside()
        assert "1024 are allowed" in waiting.reason
        db.execute(b'delete from "user" where id = %s', (key,))
    world.check()


def test_a_key_that_no_index_takes_is_refused_to_its_device(world: World) -> None:
    key = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(1_000))
    world.device.execute('insert into "user" (id, name) values (?, ?)', (key, "too long"))
    world.device.sync()
    (refused,) = [one for one in world.device.refused() if one.code == "check"]
    assert "index" in refused.message
    world.check()


def test_rows_that_a_policy_hides_are_not_taken_for_deleted(world: World) -> None:
    """A hub that runs as a role to which row-level security applies must not see half a table."""
    world.run(
        "drop role if exists policed",
        "create role policed login",
        'grant usage on schema "App Data" to policed',
        'grant all on all tables in schema "App Data" to policed',
    )
    world.hub.migrate(grant="policed")
    options = {"within": "App Data"}
    dsn = psycopg.conninfo.make_conninfo(world.dsn, user="policed")
    with pytest.MonkeyPatch.context() as patch, hf.Server(PostgresStore(dsn, **options), SCHEMA) as hub:
        patch.setattr(world.hub.hub, "sequence_foreign_writes", lambda: 0)  # the other hub, whose role sees all
        world.run('alter table "user" enable row level security', "update \"user\" set name = 'hidden from it'")
        with pytest.raises(hf.HoldfastError) as refused:
            hub.sequence_foreign_writes()
        assert refused.value.code == "store_failed"
        assert "BYPASSRLS" in hub.problems()[0]
    with pytest.raises(hf.HoldfastError) as refused:
        PostgresStore(dsn, **options).open(SCHEMA)
    assert refused.value.code == "schema_mismatch_table"
    world.run('alter table "user" disable row level security', "drop owned by policed", "drop role policed")
    world.check()
    assert len(world.device.execute('select * from "user"')) == 2


def test_a_program_that_holds_an_advisory_lock_of_our_number(world: World) -> None:
    """It keeps drainers waiting, and no writer; devices hear of it, and nothing is lost."""
    db = world.program()
    db.execute(b"select pg_advisory_lock(%s, -2)", (LOCK_SPACE,))
    world.run("update \"user\" set name = 'locked'")
    with hf.Server(PostgresStore(world.dsn, within="App Data", patience=0.5), SCHEMA) as hub:
        answer = hub.handle(world.device.build_request(), hf.Identity("anna", {"all": "rw"}))
        assert (answer.status, b"hub_unavailable" in b"".join(answer)) == (503, True)
    db.close()
    world.check()
