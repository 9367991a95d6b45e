"""What operations cost, against what they cost when somebody looked last; no figure here is a time."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from tests.integration.costs.expectations import EXPECTED, differences
from tests.integration.costs.operations import AMONG_ALL, AMONG_MANY, SIDES, STORES, measure

WHAT_TO_DO = "if that is right, run `make costs` and commit expected.json with the reason"
MORE_STEPS = 1.1
"""A search in an index of ten times as many rows may take a step down its tree more."""


@pytest.mark.parametrize("store", STORES)
def test_operations_cost_what_they_did(store: str, tmp_path: Path) -> None:
    ground = measure(tmp_path, store)
    told = differences(store, ground.costs)
    assert not told, "\n".join([*told, WHAT_TO_DO])
    for side in SIDES if store == "sqlite" else SIDES[:1]:
        few, many = ground.steps[AMONG_MANY][side], ground.steps[AMONG_ALL][side]
        assert 0 < many < few * MORE_STEPS, (
            f"{side}: a delta costs {few:,} steps of SQLite among 1,000 rows, {many:,} among 10,000"
        )


@pytest.mark.parametrize("store", STORES)
def test_a_difference_of_one_is_told(store: str) -> None:
    expected = json.loads(EXPECTED.read_text("utf-8"))[store]
    assert differences(store, expected) == []
    for operation, cost in expected.items():
        for figure, number in cost.items():
            found = copy.deepcopy(expected)
            found[operation][figure] += 1 if not figure.startswith("bytes") else max(1, number // 10)
            assert [line.split(": ")[0] for line in differences(store, found)[:1]] == [operation]
        found = copy.deepcopy(expected)
        del found[operation]
        assert differences(store, found)
