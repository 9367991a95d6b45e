"""Ruff's rules, chosen in pyproject.toml."""

from __future__ import annotations

from checks import tree


def find() -> list[str]:
    """One line a violation; `make format` mends what can be mended without thinking."""
    return tree.run("ruff", "check", "--quiet", "--output-format", "concise", ".")
