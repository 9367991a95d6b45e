"""What a review of the hub found: each test failed before its fix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import holdfast as hf
from holdfast.hub.serving import Serving
from holdfast.protocol import messages as m
from holdfast.testing import LocalTransport
from tests.postgres import database


class Note(hf.Table, space="all"):
    body: str = ""


class Item(hf.Table, space="all", exclude=["secret"]):
    count: int


NOTES = hf.Schema(Note)
ANN, BEN = (hf.Identity(user, {"all": "rw"}) for user in ("ann", "ben"))


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/hub.db"
    else:
        with database() as made:
            yield made


def device(server: hf.Server, path: Path, schema: hf.Schema, identity: hf.Identity = ANN) -> hf.Replica:
    return hf.Replica(path, schema, transport=LocalTransport(server, identity))


def asked(server: hf.Server, identity: hf.Identity, **members: Any) -> tuple[int, list[dict[str, Any]]]:
    """Status and lines of the answer to a request made by hand."""
    schema = {"version": NOTES.version, "hash": NOTES.hash}
    body = {"protocol": m.PROTOCOL, "device": "ben's", "schema": schema, "clock": 0, **members}
    response = server.handle(json.dumps(body).encode(), identity)
    return response.status, [json.loads(line) for line in b"".join(response).splitlines()]


def test_nobody_goes_on_with_the_numbers_of_another_user(tmp_path: Path) -> None:
    """Who shares a space reads there what devices and origins there are. With them he could send a transaction under
    the next number of somebody else, whose own next one the hub then took for known: gone, and called accepted."""
    with hf.Server("memory:", NOTES) as server, device(server, tmp_path / "ann.db", NOTES) as ann:
        ann.execute("insert into note (id, body) values ('1', 'seen by all')")
        ann.sync()
        _, lines = asked(server, BEN, history=[["note", "1"]])
        entry = lines[-1]["footer"]["history"][0]["entries"][0]
        name, origin = entry["device"], entry["stamp"].partition("-")[2]
        for forged in (
            {"transactions": [{"origin": origin, "n": 2, "ops": []}]},
            {"transactions": [{"origin": origin, "n": 2, "ops": [], "withdrawn": True}]},
            {"acknowledged": [[origin, 1]]},
        ):
            status, lines = asked(server, BEN, **(forged | {"device": name}))
            assert (status, lines[0]["code"]) == (409, "user_changed")
        ann.execute("insert into note (id, body) values ('2', 'important')")
        ann.sync()
        assert [change.key for change in server.history("note", "2")] == ["2"]


def test_a_refusal_does_not_show_columns_that_devices_never_hear_of(tmp_path: Path) -> None:
    schema = hf.Schema(Item)
    with database() as url, psycopg.connect(url, autocommit=True) as program:
        program.execute(
            "create table item (id text primary key, secret text, count bigint not null,"
            " check (secret is null or count < 100))"
        )
        server = hf.Server(url, schema)
        server.migrate()
        program.execute("insert into item values ('1', 'of the hub alone', 1)")
        with server, device(server, tmp_path / "ann.db", schema) as ann:
            ann.sync()
            ann.execute("update item set count = 500")
            ann.sync()
            (refused,) = ann.refused()
            assert refused.code == "check"
            assert "item_check" in refused.message
            assert "of the hub alone" not in repr(refused)


class Visit1(hf.Table, name="visit", space="all"):
    name: str = ""
    crew: str = ""


class Visit2(hf.Table, name="visit", space="all"):
    title: str = ""
    crew: str = ""


class Visit3(hf.Table, name="visit", space="all"):
    name: str = ""
    crew: str = ""
    title: str = "new"


class Moved(hf.Table, name="visit", space="all"):
    crew: str = ""
    name: str = ""


class Changed(hf.Table, name="visit", space="all"):
    crew: str = ""
    title: str = ""


TO2 = hf.migrate(1, 2, hf.rename("visit", "name", "title"))
BACK = hf.migrate(2, 3, hf.rename("visit", "title", "name"))
PLACES = hf.migrate(
    2, 3, hf.rename("visit", "title", "x"), hf.rename("visit", "crew", "title"), hf.rename("visit", "x", "crew")
)
V1 = hf.Schema(Visit1, version=1)
V2 = hf.Schema(Visit2, version=2, migrations=[TO2])


def first_visit(url: str, folder: Path) -> None:
    with hf.Server(url, V1) as server, device(server, folder / "first.db", V1) as ann:
        ann.execute("insert into visit (id, name, crew) values ('1', 'Ann', 'Bo')")
        ann.sync()


def visits(server: hf.Server, path: Path, schema: hf.Schema, columns: str) -> list[tuple[Any, ...]]:
    with device(server, path, schema) as fresh:
        fresh.sync()
        return [tuple(row) for row in fresh.execute(f"select {columns} from visit")]


def test_a_hub_from_before_a_rename_does_not_start_again(url: str, tmp_path: Path) -> None:
    """It made the column of the old name anew, empty, and took its emptiness for what a program had written."""
    first_visit(url, tmp_path)
    with hf.Server(url, V2) as later:
        later.migrate()
    with pytest.raises(hf.HoldfastError) as caught, hf.Server(url, V1) as earlier:
        earlier.health()
    assert caught.value.code == "schema_changed"
    with hf.Server(url, V2) as later:
        assert visits(later, tmp_path / "new.db", V2, "title, crew") == [("Ann", "Bo")]


def test_columns_that_change_places_without_a_new_version_are_refused(url: str, tmp_path: Path) -> None:
    """The hub read the values of one column as those of the other."""
    first_visit(url, tmp_path)
    with pytest.raises(hf.HoldfastError) as caught, hf.Server(url, hf.Schema(Moved, version=1)) as moved:
        moved.health()
    assert caught.value.code == "schema_changed"
    with hf.Server(url, V1) as server:
        assert visits(server, tmp_path / "new.db", V1, "name, crew") == [("Ann", "Bo")]


@pytest.mark.parametrize(
    ("third", "columns", "expected"),
    [
        (hf.Schema(Visit3, version=3, migrations=[TO2, BACK]), "name, crew, title", ("Ann", "Bo", "new")),
        (hf.Schema(Changed, version=3, migrations=[TO2, PLACES]), "crew, title", ("Ann", "Bo")),
    ],
    ids=["back, and the other name anew", "two change places"],
)
def test_names_that_come_back(
    url: str, tmp_path: Path, third: hf.Schema, columns: str, expected: tuple[Any, ...]
) -> None:
    """Followed name by name, the same renames were done again at every start, and `migrate` came to no end."""
    first_visit(url, tmp_path)
    with hf.Server(url, V2) as server:
        server.migrate()
    for start in range(3):
        with hf.Server(url, third) as server:
            server.migrate()
            assert server.plan() == []
            assert visits(server, tmp_path / f"{start}.db", third, columns) == [expected]
            with server.hub.reading() as tx:
                (row,) = tx.current([("visit", "1")])
                assert row.values is not None and row.values[1][:2] == ["Ann", "Bo"]


class Weather(hf.Table, name="visit", space="all"):
    name: str = ""
    crew: str = ""
    weather: str | None = None


def test_hubs_of_a_new_version_that_start_at_once(url: str, tmp_path: Path) -> None:
    """The second one to say since when the version runs said a later moment: devices that changed to it later lacked,
    in rows written in between, what is new in it, and no comparison tells, for digests are over stamps."""
    first_visit(url, tmp_path)
    schema = hf.Schema(Weather, version=2)
    slow = hf.Server(url, schema)
    starting = Serving(slow._store, schema)
    with hf.Server(url, schema) as server:
        with device(server, tmp_path / "new.db", schema) as new:
            new.sync()
            new.execute("update visit set weather = 'rain'")
            new.sync()
        with device(server, tmp_path / "first.db", V1) as old:
            old.sync()
        starting.open(slow._store)
    slow._store.close()
    with hf.Server(url, schema) as server:
        assert visits(server, tmp_path / "first.db", schema, "name, weather") == [("Ann", "rain")]
