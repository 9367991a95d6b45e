"""`holdfast migrate`: an application's database made ready step by step, and rid of Holdfast again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest

import holdfast as hf
from holdfast.cli import main
from holdfast.edge.local import LocalTransport
from holdfast.stores.migrating import Step
from holdfast.stores.postgres import PostgresStore, install
from holdfast.stores.postgres.install import Installer
from holdfast.stores.postgres.numbered import MIGRATIONS, Migration
from holdfast.stores.postgres.plan import Plan
from holdfast.stores.postgres.undo import Connection
from tests.integration.postgres.catalogue import dump, psql
from tests.postgres import as_role, connect, database

TABLES = """
    create schema app;
    create type app.mood as enum ('good', 'bad');
    create table app.ignored (id int primary key);
    create table crew (id text primary key, name text not null unique, theirs app.mood default 'good');
    create table visit (id text primary key default gen_random_uuid()::text, crew text not null references crew,
      place text not null, at timestamptz not null default now());
    create index visit_at on visit (at);
    create function app.touched() returns trigger language plpgsql as 'begin return new; end';
    create trigger app_own before update on crew for each row execute function app.touched();
    insert into crew (id, name) select 'c' || n, 'crew ' || n from generate_series(1, 5) n;
    insert into visit (crew, place) select 'c' || (n % 5 + 1), 'place ' || n from generate_series(1, 2500) n;
"""


LAST = len(MIGRATIONS)
"""The number of the newest real migration; those below are of releases to come."""
REAL = [f"migration {found.number}: {found.name}" for found in MIGRATIONS]
SECOND = Migration(LAST + 1, "before", "a column", "ALTER TABLE holdfast.hub ADD COLUMN extra text;")
THIRD = Migration(LAST + 2, "after", "the column goes", "ALTER TABLE holdfast.hub DROP COLUMN extra;")
FOURTH = Migration(LAST + 3, "before", "another column", "ALTER TABLE holdfast.hub ADD COLUMN more text;")


class Crew(hf.Table, space="all"):
    name: str


class Visit(hf.Table, space="all"):
    crew: str = hf.column(references=Crew)
    place: str


class Note(hf.Table, space="all"):
    text: str


CREW = hf.Schema(Crew, version=1)
BOTH = hf.Schema(Crew, Visit, version=1)
OWN = hf.Schema(Note, version=1)


class Place:
    """A database and the shell beside it."""

    def __init__(self, things: ExitStack, folder: Path) -> None:
        self.things = things
        self.folder = folder
        self.dsn = things.enter_context(database())

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with connect(self.dsn) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def store(self, **options: Any) -> PostgresStore:
        store = PostgresStore(self.dsn, **options)
        self.things.callback(store.close)
        return store

    def sync(self, name: str, schema: hf.Schema, server: hf.Server) -> hf.Replica:
        transport = LocalTransport(server, hf.Identity(name, {"all": "rw"}))
        replica = self.things.enter_context(hf.Replica(self.folder / f"{name}.db", schema, transport=transport))
        replica.sync()
        return replica


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as things:
        yield Place(things, tmp_path)


@pytest.fixture
def application(place: Place) -> Place:
    """A database that belongs to an application."""
    place.sql(TABLES)
    return place


def test_out_and_in_and_out_again(application: Place) -> None:
    original = dump(application.dsn)
    server = hf.Server(application.dsn, BOTH)
    titles: list[str] = []
    assert server.migrate(done=lambda step: titles.append(step.title)) == 2505
    server.close()
    assert titles == [
        *REAL,
        "create holdfast_conflict",
        "watch crew",
        "watch visit",
        "note the rows of crew",
        "note the rows of visit",
    ]
    with hf.Server(application.dsn, BOTH) as server:
        anna = application.sync("anna", BOTH, server)
        assert anna.execute("select count(*) from visit")[0][0] == 2500
        application.sql("insert into crew (id, name) values ('new', 'new')")
        anna.sync()
        assert anna.execute("select name from crew where id = 'new'")[0][0] == "new"
        anna.execute("insert into crew (id, name) values ('mine', 'mine')")
        anna.sync()
        application.sql("delete from crew where id in ('new', 'mine')")
    assert [step.title for step in hf.Server(application.dsn, BOTH).remove()] == ["remove triggers and schema holdfast"]
    assert dump(application.dsn) == original
    assert hf.Server(application.dsn, BOTH).remove() == []


def test_what_is_done_is_not_done_again(application: Place) -> None:
    server = hf.Server(application.dsn, BOTH, install=True)
    application.things.callback(server.close)
    assert server.migrate() == 2505
    before = dump(application.dsn)
    taken: list[Step] = []
    assert server.migrate(done=taken.append) == 0
    assert taken == []
    assert dump(application.dsn) == before


def test_the_dry_run_is_the_very_sql(application: Place) -> None:
    """What it prints, run by psql in another database, leaves the same as the command in this one."""
    twin = Place(application.things, application.folder)
    twin.sql(TABLES)
    before = dump(application.dsn)
    server = hf.Server(application.dsn, BOTH)
    script = server.script(server.plan())
    assert dump(application.dsn) == before
    psql(twin.dsn, script)
    assert hf.Server(twin.dsn, BOTH).plan() == []
    application.store().migrate(BOTH, ("before", "after"), None, lambda step: None)
    assert dump(application.dsn, "--schema-only") == dump(twin.dsn, "--schema-only")
    counts = "select tbl, count(*) from holdfast.dirty group by 1 order by 1"
    assert application.sql(counts) == twin.sql(counts) == [("crew", 5), ("visit", 2500)]
    psql(twin.dsn, server.script(hf.Server(twin.dsn, BOTH).removal()))
    assert dump(twin.dsn, "--schema-only") == dump_of_fresh(application)


def dump_of_fresh(application: Place) -> str:
    application.store().remove()
    return dump(application.dsn, "--schema-only")


def test_a_hub_asks_before_it_touches_tables_of_an_application(application: Place) -> None:
    before = dump(application.dsn)
    with pytest.raises(hf.HoldfastError) as refusal, hf.Server(application.dsn, CREW):
        pass
    assert refusal.value.code == "store_migrate"
    assert "watch crew" in refusal.value.details["steps"]
    assert dump(application.dsn) == before


def test_a_hub_makes_a_database_of_its_own_ready_unless_told_not_to(place: Place) -> None:
    with pytest.raises(hf.HoldfastError) as refusal, hf.Server(place.dsn, OWN, install=False):
        pass
    assert refusal.value.code == "store_migrate"
    with hf.Server(place.dsn, OWN) as server:
        assert server.plan() == []
    with hf.Server(place.dsn, hf.Schema(Note, Crew, version=2)) as server:  # one more table: still its own
        assert server.plan() == []
    assert place.sql('select name, made from holdfast."table" order by 1') == [
        ("crew", True),
        ("holdfast_conflict", True),
        ("note", True),
    ]


def test_rows_written_while_it_runs_are_noted_once_or_twice_but_never_lost(application: Place) -> None:
    """A program writes between any two steps, and in a transaction that is open when the triggers come."""
    written: list[str] = []

    def write(step: Step) -> None:
        key = f"after {step.title}"
        application.sql("insert into crew (id, name) values (%s, %s)", key, key)
        written.append(key)

    late = application.things.enter_context(connect(application.dsn))
    late.execute("begin")
    late.execute("insert into crew (id, name) values ('late', 'late')")
    ended = threading.Event()

    def end() -> None:
        waiting = (
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        while application.sql(waiting) == [(0,)] and not ended.is_set():
            pass
        late.execute("commit")

    thread = threading.Thread(target=end)
    thread.start()
    server = hf.Server(application.dsn, BOTH)
    server.migrate(done=write)
    ended.set()
    thread.join()
    with server:
        anna = application.sync("anna", BOTH, server)
        found = {key for (key,) in anna.execute("select id from crew")}
    assert {*written, "late"} <= found
    assert len(written) == 5 + len(REAL)


def test_a_table_in_use_ends_a_step_and_the_next_run_goes_on(
    application: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "LOCK_WAIT", 200)
    busy = application.things.enter_context(connect(application.dsn))
    busy.execute("begin")
    busy.execute("insert into visit (crew, place) values ('c1', 'x')")
    server = hf.Server(application.dsn, BOTH)
    titles: list[str] = []
    with pytest.raises(hf.HoldfastError, match="watch visit") as refusal:
        server.migrate(done=lambda step: titles.append(step.title))
    assert refusal.value.code == "migrate_locked"
    assert titles == [*REAL, "create holdfast_conflict", "watch crew"]
    busy.execute("commit")
    assert server.migrate() == 2506
    server.close()


def test_two_at_once(application: Place) -> None:
    servers = [hf.Server(application.dsn, BOTH) for _ in range(2)]
    titles: list[str] = []
    rows: list[int] = []
    threads = [
        threading.Thread(
            target=lambda server=server: rows.append(server.migrate(done=lambda s: titles.append(s.title)))
        )
        for server in servers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(titles) == len(set(titles)) == 5 + len(REAL)
    assert len(rows) == 2
    assert application.sql('select count(*) from holdfast."row"') == [(2505,)]
    for server in servers:
        server.close()


def test_before_and_after_the_deployment_of_a_schema(application: Place) -> None:
    with hf.Server(application.dsn, BOTH, install=True) as old:
        old.sequence_foreign_writes()
        new = hf.Server(application.dsn, CREW)
        assert [(step.phase, step.title) for step in new.plan()] == [("after", "watch visit no more")]
        with new:  # both run for a while
            application.sql("insert into visit (id, crew, place) values ('v', 'c1', 'still watched')")
            assert new.sequence_foreign_writes() == 0  # not his table
            old.sequence_foreign_writes()  # or its listener
            assert application.sql("select key from holdfast.\"row\" where key = 'v'") == [("v",)]
    new = hf.Server(application.dsn, CREW)
    assert new.migrate(phases=("before",)) == 0
    assert len(new.plan()) == 1
    new.migrate(phases=("after",))
    assert new.plan() == []
    new.close()
    events = "select count(*) from pg_trigger where not tgisinternal and tgrelid = 'visit'::regclass"
    assert application.sql(events) == [(0,)]
    with pytest.raises(hf.HoldfastError, match="watch visit"), hf.Server(application.dsn, BOTH):
        pass
    assert hf.Server(application.dsn, BOTH).migrate() == 2501


def title(migration: Migration) -> str:
    return f"migration {migration.number}: {migration.name}"


def installer_of(db: Connection, *more: Migration) -> Installer:
    return Installer(db, "here", partial(Plan, db, OWN, "public", "here", migrations=(*MIGRATIONS, *more)))


def migrated(place: Place, *migrations: Migration, phases: Any = ("before", "after")) -> list[str]:
    titles: list[str] = []
    with connect(place.dsn) as db:
        installer = installer_of(db, *migrations)
        installer.migrate(phases, lambda step: titles.append(step.title))
    return titles


def test_releases_of_the_hubs_own_tables(place: Place) -> None:
    place.store().open(OWN)
    with connect(place.dsn) as db, pytest.raises(hf.HoldfastError) as refusal:
        installer_of(db, SECOND, THIRD).start(None)
    assert refusal.value.code == "store_migrate"  # another hub of the old release may run
    assert refusal.value.details["steps"] == [title(SECOND)]
    assert migrated(place, SECOND, THIRD, phases=("before",)) == [title(SECOND)]
    with connect(place.dsn) as db:
        installer_of(db, SECOND, THIRD).start(None)
    place.store().open(OWN)  # the old release goes on
    assert migrated(place, SECOND, THIRD) == [title(THIRD)]
    with pytest.raises(hf.HoldfastError, match=f"migration {THIRD.number}") as newer:
        place.store().open(OWN)
    assert (newer.value.code, newer.value.details) == ("store_format", {"found": THIRD.number, "known": LAST})


def test_an_after_that_was_left_out_comes_before_the_next_release(place: Place) -> None:
    place.store().open(OWN)
    migrated(place, SECOND, THIRD, phases=("before",))
    assert migrated(place, SECOND, THIRD, FOURTH, phases=("before",)) == [
        title(THIRD),
        title(FOURTH),
    ]


def test_a_fresh_database_gets_every_migration_in_order(place: Place) -> None:
    titles = migrated(place, SECOND, THIRD, FOURTH, phases=("before",))
    assert titles[len(MIGRATIONS) : len(MIGRATIONS) + 3] == [
        title(SECOND),
        title(THIRD),
        title(FOURTH),
    ]


def test_a_migration_that_was_changed_is_refused(place: Place) -> None:
    place.store().open(OWN)
    place.sql("update holdfast.migration set checksum = 'other'")
    with pytest.raises(hf.HoldfastError, match="not the one that this Holdfast knows") as refusal:
        place.store().open(OWN)
    assert refusal.value.code == "store_format"


@pytest.mark.parametrize(
    "harm",
    [
        "drop trigger holdfast_update on crew",
        "alter table crew disable trigger holdfast_insert",
        "alter table crew disable trigger all",
    ],
)
def test_a_trigger_that_somebody_took_away_is_made_again_and_nothing_is_missed(application: Place, harm: str) -> None:
    with hf.Server(application.dsn, CREW, install=True) as server:
        anna = application.sync("anna", CREW, server)
    application.sql(harm)
    application.sql("update crew set name = 'unseen' where id = 'c1'; insert into crew (id, name) values ('u', 'u')")
    with pytest.raises(hf.HoldfastError, match="watch crew"), hf.Server(application.dsn, CREW):
        pass
    server = hf.Server(application.dsn, CREW)
    server.migrate()
    with server:
        bert = application.sync("bert", CREW, server)
    assert sorted(bert.execute("select name from crew where id in ('c1', 'u')")) == [("u",), ("unseen",)]
    assert anna.execute("select count(*) from crew")[0][0] == 5


def test_a_role_that_owns_nothing_runs_the_hub(application: Place) -> None:
    name = "hub_" + application.dsn.rpartition("dbname=")[2].partition("&")[0]
    application.sql(f'create role "{name}" login; grant select, insert, update, delete on crew, visit to "{name}"')
    application.things.callback(application.sql, f'drop owned by "{name}" cascade; drop role "{name}"')
    poor = as_role(application.dsn, name)
    with pytest.raises(hf.HoldfastError) as refusal:
        hf.Server(poor, BOTH).migrate()
    assert refusal.value.code == "store_open"
    assert "--grant" in refusal.value.message
    admin = hf.Server(application.dsn, BOTH)
    admin.migrate()
    with pytest.raises(hf.HoldfastError, match="--grant"), hf.Server(poor, BOTH):
        pass
    admin.migrate(grant=name)
    assert admin.plan(grant=name) == []
    admin.close()
    with hf.Server(poor, BOTH) as server:
        anna = application.sync("anna", BOTH, server)
        anna.execute("update visit set place = 'moved'")
        anna.sync()
        application.sql("update crew set name = name || '!'")
        anna.sync()
        assert anna.execute("select count(*) from crew where name like '%!'")[0][0] == 5
    assert application.sql("select count(*) from visit where place = 'moved'") == [(2500,)]


class Ticket(hf.Table, space="all"):
    id: hf.BlockKey = hf.column(block=4, stored="integer")
    title: str = ""


class Badge(hf.Table, space="all"):
    id: hf.BlockKey = hf.column(block=4)
    title: str = ""


@pytest.mark.parametrize("made", ["by the application", "by Holdfast", "by the printed script"])
def test_a_role_that_owns_nothing_leases_keys(application: Place, made: str) -> None:
    """The sequence is that of an existing table, or of one that this migration makes."""
    table: type[hf.Table] = Ticket if made == "by the application" else Badge
    schema, name = hf.Schema(table, version=1), "leases_" + application.dsn.rpartition("dbname=")[2].partition("&")[0]
    application.sql(f'create role "{name}" login')
    application.things.callback(application.sql, f'drop owned by "{name}" cascade; drop role "{name}"')
    if table is Ticket:
        application.sql("create table ticket (id serial primary key, title text not null default '')")
        application.sql(f'grant select, insert, update, delete on ticket to "{name}"')
    admin = hf.Server(application.dsn, schema)
    if made == "by the printed script":
        psql(application.dsn, admin.script(admin.plan(grant=name)))
    admin.migrate(grant=name)
    assert admin.plan(grant=name) == []
    admin.close()
    with hf.Server(as_role(application.dsn, name), schema) as server:
        anna = application.sync("anna", schema, server)
        for number in range(6):
            anna.execute(f"insert into {schema.tables[0].name} (title) values (?)", (str(number),))
            anna.sync()
    assert application.sql(f"select count(*) from {schema.tables[0].name}") == [(6,)]


def test_rights_that_somebody_took_back_are_granted_again(application: Place) -> None:
    """Each right on its own: a role that may only read lacks one."""
    schema, name = hf.Schema(Badge, version=1), "again_" + application.dsn.rpartition("dbname=")[2].partition("&")[0]
    application.sql(f'create role "{name}"')
    application.things.callback(application.sql, f'drop owned by "{name}" cascade; drop role "{name}"')
    with hf.Server(application.dsn, schema) as server:
        server.migrate(grant=name)
        assert server.plan(grant=name) == []
        for lost in ("insert on badge", "update on holdfast.origin", "usage on sequence badge_id_seq"):
            application.sql(f'revoke {lost} from "{name}"')
            (step,) = server.plan(grant=name)
            assert step.title == f"grant what a hub needs to {name}", lost
            server.migrate(grant=name)
            assert server.plan(grant=name) == [], lost


def test_the_command(application: Place, capsys: pytest.CaptureFixture[str]) -> None:
    file = application.folder / "server.py"
    file.write_text(
        "import holdfast as hf\n\nclass Crew(hf.Table, space='all'):\n    name: str\n\n"
        f"schema = hf.Schema(Crew, version=1)\nserver = hf.Server({application.dsn!r}, schema)\n"
    )
    original = dump(application.dsn)

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["migrate", str(file), *arguments])
        return code, capsys.readouterr().out

    assert main(["serve", str(file), "--port", "0"]) == 1
    assert "holdfast migrate FILE" in " ".join(capsys.readouterr().err.split())
    code, text = run("--dry-run")
    assert code == 0
    assert "CREATE TRIGGER" in text
    assert dump(application.dsn) == original
    assert "5 rows put into feeds" in run()[1]
    assert "Nothing to do" in run()[1]
    assert json.loads(run("--json")[1]) == {"steps": [], "rows": 0, "left": []}
    assert "DROP SCHEMA holdfast" in run("--remove", "--dry-run")[1]
    assert "out of the database" in run("--remove")[1]
    assert dump(application.dsn) == original
    file.write_text(file.read_text().rpartition("server =")[0])
    assert main(["migrate", f"{file}:schema", "--database", application.dsn, "--before"]) == 0
    assert main(["migrate", str(file)]) == 2


def test_a_hub_in_a_sqlite_file_of_an_application(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = apsw.Connection(str(tmp_path / "app.db"))
    db.execute(
        "create table crew (id text primary key not null, name text not null); insert into crew values ('a', 'b')"
    )
    before = db.execute("select sql from sqlite_schema where name not like 'sqlite_%' order by 1").fetchall()
    db.close()
    file = tmp_path / "server.py"
    file.write_text(
        "import holdfast as hf\n\nclass Crew(hf.Table, space='all'):\n    name: str\n\n"
        f"server = hf.Server('sqlite:///{tmp_path}/app.db', hf.Schema(Crew, version=1))\n"
    )
    assert main(["migrate", str(file)]) == 0
    assert "1 row put into feeds" in capsys.readouterr().out
    assert main(["migrate", str(file), "--remove", "--dry-run"]) == 0
    assert "DROP TABLE" in capsys.readouterr().out
    assert main(["migrate", str(file), "--remove"]) == 0
    db = apsw.Connection(str(tmp_path / "app.db"))
    assert db.execute("select sql from sqlite_schema where name not like 'sqlite_%' order by 1").fetchall() == before
    assert db.execute("select * from crew").fetchall() == [("a", "b")]
    db.close()
