"""Writes that no trigger has seen: they are found when the triggers are back, whether or not anybody looked between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.edge.local import LocalTransport
from tests.postgres import connect, database


class Crew(hf.Table, space="all"):
    name: str
    size: int = 0


SCHEMA = hf.Schema(Crew, version=1)
TABLE = "create table crew (id text primary key, name text not null, size bigint not null default 0, phone text)"
WRITES = [
    "insert into crew (id, name) values ('new', 'unseen')",
    "update crew set name = 'unseen' where id = 'changed'",
    "delete from crew where id = 'gone'",
]


class World:
    """An application's table on a server, a hub, a device."""

    def __init__(self, folder: Path, things: ExitStack) -> None:
        self.things = things
        self.dsn = things.enter_context(database())
        self.run(TABLE, "insert into crew (id, name) values ('gone', 'a'), ('changed', 'a'), ('same', 'a')")
        self.run("update crew set size = 3, phone = '1' where id = 'changed'")
        with hf.Server(self.dsn, SCHEMA, install=True):
            pass
        self.hub = things.enter_context(hf.Server(self.dsn, SCHEMA))
        way = LocalTransport(self.hub, hf.Identity("anna", {"all": "rw"}))
        self.device = things.enter_context(hf.Replica(folder / "anna.db", SCHEMA, transport=way))
        self.device.sync()

    def run(self, *statements: str) -> None:
        """Statements of another program, each a transaction."""
        with connect(self.dsn) as db:
            for statement in statements:
                db.execute(statement.encode())

    def rows(self) -> list[Any]:
        """What the device shows after a round."""
        self.device.sync()
        return self.device.execute("select id, name from crew order by id")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as things:
        yield World(tmp_path, things)


BEFORE, AFTER = (
    [("changed", "a"), ("gone", "a"), ("same", "a")],
    [("changed", "unseen"), ("new", "unseen"), ("same", "a")],
)
BYPASSES: dict[str, list[str]] = {
    "off and on": ["alter table crew disable trigger user", *WRITES, "alter table crew enable trigger user"],
    "in one transaction": [
        "begin",
        "alter table crew disable trigger all",
        *WRITES,
        "alter table crew enable trigger all",
        "commit",
    ],
    "dropped and made as they were": [
        "begin",
        *[f"drop trigger holdfast_{event} on crew" for event in ("insert", "update", "delete")],
        *WRITES,
        *[
            f"create trigger holdfast_{event} after {event} on crew referencing {tables} for each statement "
            "when (current_setting('holdfast.applying', true) is distinct from 'on' or pg_trigger_depth() > 0) "
            "execute function holdfast.crew()"
            for event, tables in (
                ("insert", "new table as new_rows"),
                ("update", "old table as old_rows new table as new_rows"),
                ("delete", "old table as old_rows"),
            )
        ],
        "commit",
    ],
    "another function and back": [
        "create table spare as select prosrc from pg_proc where proname = 'crew'",
        "create or replace function holdfast.crew() returns trigger language plpgsql as 'begin return null; end'",
        *WRITES,
        (
            "do $$ begin execute format('create or replace function holdfast.crew() returns trigger language plpgsql "
            "security definer set search_path = pg_catalog, pg_temp as %L', (select prosrc from spare)); end $$"
        ),
    ],
}


@pytest.mark.parametrize("bypass", BYPASSES)
def test_triggers_that_were_off_between_two_looks(world: World, bypass: str) -> None:
    assert world.rows() == BEFORE
    assert world.hub.problems() == []
    with connect(world.dsn) as db:
        noted = db.execute("select count(*) from holdfast.dirty").fetchone()
    assert noted == (0,)  # a look without need looks at no row
    world.run(*BYPASSES[bypass])
    assert world.rows() == BEFORE
    assert world.hub.problems() == []
    assert world.rows() == AFTER


def test_triggers_that_were_off_while_no_hub_ran(world: World) -> None:
    world.hub.close()
    world.run(*BYPASSES["off and on"])
    world.things.enter_context(hf.Server(world.dsn, SCHEMA)).sequence_foreign_writes()
    with connect(world.dsn) as db:
        found = db.execute('select key from holdfast."row" where life % 2 = 1 order by key').fetchall()
    assert found == [(key,) for key, _ in AFTER]


def test_a_hub_looks_by_itself(world: World) -> None:
    world.run(*BYPASSES["off and on"])
    world.hub.hub._looked -= 60_000
    world.hub.hub._beat()
    assert world.rows() == AFTER


def test_a_column_that_is_rewritten_by_a_statement_for_tables(world: World) -> None:
    world.run("alter table crew alter column size type bigint using size * 2", "alter table crew add column more text")
    assert world.hub.problems() == []
    world.rows()
    assert world.device.execute("select size from crew where id = 'changed'") == [(6,)]


def test_rows_that_are_loaded_as_a_replica_are_seen(world: World) -> None:
    """The application's triggers do not fire then; those of Holdfast do, on tables whose owner has run `migrate`."""
    world.run("set session_replication_role = replica", *WRITES)
    assert world.rows() == AFTER


def test_a_column_with_values_comes_into_the_schema(world: World, tmp_path: Path) -> None:
    class More(hf.Table, name="crew", space="all"):
        name: str
        size: int = 0
        phone: str | None = None

    schema = hf.Schema(More, version=2)
    world.hub.close()
    with hf.Server(world.dsn, schema, install=True) as hub:
        way = LocalTransport(hub, hf.Identity("bert", {"all": "rw"}))
        with hf.Replica(tmp_path / "bert.db", schema, transport=way) as device:
            device.sync()
            assert device.execute("select phone from crew where id = 'changed'") == [("1",)]
