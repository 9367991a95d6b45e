"""Found by reading how a file reaches a later version with work in it: tables that go, refused work, staged pages, rows
that are gone at the hub without a trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.testing import LocalTransport

DAY = 24 * 60 * 60 * 1000
ANN = hf.Identity("ann", spaces={"site": "rw", "track:ann": "rw"})
UP = hf.Queue("tracks", direction="upload")


class Visit1(hf.Table, name="visit", space="site"):
    name: str = ""


class Memo(hf.Table, space="site"):
    body: str = ""


class Pair(hf.Table, space="site", key=["a", "b"]):
    a: int
    b: str


class Numbered(hf.Table, space="site", key="n"):
    n: int


class Visit2(hf.Table, name="visit", space="site"):
    first: str = ""
    last: str = ""


class Visit3(hf.Table, name="visit", space="site"):
    given: str
    family: str


class Written(hf.Table, space="track:{driver}", name="track", queue=UP):
    driver: str


class Read(hf.Table, space="track:{driver}", name="track"):
    driver: str


def split(name: str) -> tuple[str, str]:
    first, _, last = name.partition(" ")
    if first == "Nobody":
        raise ValueError("nobody has no last name")
    return first, last


V1 = hf.Schema(Visit1, Memo, Pair, Numbered, version=1)
V2 = hf.Schema(
    Visit2, version=2, migrations=[
        hf.migrate(
            1, 2, hf.lens("visit", "name", ["first", "last"], split, lambda a, b: f"{a} {b}"),
            hf.drop("memo"), hf.drop("pair"), hf.drop("numbered"),
        )
    ],
)  # fmt: skip


class Memo2(hf.Table, name="memo", space="site"):
    body: str = ""
    read: bool = False


V2B = hf.Schema(
    Visit2, Memo2, version=2,
    migrations=[hf.migrate(1, 2, *V2.migrations[0].steps[:1], hf.drop("pair"), hf.drop("numbered"))],
)  # fmt: skip

V2C = hf.Schema(
    Visit3, version=2, migrations=[
        hf.migrate(
            1, 2, hf.lens("visit", "name", ["given", "family"], split, lambda a, b: f"{a} {b}"),
            hf.drop("memo"), hf.drop("pair"), hf.drop("numbered"),
        )
    ],
)  # fmt: skip


class Site:
    """A hub that is deployed anew with each version, its clock, and device files."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack, self._opened = folder, stack, ExitStack()
        self.now = 200 * DAY

    def deploy(self, schema: hf.Schema) -> hf.Server:
        """The hub and all devices end; a hub of that version begins."""
        self._opened.close()
        self._opened = self._stack.enter_context(ExitStack())
        self.server = hf.Server(f"sqlite:///{self._folder}/hub.db", schema, now=lambda: self.now)
        self.server.migrate()
        return self._opened.enter_context(self.server)

    def device(self, name: str, schema: hf.Schema) -> hf.Replica:
        """A device of that version on the present hub."""
        way = LocalTransport(self.server, ANN)
        replica = hf.Replica(self._folder / f"{name}.db", schema, transport=way, now=lambda: self.now)
        return self._opened.enter_context(replica)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path, stack)


def refuse_all(server: hf.Server, table: str) -> None:
    @server.before_write(table)
    def refuse(change: Any, context: Any) -> None:
        raise hf.Refuse("not today")


def shown(device: hf.Replica, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in device.execute(sql)]


def test_a_row_that_waits_with_its_defaults_reaches_a_version_that_has_none(site: Site) -> None:
    site.deploy(V1)
    with site.device("anna", V1) as anna:
        anna.execute("insert into visit (id) values ('v')")
    site.deploy(V2C)
    anna = site.device("anna", V2C)
    anna.sync()
    assert anna.refused() == []
    assert shown(anna, "select given, family from visit") == [("", "")]
    ben = site.device("ben", V2C)
    ben.sync()
    assert shown(ben, "select given, family from visit") == [("", "")]


def test_rows_numbered_below_one_are_not_left_behind_by_a_lens(site: Site) -> None:
    site.deploy(V1)
    device = site.device("truck", V1)
    device.execute("insert into visit (rowid, id, name) values (-5, 'a', 'Ann Lee'), (0, 'b', 'Bob Ray')")
    device.sync()
    site.deploy(V2)
    device = site.device("truck", V2)
    assert shown(device, "select id, first, last from visit order by id") == [("a", "Ann", "Lee"), ("b", "Bob", "Ray")]


def test_an_upgrade_leaves_rows_their_numbers_by_which_a_search_index_knows_them(site: Site) -> None:
    site.deploy(V1)
    device = site.device("truck", V1)
    device.execute("insert into visit (id, name) values ('a', 'Ann Lee'), ('b', 'Bob Ray'), ('c', 'Cy Orr')")
    device.execute("insert into memo (id, body) values ('a', ''), ('b', '')")
    for table in ("visit", "memo"):
        device.execute(f"delete from {table} where id = 'a'")
    before = [shown(device, f"select rowid, id from {table} order by id") for table in ("visit", "memo")]
    site.deploy(V2B)
    device = site.device("truck", V2B)
    assert [shown(device, f"select rowid, id from {table} order by id") for table in ("visit", "memo")] == before


def test_refused_work_of_an_earlier_version_can_be_sent_again(site: Site) -> None:
    refuse_all(site.deploy(V1), "visit")
    device = site.device("truck", V1)
    device.execute("insert into visit (id, name) values ('a', 'Ann Lee')")
    device.execute("insert into visit (id, name) values ('n', 'Nobody')")
    device.sync()
    site.deploy(V2)
    device = site.device("truck", V2)
    kept, odd = device.refused()
    assert odd.operations[0]["set"] == {"name": "Nobody"}, "what no lens takes is still there to read"
    device.retry(kept.txn)
    assert shown(device, "select id, first, last from visit") == [("a", "Ann", "Lee")]
    report = device.sync()
    assert (report.pushed, [one.txn for one in device.refused()]) == (1, [odd.txn])
    assert device.verify().ok


def _cancel(device: hf.Replica) -> None:
    device.cancel(device.pending()[0].txn)


@pytest.mark.parametrize("steer", [hf.Replica.sync, _cancel], ids=["sync", "cancel"])
def test_work_on_a_table_that_is_gone_stops_nobody(site: Site, steer: Callable[[hf.Replica], Any]) -> None:
    site.deploy(V1)
    truck, office = site.device("truck", V1), site.device("office", V1)
    office.execute("insert into memo (id, body) values ('m', '')")
    office.sync()
    truck.sync()
    truck.execute("update memo set body = 'truck' where id = 'm'")
    office.execute("update memo set body = 'office' where id = 'm'")
    office.sync()
    site.deploy(V2)
    truck = site.device("truck", V2)
    steer(truck)
    truck.sync()
    assert (truck.pending(), truck.refused()) == ([], [])
    found = truck.verify()
    assert (found.ok, found.repaired) == (True, [])


def test_refused_work_on_a_table_that_is_gone_can_be_sent_again(site: Site) -> None:
    refuse_all(site.deploy(V1), "memo")
    device = site.device("truck", V1)
    device.execute("insert into memo (id, body) values ('m', 'kept')")
    device.sync()
    site.deploy(V2)
    device = site.device("truck", V2)
    device.retry(device.refused()[0].txn)
    device.sync()
    assert (device.pending(), device.refused()) == ([], [])
    assert shown(site.device("office", V1), "select body from memo") == []
    office = site.device("office", V1)
    office.sync()
    assert shown(office, "select body from memo") == [("kept",)]


def test_a_first_load_that_an_upgrade_interrupts_misses_no_row_on_which_work_waits(site: Site) -> None:
    server = site.deploy(V1)
    office = site.device("office", V1)
    office.execute("insert into visit (id, name) values ('a', 'x'), ('b', 'y')")
    office.sync()
    refuse_all(server, "visit")
    truck = site.device("truck", V1)
    truck.execute("insert into visit (id, name) values ('a', 'mine')")
    answer = b"".join(server.handle(truck.build_request(), ANN)).splitlines(keepends=True)
    with pytest.raises(hf.HoldfastError, match="footer"):
        truck.apply_response(iter(answer[:-1]))
    assert shown(truck, "select count(*) from holdfast_stage") == [(1,)]
    refuse_all(site.deploy(V2), "visit")
    truck = site.device("truck", V2)
    truck.sync()
    assert len(truck.refused()) == 1
    assert shown(truck, "select id, first from visit order by id") == [("a", "x"), ("b", "y")]
    assert truck.verify().repaired == []


def test_rows_of_unknown_tables_that_are_gone_at_the_hub_go(site: Site) -> None:
    site.deploy(V1)
    office, truck = site.device("office", V1), site.device("truck", V1)
    for number in (1, 2):
        office.execute("insert into memo (id) values (?)", (f"m{number}",))
        office.execute("insert into pair (a, b) values (?, 'x')", (number,))
        office.execute("insert into numbered (n) values (?)", (number,))
    office.sync()
    truck.sync()
    server = site.deploy(V2)
    site.device("truck", V2).sync()
    office = site.device("office", V1)
    for statement in ("memo where id = 'm1'", "pair where a = 1", "numbered where n = 1"):
        office.execute(f"delete from {statement}")
    office.sync()
    site.now += 100 * DAY
    office.execute("insert into visit (id) values ('late')")
    office.sync()
    assert server.compact().records >= 3
    truck = site.device("truck", V2)
    truck.sync()
    found = truck.verify()
    assert (found.ok, found.repaired) == (True, [])
    assert truck.digest("site") == office.digest("site")


def test_a_direction_that_is_taken_away_leaves_no_row_that_is_gone_at_the_hub(site: Site) -> None:
    up, both = hf.Schema(Visit1, Written), hf.Schema(Visit1, Read)
    server = site.deploy(up)
    office, truck = site.device("office", both), site.device("truck", up)
    truck.execute("insert into track (id, driver) values ('a', 'ann'), ('b', 'ann')")
    truck.sync()
    office.sync()
    office.execute("delete from track where id = 'a'")
    office.sync()
    site.now += 100 * DAY
    office.execute("insert into track (id, driver) values ('c', 'ann')")
    office.sync()
    assert server.compact().records >= 1
    truck.close()
    truck = site.device("truck", both)
    truck.sync()
    assert shown(truck, "select id from track order by id") == [("b",), ("c",)]
    assert truck.verify().repaired == []
