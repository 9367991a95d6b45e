"""The generated reference pages say what the code says."""

from __future__ import annotations

from checks import reference


def test_the_pages_are_as_the_code_says() -> None:
    assert reference.outdated() == []


def test_every_command_and_every_code_stands_there() -> None:
    cli, errors = reference.cli(), reference.errors()
    for name in ("init", "serve", "sync", "status", "token", "demo"):
        assert f"### holdfast {name}\n" in cli
    for code in reference.CODES:
        assert f"| `{code}` |" in errors
    for code in reference.LOCAL:
        assert f"| `{code}` |" in cli
