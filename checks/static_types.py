"""mypy, strict, over src and checks (settings in pyproject.toml)."""

from __future__ import annotations

from checks import tree


def find() -> list[str]:
    """One line a type error."""
    return tree.run("mypy", "--no-error-summary")
