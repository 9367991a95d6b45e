"""An answer that comes in parts over a loss, or while the hub takes another name to count under."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

import holdfast as hf
from holdfast.hub import pull
from holdfast.testing import LocalTransport

WRITER = hf.Identity("anna", {"project:1": "rw", "project:2": "rw"})
LONG = "a long text that nobody changes, again and again " * 20


class Shelf(hf.Table, space="project:{project}"):
    """What is on a shelf."""

    project: str = "1"
    status: str = ""
    memo: str = ""
    count: hf.Counter = 0


SCHEMA = hf.Schema(Shelf)


class Place:
    """A hub in a file, and devices; `before` is called before each request of a device, with its number from 1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before: dict[str, Callable[[int], None]] = {}
        self.deaf: set[str] = set()
        self.strays: dict[str, list[bytes]] = {}
        self.devices: dict[str, hf.Replica] = {}
        self.server = hf.Server(f"sqlite:///{folder}/hub.db", SCHEMA)
        self.server.migrate()

    def device(self, name: str) -> hf.Replica:
        """A device with a file of its own."""
        self.devices[name] = hf.Replica(self.folder / f"{name}.db", SCHEMA, transport=Way(self, name))
        return self.devices[name]

    def back_up(self) -> None:
        """A copy of the hub's file as it is now."""
        self._with_closed(lambda: shutil.copy(self.folder / "hub.db", self.folder / "old.db"))

    def restore(self) -> None:
        """The copy in place of the file."""
        self._with_closed(lambda: shutil.copy(self.folder / "old.db", self.folder / "hub.db"))

    def _with_closed(self, act: Callable[[], object]) -> None:
        self.server.close()
        act()
        self.server = hf.Server(f"sqlite:///{self.folder}/hub.db", SCHEMA)

    def close(self) -> None:
        """Everything is closed."""
        for device in self.devices.values():
            device.close()
        self.server.close()


class Way:
    """To whatever hub there is; the answers to a deaf device are lost after the hub has done everything, and requests
    of a device in `strays` wait there.
    """

    def __init__(self, place: Place, name: str) -> None:
        self._place, self._name, self._requests = place, name, 0

    def exchange(self, body: bytes) -> Any:
        """One round."""
        self._requests += 1
        self._place.before.get(self._name, lambda number: None)(self._requests)
        if self._name in self._place.strays:
            self._place.strays[self._name].append(body)
            raise hf.HoldfastError("network", "the request went astray")
        found = LocalTransport(self._place.server, WRITER).exchange(body)
        if self._name in self._place.deaf:
            for _ in found.chunks():
                pass
            found.close()
            raise hf.HoldfastError("network", "the answer was lost")
        return found

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with closing(Place(tmp_path)) as made:
        yield made


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer of the hub holds one page, with one row."""
    monkeypatch.setattr(pull, "RESPONSE_BYTES", 1)
    monkeypatch.setattr(pull, "PAGE_ROWS", 1)


@pytest.fixture
def a_page_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer of the hub holds one page, with all that a space has."""
    monkeypatch.setattr(pull, "RESPONSE_BYTES", 1)


def unheard(place: Place, name: str) -> None:
    """A sync of a device that reaches the hub and gets no answer."""
    place.deaf.add(name)
    with pytest.raises(hf.HoldfastError, match="the answer was lost"):
        place.devices[name].sync()
    place.deaf.discard(name)


def rows(replica: hf.Replica) -> list[tuple[object, ...]]:
    return [tuple(row) for row in replica.execute("select id, status, count from shelf order by id")]


@pytest.mark.parametrize("first", ["who wrote it", "who holds it"])
@pytest.mark.usefixtures("in_parts")
def test_transactions_wait_until_the_last_part_of_a_lost_space_and_its_copies(place: Place, first: str) -> None:
    """The second part is asked for with a cursor of the new history: only the device knows what waits."""
    a, b = place.device("a"), place.device("b")
    a.execute("insert into shelf (id, project) values ('k', '1'), ('l', '1'), ('m', '2')")
    a.sync()
    b.sync()
    place.back_up()
    a.execute("insert into shelf (id, count) values ('x', 10)")
    a.sync()
    a.close()
    a = place.device("a")
    with a.transaction():
        a.execute("insert into shelf (id) values ('y')")
        a.execute("update shelf set status = 'a' where id = 'x'")
    unheard(place, "a")
    b.sync()
    place.restore()
    for replica in (a, b, a, b) if first == "who wrote it" else (b, a, b):
        replica.sync()
    assert a.refused() == []
    for replica in (a, b):
        found = [("k", "", 0), ("l", "", 0), ("m", "", 0), ("x", "a", 10), ("y", "", 0)]
        assert rows(replica) == found
        assert replica.verify().ok


@pytest.mark.usefixtures("in_parts")
def test_work_that_arrives_late_is_heard_of_while_a_lost_space_comes(place: Place) -> None:
    """It is held back, for its space comes anew; but the request in which it had gone out is still on its way."""
    a = place.device("a")
    a.execute("insert into shelf (id, count) values ('k', 1), ('l', 1), ('x', 10)")
    a.sync()
    a.execute("update shelf set count = count + 5 where id = 'x'")
    late: list[bytes] = []
    place.strays["a"] = late
    with pytest.raises(hf.HoldfastError, match="the request went astray"):
        a.sync()
    del place.strays["a"]
    with closing(apsw.Connection(str(place.folder / "a.db"))) as db:
        db.execute("update holdfast_space set cursor = replace(cursor, '.3.3.', '.3.3.00')")
    asked: list[int] = []

    def arrive(number: int) -> None:
        asked.append(number)
        if len(asked) == 3:
            for _ in LocalTransport(place.server, WRITER).exchange(late.pop()).chunks():
                pass

    place.before["a"] = arrive
    a.sync()
    assert late == []
    assert rows(a) == [("k", "", 1), ("l", "", 1), ("x", "", 15)]
    assert a.status.pending_count == 0
    assert a.verify().ok


@pytest.mark.usefixtures("a_page_at_a_time")
def test_a_hub_that_counts_under_another_name_in_the_next_part(place: Place) -> None:
    """The values are the same, but with the wrong name the copy would count once more after a loss."""
    a, b, c = (place.device(name) for name in "abc")
    a.execute("insert into shelf (id, count) values ('x', 10), ('y', 0)")
    for replica in (a, b, c):
        replica.sync()
    b.execute("update shelf set status = 'b' where id = 'y'")
    b.execute("insert into shelf (id, project) values ('z', '2')")
    b.sync()
    with closing(apsw.Connection(str(place.folder / "c.db"))) as db:
        db.execute("update holdfast_space set cursor = replace(cursor, '.2.2.', '.2.2.00')")
    a.execute("update shelf set count = count + 5 where id = 'x'")
    a.execute("update shelf set status = 'c' where id = 'y'")
    asked: list[int] = []

    def noticed(number: int) -> None:
        asked.append(number)
        if len(asked) == 2:
            c.sync()

    place.before["a"] = noticed
    a.sync()
    assert len(asked) > 1
    place.back_up()
    b.execute("update shelf set status = 'seen' where id = 'y'")
    b.sync()
    a.sync()
    place.restore()
    for replica in (a, b, a, b):
        replica.sync()
        assert rows(replica)[0][2] == 15


@pytest.mark.usefixtures("a_page_at_a_time")
def test_a_patch_does_not_come_upon_a_row_without_the_own_work_of_an_earlier_part(place: Place) -> None:
    """The staged cursor is beyond a row that the device has not got back, and that its confirmed rows lack as yet."""
    a, b = place.device("a"), place.device("b")
    a.execute("insert into shelf (id, memo) values ('x', ?), ('y', '')", (LONG,))
    a.sync()
    b.sync()
    b.execute("update shelf set status = 'b' where id = 'y'")
    b.execute("insert into shelf (id, project) values ('z', '2')")
    b.sync()
    with a.transaction():
        a.execute("update shelf set status = 'a' where id = 'x'")
        a.execute("insert into shelf (id) values ('w')")
    a.execute("update shelf set status = 'c' where id = 'y'")
    asked: list[int] = []

    def written(number: int) -> None:
        asked.append(number)
        if len(asked) == 1:
            a.execute("update shelf set count = count + 1 where id = 'x'")

    place.before["a"] = written
    a.sync()
    for replica in (a, b):
        replica.sync()
        assert rows(replica) == [("w", "", 0), ("x", "a", 1), ("y", "c", 0), ("z", "", 0)]
        assert replica.verify().ok
