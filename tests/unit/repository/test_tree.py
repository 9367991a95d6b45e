"""The checks that need no tool but Python, on the project as it is. (make check runs these and the rest.)"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from checks import documents, imports, links, machine_names, size, vectors

QUICK = {
    "imports": imports.find,
    "size": size.find,
    "links": links.find,
    "vectors": vectors.find,
    "machine_names": machine_names.find,
}


@pytest.mark.parametrize("find", QUICK.values(), ids=list(QUICK))
def test_project_is_clean(find: Callable[[], list[str]]) -> None:
    assert find() == []


def test_readme_has_a_quickstart() -> None:
    assert documents.quickstart()
