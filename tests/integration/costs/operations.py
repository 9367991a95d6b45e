"""The operations whose costs are held, one after another on a hub and its devices; clock and dice are given."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import holdfast as hf
from holdfast.edge.local import LocalTransport
from holdfast.hub.hub import Hub
from holdfast.hub.live import LiveChannel
from holdfast.replica import sync_log
from holdfast.stores.postgres import PostgresStore
from holdfast.stores.sqlite import SqliteStore
from holdfast.testing.clock import START
from tests.integration.costs.counting import Cost, CountedWay, Side, SqliteCounts
from tests.integration.postgres.exchanges import Counter, counted
from tests.postgres import database

STORES = ("sqlite", "postgres")
SIDES: tuple[Side, ...] = ("device", "hub")
MANY, ALL = 1_000, 10_000
AMONG_MANY, AMONG_ALL = "a delta of 1 row among 1,000", "a delta of 1 row among 10,000"


class Form(hf.Table, space="site:{site}", indexes=[("site", "status")]):
    site: str
    status: str = "draft"
    notes: str = ""
    score: float = 0.0
    visits: hf.Counter = 0


SCHEMA = hf.Schema(Form, version=1)
ADD = "INSERT INTO form (id, site, status, notes, score) VALUES (?, ?, 'open', ?, ?)"
EDIT = "UPDATE form SET status = 'done', visits = visits + 1 WHERE id = ?"


def row(number: int, site: str = "1") -> tuple[object, ...]:
    """The same rows on every machine, with keys that do not come in order."""
    key = f"form-{number * 7919 % 100_003:06}"
    return key, site, f"Visit {number}: the rail is loose, the gate shuts.", number / 8


class Ground:
    """A hub on one kind of store, and devices. `costs` has what was measured so far."""

    def __init__(self, folder: Path, store: str, things: ExitStack) -> None:
        self._folder, self._things = folder, things
        self._time = START
        self._random = Random(1)
        self.sqlite = things.enter_context(SqliteCounts().installed())
        self.postgres: Counter | None = None
        if store == "postgres":
            url, self.postgres = things.enter_context(counted(things.enter_context(database())))
            # One connection: each has to learn the statements.
            made: SqliteStore | PostgresStore = PostgresStore(url, readers=1, random=self._random.getrandbits)
        else:
            made = SqliteStore(folder / "hub.db", random=self._random.getrandbits)
        # It does not listen: that thread asks when it likes.
        self.hub = Hub(made, SCHEMA, now=self._now, random_bits=self._random.getrandbits, listens=False)
        things.callback(self.hub.close)
        self.costs: dict[str, Cost] = {}
        self.steps: dict[str, Cost] = {}

    def _now(self) -> int:
        self._time += 1
        return self._time

    def device(self, user: str, *sites: str) -> tuple[hf.Replica, CountedWay]:
        """A new device of a user who may write in these sites."""
        identity = hf.Identity(user, {f"site:{site}": "rw" for site in sites})
        way = CountedWay(LocalTransport(self.hub, identity))
        file = self._folder / f"{user}.db"
        made = hf.Replica(file, SCHEMA, transport=way, now=self._now, random_bits=self._random.getrandbits)
        return self._things.enter_context(made), way

    @contextmanager
    def measured(self, name: str, way: CountedWay | None = None) -> Iterator[Cost]:
        """Keep under `name` what the block costs; a live channel adds its bytes itself."""
        before = self.sqlite.counts.copy()
        asked = (way.requests, way.sent, way.received) if way is not None else (0, 0, 0)
        counter = self.postgres
        was = (counter.count, counter.statements, counter.rows) if counter is not None else (0, 0, 0)
        cost: Cost = {"requests": 0, "bytes sent": 0, "bytes received": 0}
        yield cost
        spent = self.sqlite.counts - before
        if way is not None:
            is_now = (way.requests, way.sent, way.received)
            cost |= dict(zip(cost, (new - old for new, old in zip(is_now, asked, strict=True)), strict=True))
        for side in SIDES if counter is None else SIDES[:1]:
            names = ("statements", "triggered", "read", "written")
            cost |= {f"{side}: {figure}": spent[side, figure] for figure in names}
        if counter is not None:
            is_now = (counter.count, counter.statements, counter.rows)
            names = ("exchanges", "statements", "read")
            spent_there = (new - old for new, old in zip(is_now, was, strict=True))
            cost |= {f"hub: {figure}": number for figure, number in zip(names, spent_there, strict=True)}
        self.costs[name] = {figure: number for figure, number in cost.items() if number}
        self.steps[name] = {side: spent[side, "steps"] for side in SIDES}


@contextmanager
def no_news_of_progress() -> Iterator[None]:
    """While data move, a device notes its progress about once a second, so how often depends on the machine."""
    before, sync_log.TELL_SECONDS = sync_log.TELL_SECONDS, math.inf
    try:
        yield
    finally:
        sync_log.TELL_SECONDS = before


def measure(folder: Path, store: str) -> Ground:
    """All operations, each measured after the same thing has been done before: first times cost more."""
    with no_news_of_progress(), ExitStack() as things:
        ground = Ground(folder, store, things)
        anna, to_hub = ground.device("anna", "warm", "1")
        ben, from_hub = ground.device("ben", "warm", "1")
        for number in range(3):
            anna.execute(ADD, row(ALL + number, "warm"))
            anna.execute(EDIT, row(ALL)[:1])
            anna.sync()
            ben.sync()
        writes(ground, anna, to_hub)
        cleo, pulling = ground.device("cleo", "1")
        with ground.measured("a pull of 1,000 rows by a new device", pulling):
            assert cleo.sync().pulled == MANY
        ben.sync()
        delta(ground, AMONG_MANY, anna, (ben, from_hub))
        anna.executemany(ADD, [row(number) for number in range(MANY, ALL)])
        anna.sync()
        ben.sync()
        delta(ground, AMONG_ALL, anna, (ben, from_hub))
        ben.sync()
        with ground.measured("an idle round", from_hub):
            assert ben.sync().pulled == 0
        live(ground, anna, ben)
        return ground


def writes(ground: Ground, anna: hf.Replica, way: CountedWay) -> None:
    """What a device writes, and sends: 1,000 rows are there behind it."""
    anna.execute(ADD, row(1))
    anna.sync()  # makes the counter of the space
    with ground.measured("a local insert"):
        anna.execute(ADD, row(0))
    with ground.measured("a push of 1 transaction", way):
        assert anna.sync().pushed == 1
    with ground.measured("a local update"):
        anna.execute(EDIT, row(0)[:1])
    anna.sync()
    anna.executemany(ADD, [row(number) for number in range(2, MANY)])
    anna.sync()
    for number in range(MANY):
        anna.execute(EDIT, row(number)[:1])
    with ground.measured("a push of 1,000 transactions", way):
        assert anna.sync().pushed == MANY


def delta(ground: Ground, name: str, anna: hf.Replica, reader: tuple[hf.Replica, CountedWay]) -> None:
    """One row has changed; the second time is measured."""
    ben, way = reader
    for number in range(2):
        anna.execute(EDIT, row(500 + number)[:1])
        anna.sync()
        with ground.measured(name, way):
            assert ben.sync().pulled == 1


def live(ground: Ground, anna: hf.Replica, ben: hf.Replica) -> None:
    """One row has changed, and goes to a device that is connected; the second time is measured. Timers, sockets and
    threads are left out: what each party does is called here in its order."""
    woken: list[bool] = []
    channel = LiveChannel(
        ground.hub, hf.Identity("ben", {"site:warm": "rw", "site:1": "rw"}), lambda: woken.append(True)
    )
    way = LocalTransport(ground.hub, None)
    try:
        exchanges = ben._exchanges
        assert not exchanges.receive(iter([b"".join(channel.handle(exchanges.build("start", way)))])).live
        for number in range(2):
            anna.execute(EDIT, row(600 + number)[:1])
            anna.sync()
            assert woken and channel.due()
            with ground.measured("a live delivery") as cost:
                news = channel.news()
                assert news is not None
                body = b"".join(news)
                news.close()
                cost["bytes received"] = len(body)
                assert exchanges.receive(iter([body])).live
                channel.applied()
        assert ben.execute("SELECT status FROM form WHERE id = ?", row(601)[:1])[0][0] == "done"
    finally:
        channel.close()
