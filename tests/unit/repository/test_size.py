"""Lengths are counted as stated, and the limits only fall."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from checks import size

MODULE = '''\
@decorator
def outer():
    """One."""

    async def inner():
        return 1

    return inner
'''


def test_functions_count_from_def_to_their_last_line() -> None:
    assert [(length.lines, length.place) for length in size.functions(MODULE, "m.py")] == [
        (7, "m.py:2 outer"),
        (2, "m.py:5 inner"),
    ]


@pytest.fixture
def limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A limits file of the test's own, far above and far below what is there."""
    path = tmp_path / "limits.toml"
    path.write_text("# why\n\n[src]\nfunction = 100000\nfile = 1\n\n[other]\nfunction = 100000\nfile = 100000\n")
    monkeypatch.setattr(size, "LIMITS", path)
    return path


def test_what_is_too_long_is_found_and_what_got_shorter_is_noted(limits: Path) -> None:
    assert limits.exists()
    assert any(finding.startswith("src/holdfast/errors.py: file of") for finding in size.find())
    assert len(size.notes()) == 3


def test_lowering_never_raises_and_keeps_the_comments(limits: Path) -> None:
    size.lower()
    text = limits.read_text(encoding="utf-8")
    lowered = tomllib.loads(text)
    assert text.startswith("# why\n\n[src]\n")
    assert lowered["src"]["file"] == 1
    assert 1 < lowered["other"]["file"] < 100_000
    assert 1 < lowered["src"]["function"] < 100_000
    assert size.notes() == []
