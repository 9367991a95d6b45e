"""Only the cells that changed travel to a device that has the row; whoever has not gets it whole."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import apsw
import pytest

import holdfast as hf
from tests.postgres import database


class Form(hf.Table, space="all", unique=[("number",)]):
    number: int
    title: str = ""
    text: str = ""
    hours: hf.Counter = 0
    tags: hf.Set[str]


SCHEMA = hf.Schema(Form)
LONG = "a long text that nobody changes, again and again " * 40


class Team:
    """A hub and devices that write in one space."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.server = hf.Server(url, SCHEMA)
        self.devices: list[hf.Replica] = []

    def device(self, name: str) -> hf.Replica:
        way = hf.testing.LocalTransport(self.server, hf.Identity(name, {"all": "rw"}))
        self.devices.append(hf.Replica(self.folder / f"{name}.db", SCHEMA, transport=way))
        return self.devices[-1]

    def close(self) -> None:
        for device in self.devices:
            device.close()
        self.server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def team(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Team]:
    with ExitStack() as things:
        own = request.param == "sqlite"
        team = Team(tmp_path, f"sqlite:///{tmp_path}/hub.db" if own else things.enter_context(database()))
        things.callback(team.close)
        yield team


def rows(device: hf.Replica) -> list[tuple[object, ...]]:
    return [tuple(row) for row in device.execute("select * from form order by id")]


def equal(*devices: hf.Replica) -> bool:
    first = devices[0]
    return all(rows(d) == rows(first) and d.digest("all") == first.digest("all") for d in devices)


def test_a_change_of_one_cell_costs_one_cell(team: Team) -> None:
    anna, ben = team.device("anna"), team.device("ben")
    anna.executemany("insert into form (id, number, text) values (?, ?, ?)", [(str(n), n, LONG) for n in range(50)])
    anna.sync()
    assert ben.sync().bytes_received > 50 * len(LONG)
    anna.execute("update form set title = 'new', hours = hours + 2, tags = '[\"x\"]'")
    anna.sync()
    report = ben.sync()
    assert (report.pulled, equal(anna, ben)) == (50, True)
    assert report.bytes_received < 50 * 500


def test_whoever_missed_a_change_gets_the_row_whole(team: Team) -> None:
    anna, ben, chloe = (team.device(name) for name in ("anna", "ben", "chloe"))
    anna.execute("insert into form (id, number, text) values ('1', 1, 'first')")
    for device in (anna, ben):
        device.sync()
    for text in ("second", "third"):
        anna.execute("update form set title = title || ?, text = ?", (text[0], text))
        anna.sync()
    for device in (ben, chloe):
        device.sync()
    assert rows(ben)[0][2:4] == ("st", "third")
    assert equal(anna, ben, chloe)


def test_a_patch_meets_an_edit_that_waits(team: Team) -> None:
    anna, ben = team.device("anna"), team.device("ben")
    anna.execute("insert into form (id, number, title, text, hours) values ('1', 1, 'a', 't', 1)")
    anna.sync()
    ben.sync()
    anna.execute("update form set title = 'anna', hours = hours + 10")
    anna.sync()
    ben.execute("update form set text = 'ben', hours = hours + 5, tags = '[\"b\"]'")
    ben.sync()
    anna.sync()
    assert rows(ben) == [("1", 1, "anna", "ben", 16, '["b"]')]
    assert equal(anna, ben)


def test_two_rows_swap_a_unique_value(team: Team) -> None:
    anna, ben = team.device("anna"), team.device("ben")
    anna.executemany("insert into form (id, number, text) values (?, ?, ?)", [("1", 1, LONG), ("2", 2, LONG)])
    anna.sync()
    ben.sync()
    with anna.transaction():
        for number, key in ((0, "1"), (1, "2"), (2, "1")):
            anna.execute("update form set number = ? where id = ?", (number, key))
    anna.sync()
    ben.sync()
    assert [row[1] for row in rows(ben)] == [2, 1]
    assert equal(anna, ben)


def test_a_row_that_is_missing_here_makes_its_space_come_again(team: Team, caplog: pytest.LogCaptureFixture) -> None:
    anna, ben = team.device("anna"), team.device("ben")
    anna.executemany("insert into form (id, number, text) values (?, ?, ?)", [("1", 1, LONG), ("2", 2, LONG)])
    anna.sync()
    ben.sync()
    damage = apsw.Connection(ben.path)
    damage.execute("begin; update holdfast_state set applying = 1; delete from form where id = '1'")
    damage.execute("update holdfast_state set applying = 0; commit")
    damage.close()
    anna.execute("update form set title = 'new' where id = '1'")
    anna.sync()
    ben.execute("update form set hours = 7 where id = '2'")
    with caplog.at_level(logging.WARNING, logger="holdfast.replica"):
        report = ben.sync()
    assert "'1' is not in this file" in caplog.text
    assert (report.pushed, ben.status.pending_count) == (1, 0)
    anna.sync()
    assert [row[0] for row in rows(ben)] == ["1", "2"]
    assert equal(anna, ben)
