"""Other programs write in the hub's own tables: their rows reach devices, and a push never overwrites them unseen."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

import holdfast as hf
from holdfast.edge.local import LocalTransport


class Visit(hf.Table, space="all"):
    place: str = ""
    status: str = "open"
    crew: hf.Counter = 0
    tags: hf.Set[str]


SCHEMA = hf.Schema(Visit)


class Place:
    """A hub with one device, and another program with the hub's file open."""

    def __init__(self, folder: Path) -> None:
        self.server = hf.Server(f"sqlite:///{folder}/hub.db", SCHEMA)
        everything = hf.Identity("anna", {"all": "rw"})
        self.device = hf.Replica(folder / "a.db", SCHEMA, transport=LocalTransport(self.server, everything))
        self.server.health()
        self.other = apsw.Connection(str(folder / "hub.db"))

    def close(self) -> None:
        self.device.close()
        self.server.close()
        self.other.close()


@pytest.fixture
def place(tmp_path: Path):  # type: ignore[no-untyped-def]
    place = Place(tmp_path)
    yield place
    place.close()


def test_rows_of_other_programs_reach_devices(place: Place) -> None:
    place.other.execute("insert into visit (id, place, crew, tags) values ('1', 'north', 3, '[\"a\"]')")
    place.device.sync()
    assert place.device.execute("select id, place, crew, tags from visit") == [("1", "north", 3, '["a"]')]
    place.other.execute("update visit set crew = crew + 4, tags = '[\"b\"]'")
    place.device.sync()
    assert place.device.execute("select crew, tags from visit") == [(7, '["b"]')]
    place.other.execute("delete from visit")
    place.device.sync()
    assert place.device.execute("select * from visit") == []
    assert place.device.digest("all") == place.device.digest("all")


def test_a_push_does_not_overwrite_what_another_program_wrote_meanwhile(place: Place) -> None:
    place.device.execute("insert into visit (id, place, crew) values ('1', 'north', 1)")
    place.device.sync()
    place.device.execute("update visit set crew = crew + 1, place = 'south'")
    place.other.execute("update visit set status = 'closed', crew = crew + 10")
    place.device.sync()
    expected = [("south", "closed", 12)]
    assert place.device.execute("select place, status, crew from visit") == expected
    assert place.other.execute("select place, status, crew from visit").fetchall() == expected


def test_replace_by_another_program_is_a_delete_and_a_row(place: Place) -> None:
    place.device.execute("insert into visit (id, place) values ('1', 'north')")
    place.device.sync()
    place.other.execute("insert or replace into visit (id, place) values ('1', 'east')")
    place.device.sync()
    assert place.device.execute("select id, place, status from visit") == [("1", "east", "open")]
