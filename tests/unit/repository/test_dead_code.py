"""Parts of the dead code check that decide."""

from __future__ import annotations

from checks.dead_code import allowed, exports


def test_exports_are_what_all_lists_and_what_is_imported() -> None:
    text = "from __future__ import annotations\nfrom .a import B as C, d\n__all__ = ['E', 'f']\nfrom x import g"
    assert exports(text) == {"C", "d", "E", "f", "g"}


def test_exceptions_have_names_and_reasons() -> None:
    content: dict[str, list[dict[str, object]]] = {"exception": [{"why": "w", "names": ["a", "b"]}, {"names": ["c"]}]}
    assert allowed(content) == {"a": "w", "b": "w", "c": ""}
