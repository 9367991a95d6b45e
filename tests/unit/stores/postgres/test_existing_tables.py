"""Tables that an application made itself: foreign keys that cannot be deferred, unique values that change hands, odd
settings, rows that do not fit, and what does not fit at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from holdfast.errors import HoldfastError
from holdfast.schema.model import Column, ForeignKey, Schema, SpaceRule, Table
from holdfast.stores.base import StoreUnavailable, Violation
from holdfast.stores.contract.foreign import every_value, exact
from holdfast.stores.contract.ground import aside, feed, write
from holdfast.stores.contract.samples import READING, batch, contract_schema, gone, row
from holdfast.stores.postgres import PostgresStore
from tests.postgres import as_role, connect, database

SPACE = SpaceRule("all")
PERSON = Table(
    "person",
    (
        Column("id", "text"),
        Column("boss", "text", nullable=True, default=None),
        Column("badge", "int"),
        Column("mail", "text", nullable=True, default=None),
    ),
    ("id",),
    SPACE,
    unique=(("badge",), ("mail",)),
    foreign_keys=(ForeignKey(("boss",), "person", ("id",)),),
)
TASK = Table(
    "task",
    (Column("id", "text"), Column("person", "text")),
    ("id",),
    SPACE,
    foreign_keys=(ForeignKey(("person",), "person", ("id",)),),
)
SCHEMA = Schema(1, (PERSON, TASK))
TABLES = """
    create table person (id text primary key, boss text references person, badge int not null unique, mail text unique,
      born date default '2000-01-01');
    create table task (id text primary key, person text not null references person)
"""


class Place:
    """A database with tables of an application."""

    def __init__(self, things: ExitStack) -> None:
        self.dsn = things.enter_context(database())
        self.things = things

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with connect(self.dsn) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def open(self, schema: Schema = SCHEMA, **options: Any) -> PostgresStore:
        store = PostgresStore(self.dsn, **{"install": True, **options})
        self.things.callback(store.close)
        store.open(schema)
        return store


@pytest.fixture
def place() -> Iterator[Place]:
    with ExitStack() as things:
        yield Place(things)


def person(key: str, badge: int, boss: str | None = None, mail: str | None = None, fresh: bool = False) -> Any:
    return row(PERSON, key, [boss, badge, mail], fresh=fresh)


def task(key: str, who: str) -> Any:
    return row(TASK, key, [who], fresh=False)


def test_foreign_keys_that_cannot_be_deferred(place: Place) -> None:
    place.sql(TABLES)
    store = place.open()
    write(store, batch(task("t", "c"), person("a", 1, boss="b"), person("b", 2, boss="a"), person("c", 3, boss="c")))
    write(store, batch(gone(PERSON, "c"), task("t", "d"), person("d", 3)))
    write(store, batch(gone(PERSON, "d"), gone(TASK, "t"), gone(PERSON, "a"), gone(PERSON, "b")))
    assert place.sql("select * from person") == place.sql("select * from task") == []
    with pytest.raises(Violation) as refusal:
        write(store, batch(person("e", 5, boss="nobody")))
    found = refusal.value
    assert (found.kind, found.table, found.columns) == ("foreign_key", "person", ("boss",))
    assert found.constraint == "person_boss_fkey"


def test_unique_values_change_hands_while_children_point_at_the_rows(place: Place) -> None:
    place.sql(TABLES)
    store = place.open()
    write(store, batch(person("a", 1, mail="x"), person("b", 2, mail="y"), task("t", "a"), person("c", 3, boss="a")))
    place.sql("update person set born = '1990-01-01' where id = 'a'")
    write(store, batch(person("a", 2, mail="y"), person("b", 3), person("c", 1, boss="a", mail="x")))
    assert place.sql("select id, badge, mail, born::text from person order by id") == [
        ("a", 2, "y", "1990-01-01"),
        ("b", 3, None, "2000-01-01"),
        ("c", 1, "x", "2000-01-01"),
    ]
    write(store, batch(gone(PERSON, "b"), person("d", 3)))
    with pytest.raises(Violation) as refusal:
        write(store, batch(person("a", 2), person("e", 2)))
    assert (refusal.value.kind, refusal.value.columns) == ("unique", ("badge",))


def test_values_that_a_narrower_type_does_not_take(place: Place) -> None:
    place.sql(TABLES.replace("mail text", "mail varchar(3)"))
    store = place.open()
    for wrong in (person("a", 2**40), person("a", 1, mail="long")):
        with pytest.raises(Violation) as refusal:
            write(store, batch(wrong))
        assert refusal.value.kind == "check"
    write(store, batch(person("a", 2**31 - 1, mail="abc")))


def test_a_trigger_of_the_application_refuses_and_writes(place: Place) -> None:
    place.sql(TABLES)
    place.sql(
        "create function app() returns trigger language plpgsql as $$ begin"
        " if new.badge = 13 then raise exception 'no thirteen'; end if;"
        " insert into task values ('of ' || new.id, new.id) on conflict do nothing; return null; end $$;"
        " create trigger app after insert or update on person for each row execute function app()"
    )
    store = place.open()
    with pytest.raises(Violation, match="no thirteen"):
        write(store, batch(person("a", 13)))
    write(store, batch(person("a", 1)))
    with store.transaction(write=False) as tx:
        assert [(note.table, note.key) for note in tx.dirty(10)] == [("task", "of a")]


def test_no_setting_of_the_database_matters(place: Place) -> None:
    for setting in (
        "TimeZone = 'Asia/Kathmandu'",
        "DateStyle = 'German'",
        "extra_float_digits = -10",
        "bytea_output = 'escape'",
        "standard_conforming_strings = off",
        "IntervalStyle = 'sql_standard'",
        "search_path = 'elsewhere'",
        "default_transaction_read_only = on",
        "default_transaction_isolation = 'serializable'",
    ):
        with connect(place.dsn) as connection:
            name = connection.info.dbname
            connection.execute("set default_transaction_read_only = off")
            connection.execute(f'alter database "{name}" set {setting}'.encode())
    store = place.open(contract_schema())
    rows = every_value()
    write(store, batch(*(row(READING, [key], values) for key, values in rows)))
    place.sql("begin read write; update public.reading set id = id; commit")
    with store.transaction(write=False) as tx:
        notes = {note.key: note.values for note in tx.dirty(1_000)}
    for key, values in rows:
        found = notes[str(key)]
        assert found is not None
        assert exact([list(found[0]), list(found[1])]) == exact([[key], values])


def test_behind_a_pooler_no_session_state_is_left(place: Place) -> None:
    store = place.open(contract_schema(), listen=place.dsn)
    for number in range(20):
        write(store, batch(row(READING, [number], [])))
        feed(store)
    with store._writers.connection() as connection:
        assert connection.execute("select * from pg_prepared_statements").fetchall() == []
        assert connection.execute("show enable_seqscan").fetchone() == ("on",)
        assert connection.execute("select current_setting('holdfast.applying', true)").fetchone() in [("",), (None,)]
        ours = "database = (select oid from pg_database where datname = current_database())"
        assert connection.execute(f"select * from pg_locks where locktype = 'advisory' and {ours}").fetchall() == []


UNREADABLE: Sequence[tuple[str, str]] = [
    ("a_date", "'infinity'"),
    ("a_date", "'0044-03-15 BC'"),
    ("a_date", "'12026-01-01'"),
    ("a_datetime", "'-infinity'"),
    ("a_datetime", "'0001-01-01 00:00:00+14'"),
    ("a_decimal", "'NaN'"),
    ("a_decimal", "1e999 * 1e10"),
    ("a_float", "'NaN'"),
    ("a_float", "'infinity'"),
    ("a_int", "9007199254740992"),
    ("a_json", "'9007199254740993'"),
    ("a_json", "'[123456789012345678901234567890]'"),
    ("a_json", "repeat('[', 101)::text || repeat(']', 101)"),
    ("a_set", "'{}'"),
    ("a_set", "'[1]'"),
]


@pytest.mark.parametrize(("column", "value"), UNREADABLE)
def test_a_row_that_no_device_could_hold_waits_aside(place: Place, column: str, value: str) -> None:
    """Constraints of our own tables would refuse it; those of an application's tables may not."""
    store = place.open(contract_schema())
    for (name,) in place.sql(
        "select conname from pg_constraint where contype = 'c' and conrelid = 'reading'::regclass"
    ):
        place.sql(f'alter table reading drop constraint "{name}"')
    kind = place.sql(f"select format_type(atttypid, null) from pg_attribute where attname = '{column}'")[0][0]
    place.sql(
        f"insert into reading (id, {column}) values (1, ({value})::{kind}), (2, null)"
        if column != "a_set"
        else f"insert into reading (id, a_set) values (1, {value}), (2, '[]')"
    )
    with store.transaction(write=True) as tx:
        assert [note.key for note in tx.dirty(10)] == ["2"]
        tx.clean(tx.dirty(10))
        assert not tx.has_dirty()
    (waiting,) = aside(store)
    assert waiting[:2] == ("reading", "1")
    assert column in waiting.reason
    place.sql(f"update reading set {column} = {'null' if column != 'a_set' else chr(39) + '[]' + chr(39)}")
    with store.transaction(write=True) as tx:
        tx.clean(tx.dirty(10))
    assert aside(store) == []
    assert place.sql("select * from holdfast.dirty") == []


MISFITS = [
    ("create table person (id text primary key, boss text, badge int not null)", "mail", "no such column"),
    (TABLES.replace("badge int", "badge text"), "badge", "text"),
    (TABLES.replace("badge int", "badge numeric"), "badge", "numeric"),
    (TABLES.replace("mail text", "mail text not null"), "mail", "NOT NULL"),
    (TABLES.replace("born date", "owner text not null, born date not null"), "owner", "NOT NULL without default"),
    (TABLES.replace("mail text", "mail text generated always as ('x') stored"), "mail", "a generated column"),
    ("create table person (id text, boss text, badge int, mail text)", "id", "no such index"),
]


@pytest.mark.parametrize(("tables", "column", "found"), MISFITS)
def test_a_table_that_does_not_fit_is_named_and_nothing_is_changed(
    place: Place, tables: str, column: str, found: str
) -> None:
    place.sql(tables)
    with pytest.raises(HoldfastError) as refusal:
        place.open()
    assert refusal.value.code == "schema_mismatch_table"
    assert refusal.value.details["column"] == column
    assert refusal.value.details["found"] == found
    assert place.sql("select to_regnamespace('holdfast')::text") == [(None,)]


NO_TABLES = [
    (
        "create table person (id text, boss text, badge int, mail text, born date) partition by hash (id)",
        "a partitioned table",
    ),
    ("create view person as select 'x'::text as id", "a view"),
    ("create materialized view person as select 'x'::text as id", "a materialized view"),
    (TABLES.replace("create table", "create unlogged table"), "an unlogged table"),
    (f"{TABLES}; create table younger () inherits (person)", "inherits"),
]


@pytest.mark.parametrize(("tables", "found"), NO_TABLES, ids=[found for _, found in NO_TABLES])
def test_what_triggers_cannot_watch_is_refused(place: Place, tables: str, found: str) -> None:
    for statement in tables.split(";"):
        place.sql(statement)
    with pytest.raises(HoldfastError, match="would not see every change") as refusal:
        place.open()
    assert refusal.value.code == "schema_mismatch_table"
    assert found in refusal.value.details["found"]
    assert place.sql("select to_regnamespace('holdfast')::text") == [(None,)]


def test_a_numeric_that_would_round_does_not_fit(place: Place) -> None:
    price = Table("price", (Column("id", "text"), Column("amount", "decimal")), ("id",), SPACE)
    place.sql("create table price (id text primary key, amount numeric(10,2) not null)")
    with pytest.raises(HoldfastError, match="rounds"):
        place.open(Schema(1, (price,)))


def test_a_role_without_rights_is_told_what_it_needs(place: Place) -> None:
    place.sql(TABLES)
    name = place.dsn.rpartition("dbname=")[2].partition("&")[0]
    place.sql(f'create role "poor_{name}" login')
    place.things.callback(place.sql, f'drop owned by "poor_{name}" cascade; drop role "poor_{name}"')
    store = PostgresStore(as_role(place.dsn, f"poor_{name}"), install=True)
    with pytest.raises(HoldfastError, match="lacks a right") as refusal:
        store.open(SCHEMA)
    assert refusal.value.code == "store_open"


def test_a_program_without_rights_on_the_hubs_tables_is_noted(place: Place) -> None:
    place.sql(TABLES)
    store = place.open()
    name = place.dsn.rpartition("dbname=")[2].partition("&")[0]
    place.sql(f'create role "app_{name}" login; grant insert on person to "app_{name}"')
    place.things.callback(place.sql, f'drop owned by "app_{name}" cascade; drop role "app_{name}"')
    with connect(as_role(place.dsn, f"app_{name}")) as program:
        program.execute("insert into person (id, badge) values ('a', 1)")
    with store.transaction(write=False) as tx:
        assert [note.key for note in tx.dirty(9)] == ["a"]


def test_no_server_and_no_database(place: Place) -> None:
    for dsn in ("postgresql://nobody@127.0.0.1:1/x", place.dsn.replace("dbname=", "dbname=no_"), "postgresql://[::"):
        with pytest.raises(HoldfastError) as refusal:
            PostgresStore(dsn).open(SCHEMA)
        assert refusal.value.code == "store_open"


def test_the_password_is_in_no_message() -> None:
    with pytest.raises(HoldfastError) as refusal:
        PostgresStore("postgresql://anna:geheim@127.0.0.1:1/x").open(SCHEMA)
    assert "geheim" not in str(refusal.value)
    assert "127.0.0.1:1/x" in str(refusal.value)


def test_a_table_that_is_altered_while_the_hub_runs(place: Place) -> None:
    place.sql(TABLES)
    store = place.open()
    place.sql("alter table person drop column mail")
    with pytest.raises(HoldfastError, match="was changed while the hub was running") as refusal:
        write(store, batch(person("a", 1)))
    assert refusal.value.code == "store_failed"
    place.sql("alter table person add column mail text")
    write(store, batch(person("a", 1)))


def test_a_standby_is_told_apart(place: Place) -> None:
    store = place.open()
    with store.transaction(write=True) as tx:
        tx._db.execute("set transaction read only")
        with pytest.raises(StoreUnavailable, match="read-only"), tx.savepoint():
            tx.write(batch(person("a", 1)))


def test_tables_of_a_schema_that_is_not_public(place: Place) -> None:
    place.sql("create schema app; set search_path = app;" + TABLES)
    store = place.open(within="app")
    write(store, batch(person("a", 1), task("t", "a")))
    assert place.sql("select id from app.person") == [("a",)]
    assert place.sql("select to_regclass('public.person')::text") == [(None,)]


def test_a_table_that_leaves_the_schema_is_not_watched_any_more(place: Place) -> None:
    place.open()
    store = place.open(Schema(2, (PERSON,)))
    store.migrate(Schema(2, (PERSON,)), ("after",), None, lambda step: None)
    place.sql("insert into person (id, badge) values ('a', 1); insert into task values ('t', 'a')")
    with store.transaction(write=False) as tx:
        assert [note.table for note in tx.dirty(9)] == ["person"]
    store = place.open(Schema(3, SCHEMA.tables))
    with store.transaction(write=False) as tx:
        assert [note.table for note in tx.dirty(9)] == ["person", "task"]
    place.sql("drop table task")
    with pytest.raises(HoldfastError, match="is gone from the database"):
        place.open()
