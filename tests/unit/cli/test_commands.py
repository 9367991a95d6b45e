"""The commands, as processes of their own, against a hub that `holdfast serve` serves."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from holdfast.auth.development import DevelopmentTokens
from holdfast.cli import main
from holdfast.cli.failures import Exit
from tests.unit.cli.terminals import SECRET, environment, holdfast


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """`holdfast serve` on a free port; ends it with Ctrl-C and sees that it ended well."""
    command = [sys.executable, "-m", "holdfast", "serve", "server.py", "--port", "0", "--json"]
    with subprocess.Popen(
        command, cwd=folder, env=environment({"HOLDFAST_SECRET": SECRET}), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        text = next(lines)
        while text.count("{") != text.count("}"):
            text += next(lines)
        try:
            yield json.loads(text)["url"]
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == Exit.OK


def token(user: str = "anna", space: str = "project:42") -> str:
    return DevelopmentTokens(SECRET).token(user, {space: "rw"})


def write(file: Path, sql: str) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        db.execute(sql)


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """A folder with what `holdfast init` writes."""
    assert holdfast(tmp_path, "init").code == Exit.OK
    return tmp_path


def test_init_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "server.py").write_text("mine")
    ended = holdfast(tmp_path, "init", "a")
    assert ended.code == Exit.FAILURE and "file_exists" in ended.err
    assert (tmp_path / "a" / "server.py").read_text() == "mine"
    assert not (tmp_path / "a" / "schema.py").exists()
    assert holdfast(tmp_path, "init", "b/c", "--json").document == {"written": ["b/c/schema.py", "b/c/server.py"]}


def test_two_devices_through_a_served_hub(started: Path) -> None:
    insert = "insert into submission (project_id, title, photos) values ('42', 'Ștefan''s roof', 2)"
    with serving(started) as url:
        sync = ("sync", "schema.py", "--url", url, "--json")
        assert holdfast(started, *sync, "--db", "a.db", HOLDFAST_TOKEN=token()).document["rounds"] == 1
        write(started / "a.db", insert)
        status = holdfast(started, "status", "schema.py", "--db", "a.db", "--json")
        assert (status.code, status.document["pending_count"]) == (Exit.OK, 1)
        pushed = holdfast(started, *sync, "--db", "a.db", HOLDFAST_TOKEN=token())
        assert (pushed.code, pushed.document["pushed"]) == (Exit.OK, 1)
        pulled = holdfast(started, *sync, "--db", "b.db", "--token", token("ben"))
        assert (pulled.code, pulled.document["pulled"]) == (Exit.OK, 1)
    with closing(sqlite3.connect(started / "b.db")) as db:
        assert db.execute("select title, photos from submission").fetchall() == [("Ștefan's roof", 2)]


def test_a_refusal_is_told_and_ends_with_4(started: Path) -> None:
    with serving(started) as url:
        sync = ("sync", "schema.py", "--db", "a.db", "--url", url)
        holdfast(started, *sync, HOLDFAST_TOKEN=token())
        write(started / "a.db", "insert into submission (project_id, title, status) values ('42', 'x', 'approved')")
        ended = holdfast(started, *sync, HOLDFAST_TOKEN=token(), columns=60)
        assert ended.code == Exit.REFUSED
        assert "notes_missing" in ended.out and "needs notes" in " ".join(ended.out.split())
        assert all(len(line) <= 60 for line in ended.out.splitlines())
        again = holdfast(started, *sync, "--json", HOLDFAST_TOKEN=token())
        assert (again.code, again.document["refused_count"], again.document["refused"]) == (Exit.REFUSED, 1, [])
    status = holdfast(started, "status", "schema.py", "--db", "a.db")
    assert status.code == Exit.REFUSED and "an approved submission needs notes" in status.out
    listed = holdfast(started, "status", "schema.py", "--db", "a.db", "--json").document["refused"]
    assert [item["code"] for item in listed] == ["notes_missing"]


def test_a_conflict_is_shown(started: Path) -> None:
    with serving(started) as url:
        sync = ("sync", "schema.py", "--url", url, "--db")
        holdfast(started, *sync, "a.db", HOLDFAST_TOKEN=token())
        write(started / "a.db", "insert into submission (project_id, title) values ('42', 'x')")
        for file in ("a.db", "b.db"):
            holdfast(started, *sync, file, HOLDFAST_TOKEN=token())
        for file in ("a.db", "b.db"):
            write(started / file, f"update submission set notes = 'from {file}'")
        holdfast(started, *sync, "a.db", HOLDFAST_TOKEN=token())
        ended = holdfast(started, *sync, "b.db", HOLDFAST_TOKEN=token())
    assert ended.code == Exit.OK
    assert "1 conflict" in ended.out and "from a.db" in ended.out and "from b.db" in ended.out


def test_a_damaged_copy_is_repaired(started: Path) -> None:
    with serving(started) as url:
        common = ("schema.py", "--db", "a.db", "--url", url)
        holdfast(started, "sync", *common, HOLDFAST_TOKEN=token())
        write(started / "a.db", "insert into submission (id, project_id, title) values ('gone', '42', 'x')")
        holdfast(started, "sync", *common, HOLDFAST_TOKEN=token())
        whole = holdfast(started, "verify", *common, HOLDFAST_TOKEN=token())
        assert whole.code == Exit.OK and "This copy is what the hub has" in whole.out and "1 row in" in whole.out
        write(started / "a.db", "update holdfast_state set applying = 1")
        write(started / "a.db", "delete from submission")
        write(started / "a.db", "delete from holdfast_row")
        write(started / "a.db", "update holdfast_state set applying = 0")
        ended = holdfast(started, "verify", *common, HOLDFAST_TOKEN=token(), columns=60)
        assert ended.code == Exit.OK and "Repaired here" in ended.out and "submission gone" in ended.out
        assert all(len(line) <= 60 for line in ended.out.splitlines())
        again = holdfast(started, "verify", *common, "project:42", "--json", HOLDFAST_TOKEN=token())
        assert (again.document["ok"], again.document["repaired"], again.document["rows"]) == (True, [], 1)
        unknown = holdfast(started, "verify", *common, "nowhere", HOLDFAST_TOKEN=token())
        assert unknown.code == Exit.FAILURE and "space_unknown" in unknown.err


def test_a_wrong_token_ends_with_5(started: Path) -> None:
    with serving(started) as url:
        ended = holdfast(started, "sync", "schema.py", "--db", "a.db", "--url", url, "--token", "wrong")
    assert ended.code == Exit.CREDENTIALS and "unauthenticated" in ended.err


def test_a_token_alone_on_its_line(tmp_path: Path) -> None:
    spaces = ("--space", "project:42=rw", "--space", "city=r")
    ended = holdfast(tmp_path, "token", "--user", "anna", *spaces, HOLDFAST_SECRET=SECRET)
    (line,) = ended.out.splitlines()
    identity = DevelopmentTokens(SECRET).authenticate({"authorization": f"Bearer {line}"})
    assert identity is not None
    assert (identity.user, identity.spaces) == ("anna", {"project:42": "rw", "city": "r"})


@pytest.mark.parametrize("command", ["init", "serve", "sync", "verify", "status", "token", "demo"])
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_help_has_an_example_and_fits(
    command: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main([command, "--help"]) == Exit.OK
    out = capsys.readouterr().out
    assert f"Example: holdfast {command}" in out
    assert all(len(line.rstrip()) <= columns for line in out.splitlines())
