"""Whatever is wrong, a command ends with the documented exit code and says code, message and remedy."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.cli.failures import LOCAL, MEANING, Exit, exit_of, remedy_of
from holdfast.errors import HoldfastError
from holdfast.protocol.errors import CODES
from tests.unit.cli.terminals import SCHEMA, SECRET, holdfast

DEVICE = ("--db", "device.db")
NOWHERE = ("--url", "http://127.0.0.1:9")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "schema.py").write_text(SCHEMA)
    (tmp_path / "divides.py").write_text("server = 1\nx = 1 / 0\n")
    (tmp_path / "ends.py").write_text("raise SystemExit('not today')\n")
    (tmp_path / "half.py").write_text("server = (\n")
    (tmp_path / "number.py").write_text("server = 5\nschema = 7\n")
    (tmp_path / "text.db").write_text("this is no database, only a text that is long enough to be read as one" * 20)
    return tmp_path


CASES: dict[str, tuple[tuple[str, ...], int, str, str]] = {
    "no such command": (("frobnicate",), Exit.USAGE, "usage", "frobnicate"),
    "argument missing": (("sync",), Exit.USAGE, "usage", "SCHEMA"),
    "unknown option": (("demo", "--frob"), Exit.USAGE, "usage", "--frob"),
    "not a number": (("serve", "schema.py", "--port", "many"), Exit.USAGE, "usage", "many"),
    "file missing": (("serve", "absent.py"), Exit.USAGE, "file_missing", "absent.py"),
    "a folder": (("serve", "."), Exit.USAGE, "file_missing", "folder"),
    "file fails": (("serve", "divides.py"), Exit.USAGE, "file_fails", "divides.py:2: ZeroDivisionError"),
    "file ends": (("serve", "ends.py"), Exit.USAGE, "file_fails", "not today"),
    "half a file": (("serve", "half.py"), Exit.USAGE, "file_fails", "half.py:1: SyntaxError"),
    "not Python": (("serve", "text.db"), Exit.USAGE, "file_fails", "must end with .py"),
    "name missing": (("serve", "schema.py"), Exit.USAGE, "name_missing", "'server'"),
    "other name missing": (("serve", "schema.py:hub"), Exit.USAGE, "name_missing", "'hub'"),
    "not a server": (("serve", "number.py"), Exit.USAGE, "name_missing", "int"),
    "not a schema": (("status", "number.py", *DEVICE), Exit.USAGE, "name_missing", "int"),
    "no device file": (("status", "schema.py", *DEVICE), Exit.USAGE, "file_missing", "device.db"),
    "not a database": (("status", "schema.py", "--db", "text.db"), Exit.FAILURE, "file_not_database", "text.db"),
    "no hub there": (("sync", "schema.py", *DEVICE, *NOWHERE), Exit.NETWORK, "network", "127.0.0.1:9"),
    "not a URL": (("sync", "schema.py", *DEVICE, "--url", "hub"), Exit.USAGE, "url_invalid", "hub"),
    "no secret": (("token", "--user", "anna"), Exit.USAGE, "secret_missing", "HOLDFAST_SECRET"),
    "no data": (("demo", "--data", "absent"), Exit.USAGE, "demo_data", "absent"),
    "too few devices": (("demo", "--devices", "3"), Exit.USAGE, "demo_data", "3"),
    "too few rows": (("demo", "--rows", "0"), Exit.USAGE, "demo_data", "0"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_failure_says_what_to_do(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, code, word, part = CASES[name]
    monkeypatch.chdir(folder)
    monkeypatch.delenv("HOLDFAST_SECRET", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(arguments) == code
    for_people = capsys.readouterr()
    assert for_people.out == ""
    assert word in for_people.err and part in " ".join(for_people.err.split())
    assert main([*arguments, "--json"]) == code
    for_machines = capsys.readouterr()
    assert for_machines.err == ""
    error = json.loads(for_machines.out)["error"]
    assert error["code"] == word and error["remedy"]


def test_a_port_that_is_taken(folder: Path) -> None:
    (folder / "server.py").write_text(f"{SCHEMA}server = hf.Server('memory:', schema)\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = holdfast(folder, "serve", "server.py", "--port", port)
    assert ended.code == Exit.FAILURE
    assert "address_in_use" in ended.err and port in ended.err and "--port 0" in ended.err


def test_a_hub_whose_store_cannot_be_opened_is_not_served(folder: Path) -> None:
    (folder / "server.py").write_text(f"{SCHEMA}server = hf.Server('sqlite:///no/such/folder/hub.db', schema)\n")
    ended = holdfast(folder, "serve", "server.py", "--port", "0")
    assert ended.code == Exit.FAILURE and "store_open" in ended.err


def test_packages_that_are_not_installed_are_named(folder: Path) -> None:
    """A package named like the missing one, which fails as a missing one does."""
    for package, arguments, extra in (("uvicorn", ("serve", "schema.py"), "server"), ("cyclopts", ("--help",), "cli")):
        (folder / f"{package}.py").write_text(f"raise ModuleNotFoundError('none', name={package!r})\n")
        ended = holdfast(folder, *arguments, PYTHONPATH=str(folder))
        assert ended.code == Exit.FAILURE
        assert package in ended.err and f"pip install 'holdfast[{extra}]'" in ended.err
        (folder / f"{package}.py").unlink()


def test_a_terminal_that_knows_ascii_only(folder: Path) -> None:
    ended = holdfast(folder, "status", "schema.py", "--db", "ș.db", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert ended.code == Exit.USAGE and "file_missing" in ended.err and ended.err.isascii()


def test_every_code_has_an_exit_and_a_remedy() -> None:
    for code in (*CODES, *LOCAL):
        assert exit_of(code) in MEANING
        assert remedy_of(HoldfastError(code, "")).strip()
    assert remedy_of(HoldfastError("a_hook_s_own", "")) == ""
    assert not CODES.keys() & LOCAL.keys()


def test_a_secret_that_is_too_short(folder: Path) -> None:
    ended = holdfast(folder, "token", "--user", "anna", HOLDFAST_SECRET=SECRET[:5])
    assert ended.code == Exit.USAGE and "secret_missing" in ended.err
