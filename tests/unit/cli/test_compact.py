"""`holdfast compact`: what it collects, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.cli.application import run
from holdfast.cli.failures import Exit
from holdfast.testing import LocalTransport

SCHEMA = """
import holdfast as hf

class Note(hf.Table, space="site"):
    text: str = ""

schema = hf.Schema(Note)
"""


def test_what_was_deleted_long_ago_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, url = tmp_path / "notes.py", f"sqlite:///{tmp_path}/hub.db"
    file.write_text(SCHEMA, "utf-8")
    names: dict[str, object] = {}
    exec(SCHEMA, names)
    schema = names["schema"]
    assert isinstance(schema, hf.Schema)
    now = 210_000_000_000
    with hf.Server(url, schema, now=lambda: now) as server:
        way = LocalTransport(server, hf.Identity("anna", {"site": "rw"}))
        with hf.Replica(tmp_path / "anna.db", schema, transport=way, now=lambda: now) as anna:
            anna.executemany("insert into note (id) values (?)", [(f"n{n}",) for n in range(5)])
            anna.sync()
            anna.execute("delete from note where id in ('n1', 'n2')")
            anna.sync()
            anna.execute("update note set text = 'x' where id = 'n3'")
            anna.sync()
    assert run(["compact", str(file), "--database", url, "--days", "36000"]) == Exit.OK
    assert "Nothing to collect" in capsys.readouterr().out
    assert run(["compact", str(file), "--database", url, "--days", "1", "--json"]) == Exit.OK
    done = json.loads(capsys.readouterr().out)
    assert done["records"] >= 2
    assert (done["conflicts"], done["spaces"]) == (0, 1)
    assert run(["compact", str(file), "--database", url, "--days", "1"]) == Exit.OK
    assert "Nothing to collect" in capsys.readouterr().out
    assert run(["compact", str(file), "--database", url, "--days", "-1"]) == Exit.USAGE
    assert "--days -1" in capsys.readouterr().err
    with hf.Server(url, schema) as server:
        *_, report = server.verify()
        assert (report.ok, report.rows) == (True, 3)
