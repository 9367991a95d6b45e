"""Copies that differ from the hub: found in few exchanges and bytes, repaired, and what the hub has lost is told."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

import holdfast as hf
from holdfast.kernel import digest
from holdfast.testing import LocalTransport

ANNA = hf.Identity("anna", {"project:1": "rw", "city": "r"})


class Form(hf.Table, space="project:{project}"):
    """Rows of one project."""

    project: str = "1"
    status: str = "draft"
    crew: hf.Counter = 0
    tags: hf.Set[str]


class Site(hf.Table, key="code", space="city"):
    """Rows that this device may only read."""

    code: str
    title: str


SCHEMA = hf.Schema(Form, Site)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[hf.Server]:
    with hf.Server(f"sqlite:///{tmp_path}/hub.db", SCHEMA) as made:
        yield made


def device(folder: Path, server: hf.Server, name: str = "anna") -> hf.Replica:
    return hf.Replica(folder / f"{name}.db", SCHEMA, transport=LocalTransport(server, ANNA))


def fill(replica: hf.Replica, rows: int) -> None:
    replica.executemany("insert into form (id, crew) values (?, ?)", ((f"f{i:07}", i % 7) for i in range(rows)))
    replica.sync()


def damage(path: Path, *statements: str) -> None:
    """Change the file past Holdfast: nothing is captured, as by a damaged disk or a restored part."""
    db = apsw.Connection(str(path))
    db.execute("begin; update holdfast_state set applying = 1")
    for statement in statements:
        db.execute(statement)
    db.execute("update holdfast_state set applying = 0; commit")
    db.close()


def shown(path: Path) -> list[tuple[object, ...]]:
    db = apsw.Connection(str(path))
    found = db.execute("select id, project, status, crew, tags from form order by id").fetchall()
    db.close()
    return found


def test_equal_copies(tmp_path: Path, server: hf.Server) -> None:
    with device(tmp_path, server) as anna:
        fill(anna, 50)
        report = anna.verify()
    assert (report.ok, report.spaces, report.rows, report.repaired, report.lost) == (True, 2, 50, [], [])
    assert report.exchanges == 1


def test_rows_that_are_wrong_here_are_replaced(tmp_path: Path, server: hf.Server) -> None:
    with device(tmp_path, server) as anna, device(tmp_path, server, "ben") as ben:
        fill(anna, 300)
        ben.sync()
        old = "(select stamps from holdfast_row where key = 'f0000000')"
        anna.execute("update form set status = 'done', crew = crew + 5 where id in ('f0000003', 'f0000004')")
        anna.execute("delete from form where id = 'f0000005'")
        anna.sync()
        expected = shown(tmp_path / "anna.db")
        damage(
            tmp_path / "anna.db",
            "delete from form where id = 'f0000001'",
            "delete from holdfast_row where key = 'f0000001'",
            "update form set status = 'draft', crew = 0 where id = 'f0000003'",
            f"update holdfast_row set stamps = {old}, states = null where key = 'f0000003'",
            "delete from holdfast_row where key = 'f0000005'",
        )
        assert shown(tmp_path / "anna.db") != expected
        report = anna.verify("project:1")
        assert report.ok
        causes = {(difference.key, difference.cause) for difference in report.repaired}
        # That a file does not know any more what was deleted is no difference: digests count living rows (spec 7).
        assert causes == {("f0000001", "missing"), ("f0000003", "older")}
        assert report.lost == []
        assert shown(tmp_path / "anna.db") == expected
        ben.sync()
        assert ben.digest("project:1") == anna.digest("project:1")
        assert anna.verify().repaired == []


def test_unsent_edits_of_a_repaired_row_stay(tmp_path: Path, server: hf.Server) -> None:
    with device(tmp_path, server) as anna:
        fill(anna, 20)
        anna.execute("update form set crew = crew + 1, status = 'sent' where id = 'f0000002'")
        anna.sync()
        damage(
            tmp_path / "anna.db",
            "update form set status = 'draft' where id = 'f0000002'",
            "update holdfast_row set stamps = (select stamps from holdfast_row where key = 'f0000001'), states = null"
            " where key = 'f0000002'",
        )
        anna.execute("update form set crew = crew + 10 where id = 'f0000002'")
        report = anna.verify()
        anna.sync()
        assert report.ok
        assert {row[0]: row[2:4] for row in shown(tmp_path / "anna.db")}["f0000002"] == ("sent", 13)


def lose(path: Path, key: str) -> None:
    """The hub's file without a row that is alone in its bucket, and a digest that agrees: as if it had never come."""
    db = apsw.Connection(str(path))
    db.execute("begin; update holdfast_hub set applying = 1")
    db.execute("delete from form where id = ?", (key,))
    db.execute("delete from holdfast_row where key = ?", (key,))
    bucket = digest.bucket("form", key)
    db.execute("delete from holdfast_digest where count = 1 and bucket = ?", (bucket,))
    assert db.changes() == 1
    db.execute("update holdfast_hub set applying = 0; commit")
    db.close()


def test_what_the_hub_has_lost_is_told_and_kept(tmp_path: Path, server: hf.Server) -> None:
    with device(tmp_path, server) as anna:
        fill(anna, 20)
    server.close()
    lose(tmp_path / "hub.db", "f0000004")
    with hf.Server(f"sqlite:///{tmp_path}/hub.db", SCHEMA) as again, device(tmp_path, again) as anna:
        report = anna.verify()
        assert not report.ok
        assert [(lost.table, lost.key, lost.cause) for lost in report.lost] == [("form", "f0000004", "lost")]
        assert report.repaired == []
        assert anna.execute("select count(*) from form where id = 'f0000004'")[0][0] == 1


def test_a_space_that_is_not_here(tmp_path: Path, server: hf.Server) -> None:
    with device(tmp_path, server) as anna, pytest.raises(hf.HoldfastError) as raised:
        anna.verify("project:9")
    assert raised.value.code == "space_unknown"


@pytest.mark.parametrize(("rows", "wrong"), [(10_000, 1), (10_000, 100), (10_000, 1_000)])
def test_the_cost_follows_the_differences(tmp_path: Path, server: hf.Server, rows: int, wrong: int) -> None:
    with device(tmp_path, server) as anna:
        fill(anna, rows)
        keys = ", ".join(f"'f{i:07}'" for i in random.Random(1).sample(range(rows), wrong))
        damage(
            tmp_path / "anna.db",
            f"delete from form where id in ({keys})",
            f"delete from holdfast_row where key in ({keys})",
        )
        report = anna.verify("project:1")
        assert report.ok
        assert len(report.repaired) == wrong
        assert report.found_in == 3
        assert report.bytes_compared <= 2_000 + 100 * wrong * math.log(rows, 16)
