"""One layout of code for everybody: ruff's formatter."""

from __future__ import annotations

from checks import tree


def find() -> list[str]:
    """Files that `make format` would change."""
    return tree.run("ruff", "format", "--quiet", "--check", "--output-format", "concise", ".")
