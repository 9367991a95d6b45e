"""Every merge type on three devices and two stores: any order, repetition and grouping gives what the model says."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.replica import outbox
from tests.postgres import database
from tests.properties.convergence import every_type
from tests.properties.convergence.every_type import DEVICES, FIRST, Way, check_decided, check_lattices, plan_of, played

ORDERS = list(itertools.permutations(DEVICES))
ROUNDS = int(os.environ.get("HOLDFAST_EVERY_TYPE", "2"))
LATTICES = ("title", "hits", "tags", "seen", "first", "best", "body", "setup")


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_any_order_any_repetition_any_grouping(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, dice = plan_of(seed), random.Random(f"ways {seed}")
    found = []
    for number, order in enumerate(ORDERS):
        way = Way(order, dice.choice([1, 3, 100]), dice.choice([300, 2**22]), dice.choice([1, 3]))
        monkeypatch.setattr(outbox, "BATCH_BYTES", way.batch)
        store = f"sqlite:///{tmp_path}/{number}.hub" if number % 2 else "memory:"
        shown = dict(zip(FIRST, played(plan, way, store, tmp_path / str(number))["row"], strict=True))
        check_lattices(plan, shown)
        check_decided(plan, order, shown)
        found.append({name: shown[name] for name in LATTICES})
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_every_store_gives_the_same_to_the_bit(store: str, tmp_path: Path) -> None:
    way = every_type.FIXED
    wanted = played(plan_of(0), way, "memory:", tmp_path / "memory")
    if store == "sqlite":
        assert played(plan_of(0), way, f"sqlite:///{tmp_path}/hub", tmp_path / "a") == wanted
    else:
        with database() as url:
            assert played(plan_of(0), way, url, tmp_path / "a") == wanted


@pytest.mark.parametrize("hashes", ["1", "2"])
def test_another_run_and_another_python_give_the_same(hashes: str) -> None:
    """The fingerprints are written down here, so that every version of Python that runs this test gives them."""
    run = [sys.executable, "-m", "tests.properties.convergence.every_type"]
    done = subprocess.run(run, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": hashes}, check=True)
    assert done.stdout.split() == ["a587b18d6500d141", "b088dd3074e8f4aa"]
