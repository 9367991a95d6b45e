"""Two hub processes on one database, ten devices without sticky sessions, a hub killed or restarted again and again."""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.auth.development import DevelopmentTokens
from holdfast.cli.demo.processes import Child
from holdfast.edge.http import HttpTransport
from holdfast.edge.local import LocalTransport
from tests.integration.postgres.hub_of_test import SCHEMA
from tests.postgres import connect, database

SECONDS = float(os.environ.get("HOLDFAST_SOAK_SECONDS") or 8)
"""How long the load lasts at least; each hub ends once in any case. `make soak` makes it a minute."""
DEVICES, CREWS = 10, 5
ROOT = Path(__file__).resolve().parents[3]
SPACES = {"all": "rw"}
TEMPORARY = {"network", "response_incomplete", "hub_unavailable", "hub_error", "busy"}


class Either:
    """A transport without a sticky session: each round goes to one of the hubs, whichever."""

    def __init__(self, ways: list[HttpTransport], seed: int) -> None:
        self._ways = ways
        self._random = random.Random(seed)

    def exchange(self, body: bytes) -> Any:
        """One round."""
        return self._random.choice(self._ways).exchange(body)

    def close(self) -> None:
        """Close all."""
        for way in self._ways:
            way.close()


class World:
    """The database, two hubs and the devices."""

    def __init__(self, folder: Path, things: ExitStack) -> None:
        self.folder = folder
        self.things = things
        self.dsn = things.enter_context(database())
        self._secret = secrets.token_hex(32)
        self.hubs: list[Child] = []
        self._ports = [0, 0]
        things.callback(lambda: [hub.kill() for hub in self.hubs])
        with hf.Server(self.dsn, SCHEMA) as server:
            seeder = hf.Replica(folder / "seed.db", SCHEMA, transport=LocalTransport(server, hf.Identity("x", SPACES)))
            with seeder:
                for number in range(CREWS):
                    seeder.execute("insert into crew (id) values (?)", (f"c{number}",))
                seeder.sync()
        for number in range(2):
            self.hubs.append(self._start(number))

    def _start(self, number: int) -> Child:
        module = "tests.integration.postgres.hub_of_test"
        arguments = ("-m", module, self.dsn, str(self._ports[number]), self._secret)
        log, environment = self.folder / f"hub{number}.log", {"PYTHONPATH": str(ROOT)}
        hub = Child(f"hub {number}", log, *arguments, environment=environment)
        self._ports[number] = hub.answer()["port"]
        return hub

    def restart(self, number: int, *, kill: bool) -> None:
        """End a hub, by SIGKILL or in order, and start it again at once."""
        if kill:
            self.hubs[number].kill()
        else:
            self.hubs[number].stop()
        self.hubs[number] = self._start(number)

    def device(self, number: int) -> hf.Replica:
        token = DevelopmentTokens(self._secret).token(f"user-{number}", SPACES)
        ways = [HttpTransport(f"http://127.0.0.1:{port}", token, timeout=20) for port in self._ports]
        replica = hf.Replica(self.folder / f"device-{number}.db", SCHEMA, transport=Either(ways, number))
        return self.things.enter_context(replica)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with connect(self.dsn) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


class Worker(threading.Thread):
    """One device at work: transactions of an insert, an increment and a set element, and a sync now and then."""

    def __init__(self, number: int, replica: hf.Replica, ended: threading.Event) -> None:
        super().__init__(name=f"device {number}")
        self.number = number
        self.replica = replica
        self.written = 0
        self.failed: Exception | None = None
        self.interrupted = 0
        self._ended = ended
        self._random = random.Random(number)

    def run(self) -> None:
        try:
            while not self._ended.is_set():
                for _ in range(self._random.randint(1, 4)):
                    self._write()
                self.try_to_sync()
        except Exception as error:  # noqa: BLE001 (raised again by `settle`)
            self.failed = error

    def _write(self) -> None:
        crew = f"c{self._random.randrange(CREWS)}"
        visit = (hf.new_id(), crew, self.number, self.written)
        with self.replica.transaction():
            self.replica.execute("insert into visit (id, crew, device, number) values (?, ?, ?, ?)", visit)
            self.replica.execute("update crew set visits = visits + 1 where id = ?", (crew,))
        self.written += 1

    def try_to_sync(self) -> bool:
        """Whether a round went through."""
        try:
            self.replica.sync()
        except hf.HoldfastError as error:
            if error.code not in TEMPORARY:
                raise
            self.interrupted += 1
            return False
        return True


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as things:
        yield World(tmp_path, things)


def load(world: World, *, kill: bool) -> list[Worker]:
    """Ten devices at work and another program, while the hubs end one after the other."""
    devices = [world.device(number) for number in range(DEVICES)]
    for device in devices:
        device.sync()
    ended, began = threading.Event(), time.monotonic()
    workers = [Worker(number, device, ended) for number, device in enumerate(devices)]
    for worker in workers:
        worker.start()
    turn, foreign = 0, 0
    try:
        while turn < 2 or time.monotonic() - began < SECONDS:
            world.restart(turn % 2, kill=kill)
            turn += 1
            for _ in range(20):
                world.sql(f"insert into visit (id, crew, device, number) values ('f{foreign}', 'c0', -1, {foreign})")
                foreign += 1
    finally:
        ended.set()
        for worker in workers:
            worker.join()
    settle(workers)
    assert world.sql("select count(*) from visit where device = -1") == [(foreign,)]
    return workers


def settle(workers: list[Worker]) -> None:
    """Everybody syncs until nothing waits, then once more, so that all have everything."""
    for worker in workers:
        if worker.failed is not None:
            raise worker.failed
        for _ in range(20):
            if worker.try_to_sync() and worker.replica.status.pending_count == 0:
                break
    for worker in workers:
        assert worker.try_to_sync()


def judge(world: World, workers: list[Worker]) -> None:
    """Nothing lost, nothing twice, everybody the same."""
    written = {(worker.number, number) for worker in workers for number in range(worker.written)}
    found = world.sql("select device, number from visit where device >= 0")
    assert len(found) == len(written)
    assert set(found) == written
    assert world.sql("select sum(visits) from crew") == [(len(written),)]
    hubs = world.sql("select id, visits from crew order by id")
    digest = workers[0].replica.digest("all")
    for worker in workers:
        replica = worker.replica
        assert (replica.status.pending_count, replica.status.refused_count) == (0, 0)
        assert [tuple(row) for row in replica.execute("select id, visits from crew order by id")] == hubs
        assert replica.digest("all") == digest
    assert world.sql("select * from holdfast.dirty") == []


def test_hubs_killed_under_load(world: World) -> None:
    workers = load(world, kill=True)
    assert sum(worker.interrupted for worker in workers) > 0
    judge(world, workers)


def test_a_rolling_restart_under_load(world: World) -> None:
    judge(world, load(world, kill=False))


DRAINER = """
    select a.application_name from pg_locks l join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.objid = 4294967294 and l.granted and a.datname = current_database()
"""


def test_a_drainer_that_dies_is_taken_over_within_two_seconds(world: World) -> None:
    """It is stopped in the middle of its work, holding the lock, then killed; the other hub goes on."""
    anna = world.device(0)
    anna.sync()
    blocker = world.things.enter_context(connect(world.dsn))
    blocker.execute("begin; lock table holdfast.space in exclusive mode")
    world.sql("insert into visit (id, crew, device, number) values ('seen', 'c0', -1, 0)")
    started = time.monotonic()
    while not (drainer := world.sql(DRAINER)):
        assert time.monotonic() - started < 30
    ((name,),) = drainer
    dying = next(hub for hub in world.hubs if name == f"holdfast {hub.pid}")
    killed = time.monotonic()
    dying.kill()
    blocker.execute("rollback")
    while not world.sql("select 1 from holdfast.\"row\" where key = 'seen'"):
        assert time.monotonic() - killed < 2
    assert world.sql("select * from holdfast.dirty") == []
