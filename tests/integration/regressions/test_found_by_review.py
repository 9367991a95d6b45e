"""Found by reading the whole once more: one file for two users, a large import, identities that are none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf


class Note(hf.Table, space="user:{@user}"):
    body: str = ""


class Reading(hf.Table, space="project:{project}"):
    project: str
    value: str = ""


SCHEMA = hf.Schema(Note, Reading)


def device(server: hf.Server, path: Path, user: str, spaces: dict[str, Any]) -> hf.Replica:
    return hf.Replica(path, SCHEMA, transport=hf.testing.LocalTransport(server, hf.Identity(user, spaces)))


def test_what_one_user_has_not_sent_does_not_go_out_under_another_name(tmp_path: Path) -> None:
    with hf.Server("memory:", SCHEMA) as server:
        with device(server, tmp_path / "tablet.db", "ann", {"user:ann": "rw"}) as ann:
            ann.sync()
            ann.execute("insert into note (body) values ('private')")
        with device(server, tmp_path / "tablet.db", "bob", {"user:bob": "rw"}) as bob:
            with pytest.raises(hf.HoldfastError) as raised:
                bob.sync()
            assert raised.value.code == "user_changed"
            assert bob.status.pending_count == 1
        with device(server, tmp_path / "tablet.db", "ann", {"user:ann": "rw"}) as ann:
            assert ann.sync().pushed == 1
        assert server.space_names() == ["user:ann"]


def test_a_large_import_by_another_program_goes_out_in_parts(tmp_path: Path) -> None:
    everything = {"project:1": "rw"}
    with hf.Server("memory:", SCHEMA) as server, device(server, tmp_path / "a.db", "ann", everything) as ann:
        ann.sync()
        program = (
            f"import sqlite3; d = sqlite3.connect({ann.path!r});"
            "d.executemany('insert into reading (id, project, value) values (?, ?, ?)',"
            " ((str(n), '1', 'x' * 4000) for n in range(5000))); d.commit()"
        )
        subprocess.run([sys.executable, "-c", program], check=True)
        report = ann.sync()
        assert (report.refused, ann.refused(), ann.status.pending_count) == ([], [], 0)
        assert report.pushed > 1
        with device(server, tmp_path / "b.db", "ben", everything) as ben:
            assert ben.sync().pulled == 5000
            assert ben.digest("project:1") == ann.digest("project:1")


def test_where_an_unreadable_row_lives_is_not_told(tmp_path: Path) -> None:
    with hf.Server("memory:", SCHEMA) as server:
        with device(server, tmp_path / "a.db", "ann", {"project:secret": "rw"}) as ann:
            ann.execute("insert into reading (id, project) values ('known', 'secret')")
            ann.sync()
        with device(server, tmp_path / "b.db", "bob", {"project:1": "rw"}) as bob:
            bob.execute("insert into reading (id, project) values ('known', '1')")
            bob.sync()
            refused = bob.refused()[0]
            assert (refused.code, refused.details) == ("forbidden_space", {})
            assert "secret" not in refused.message


@pytest.mark.parametrize(
    ("user", "spaces"), [("", {}), (42, {}), ("ann", {"a": "read"}), ("ann", {"": "r"}), ("ann", {"s" * 201: "r"})]
)
def test_an_identity_that_is_none_is_the_applications_mistake(tmp_path: Path, user: Any, spaces: Any) -> None:
    with hf.Server("memory:", SCHEMA) as server, device(server, tmp_path / "a.db", user, spaces) as ann:
        ann.execute("insert into note (body) values ('x')")
        with pytest.raises(hf.HoldfastError) as raised:
            ann.sync()
        assert raised.value.code == "identity_invalid"
        assert ann.status.pending_count == 1


def test_a_replica_in_memory_is_refused() -> None:
    for path in (":memory:", ""):
        with pytest.raises(hf.HoldfastError) as raised:
            hf.Replica(path, SCHEMA).execute("select 1")
        assert raised.value.code == "file_unusable"
