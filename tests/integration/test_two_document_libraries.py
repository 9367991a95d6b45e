"""pycrdt in Python and yjs in Node: the same documents from the same edits, whichever of them made the edit.

In turns one language edits (with emoji, combining marks and texts on both sides of the surrogates) and both apply.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.integration.two_kernels import drivers

Form = dict[str, Any]
WORDS = ("a", "pump", "é", "e\u0301", "😀", "👩‍👩‍👧", "\ud7ff\ue000", "～", " ", "柱", "fox jumps")
TURNS, DOCUMENTS = 25, 12


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    stale = drivers.stale_sources()
    assert not stale, f"newer than the driver that was built: {', '.join(stale)}; run `make web-build`"


def column(merge: str) -> Form:
    kind, default = ("json", {}) if merge == "json" else ("text", "")
    return {"merge": merge, "type": kind, "element": "", "default": default, "nullable": False}


def some_json(rng: random.Random, depth: int = 2) -> Any:
    kind = rng.randrange(6 if depth else 4)
    if kind == 4:
        return [some_json(rng, depth - 1) for _ in range(rng.randrange(3))]
    if kind == 5:
        return {rng.choice(WORDS): some_json(rng, depth - 1) for _ in range(rng.randrange(3))}
    return (rng.randint(-300, 2**53 - 1), rng.random(), rng.choice(WORDS), rng.random() < 0.5)[kind]


def changed(rng: random.Random, merge: str, value: Any) -> Any:
    if merge == "json":
        root = dict(value) if isinstance(value, dict) else {}
        root[rng.choice("abc")] = some_json(rng)
        if rng.random() < 0.3:
            root.pop(rng.choice("abc"), None)
        return root
    place = rng.randint(0, len(value))
    return value[:place] + rng.choice(WORDS) + value[place + rng.choice((0, 0, 1, 5)) :]


def ask(driver: drivers.Driver, calls: list[tuple[str, Form]]) -> list[Form]:
    return [json.loads(line) for line in driver.start(calls).read()]


@pytest.mark.parametrize("merge", ["text", "json", "merge_text"])
def test_two_libraries_make_one_document(merge: str) -> None:
    rng = random.Random(merge)
    start = {"value": {} if merge == "json" else "", "stamp": None, "state": None}
    cells: list[Form] = [dict(start) for _ in range(DOCUMENTS)]
    with drivers.Driver("python") as python, drivers.Driver("typescript") as typescript:
        for turn in range(TURNS):
            wanted = [changed(rng, merge, cell["value"]) for cell in cells]
            edits = [
                ("merges.difference", {"column": column(merge), "old_value": cell["value"], "old_state": cell["state"],
                                       "new_value": value})
                for cell, value in zip(cells, wanted, strict=True)
            ]  # fmt: skip
            changes = [answer["out"] for answer in ask((python, typescript)[turn % 2], edits)]
            stamp = f"{turn:014x}-{'ab'[turn % 2] * 12}"
            applies = [
                ("merges.apply", {"column": column(merge), "cell": cell, "change": change, "stamp": stamp, "dot": stamp,
                                  "hub": "1" * 12})
                for cell, change in zip(cells, changes, strict=True)
            ]  # fmt: skip
            ours, theirs = ask(python, applies), ask(typescript, applies)
            for one, two, value in zip(ours, theirs, wanted, strict=True):
                assert (one["out"]["value"], one["out"]["stamp"]) == (two["out"]["value"], two["out"]["stamp"])
                assert one["out"]["value"] == value
                assert merge != "merge_text" or one == two, "its state is ours, and the same to the byte"
            cells = [answer["out"] for answer in (ours, theirs)[turn // 2 % 2]]
