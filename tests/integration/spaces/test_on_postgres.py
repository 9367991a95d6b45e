"""Spaces on PostgreSQL: two hubs at once, tables that a query reads, rights, and what `migrate` does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.edge.local import LocalTransport
from tests.integration.spaces.ground import BOTH, SCHEMA, World, family, keys
from tests.postgres import connect

SECONDS = 30.0
TABLE = "create table membership (user_id text, project text, role text)"
QUERY = "select 'project:' || project, role from membership where user_id = :user"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as things:
        yield World("postgres", tmp_path, things)


class Pause:
    """A hook that stops inside a transaction, after its rows are locked, until `go` is set."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

    def __call__(self, change: hf.Change, context: hf.Context) -> None:
        self.reached.set()
        assert self.go.wait(SECONDS)


def waiting_for_a_lock(world: World) -> bool:
    with connect(world.dsn) as db:
        sql = b"select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        return bool(db.execute(sql).fetchall()[0][0])


def until_somebody_waits(world: World) -> None:
    pause = threading.Event()
    for _ in range(3000):
        if waiting_for_a_lock(world):
            return
        pause.wait(0.01)
    raise AssertionError("nobody waits")


@pytest.mark.parametrize("first", ["the move", "the child"])
def test_a_parent_moves_on_one_hub_while_another_one_takes_a_child(world: World, first: str) -> None:
    """Forced interleaving: whoever comes second waits for the parent's row, and sees what the first one made of it."""
    anna = world.device("anna")
    family(anna)
    anna.sync()
    other = world.serve(spaces=lambda identity: BOTH)
    ben = hf.Replica(world.folder / "ben.db", SCHEMA, transport=LocalTransport(other, hf.Identity("ben")))
    pause = Pause()
    with ben:
        ben.sync()
        ben.execute("insert into answer (id, submission) values ('late', 's')")
        anna.execute("update submission set project = '2'")
        slow, fast = (anna, ben) if first == "the move" else (ben, anna)
        (world.server if slow is anna else other).before_write()(pause)
        holding, coming = threading.Thread(target=slow.sync), threading.Thread(target=fast.sync)
        holding.start()
        assert pause.reached.wait(SECONDS)
        coming.start()
        until_somebody_waits(world)
        pause.go.set()
        holding.join(SECONDS)
        coming.join(SECONDS)
        world.agree(anna, ben)
        assert world.spaces("answer") == {"a": "project:2", "late": "project:2"}
        assert world.spaces("photo") == {"photo of a": "project:2"}
        assert keys(anna, "answer") == keys(ben, "answer") == ["a", "late"]


def test_another_program_moves_a_parent_while_a_hub_takes_a_child(world: World) -> None:
    anna, ben = world.device("anna"), world.device("ben")
    family(anna)
    world.agree(anna, ben)
    anna.execute("insert into answer (id, submission) values ('late', 's')")
    pause = Pause()
    world.server.before_write("answer")(pause)
    pushing = threading.Thread(target=anna.sync)
    pushing.start()
    assert pause.reached.wait(SECONDS)
    world.run("update submission set project = '2'")
    pause.go.set()
    pushing.join(SECONDS)
    world.agree(anna, ben)
    assert set(world.spaces("answer").values()) == {"project:2"}


def test_many_hubs_and_programs_move_families_about(world: World) -> None:
    """Devices at two hubs and another program move parents and write children at once; then everything agrees."""
    hubs = [world.server, world.serve(spaces=lambda identity: BOTH)]
    world.access["p"] = BOTH
    with ExitStack() as things:
        devices = []
        for number in range(4):
            transport = LocalTransport(hubs[number % 2], hf.Identity("p"))
            path = world.folder / f"d{number}.db"
            devices.append(things.enter_context(hf.Replica(path, SCHEMA, transport=transport)))
        for number in range(3):
            devices[0].execute("insert into submission (id, project) values (?, '1')", (f"s{number}",))
        for device in devices:
            device.sync()
        failures: list[hf.HoldfastError] = []

        def work(number: int) -> None:
            device = devices[number]
            try:
                for turn in range(8):
                    parent = f"s{(number + turn) % 3}"
                    device.execute("update submission set project = ? where id = ?", (str(1 + turn % 2), parent))
                    key = f"a{number}{turn}"
                    device.execute("insert into answer (id, submission) values (?, ?)", (key, parent))
                    device.execute("update answer set submission = ? where id = ?", (f"s{turn % 3}", f"a{number}0"))
                    device.execute("insert into photo (id, answer) values (?, ?)", (f"p{key}", key))
                    device.sync()
            except hf.HoldfastError as error:
                failures.append(error)

        def program() -> None:
            for turn in range(12):
                world.run(f"update submission set project = '{1 + turn % 2}' where id = 's{turn % 3}'")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        threads.append(threading.Thread(target=program))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(4 * SECONDS)
        assert failures == []
        world.agree(*devices)
        world.agree(*devices)
        check_families(world)
        assert {len(keys(device, "photo")) for device in devices} == {32}
        assert [one for device in devices for one in device.refused()] == []


def check_families(world: World) -> None:
    """Every child lives where the user tables say that its parent lives."""
    with connect(world.dsn) as db:
        project = dict(db.execute(b"select id, 'project:' || project from submission").fetchall())
        answers = dict(db.execute(b"select id, submission from answer").fetchall())
        photos = dict(db.execute(b"select id, answer from photo").fetchall())
    assert world.spaces("submission") == project
    assert world.spaces("answer") == {key: project[parent] for key, parent in answers.items()}
    assert world.spaces("photo") == {key: project[answers[parent]] for key, parent in photos.items()}


def server(world: World, query: str, install: bool | None = True, **options: Any) -> hf.Server:
    """A server that is not open yet."""
    made = hf.Server(world.dsn, SCHEMA, spaces=hf.sql(query, **options), install=install)
    world.things.callback(made.close)
    return made


def triggers(world: World) -> list[str]:
    """Tables whose changes are heard."""
    sql = b"""select distinct c.relname::text from pg_trigger t join pg_class c on c.oid = t.tgrelid
              where t.tgname like 'holdfast_access%' order by 1"""
    with connect(world.dsn) as db:
        return [name for (name,) in db.execute(sql)]


def test_tables_behind_views_and_partitions_are_watched(world: World) -> None:
    world.run(
        "create table team (name text, project text)",
        "create table seat (user_id text, team text) partition by list (team)",
        "create table seat_red partition of seat for values in ('red')",
        "create view access as select s.user_id, t.project from seat s join team t on t.name = s.team",
        "create view outer_access as select * from access where project <> 'x' and 1 = 1",
        "create table unrelated (x int)",
    )
    _ = server(world, "select 'project:' || project from outer_access where user_id = :user and :user <> 'never'").hub
    assert triggers(world) == ["seat", "seat_red", "team"]


def test_a_table_that_a_function_reads_is_named(world: World) -> None:
    world.run(
        TABLE,
        "create function projects(who text) returns setof text language sql stable as"
        " $$ select 'project:' || project from membership where user_id = who $$",
    )
    query = "select p from projects(:user) p"
    with pytest.raises(hf.HoldfastError, match=r"projects\(text\).*tables=") as caught:
        _ = server(world, query).hub
    assert caught.value.code == "membership_invalid"
    world.server = server(world, query, tables=["membership"])
    world.run("insert into membership values ('anna', '1', 'rw')")
    anna = world.device("anna")
    anna.sync()
    assert anna.spaces() == {"project:1": "rw"}
    assert triggers(world) == ["membership"]


def test_a_query_that_would_read_the_hubs_own_tables_is_refused(world: World) -> None:
    """A role that is named holdfast finds them first: its search path is "$user", public."""
    world.run("create table public.space (name text, user_id text)")
    _ = server(world, "select name from public.space where user_id = :user").hub
    with connect(world.dsn) as db:
        ((database,),) = db.execute("select current_database()").fetchall()
        db.execute(f'alter database "{database}" set search_path = holdfast, public'.encode())
    with pytest.raises(hf.HoldfastError, match=r'"holdfast"."space", of the hub itself.*such as public') as caught:
        _ = server(world, "select name from space where name <> :user").hub
    assert caught.value.code == "membership_invalid"


def test_what_cannot_be_watched_needs_an_interval(world: World) -> None:
    world.run(TABLE, "create materialized view seen as select * from membership")
    query = "select 'project:1' from seen where user_id = :user"
    with pytest.raises(hf.HoldfastError, match="poll=") as caught:
        _ = server(world, query).hub
    assert caught.value.code == "membership_invalid"
    _ = server(world, query, poll=1).hub
    assert triggers(world) == []


def test_a_hub_does_not_touch_tables_of_an_application_unasked(world: World) -> None:
    _ = world.server.hub
    world.run(TABLE)
    with pytest.raises(hf.HoldfastError, match=r"hear of changes of public\.membership") as caught:
        _ = server(world, QUERY, install=None).hub
    assert caught.value.code == "store_migrate"
    assert triggers(world) == []
    asked = server(world, QUERY, install=False)
    assert [step.title for step in asked.plan()] == ["hear of changes of public.membership"]
    asked.migrate()
    assert triggers(world) == ["membership"]
    assert asked.plan() == []
    asked.close()
    server(world, QUERY, install=False).remove()
    assert triggers(world) == []
    world.run("insert into membership values ('a', 'b', 'c')")


def test_a_trigger_that_somebody_dropped_is_made_again(world: World) -> None:
    world.run(TABLE)
    _ = server(world, QUERY).hub
    world.run("drop trigger holdfast_access_update on membership")
    with pytest.raises(hf.HoldfastError, match="membership"):
        _ = server(world, QUERY, install=False).hub
    _ = server(world, QUERY).hub
    with connect(world.dsn) as db:
        assert len(db.execute(b"select 1 from pg_trigger where tgname like 'holdfast_access%'").fetchall()) == 4


def test_access_by_a_table_that_the_hub_makes_itself(world: World) -> None:
    """The query reads a synced table that is not there yet when the hub opens."""

    class Seat(hf.Table, space="seats", key=("who", "project")):
        who: str
        project: str

    seats = hf.Schema(Seat)
    spaces = hf.sql("select 'project:' || project from seat where who = :user")
    with hf.Server(world.dsn, seats, spaces=spaces) as fresh:
        assert fresh.health()["spaces"] == 0
    assert triggers(world) == ["seat"]
