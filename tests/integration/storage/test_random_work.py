"""Random work on a device on which rows leave and on one that keeps all: in the end both say what the hub says, and
what the first one shows is what the second one shows, as far as it is here.

`HOLDFAST_STORAGE_SEEDS=500` runs more seeds, `HOLDFAST_STORAGE_FIRST=1234` begins with another one.
"""

from __future__ import annotations

import datetime
import logging
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.testing import LocalTransport
from tests.integration.storage.forms import ANNA, DAY, SCHEMA, Clock, keeping, opened

SEEDS = int(os.environ.get("HOLDFAST_STORAGE_SEEDS", "6"))
FIRST = int(os.environ.get("HOLDFAST_STORAGE_FIRST", "0"))
STEPS = 60
TABLES = ("project", "form", "photo", "visit", "log")
EXPECTED = {"row_evicted", "sql", "row_missing"}


class World:
    """One hub, a device from which rows leave (in two processes), one that keeps everything."""

    def __init__(self, folder: Path, seed: int, stack: ExitStack) -> None:
        self.dice, self.clock, self.folder, self.stack = random.Random(seed), Clock(), folder, stack
        self.server = stack.enter_context(hf.Server(f"sqlite:///{folder}/hub.db", SCHEMA, now=self.clock))
        self.budget = hf.Storage(self.dice.choice([1, 200_000, 10**9]), photos=self.dice.choice([1, 60_000, 10**9]))
        way = LocalTransport(self.server, ANNA)
        self.ben = stack.enter_context(hf.Replica(folder / "ben.db", keeping(), transport=way, now=self.clock))
        self.annas = [self.open(), self.open()]
        self.number = 0

    def open(self) -> hf.Replica:
        return self.stack.enter_context(opened(self.folder / "anna.db", self.server, self.clock, self.budget))

    @property
    def anna(self) -> hf.Replica:
        return self.dice.choice(self.annas)

    def some(self) -> hf.Replica:
        return self.dice.choice([*self.annas, self.ben])

    def key(self) -> str:
        return f"k{self.dice.randrange(12)}"

    def day(self) -> str:
        today = datetime.date(2020, 1, 1) + datetime.timedelta(days=self.clock.now // DAY)
        return (today - datetime.timedelta(days=self.dice.choice((0, 5, 29, 31, 80)))).isoformat()

    def attempt(self, replica: hf.Replica, sql: str, values: tuple[object, ...]) -> None:
        try:
            replica.execute(sql, values)
        except hf.HoldfastError as error:
            assert error.code in EXPECTED, error

    def insert(self) -> None:
        self.number += 1
        verb = self.dice.choice(("insert", "insert or replace", "insert or ignore"))
        parent = self.dice.choice((None, self.key()))
        key, replica = self.key(), self.some()
        rows: dict[str, tuple[str, tuple[object, ...]]] = {
            "project": ("(id, title) values (?, ?)", (key, f"t{self.number}")),
            "form": (
                "(id, project, visited_on, title, tags, notes) values (?, ?, ?, ?, ?, ?)",
                (key, parent, self.day(), f"t{self.number}", '["a"]', "some text"),
            ),
            "photo": ("(id, form, body) values (?, ?, ?)", (key, parent, b"x" * self.dice.choice((10, 20_000)))),
            "visit": ("(day, place, remark) values (?, ?, ?)", (self.day(), key, f"r{self.number}")),
            "log": ("(id, line) values (?, ?)", (key, "line")),
        }
        table = self.dice.choice(list(rows))
        self.attempt(replica, f"{verb} into {table} {rows[table][0]}", rows[table][1])

    def update(self) -> None:
        self.number += 1
        sql, values = self.dice.choice(
            [
                ("update form set title = ?, crew = crew + 1 where id = ?", (f"u{self.number}", self.key())),
                ("update form set visited_on = ? where id = ?", (self.day(), self.key())),
                ("update form set notes = notes || ? where id = ?", (f"+{self.number}", self.key())),
                ("update form set tags = ? where id = ?", (f'["a","b{self.number % 3}"]', self.key())),
                ("update form set project = ? where id = ?", (self.dice.choice((None, self.key())), self.key())),
                ("update form set id = ? where id = ?", (self.key(), self.key())),
                ("update photo set form = ? where id = ?", (self.dice.choice((None, self.key())), self.key())),
                ("update project set title = ? where id = ?", (f"u{self.number}", self.key())),
                ("update visit set remark = ? where place = ?", (f"u{self.number}", self.key())),
            ]
        )
        self.attempt(self.some(), sql, values)

    def delete(self) -> None:
        table = self.dice.choice(("project", "form", "photo", "log"))
        self.attempt(self.some(), f"delete from {table} where id = ?", (self.key(),))

    def sync(self) -> None:
        self.some().sync()

    def leave(self) -> None:
        self.anna.prune()

    def fetch(self) -> None:
        try:
            self.anna.fetch(self.dice.choice(("project", "form", "photo")), self.key(), self.key())
        except hf.HoldfastError as error:
            assert error.code in EXPECTED, error

    def time(self) -> None:
        self.clock.now += self.dice.choice((1_000, 3_600_000, DAY, 20 * DAY))

    def undo(self) -> None:
        try:
            self.some().undo()
        except hf.HoldfastError as error:
            assert error.code in EXPECTED, error

    def restart(self) -> None:
        self.annas[1].close()
        self.annas[1] = self.open()

    def step(self) -> None:
        actions = (self.insert, self.update, self.delete, self.sync, self.leave, self.fetch, self.time, self.undo)
        self.dice.choices((*actions, self.restart), (8, 8, 2, 6, 3, 3, 2, 1, 1))[0]()

    def check(self) -> None:
        anna = self.annas[0]
        for replica in (anna, self.ben, anna, self.ben):
            replica.sync()
        for refused in (*anna.refused(), *self.ben.refused()):
            (anna if refused in anna.refused() else self.ben).drop(refused.txn)
        assert anna.pending() == self.ben.pending() == []
        report = anna.verify()
        assert (report.ok, report.repaired, report.lost) == (True, [], [])
        assert anna.digest("site") == self.ben.digest("site")
        usage = anna.storage.tables
        for table in TABLES:
            here = set(map(tuple, anna.execute(f"select * from {table}")))
            everything = set(map(tuple, self.ben.execute(f"select * from {table}")))
            assert here <= everything, table
            assert usage[table].evicted == len(everything) - len(here), table
        assert anna.execute("pragma foreign_key_check") == []
        keys = [row[0] for row in self.ben.execute("select id from form order by id")]
        if keys:
            assert [tuple(row) for row in anna.fetch("form", *keys)] == [
                tuple(row) for row in self.ben.execute("select * from form order by id")
            ]


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing was read anew: that would be a silent repair of what eviction has broken."""
    with caplog.at_level(logging.WARNING, "holdfast.replica"):
        yield
    assert [record.message for record in caplog.records if "read anew" in record.message] == []


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_random_work(tmp_path: Path, seed: int, quiet: None) -> None:
    with ExitStack() as stack:
        world = World(tmp_path, seed, stack)
        for _ in range(STEPS):
            world.step()
        world.check()
