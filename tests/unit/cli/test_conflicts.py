"""`holdfast conflicts`, `resolve` and `history` on real files, at several widths."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.cli.application import run
from holdfast.cli.loading import load
from holdfast.testing import LocalTransport

HUB = """
import holdfast as hf


class Note(hf.Table, space="s"):
    title: str = ""
    body: hf.Review[str] = ""


schema = hf.Schema(Note)
server = hf.Server("sqlite:///{folder}/hub.db", schema, authenticate=lambda headers: None)
"""
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    file = tmp_path / "hub.py"
    file.write_text(HUB.replace("{folder}", str(tmp_path)))
    _, server = load(str(file), ("server",))
    with server:
        ways = {user: LocalTransport(server, hf.Identity(user, {"s": "rw"})) for user in ("ann", "ben")}
        devices = [hf.Replica(tmp_path / f"{user}.db", server.schema, transport=way) for user, way in ways.items()]
        ann, ben = devices
        ann.execute("insert into note (id, title, body) values ('k', 't', 'crane on site, no wind')")
        ann.sync(), ben.sync()
        ann.execute("update note set title = 'A', body = 'crane on site, light wind'")
        ben.execute("update note set title = 'B', body = 'crane gone, no wind'")
        ann.sync(), ben.sync(), ann.sync()
        for device in devices:
            device.close()
    capsys.readouterr()

    def call(*arguments: str, width: int = 100) -> tuple[int, str]:
        monkeypatch.setenv("COLUMNS", str(width))
        command, *rest = arguments
        code = run([command, str(file), *rest])
        said = capsys.readouterr()
        return code, said.out + said.err

    return call


def database(tmp_path: Path) -> tuple[str, str]:
    return "--db", str(tmp_path / "ben.db")


@pytest.mark.parametrize("width", [40, 60, 100])
def test_what_met_is_shown(site: Run, tmp_path: Path, width: int) -> None:
    code, text = site("conflicts", *database(tmp_path), width=width)
    assert code == 6
    assert all(len(line) <= width for line in text.splitlines() if not line.startswith("  holdfast"))
    words = " ".join(text.split())
    for said in ("note k, body", "waits for a decision", "mine", "theirs", "base", "1 decided conflict"):
        assert said in words
    assert ("title" in words) is False


def test_all_of_them_for_people_and_machines(site: Run, tmp_path: Path) -> None:
    _, text = site("conflicts", "--all", *database(tmp_path))
    assert "decided by register" in text
    _, text = site("conflicts", "--all", "--json", *database(tmp_path))
    found = json.loads(text)["conflicts"]
    assert [(c["column"], c["mine"], c["theirs"], c["state"]) for c in found] == [
        ("title", "B", "A", "auto"),
        ("body", "crane gone, no wind", "crane on site, light wind", "open"),
    ]
    assert found[0]["mine_by"]["user"] == "ben"


@pytest.mark.parametrize(
    ("choice", "result"),
    [(["mine"], "crane gone, no wind"), (["--value", "both"], "both"), (["--value", '"theirs?"'], "theirs?")],
)
def test_deciding(site: Run, tmp_path: Path, choice: list[str], result: str) -> None:
    _, text = site("conflicts", "--json", *database(tmp_path))
    (waiting,) = json.loads(text)["conflicts"]
    code, text = site("resolve", waiting["id"].lstrip("0"), *choice, *database(tmp_path))
    assert code == 0
    assert f"note k, body is {result}" in " ".join(text.split())
    code, text = site("conflicts", *database(tmp_path))
    assert code == 0
    assert "no conflict waits" in " ".join(text.split())


def test_mistakes(site: Run, tmp_path: Path) -> None:
    assert site("resolve", "nothing", "mine", *database(tmp_path))[0] == 1
    assert site("resolve", "nothing", *database(tmp_path))[0] == 2
    assert site("conflicts", "--db", str(tmp_path / "no.db"))[0] == 2


def test_history_as_json_lines(site: Run) -> None:
    code, text = site("history", "note")
    assert code == 0
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["op"], line["user"]) for line in lines] == [("insert", "ann"), ("update", "ann"), ("update", "ben")]
    assert lines[2]["conflicts"][0]["rule"] == "register"
    assert site("history", "note", "k")[1] == text
