"""A device that was away for longer than the hub keeps the traces of what is gone, on real files and a real hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.errors import HoldfastError
from holdfast.hub.compacting import DUE_SECONDS, is_due
from holdfast.kernel import digest
from holdfast.testing import LocalTransport
from tests.postgres import database

DAY = 24 * 60 * 60 * 1000
ANN = hf.Identity("ann", spaces={"site": "rw", "other": "rw"})


class Note(hf.Table, space="{place}"):
    place: str = "site"
    text: str = ""
    hits: hf.Counter = 0


SCHEMA = hf.Schema(Note)


class Site:
    """A hub whose clock the test moves, and devices."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder, self.now = folder, 200 * DAY
        self.server = hf.Server(store, SCHEMA, now=lambda: self.now)
        self.devices: list[hf.Replica] = []

    def device(self, name: str) -> hf.Replica:
        transport = LocalTransport(self.server, ANN)
        replica = hf.Replica(self.folder / f"{name}.db", SCHEMA, transport=transport, now=lambda: self.now)
        self.devices.append(replica)
        return replica

    def same(self, *devices: hf.Replica) -> None:
        for space in ("site", "other"):
            with self.server.hub.reading() as tx:
                ours = digest.root({bucket: total for bucket, (_, total) in tx.digest(space).items()})
            assert {device.digest(space) for device in devices} == {ours}
        shown = [[tuple(row) for row in d.execute("select * from note order by id")] for d in devices]
        assert all(rows == shown[0] for rows in shown)


@pytest.fixture(params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        url = stack.enter_context(database()) if request.param == "postgres" else f"sqlite:///{tmp_path}/hub.db"
        found = Site(tmp_path, url)
        stack.callback(found.server.close)
        yield found
        for device in found.devices:
            device.close()


def test_a_device_behind_the_horizon_brings_its_work_and_no_deleted_row(site: Site) -> None:
    office, truck = site.device("office"), site.device("truck")
    with office.transaction():
        office.execute("insert into note (id, text, hits) values ('gone', 'a', 1), ('edited', 'b', 1), ('kept', '', 1)")
        office.execute("insert into note (id, text) values ('moves', 'm'), ('changes', 'd')")
    office.sync()
    truck.sync()
    truck.execute("update note set text = 'from the truck' where id = 'edited'")
    truck.execute("insert into note (id, text, hits) values ('new', 'from the truck', 5)")
    truck.execute("update note set hits = hits + 2 where id = 'kept'")
    office.execute("delete from note where id in ('gone', 'edited')")
    office.execute("update note set place = 'other' where id = 'moves'")
    office.execute("update note set text = 'changed' where id = 'changes'")
    office.sync()
    site.now += 100 * DAY
    office.execute("insert into note (id) values ('late')")
    office.sync()
    done = site.server.compact()
    assert done.records >= 3
    assert site.server.compact().records == 0
    report = truck.sync()
    assert [result.code for result in report.refused] == ["row_missing"]
    assert truck.refused()[0].operations[0]["set"] == {"text": "from the truck"}
    office.sync()
    site.same(office, truck)
    assert [row["id"] for row in office.execute("select id from note order by id")] == [
        "changes", "kept", "late", "moves", "new",
    ]  # fmt: skip
    assert office.execute("select hits from note where id in ('kept', 'new') order by id")[0]["hits"] == 3
    assert truck.sync().bytes_received < 2000, "once is enough"


def test_a_comparison_that_breaks_off_is_begun_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    office, truck = site.device("office"), site.device("truck")
    office.execute("insert into note (id) values ('gone'), ('kept')")
    office.sync()
    truck.sync()
    office.execute("delete from note where id = 'gone'")
    office.sync()
    site.now += 100 * DAY
    office.execute("insert into note (id) values ('late')")
    office.sync()
    site.server.compact()
    way = truck._transport
    assert way is not None
    calls = 0
    exchange = way.exchange

    def cut(request: bytes) -> object:
        nonlocal calls
        calls += 1
        if b'"compare":' in request:
            raise HoldfastError("network", "the network is gone")
        return exchange(request)

    monkeypatch.setattr(way, "exchange", cut)
    with pytest.raises(HoldfastError, match="the network is gone"):
        truck.sync()
    assert calls == 2
    assert len(truck.execute("select id from note")) == 3, "the news is here, and the row that is gone still is"
    monkeypatch.setattr(way, "exchange", exchange)
    truck.sync()
    site.same(office, truck)


def test_a_first_load_that_was_cut_off_before_rows_went(site: Site) -> None:
    office = site.device("office")
    with office.transaction():
        for number in range(300):
            office.execute("insert into note (id, text) values (?, ?)", (f"{number:03}", "x" * 100))
    office.sync()
    truck = site.device("truck")
    request = truck.build_request()
    answer = site.server.handle(request, ANN)
    lines = b"".join(answer).splitlines(keepends=True)
    with pytest.raises(HoldfastError, match="footer"):
        truck.apply_response(iter(lines[:-1]))
    office.execute("delete from note where id < '200'")
    office.sync()
    site.now += 100 * DAY
    office.execute("update note set text = 'y' where id > '290'")
    office.sync()
    site.server.compact()
    truck.sync()
    site.same(office, truck)


def test_when_it_is_time_to_collect() -> None:
    assert not is_due(DUE_SECONDS - 1, quiet=True)
    assert is_due(DUE_SECONDS, quiet=True)
    assert not is_due(4 * DUE_SECONDS - 1, quiet=False)
    assert is_due(4 * DUE_SECONDS, quiet=False)


def test_a_server_with_an_application_keeps_house(tmp_path: Path) -> None:
    server = hf.Server(f"sqlite:///{tmp_path}/hub.db", SCHEMA)
    server.asgi()
    with server:
        keeper = server.hub._housekeeper
        assert keeper is not None
        keeper._collect()
        assert keeper._thread.is_alive()
    assert not keeper._thread.is_alive()
