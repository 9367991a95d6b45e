"""Work whose answer was lost, when the hub then sends its space anew: it counts once."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

import holdfast as hf
from holdfast.testing import LocalTransport
from tests.postgres import database

WRITER = hf.Identity("anna", {"project:1": "rw", "project:2": "rw"})


class Stock(hf.Table, space="project:{project}"):
    """A value of each kind that merges in a way of its own."""

    project: str = "1"
    status: str = "draft"
    count: hf.Counter = 0
    tags: hf.Set[str]
    notes: hf.Text = ""
    memo: hf.MergeText = ""


SCHEMA = hf.Schema(Stock)


class OnSqlite:
    """A hub in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.url = folder, f"sqlite:///{folder}/hub.db"

    def back_up(self) -> None:
        """A copy of the file; the hub is closed."""
        shutil.copy(self.folder / "hub.db", self.folder / "old.db")

    def restore(self) -> None:
        """The copy in place of the file."""
        for path in self.folder.glob("hub.db*"):
            if path.name != "hub.db-closed":
                path.unlink()
        shutil.copy(self.folder / "old.db", self.folder / "hub.db")


class OnPostgres:
    """A hub in a database that is copied as a template: what a dump would bring back."""

    def __init__(self, url: str) -> None:
        self.url = url
        options = conninfo_to_dict(url)
        self._name, self._copy = str(options["dbname"]), f"old_{uuid.uuid4().hex}"
        self._admin = {**options, "dbname": "postgres"}

    def _as(self, name: str, source: str) -> None:
        with psycopg.connect(**self._admin, autocommit=True) as db:
            db.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
            db.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}"'.encode())

    def back_up(self) -> None:
        """No hub may be connected meanwhile."""
        self._as(self._copy, self._name)

    def restore(self) -> None:
        """The copy in place of the database."""
        self._as(self._name, self._copy)

    def close(self) -> None:
        """The copy goes."""
        with psycopg.connect(**self._admin, autocommit=True) as db:
            db.execute(f'DROP DATABASE IF EXISTS "{self._copy}" WITH (FORCE)'.encode())


class Place:
    """A hub that can be put back, and devices whose answers can be lost."""

    def __init__(self, store: OnSqlite | OnPostgres, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.deaf: set[str] = set()
        self.open: dict[str, hf.Replica] = {}
        self.server = hf.Server(store.url, SCHEMA)
        self.server.migrate()

    def device(self, name: str, identity: hf.Identity = WRITER) -> hf.Replica:
        """A device with a file of its own."""
        self.open[name] = hf.Replica(self.folder / f"{name}.db", SCHEMA, transport=Way(self, name, identity))
        return self.open[name]

    def close(self, name: str) -> None:
        """The application on a device ends."""
        self.open.pop(name).close()

    def back_up(self) -> None:
        """A copy of the hub as it is now."""
        self.server.close()
        self.store.back_up()
        self.server = hf.Server(self.store.url, SCHEMA)

    def restore(self) -> None:
        """The hub is as it was."""
        self.server.close()
        self.store.restore()
        self.server = hf.Server(self.store.url, SCHEMA)

    def end(self) -> None:
        """Everything is closed."""
        for name in list(self.open):
            self.close(name)
        self.server.close()


class Way:
    """To whatever hub there is; the answers to a deaf device are lost after the hub has done everything."""

    def __init__(self, place: Place, name: str, identity: hf.Identity) -> None:
        self._place, self._name, self._identity = place, name, identity

    def exchange(self, body: bytes) -> Any:
        """One round."""
        found = LocalTransport(self._place.server, self._identity).exchange(body)
        if self._name in self._place.deaf:
            for _ in found.chunks():
                pass
            found.close()
            raise hf.HoldfastError("network", "the answer was lost")
        return found

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        store: OnSqlite | OnPostgres = OnSqlite(tmp_path)
        if request.param == "postgres":
            store = OnPostgres(stack.enter_context(database()))
            stack.callback(store.close)
        made = Place(store, tmp_path)
        stack.callback(made.end)
        yield made


def unheard(place: Place, name: str) -> None:
    """A sync of a device that reaches the hub and gets no answer."""
    place.deaf.add(name)
    with pytest.raises(hf.HoldfastError, match="the answer was lost"):
        place.open[name].sync()
    place.deaf.discard(name)


def rows(replica: hf.Replica) -> list[tuple[object, ...]]:
    sql = "select id, status, count, tags, notes, memo from stock order by id"
    return [tuple(row) for row in replica.execute(sql)]


def same(place: Place, expected: list[tuple[object, ...]]) -> None:
    """Every device shows that, and so does the hub."""
    for _ in range(2):
        for replica in place.open.values():
            replica.sync()
    for name, replica in place.open.items():
        assert rows(replica) == expected, name
        assert replica.lost_rows() == []
        assert replica.verify().ok


def test_a_reset_says_what_became_of_work_whose_effect_it_brings(place: Place) -> None:
    """The device holds a cursor of another history: the hub sends the space anew and leaves the device's work
    alone. But it had processed that before, so the rows that it sends have its effect."""
    a, b = place.device("a"), place.device("b")
    a.execute("insert into stock (id, count) values ('x', 10)")
    a.sync()
    with a.transaction():
        a.execute("update stock set count = count + 5, status = 'a' where id = 'x'")
        a.execute("insert into stock (id, count) values ('y', 7)")
    unheard(place, "a")
    place.close("a")
    with closing(apsw.Connection(str(place.folder / "a.db"))) as db:
        db.execute("update holdfast_space set cursor = replace(cursor, '.1.1.', '.1.1.00')")
    a = place.device("a")
    a.sync()
    assert a.status.pending_count == 0
    same(place, [("x", "a", 15, "[]", "", ""), ("y", "draft", 7, "[]", "", "")])
    assert b.verify().ok
