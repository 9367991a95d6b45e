"""README.md runs as printed, in an empty folder."""

from __future__ import annotations

from checks import documents, tree


def test_the_readme_runs() -> None:
    assert documents.run(tree.ROOT / "README.md") == []


def test_the_quickstart_is_about_fifteen_lines() -> None:
    text = documents.quickstart()
    assert text is not None
    code = [line for line in text.splitlines() if line.strip() and not line.startswith(("assert", "import"))]
    assert len(code) <= 20
