"""Access by a query on the application's own tables, on SQLite and PostgreSQL."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import uvicorn

import holdfast as hf
from holdfast.stores.memory import MemoryStore
from tests.integration.spaces.ground import SCHEMA, World, family, keys, refusals

TABLE = "create table membership (user_id text, project text, role text)"
QUERY = "select 'project:' || project, role from membership where user_id = :user"
SECONDS = 20.0


@pytest.fixture(params=["sqlite", "postgres"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as things:
        yield World(request.param, tmp_path, things)


def prepared(world: World, query: Any = QUERY, *more: str, **options: Any) -> World:
    """The world with a membership table of the application and a server that asks it."""
    world.run(TABLE, *more)
    spaces = query if isinstance(query, hf.Membership) else hf.sql(query)
    install = {"install": True} if world.kind == "postgres" else {}
    world.server = world.serve(spaces=spaces, **install, **options)
    return world


def grant(world: World, user: str, project: str, role: str = "rw") -> None:
    world.run(f"insert into membership values ('{user}', '{project}', '{role}')")


def test_rows_of_the_application_say_who_may_do_what(world: World) -> None:
    prepared(world)
    grant(world, "anna", "1")
    grant(world, "anna", "2", "r")
    anna = world.device("anna")
    family(anna)
    anna.execute("insert into submission (id, project) values ('no', '2')")
    anna.sync()
    assert {name: space["access"] for name, space in anna.status.spaces.items()} == {
        "project:1": "rw",
        "project:2": "r",
    }
    assert refusals(anna) == [("forbidden_space", "submission", "no")]
    world.run("update membership set role = 'rw' where project = '2'")
    anna.execute("update submission set project = '2' where id = 's'")
    world.agree(anna)
    assert world.spaces("photo") == {"photo of a": "project:2"}
    world.run("delete from membership where project = '2'")
    anna.sync()
    assert keys(anna, "photo") == []


def test_the_wider_right_of_two_rows_counts(world: World) -> None:
    prepared(world)
    for role in ("r", "rw", "r"):
        grant(world, "anna", "1", role)
    anna = world.device("anna")
    family(anna)
    world.agree(anna)
    assert anna.refused() == []


def test_a_query_without_a_second_column_gives_everything(world: World) -> None:
    prepared(world, "select 'project:' || project from membership where user_id = :user -- all of them")
    grant(world, "anna", "1", "whatever")
    anna = world.device("anna")
    anna.sync()
    assert anna.status.spaces["project:1"]["access"] == "rw"


def test_claims_are_bound_and_never_part_of_the_text(world: World) -> None:
    nasty = "x'; drop table membership; --"
    prepared(
        world,
        "select 'project:' || project, 'rw' from membership where user_id = :user and role = :claims_team "
        "and ':user' <> 'a' and coalesce(:claims_nothing, 'none') = 'none' and project like '%1'",
    )
    grant(world, "anna", "1", nasty.replace("'", "''"))
    anna, ben = world.device("anna", team=nasty), world.device("ben", team=nasty)
    anna.sync()
    ben.sync()
    assert list(anna.status.spaces) == ["project:1"]
    assert list(ben.status.spaces) == []


def test_a_list_of_claims_is_json(world: World) -> None:
    each = (
        "json_each(:claims_teams)"
        if world.kind == "sqlite"
        else "jsonb_array_elements_text(:claims_teams ::jsonb) as t(value)"
    )
    prepared(world, f"select 'project:' || value from {each}")
    anna = world.device("anna", teams=["1", "2"])
    anna.sync()
    assert list(anna.status.spaces) == ["project:1", "project:2"]
    assert list(device_without_claims(world).status.spaces) == []


def device_without_claims(world: World) -> hf.Replica:
    device = world.device("nobody")
    device.sync()
    return device


@pytest.mark.parametrize(
    ("rows", "says"),
    [("('anna', '1', 'owner')", "owner"), ("('anna', null, 'rw')", "None"), ("('anna', '1', null)", "None")],
)
def test_what_is_no_space_or_no_right_is_told_clearly(world: World, rows: str, says: str) -> None:
    prepared(world, QUERY, f"insert into membership values {rows}")
    anna = world.device("anna")
    with pytest.raises(hf.HoldfastError, match=says) as caught:
        anna.sync()
    assert caught.value.code == "identity_invalid"
    world.run("update membership set project = '1', role = 'rw'")
    anna.sync()


def test_a_query_that_fails_for_one_user_harms_no_other(world: World) -> None:
    if world.kind == "postgres":
        query, bad = "select 'project:' || id from numbered where id = :user ::int", "anna"
    else:
        query, bad = "select json_extract(:user, '$.project') from numbered", "anna"
    world.run("create table numbered (id integer)", "insert into numbered values (7)")
    prepared(world, query)
    anna, other = world.device(bad), world.device("7" if world.kind == "postgres" else '{"project": "project:7"}')
    with pytest.raises(hf.HoldfastError) as caught:
        anna.sync()
    assert caught.value.code == "membership_failed"
    other.sync()
    assert list(other.status.spaces) == ["project:7"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("selec 1", "syntax error"),
        ("select x from nowhere where u = :user", "nowhere"),
        ("select 'a', 'r', 3", "3 columns"),
        ("delete from submission", "syntax error|write a SELECT"),
    ],
)
def test_a_wrong_query_is_refused_when_the_server_opens(world: World, query: str, says: str) -> None:
    _ = world.server.hub
    with pytest.raises(hf.HoldfastError, match=says) as caught:
        _ = prepared(world, query).server.hub
    assert caught.value.code == "membership_invalid"
    world.run("select 1")


def test_tables_that_are_not_there_are_refused(world: World) -> None:
    with pytest.raises(hf.HoldfastError, match="nobody_has_it") as caught:
        _ = prepared(world, hf.sql(QUERY, tables=["nobody_has_it"])).server.hub
    assert caught.value.code == "membership_invalid"


@pytest.mark.parametrize(
    ("query", "options", "says"),
    [
        ("", {}, "empty"),
        ("select :project", {}, ":project; use :user"),
        ("select :claims_", {}, "use :user"),
        ("select E'\\':user'", {}, "without E"),
        ("select 1", {"poll": 0}, "poll=0"),
    ],
)
def test_a_query_is_read_before_any_database_is_there(query: str, options: Any, says: str) -> None:
    with pytest.raises(hf.HoldfastError, match=says) as caught:
        hf.sql(query, **options)
    assert caught.value.code == "membership_invalid"


def test_a_memory_store_has_no_sql() -> None:
    with pytest.raises(hf.HoldfastError, match="has no SQL"):
        hf.Server(MemoryStore(), SCHEMA, spaces=hf.sql("select 'a'"))


def test_membership_and_rows_come_from_one_snapshot(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 4: the grant and a secret row are committed between the question and the reading of the rows."""
    prepared(world)
    grant(world, "anna", "1")
    anna = world.device("anna")
    anna.sync()
    real = hf.Membership.spaces

    def slow(self: Any, tx: Any, identity: Any) -> Any:
        found = real(self, tx, identity)
        if identity.user == "anna":
            monkeypatch.undo()
            world.run(
                "delete from membership",
                "insert into submission (id, project, title) values ('secret', '1', 'written when she was gone')",
            )
            world.server.sequence_foreign_writes()
        return found

    monkeypatch.setattr(hf.Membership, "spaces", slow)
    anna.sync()
    assert keys(anna, "submission") == []
    anna.sync()
    assert list(anna.status.spaces) == []


class Site:
    """The world's server behind uvicorn, with devices that are connected."""

    def __init__(self, world: World, things: ExitStack) -> None:
        self.world = world
        self._things = things
        config = uvicorn.Config(world.server.asgi(), port=0, log_level="error", ws="websockets-sansio")
        self.web = uvicorn.Server(config)
        thread = threading.Thread(target=self.web.run, daemon=True)
        thread.start()
        things.callback(thread.join, SECONDS)
        things.callback(setattr, self.web, "should_exit", True)
        until(lambda: self.web.started)
        self.port = self.web.servers[0].sockets[0].getsockname()[1]

    def device(self, user: str) -> hf.Replica:
        path = self.world.folder / f"live {user}.db"
        device = hf.Replica(path, self.world.schema, url=f"http://127.0.0.1:{self.port}", token=user)
        self._things.enter_context(device).connect()
        until(lambda: device.status.has_synced)
        return device


def until(condition: Callable[[], bool]) -> float:
    """Ask again and again for at most 20 seconds; gives the seconds that it took."""
    begun = time.perf_counter()
    pause = threading.Event()
    while not condition():
        assert time.perf_counter() - begun < SECONDS, "it did not happen"
        pause.wait(0.001)
    return time.perf_counter() - begun


def identify(headers: Any) -> hf.Identity:
    return hf.Identity(headers["authorization"].removeprefix("Bearer "))


def test_a_grant_and_a_revocation_by_plain_sql_reach_a_connected_device(world: World) -> None:
    with ExitStack() as things:
        prepared(world, authenticate=identify)
        world.run("insert into submission (id, project) values ('s', '1')")
        site = Site(world, things)
        anna, ben = site.device("anna"), site.device("ben")
        grant(world, "ben", "1", "r")
        until(lambda: keys(ben, "submission") == ["s"])
        revoked, granted = [], []
        for _ in range(11):
            grant(world, "anna", "1")
            granted.append(until(lambda: keys(anna, "submission") == ["s"]))
            world.run("delete from membership where user_id = 'anna'")
            revoked.append(until(lambda: keys(anna, "submission") == []))
        assert keys(ben, "submission") == ["s"]
        assert statistics.median(revoked) < 0.1, revoked
        assert statistics.median(granted) < 0.1, granted


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_access_by_a_synced_table_changes_when_a_device_writes_it(kind: str, tmp_path: Path) -> None:
    """The boss gives and takes access on his device; the table is an ordinary synced one."""

    class Seat(hf.Table, space="seats", key=("who", "project")):
        who: str
        project: str

    class Note(hf.Table, space="project:{project}"):
        project: str

    schema = hf.Schema(Seat, Note)
    query = (
        "select 'project:' || project from seat where who = :user union all select 'seats' where :user = 'boss' "
        "union all select 'project:1' where :user = 'boss'"
    )
    with ExitStack() as things:
        world = World(kind, tmp_path, things, schema)
        world.server = world.serve(spaces=hf.sql(query), authenticate=identify)
        site = Site(world, things)
        boss, anna = site.device("boss"), site.device("anna")
        boss.execute("insert into note (id, project) values ('n', '1')")
        boss.execute("insert into seat (who, project) values ('anna', '1')")
        until(lambda: keys(anna, "note") == ["n"])
        boss.execute("delete from seat")
        until(lambda: keys(anna, "note") == [])


def test_a_table_that_cannot_be_watched_is_polled(world: World) -> None:
    """Nothing is announced: the stated interval decides."""
    with ExitStack() as things:
        prepared(
            world,
            hf.sql(QUERY, poll=0.05),
            "insert into submission (id, project) values ('s', '1')",
            authenticate=identify,
        )
        anna = Site(world, things).device("anna")
        grant(world, "anna", "1")
        until(lambda: keys(anna, "submission") == ["s"])


def test_taking_the_hub_out_takes_its_triggers_off_the_applications_table(world: World) -> None:
    prepared(world)
    grant(world, "anna", "1")
    anna = world.device("anna")
    anna.sync()
    world.server.remove()
    world.run("insert into membership values ('ben', '1', 'rw')", "delete from membership", "drop table membership")
