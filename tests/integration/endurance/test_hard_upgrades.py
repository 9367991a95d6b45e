"""Upgrades of a device file in bad moments: killed in the middle, and with rows that have left."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

import holdfast as hf
from holdfast.replica.facade import opened
from holdfast.testing import LocalTransport
from tests.integration.endurance.site import V1, V2, device

ANNA = hf.Identity("anna", {"site": "rw"})
KILLS = int(os.environ.get("HOLDFAST_UPGRADE_KILLS", "8"))
"""Statements of an upgrade at which it is killed, of all that it has; `make soak` takes more."""


class Before:
    """The first version of a table whose rows may leave."""

    class Photo(hf.Table, space="site", evictable=True):
        """Large rows."""

        title: str
        body: str = ""
        stars: hf.Counter = 0


class After:
    """The second one: another name, and a column more."""

    class Photo(hf.Table, space="site", evictable=True):
        """Large rows."""

        caption: str
        body: str = ""
        stars: hf.Counter = 0
        place: str | None = None


OLD = hf.Schema(Before.Photo, version=1)
NEW = hf.Schema(After.Photo, version=2, migrations=[hf.migrate(1, 2, hf.rename("photo", "title", "caption"))])


def test_rows_that_have_left_come_back_as_the_new_version_has_them(tmp_path: Path) -> None:
    url, small = f"sqlite:///{tmp_path}/hub.db", hf.Storage(total="1 MB")
    with hf.Server(url, OLD) as server:
        way = LocalTransport(server, ANNA)
        with hf.Replica(tmp_path / "d.db", OLD, transport=way, storage=small) as old:
            rows = [(f"p{n:03}", f"t{n}", "x" * 40_000) for n in range(60)]
            old.executemany("insert into photo (id, title, body) values (?, ?, ?)", rows)
            old.sync()
            old.prune()
            left = 60 - old.execute("select count(*) from photo")[0][0]
            assert left > 10
            old.fetch("photo", "p059")
            old.execute("update photo set title = 'mine', stars = stars + 1 where id = 'p059'")
    with hf.Server(url, NEW) as server:
        way = LocalTransport(server, ANNA)
        with (
            hf.Replica(tmp_path / "d.db", NEW, transport=way, storage=small) as new,
            hf.Replica(tmp_path / "other.db", NEW, transport=way) as other,
        ):
            assert new.execute("select caption, stars from photo where id = 'p059'")[0] == ("mine", 1)
            new.sync()
            other.sync()
            other.execute("update photo set place = 'roof', stars = stars + 2 where id = 'p000'")
            other.sync()
            new.sync()
            with pytest.raises(hf.HoldfastError) as raised:
                new.execute("insert into photo (id, caption) values ('p000', 'again')")
            assert raised.value.code == "row_evicted"
            (row,) = new.fetch("photo", "p000")
            assert (row["caption"], row["place"], row["stars"], len(row["body"])) == ("t0", "roof", 2, 40_000)
            other.sync()
            assert new.digest("site") == other.digest("site")
            report = new.verify()
            assert (report.ok, report.repaired) == (True, [])
            *_, scrubbed = new.scrub()
            assert scrubbed.ok


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A hub of the second version, a file of the first one with unsent work, and how many statements an upgrade has."""
    folder = tmp_path_factory.mktemp("night")
    with hf.Server(f"sqlite:///{folder}/hub.db", V1) as one, device(folder, "d", V1, one) as old:
        values = [(f"v{n}", f"First{n} Last{n}") for n in range(40)]
        old.executemany("insert into visit (id, name, memo) values (?, ?, 'm')", values)
        old.sync()
        old.execute("update visit set name = 'Ann Low', crew = crew + 1 where id = 'v1'")
        old.pending()
        old.execute("insert into visit (id, name, memo, hours) values ('new', 'Bob Ray', 'n', '4')")
    with hf.Server(f"sqlite:///{folder}/hub.db", V2) as two:
        two.migrate()
    whole = folder / "whole"
    whole.mkdir()
    shutil.copy(folder / "d.db", whole / "d.db")
    count = run_killed(whole / "d.db", 0)
    yield folder, count


def run_killed(path: Path, at: int) -> int:
    """Open the file with the second version in a process that is killed at that statement of the upgrade; 0: it is not.
    Gives how many statements there were."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        count, real = 0, opened.upgrade

        def traced(db: apsw.Connection, *given: Any) -> None:
            def seen(*_: Any) -> bool:
                nonlocal count
                count += 1
                if count == at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return True

            db.exec_trace = seen
            real(db, *given)

        try:
            opened.upgrade = traced
            with hf.Replica(path, V2) as replica:
                replica.status  # noqa: B018 (opens it)
            os.write(write, str(count).encode())
        finally:
            os._exit(1)
    os.close(write)
    said = os.read(read, 100)
    os.close(read)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended == (-signal.SIGKILL if at else 1)
    return int(said or b"0")


@pytest.mark.parametrize("part", range(KILLS))
def test_an_upgrade_that_is_killed_is_done_anew(night: tuple[Path, int], tmp_path: Path, part: int) -> None:
    folder, count = night
    assert count > KILLS
    for name in ("d.db", "hub.db"):
        shutil.copy(folder / name, tmp_path / name)
    run_killed(tmp_path / "d.db", 1 + part * (count - 1) // max(1, KILLS - 1))
    with hf.Server(f"sqlite:///{tmp_path}/hub.db", V2) as two, device(tmp_path, "d", V2, two) as upgraded:
        shown = upgraded.execute("select first, last, team from visit where id in ('v1', 'new') order by id")
        assert [tuple(row) for row in shown] == [("Bob", "Ray", 0), ("Ann", "Low", 1)]
        report = upgraded.sync()
        assert (report.refused, report.conflicts, report.pushed) == ([], [], 2)
        again = upgraded.verify()
        assert (again.ok, again.repaired) == (True, [])
        with device(tmp_path, "other", V2, two) as other:
            other.sync()
            query = "select id, first, last, team, hours from visit order by id"
            assert upgraded.execute(query) == other.execute(query)
            assert len(other.execute(query)) == 41
