"""Mistakes that the simulator found, each in its shortest form, named by what was wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

import holdfast as hf
from holdfast.stores.memory import MemoryStore
from holdfast.testing import Fault, LocalTransport, Network
from holdfast.testing.version_tables import V1, V2


class Form(hf.Table, key="id", space="p:{project}"):
    id: str
    project: str = "1"
    title: str = "new"
    note: str = ""


SCHEMA = hf.Schema(Form, version=1)


class World:
    """Two devices on one hub; ann's link can be made to fail."""

    def __init__(self, folder: Path, access: dict[str, dict[str, str]]) -> None:
        self.store = MemoryStore()
        self.access = access
        self.server = hf.Server(self.store, SCHEMA, spaces=lambda identity: self.access[identity.user])  # type: ignore[arg-type, return-value]
        network = Network()
        local = {user: LocalTransport(self.server, hf.Identity(user)) for user in access}
        self.links = {user: network.link(user, local[user].exchange) for user in access}
        self.devices = {user: hf.Replica(folder / f"{user}.db", SCHEMA, transport=self.links[user]) for user in access}

    def close(self) -> None:
        for device in self.devices.values():
            device.close()
        self.server.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path


def test_a_waiting_update_and_delete_of_a_row_that_died_unseen(folder: Path) -> None:
    """Seed 3013, restore. The hub tells of a dead row without its cells; what waits on it must fold all the same.

    The sync raised IndexError, and would have at every further try.
    """
    with closing(World(folder, {"ann": {"p:1": "rw"}, "ben": {"p:1": "rw"}})) as world:
        ann, ben = world.devices["ann"], world.devices["ben"]
        ben.execute("insert into form (id) values ('f')")
        ben.sync()
        ben.execute("delete from form")
        ben.sync()
        ann.execute("insert into form (id, title) values ('f', 'mine')")
        world.access["ann"]["p:1"] = "r"
        ann_wrote_more = [False]

        def meanwhile() -> None:
            ann.execute("update form set title = 'changed'")
            ann.pending()
            ann.execute("delete from form")
            ann_wrote_more[0] = True

        world.links["ann"].meanwhile = meanwhile
        report = ann.sync()
        assert ann_wrote_more == [True]
        assert [refusal.code for refusal in report.refused] == ["forbidden_space"]
        ann.sync()
        assert ann.pending() == []
        assert ann.execute("select * from form") == []
        assert ann.digest("p:1") == ben.digest("p:1")


def test_a_row_that_moved_away_before_its_writer_heard_that_it_was_accepted(folder: Path) -> None:
    """Seed 2077, everything. The response is lost, the row moves to a space that its writer may not read, and the
    writer reads the space for the first time: he kept the row for ever.
    """
    with closing(World(folder, {"ann": {"p:2": "rw"}, "ben": {"p:1": "rw", "p:2": "rw"}})) as world:
        ann, ben = world.devices["ann"], world.devices["ben"]
        ann.execute("insert into form (id, project) values ('f', '2')")
        world.links["ann"].fault = Fault("lost response")
        with pytest.raises(hf.HoldfastError, match="lost the response"):
            ann.sync()
        ben.sync()
        ben.execute("update form set project = '1'")
        ben.sync()
        ann.sync()
        assert ann.execute("select * from form") == []
        assert ann.digest("p:2") == ben.digest("p:2")
        with closing(apsw.Connection(str(folder / "ann.db"))) as db:
            assert json.dumps(db.execute("select * from holdfast_base").fetchall()) == "[]"


def test_an_old_device_that_stays_open_hears_of_a_table_that_came_with_a_later_version(folder: Path) -> None:
    """Seed 127, upgrade. The device heard of the hub's new layout in an answer without rows. With the first row of the
    new table every sync failed with `response_malformed`, until the application was started again.
    """
    store, may = MemoryStore(), hf.Identity("ann", {"site": "rw"})
    ways = Network()
    hub = hf.Server(store, V1)
    old_way = ways.link("old", lambda body: LocalTransport(hub, may).exchange(body))
    new_way = ways.link("new", lambda body: LocalTransport(hub, may).exchange(body))
    with hf.Replica(folder / "old.db", V1, transport=old_way) as old:
        old.sync()
        hub.close()
        hub = hf.Server(store, V2)
        with closing(hub), hf.Replica(folder / "new.db", V2, transport=new_way) as new:
            old.sync()
            new.execute("insert into photo (visit_id, caption) values ('v', 'roof')")
            new.sync()
            assert old.sync().pulled == 1
            assert old.digest("site") == new.digest("site")
            assert old.verify().ok
