"""`holdfast doctor` before a hub on a real PostgreSQL: each harm is found, with its remedy, and is mended by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.failures import Exit
from tests.postgres import connect, database
from tests.unit.cli.terminals import SCHEMA, Ended, holdfast


class Site:
    """A folder with a hub on a database that an application owns."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.folder = folder
        self.dsn = dsn
        hub = f"\nserver = hf.Server({dsn!r}, schema, authenticate=lambda headers: None)\n"
        (folder / "server.py").write_text(SCHEMA + hub)

    def sql(self, statement: str) -> None:
        with connect(self.dsn) as db:
            db.execute(statement.encode())

    def doctor(self) -> tuple[int, dict[str, dict[str, Any]]]:
        ended: Ended = holdfast(self.folder, "doctor", "server.py", "--json")
        return ended.code, {check["check"]: check for check in ended.document["checks"]}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with database() as dsn:
        yield Site(tmp_path, dsn)


def test_a_database_that_is_not_ready_and_then_is(site: Site) -> None:
    code, found = site.doctor()
    assert (code, found["triggers"]["result"]) == (Exit.FAILURE, "failed")
    assert "migrate" in found["triggers"]["remedy"]
    assert holdfast(site.folder, "migrate", "server.py").code == Exit.OK
    code, found = site.doctor()
    assert (code, {name: check["result"] for name, check in found.items()}) == (
        Exit.OK,
        {"triggers": "ok", "store": "ok", "other programs": "ok", "credentials": "ok"},
    )


@pytest.mark.parametrize(
    "harm",
    [
        "drop trigger holdfast_update on item",
        "alter table item disable trigger all",
        (
            "create or replace function holdfast.item() returns trigger language plpgsql security definer as "
            "'begin return null; end'"
        ),
    ],
)
def test_triggers_that_do_not_work(site: Site, harm: str) -> None:
    assert holdfast(site.folder, "migrate", "server.py").code == Exit.OK
    site.sql(harm)
    code, found = site.doctor()
    assert (code, found["triggers"]["result"]) == (Exit.FAILURE, "failed")
    assert "watch item" in found["triggers"]["message"]
    assert holdfast(site.folder, "migrate", "server.py").code == Exit.OK
    code, found = site.doctor()
    assert (code, found["triggers"]["result"]) == (Exit.OK, "ok")


def test_a_server_that_is_not_there(site: Site) -> None:
    (site.folder / "server.py").write_text(
        SCHEMA
        + '\nserver = hf.Server("postgresql://nobody@127.0.0.1:1/none", schema, authenticate=lambda headers: None)\n'
    )
    code, found = site.doctor()
    assert code == Exit.FAILURE
    assert found["store"]["result"] == "failed"
    assert found["store"]["remedy"]
