"""Several versions of one schema at once, on real files and a real hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

import holdfast as hf
from tests.integration.endurance.site import V1, V2, V3, device, same
from tests.postgres import database


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with ExitStack() as stack:
        yield stack.enter_context(database()) if request.param == "postgres" else f"sqlite:///{tmp_path}/hub.db"


def row(replica: hf.Replica, key: str, columns: str, table: str = "visit") -> Any:
    (found,) = replica.execute(f"select {columns} from {table} where id = ?", (key,))
    return tuple(found)


def deploy(url: str, schema: hf.Schema) -> hf.Server:
    server = hf.Server(url, schema)
    server.migrate()
    return server


def test_three_versions_edit_the_same_rows(url: str, tmp_path: Path) -> None:
    with closing(deploy(url, V1)) as one, device(tmp_path, "old", V1, one) as old:
        old.execute(
            "insert into visit (id, name, crew, tags, hours, memo) values ('a', 'Ann Lee', 2, '[\"x\"]', '3', 'm')"
        )
        old.execute("insert into visit (id, name, memo) values ('b', 'Bob Ray', 'n')")
        old.sync()
    with (
        closing(deploy(url, V2)) as two,
        device(tmp_path, "old", V1, two) as old,
        device(tmp_path, "mid", V2, two) as mid,
    ):
        mid.sync()
        assert row(mid, "a", "first, last, team, tags, hours, status") == ("Ann", "Lee", 2, '["x"]', "3", "open")
        old.sync()
        old.execute("update visit set name = 'Ann Low', crew = crew + 1 where id = 'a'")
        mid.execute("update visit set team = team + 5, weather = 'rain' where id = 'a'")
        mid.execute("insert into visit (id, first, last) values ('c', 'Cy', 'Orr')")
        mid.execute("insert into photo (id, visit_id) values ('p', 'c')")
        for replica in (old, mid, old):
            replica.sync()
        assert row(mid, "a", "first, last, team, weather") == ("Ann", "Low", 8, "rain")
        assert row(old, "a", "name, crew, memo") == ("Ann Low", 8, "m")
        assert row(old, "c", "name, crew, memo, hours") == ("Cy Orr", 0, "(none)", "0")
        same(two, old, mid)
        mid.execute("update visit set first = 'Anna' where id = 'a'")
        mid.execute("delete from visit where id = 'b'")
        mid.sync()
        old.sync()
        assert row(old, "a", "name") == ("Anna Low",)
        same(two, old, mid)
    with (
        closing(deploy(url, V3)) as three,
        device(tmp_path, "old", V1, three) as old,
        device(tmp_path, "mid", V2, three) as mid,
        device(tmp_path, "new", V3, three) as new,
    ):
        new.execute("insert into visit (id, first, last, labels, minutes) values ('d', 'Di', 'Eck', '[\"y\"]', 150)")
        new.sync()
        mid.sync()
        old.execute("update visit set hours = '9', tags = '[\"x\", \"z\"]' where id = 'a'")
        old.sync()
        new.execute("update visit set last = 'Loew' where id = 'a'")
        for replica in (new, mid, old):
            replica.sync()
        assert row(new, "a", "first, last, team, labels, minutes, weather") == (
            "Anna", "Loew", 8, '["x","z"]', 540, "rain",
        )  # fmt: skip
        assert row(mid, "d", "first, hours, tags") == ("Di", "2", '["y"]')
        assert row(old, "d", "name, hours, tags, memo") == ("Di Eck", "2", '["y"]', "(none)")
        same(three, old, mid, new)
        for replica in (old, mid, new):
            assert replica.verify().ok
            assert replica.verify().repaired == []


def test_a_device_is_upgraded_with_unsent_work(url: str, tmp_path: Path) -> None:
    with closing(deploy(url, V1)) as one, device(tmp_path, "d", V1, one) as old:
        old.execute("insert into visit (id, name, crew, memo) values ('a', 'Ann Lee', 2, 'm')")
        old.sync()
        old.execute("update visit set name = 'Ann Low', crew = crew + 1 where id = 'a'")
        old.execute("insert into visit (id, name, memo, hours) values ('b', 'Bob Ray', 'n', '4')")
        old.execute("update visit set name = 'Bob Roy' where id = 'b'")
    with closing(deploy(url, V2)) as two, device(tmp_path, "other", V2, two) as other:
        other.sync()
        other.execute("update visit set weather = 'sun', team = team + 10 where id = 'a'")
        other.sync()
        with device(tmp_path, "d", V2, two) as upgraded:
            assert row(upgraded, "a", "first, last, team, weather") == ("Ann", "Low", 3, None)
            assert row(upgraded, "b", "first, last, hours") == ("Bob", "Roy", "4")
            upgraded.execute("update visit set weather = 'fog' where id = 'b'")
            report = upgraded.sync()
            assert (report.refused, report.conflicts) == ([], [])
            assert row(upgraded, "a", "first, last, team, weather") == ("Ann", "Low", 13, "sun")
            other.sync()
            assert row(other, "b", "first, last, hours, weather") == ("Bob", "Roy", "4", "fog")
            same(two, upgraded, other)
    with closing(deploy(url, V3)) as three, device(tmp_path, "d", V3, three) as upgraded:
        assert row(upgraded, "b", "first, minutes") == ("Bob", 240)
        upgraded.sync()
        same(three, upgraded)


def test_a_device_newer_than_the_hub_works_and_waits(url: str, tmp_path: Path) -> None:
    with closing(deploy(url, V1)) as one, device(tmp_path, "d", V2, one) as new:
        new.execute("insert into visit (id, first, last) values ('a', 'Ann', 'Lee')")
        with pytest.raises(hf.HoldfastError, match="runs schema version 2, this hub knows 1") as caught:
            new.sync()
        assert caught.value.code == "schema_version"
        assert new.status.upload_error is not None
        assert new.status.pending_count == 1
    with closing(deploy(url, V2)) as two, device(tmp_path, "d", V2, two) as new:
        assert new.sync().pushed == 1
        same(two, new)


def test_a_device_too_old_is_told_so_and_what_it_wrote_arrives_after_its_update(url: str, tmp_path: Path) -> None:
    class Last(hf.Table, name="visit", space="site"):
        first: str
        last: str
        status: str = "open"

    last = hf.Schema(
        Last, version=4, migrations=[
            *V3.migrations,
            hf.migrate(3, 4, hf.drop("visit", "team"), hf.drop("visit", "labels"), hf.drop("visit", "minutes"),
                       hf.drop("visit", "weather"), hf.drop("photo")),
        ],
    )  # fmt: skip
    with closing(deploy(url, V1)) as one, device(tmp_path, "d", V1, one) as old:
        old.execute("insert into visit (id, name, memo) values ('a', 'Ann Lee', 'm')")
        old.sync()
        old.execute("update visit set name = 'Ann Low' where id = 'a'")
    for schema in (V2, V3):
        deploy(url, schema).close()
    with closing(deploy(url, last)) as four:
        with device(tmp_path, "d", V1, four) as old:
            with pytest.raises(hf.HoldfastError, match=r"too old.*serves 2, 3, 4.*Update the application") as caught:
                old.sync()
            assert caught.value.code == "schema_outdated"
            assert old.status.pending_count == 1
        with device(tmp_path, "d", last, four) as new:
            assert row(new, "a", "first, last") == ("Ann", "Low")
            new.sync()
            assert new.status.pending_count == 0
            same(four, new)
        with device(tmp_path, "fresh", last, four) as fresh:
            fresh.sync()
            assert row(fresh, "a", "first, last") == ("Ann", "Low")


def test_programs_at_the_hub_write_either_side(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hub.db"
    with closing(deploy(url, V1)) as one, device(tmp_path, "old", V1, one) as old:
        old.execute("insert into visit (id, name, memo) values ('a', 'Ann Lee', 'm')")
        old.sync()
    with closing(deploy(url, V2)) as two, device(tmp_path, "old", V1, two) as old:
        with closing(apsw.Connection(str(tmp_path / "hub.db"))) as db:
            db.execute("update visit set first = 'Anna' where id = 'a'")
        old.sync()
        assert row(old, "a", "name") == ("Anna Lee",)
        with closing(apsw.Connection(str(tmp_path / "hub.db"))) as db:
            db.execute("update visit set name = 'Bea Lee' where id = 'a'")
        with device(tmp_path, "mid", V2, two) as mid:
            mid.sync()
            assert row(mid, "a", "first, last") == ("Bea", "Lee")
            old.sync()
            same(two, old, mid)


INSERTS = {
    "the newer column": ("minutes", "150", ("2", 150)),
    "the older column": ("hours", "'3'", ("3", 180)),
    "both columns": ("hours, minutes", "'2', 150", ("2", 150)),
    "neither": ("status", "'open'", ("0", 0)),
}


@pytest.mark.parametrize("given", sorted(INSERTS))
def test_a_program_inserts_a_row_with_one_side_of_a_lens(url: str, tmp_path: Path, given: str) -> None:
    """What was given stays as it was given, and the default of the other side never takes its place."""
    names, values, (hours, minutes) = INSERTS[given]
    with closing(deploy(url, V2)) as two, device(tmp_path, "mid", V2, two) as mid:
        mid.sync()
    with closing(deploy(url, V3)) as three, device(tmp_path, "mid", V2, three) as mid, ExitStack() as stack:
        run(url, f"insert into visit (id, first, last, {names}) values ('p', 'Pat', 'Orr', {values})")
        mid.sync()
        new = stack.enter_context(device(tmp_path, "new", V3, three))
        new.sync()
        assert row(mid, "p", "first, hours") == ("Pat", hours)
        assert row(new, "p", "first, minutes") == ("Pat", minutes)
        same(three, mid, new)


def run(url: str, statement: str) -> None:
    """A program of the hub's database."""
    if url.startswith("sqlite"):
        with closing(apsw.Connection(url.removeprefix("sqlite:///"))) as db:
            db.execute(statement)
    else:
        with psycopg.connect(url) as connection:
            connection.execute(statement.encode())


def test_a_new_row_that_an_old_device_deletes_after_a_restart_is_gone(tmp_path: Path) -> None:
    """Found by the thirty days: the cells that the hub had derived from the insert kept the row."""
    url = f"sqlite:///{tmp_path}/hub.db"
    deploy(url, V1).close()
    with closing(deploy(url, V2)) as two:
        with device(tmp_path, "old", V1, two) as old:
            old.execute("insert into visit (id, name, memo) values ('a', 'Ann Lee', 'm')")
            old.pending()
        with device(tmp_path, "old", V1, two) as old:
            old.execute("delete from visit where id = 'a'")
            assert old.sync().conflicts == []
            assert old.execute("select id from visit") == []
            same(two, old)
