"""`holdfast codegen`: whole files only, and only over files that it made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.cli.failures import Exit
from tests.unit.cli.terminals import holdfast

SCHEMA = """
import holdfast as hf

class Note(hf.Table, space="all"):
    body: str

schema = hf.Schema(Note)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "schema.py").write_text(SCHEMA)
    return tmp_path


def test_a_file_is_made_kept_and_made_anew(folder: Path) -> None:
    arguments = ("codegen", "ts", "schema.py", "--out", "schema.ts")
    made = holdfast(folder, *arguments, "--json")
    assert made.code == Exit.OK
    assert json.loads(made.out)["changed"] is True
    text = (folder / "schema.ts").read_text()
    assert text == holdfast(folder, "codegen", "ts", "schema.py").out
    assert "readonly body: string;" in text
    assert json.loads(holdfast(folder, *arguments, "--json").out)["changed"] is False
    assert "unchanged" in holdfast(folder, *arguments, "--check").out
    (folder / "schema.py").write_text(SCHEMA.replace("body: str", "body: str\n    size: int = 0"))
    stale = holdfast(folder, *arguments, "--check")
    assert (stale.code, "codegen_stale" in stale.err) == (Exit.FAILURE, True)
    assert (folder / "schema.ts").read_text() == text
    assert holdfast(folder, *arguments).code == Exit.OK
    assert "readonly size: number;" in (folder / "schema.ts").read_text()
    assert sorted(path.name for path in folder.glob("*.ts")) == ["schema.ts"]
    assert not list(folder.glob("tmp*"))


def test_a_file_of_a_person_is_never_overwritten(folder: Path) -> None:
    (folder / "mine.ts").write_text("export const mine = 1;\n")
    ended = holdfast(folder, "codegen", "ts", "schema.py", "--out", "mine.ts")
    assert (ended.code, "file_exists" in ended.err) == (Exit.FAILURE, True)
    assert (folder / "mine.ts").read_text() == "export const mine = 1;\n"


def test_a_missing_folder_and_a_missing_name_are_told(folder: Path) -> None:
    ended = holdfast(folder, "codegen", "ts", "schema.py", "--out", "nowhere/schema.ts")
    assert "file_unusable" in ended.err
    assert ended.code != Exit.OK
    ended = holdfast(folder, "codegen", "ts", "schema.py", "--check")
    assert (ended.code, "--out" in ended.err) == (Exit.USAGE, True)
