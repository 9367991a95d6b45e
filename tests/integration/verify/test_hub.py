"""A hub that contradicts itself: what its store says twice is compared, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

import holdfast as hf
from holdfast.cli.application import run
from holdfast.cli.failures import Exit
from holdfast.testing import LocalTransport
from tests.integration.verify.test_verify import ANNA, SCHEMA
from tests.postgres import connect, database


class Place:
    """A database with a hub's rows, and a way to change it behind the hub's back."""

    def __init__(self, url: str, tables: str) -> None:
        self.url, self._tables = url, tables

    def change(self, *statements: str) -> None:
        """Run statements with the triggers of Holdfast off. `{0}` is what stands before the names of its tables."""
        texts = [statement.format(self._tables) for statement in statements]
        if self.url.startswith("sqlite"):
            db = apsw.Connection(self.url.removeprefix("sqlite:///"))
            db.execute("update holdfast_hub set applying = 1")
            for text in texts:
                db.execute(text)
            db.execute("update holdfast_hub set applying = 0")
            db.close()
            return
        with connect(self.url) as admin:
            admin.execute("alter table form disable trigger all")
            for text in texts:
                admin.execute(text.encode())
            admin.execute("alter table form enable trigger all")


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        made = Place(f"sqlite:///{tmp_path}/hub.db", "holdfast_")
        fill(made.url, tmp_path)
        yield made
        return
    with database() as url:
        made = Place(url, "holdfast.")
        fill(url, tmp_path)
        yield made


def fill(url: str, folder: Path) -> None:
    server = hf.Server(url, SCHEMA)
    with server, hf.Replica(folder / "anna.db", SCHEMA, transport=LocalTransport(server, ANNA)) as anna:
        anna.executemany("insert into form (id, crew) values (?, 3)", [(f"f{n:04}",) for n in range(1_203)])
        anna.sync()
        anna.execute("update form set status = 'sent', tags = ? where id < 'f0010'", (["a", "b"],))
        anna.execute("delete from form where id = 'f0007'")
        anna.sync()


def faults(url: str, *spaces: str) -> set[tuple[str, str, str]]:
    with hf.Server(url, SCHEMA) as server:
        *_, report = server.verify(*spaces)
        assert report.ok == (not report.faults)
        return {(fault.kind, fault.table, fault.key) for fault in report.faults}


def test_a_hub_that_is_whole(place: Place) -> None:
    pauses: list[int] = []
    with hf.Server(place.url, SCHEMA) as server:
        reports = list(server.verify(pause=lambda: pauses.append(1)))
        assert list(server.verify("project:1"))[-1].rows == 1_202
        assert [report.spaces for report in server.verify(after="project:1")] == [0]
        with pytest.raises(hf.HoldfastError) as raised:
            list(server.verify("project:9"))
    assert (reports[-1].ok, reports[-1].spaces, reports[-1].rows, reports[-1].last) == (True, 1, 1_202, "project:1")
    assert len(pauses) >= 3
    assert raised.value.code == "space_unknown"


def test_every_contradiction_is_found(place: Place) -> None:
    place.change("update form set status = 'wrong' where id = 'f0003'", "delete from form where id = 'f0004'")
    place.change("insert into form (id, project, status, crew, tags) values ('x', '1', 'new', 0, '[]')")
    found = faults(place.url)
    if place.url.startswith("sqlite"):
        assert found == {("table", "form", "f0003"), ("table", "form", "f0004"), ("table", "form", "x")}
    else:
        assert found == set()  # a hub on PostgreSQL finds out that triggers were off, and sequences what was written
    place.change("update {0}digest set count = count + 1 where bucket = (select min(bucket) from {0}digest)")
    assert ("digest", "", "") in faults(place.url)
    place.change("update {0}space set chain = 'ffffffffffffffff' where head > 0")
    assert ("feed", "", "") in faults(place.url, "project:1")


def test_an_image_that_is_altered(tmp_path: Path) -> None:
    """A byte in a stored image: its stamps are counted, and its values stand in the table, too."""
    place = Place(f"sqlite:///{tmp_path}/hub.db", "holdfast_")
    fill(place.url, tmp_path)
    altered = "cast(replace(cast(image as text), '\"draft\"', '\"draf2\"') as blob)"
    place.change(f"update {{0}}row set image = {altered} where key = 'f0100'")
    assert faults(place.url) == {("table", "form", "f0100")}
    place.change("update {0}row set image = cast('[\"form\",1' as blob) where key = 'f0100'")
    found = faults(place.url)
    assert ("unreadable", "", "") in found
    assert ("digest", "", "") in found


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = Place(f"sqlite:///{tmp_path}/hub.db", "holdfast_")
    fill(place.url, tmp_path)
    schema = tmp_path / "declared.py"
    schema.write_text("from tests.integration.verify.test_verify import SCHEMA as schema\n", "utf-8")
    for command in (["verify"], ["scrub", "--pause", "0"]):
        assert run([*command, str(schema), "--database", place.url]) == Exit.OK
        assert "The hub is whole" in capsys.readouterr().out
    place.change("update form set crew = 4 where id = 'f0003'")
    assert run(["verify", str(schema), "--database", place.url]) == Exit.REFUSED
    said = capsys.readouterr().out
    assert "form f0003" in said
    assert "crew" in said
    assert run(["scrub", str(schema), "--database", place.url, "--pause", "0", "--json"]) == Exit.REFUSED
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [fault["key"] for fault in document["faults"]] == ["f0003"]
