"""Devices that are connected while their hub's database is away, full, altered or out of reach: they go on working and
resume by themselves, without a call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from psycopg.conninfo import make_conninfo

import holdfast as hf
from holdfast.stores.postgres import PostgresStore
from tests.integration.postgres.test_poolers_and_failures import own_server, wait_for
from tests.postgres import connect

SECONDS = 40.0


class Crew(hf.Table, space="all"):
    name: str


SCHEMA = hf.Schema(Crew, version=1)


def identify(headers: Any) -> hf.Identity:
    return hf.Identity(headers["authorization"].removeprefix("Bearer "), {"all": "rw"})


def until(condition: Callable[[], bool], what: str) -> None:
    pause = threading.Event()
    for _ in range(int(SECONDS / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError(what)


class World:
    """A server of its own, an application's table, a hub behind HTTP, a device that is connected."""

    caplog: pytest.LogCaptureFixture

    def __init__(self, server: Any, folder: Path, things: ExitStack) -> None:
        self.server, self.things = server, things
        self.dsn = str(server.get_uri())
        self.run("create table crew (id text primary key, name text not null)", "create role hub login")
        self.run("grant select, insert, update, delete on crew to hub")
        with hf.Server(self.dsn, SCHEMA, install=True) as owner:
            owner.migrate(grant="hub")
        store = PostgresStore(make_conninfo(self.dsn, user="hub"), patience=2)
        self.hub = things.enter_context(hf.Server(store, SCHEMA, authenticate=identify))
        config = uvicorn.Config(self.hub.asgi(), port=0, log_level="critical", ws="websockets-sansio")
        web = uvicorn.Server(config)
        thread = threading.Thread(target=web.run, daemon=True)
        thread.start()
        things.callback(thread.join, SECONDS)
        things.callback(setattr, web, "should_exit", True)
        until(lambda: web.started, "the hub does not start")
        port = web.servers[0].sockets[0].getsockname()[1]
        self.device = hf.Replica(folder / "anna.db", SCHEMA, url=f"http://127.0.0.1:{port}", token="anna")
        things.enter_context(self.device).connect()
        until(lambda: self.device.status.has_synced, "the first sync")

    def run(self, *statements: str) -> None:
        with connect(self.dsn) as db:
            for statement in statements:
                db.execute(statement.encode())

    def write(self, key: str) -> None:
        """The device goes on working."""
        self.device.execute("insert into crew (id, name) values (?, 'by anna')", (key,))
        assert self.device.execute("select name from crew where id = ?", (key,)) == [("by anna",)]

    def stuck(self, code: str, says: str) -> None:
        """The device has been told why nothing goes out, and has kept what it wrote."""
        until(lambda: told(self.device).endswith(f"[{code}]"), f"the device was told {told(self.device)!r}")
        until(lambda: says in self.caplog.text, f"the log does not say {says!r}")
        assert self.device.status.pending_count > 0
        assert self.device.status.refused_count == 0

    def resumed(self, key: str) -> None:
        """What the device wrote is in the table, and what a program writes now is on the device."""
        until(lambda: self.device.status.pending_count == 0, f"{key} does not go out")
        self.run(f"insert into crew values ('program {key}', 'by a program')")
        found = "select 1 from crew where id = ?"
        until(lambda: bool(self.device.execute(found, (f"program {key}",))), f"nothing comes in after {key}")
        with connect(self.dsn) as db:
            assert db.execute(b"select name from crew where id = %s", (key,)).fetchall() == [("by anna",)]
        assert self.device.status.refused_count == 0


def told(device: hf.Replica) -> str:
    """Why nothing goes out, as `status` says it."""
    return device.status.upload_error or device.status.download_error or ""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with own_server() as server, ExitStack() as things:
        yield World(server, tmp_path_factory.mktemp("resume"), things)


@pytest.fixture
def world(place: World, caplog: pytest.LogCaptureFixture) -> World:
    place.caplog = caplog
    return place


def test_the_server_goes_and_comes_back(world: World) -> None:
    world.server.stop()
    world.write("while it was away")
    world.stuck("hub_unavailable", "The hub goes on by itself when the server is back")
    world.server.start()
    wait_for(world.dsn)
    world.resumed("while it was away")


def test_the_disk_is_full(world: World) -> None:
    """The file of a table leads to a device that is always full, so PostgreSQL itself finds no space."""
    world.run("create table room (id text)")
    with connect(world.dsn) as db:
        ((data, path),) = db.execute(
            "select current_setting('data_directory'), pg_relation_filepath('room')"
        ).fetchall()
    file = Path(data) / path
    file.unlink()
    file.symlink_to("/dev/full")
    world.run(
        "create or replace function fill() returns trigger language plpgsql security definer as "
        "'begin insert into public.room values (repeat(new.id, 100)); return new; end'",
        "create trigger fill before insert on crew for each row execute function fill()",
    )
    world.write("without space")
    world.stuck("hub_unavailable", "Free space or enlarge its disk")
    world.run("truncate room")  # another file
    world.resumed("without space")
    world.run("drop trigger fill on crew", "drop table room")


def test_a_table_is_altered_and_repaired(world: World) -> None:
    world.run("alter table crew rename column name to title")
    world.write("while it was altered")
    world.stuck("store_failed", "Undo the change, or deploy the schema that fits")
    assert "no such column" in world.hub.problems()[0]
    world.run("alter table crew rename column title to name")
    world.resumed("while it was altered")
    assert world.hub.problems() == []


def test_a_right_is_taken_and_given_back(world: World) -> None:
    world.run("revoke insert on crew from hub")
    world.write("without a right")
    world.stuck("store_failed", "Grant it")
    world.run("grant insert on crew to hub")
    world.resumed("without a right")


def test_who_may_not_create_triggers_is_told_what_is_needed(world: World) -> None:
    world.run(
        "create role poor login",
        'grant create on database "postgres" to poor',
        "create table later (id text primary key, name text)",
    )
    world.run("grant select, insert, update, delete on later to poor")

    class Later(hf.Table, space="all"):
        name: str | None = None

    with pytest.raises(hf.HoldfastError) as refused:
        PostgresStore(make_conninfo(world.dsn, user="poor"), install=True).open(hf.Schema(Later))
    assert refused.value.code == "store_open"
    assert "TRIGGER on the synced tables" in refused.value.message
    world.write("meanwhile")
    world.resumed("meanwhile")
