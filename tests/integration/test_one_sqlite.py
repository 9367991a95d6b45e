"""Two SQLite libraries on one file: in one process a clear error, in two processes everything is well."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import holdfast as hf


class Note(hf.Table, space="all"):
    body: str = ""


SCHEMA = hf.Schema(Note)
INSERT = "insert into note (body) values (?)"


def test_sqlite3_may_not_open_a_file_that_holdfast_has_open(tmp_path: Path) -> None:
    with hf.Replica(tmp_path / "a.db", SCHEMA) as device:
        device.execute(INSERT, ("x",))
        for database in (tmp_path / "a.db", str(tmp_path / "a.db"), f"file:{tmp_path}/a.db?mode=rw"):
            with pytest.raises(hf.HoldfastError) as raised:
                sqlite3.connect(database, uri=str(database).startswith("file:"))
            assert raised.value.code == "two_libraries"
        assert device.execute("select count(*) from note") == [(1,)]
    other = sqlite3.connect(tmp_path / "a.db")
    assert other.execute("select body from note").fetchall() == [("x",)]
    other.close()


def test_holdfast_does_not_open_a_file_that_sqlite3_has_open(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    hf.Replica(path, SCHEMA).close()
    with hf.Replica(path, SCHEMA):
        pass
    other = sqlite3.connect(path)
    for opened in (hf.Replica(path, SCHEMA), hf.Server(f"sqlite:///{path}", SCHEMA)):
        with pytest.raises(hf.HoldfastError) as raised:
            opened.__enter__()
        assert raised.value.code == "two_libraries"
    other.close()
    with hf.Replica(path, SCHEMA) as device:
        assert device.execute("select count(*) from note") == [(0,)]


def test_other_files_and_memory_are_nobodys_business(tmp_path: Path) -> None:
    with hf.Replica(tmp_path / "a.db", SCHEMA):
        for database in (":memory:", tmp_path / "b.db", "file::memory:"):
            other = sqlite3.connect(database, uri=str(database).startswith("file:"))
            assert other.execute("select 1").fetchall() == [(1,)]
            other.close()


def test_another_process_with_sqlite3_writes_while_the_file_is_open(tmp_path: Path) -> None:
    with hf.Replica(tmp_path / "a.db", SCHEMA) as device:
        device.execute(INSERT, ("ours",))
        program = (
            f"import sqlite3; d = sqlite3.connect({str(device.path)!r}); d.execute({INSERT!r}, ('theirs',)); d.commit()"
        )
        subprocess.run([sys.executable, "-c", program], check=True)
        assert device.execute("select body from note order by body") == [("ours",), ("theirs",)]
        assert [op["set"]["body"] for p in device.pending() for op in p.operations] == ["ours", "theirs"]
