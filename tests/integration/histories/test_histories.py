"""Real processes, killed and stopped at random, judged by public checkers. `make soak` runs them for longer."""

import json
import os
import subprocess
import sys
from contextlib import closing

import pytest

from holdfast.testing.histories.device import Orders
from holdfast.testing.histories.run import Run, run
from holdfast.testing.histories.workloads import PROFILES
from tests import postgres

SECONDS = float(os.environ.get("HOLDFAST_HISTORY_SECONDS", "3"))


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_a_hub_on_sqlite(tmp_path, profile):
    verdict = run(Run(profile, tmp_path, f"sqlite:///{tmp_path}/hub.db", devices=4, seconds=SECONDS, seed=1))
    assert verdict.wrong == []
    assert verdict.disturbances.total() >= 3
    assert verdict.operations.total() >= 100


@pytest.mark.parametrize("profile", ["bank", "set-full"])
def test_a_hub_on_postgresql(tmp_path, profile):
    with postgres.database() as store:
        verdict = run(Run(profile, tmp_path, store, devices=4, seconds=SECONDS, seed=2))
    assert verdict.wrong == []
    assert verdict.disturbances.total() >= 3
    assert verdict.operations.total() >= 100


@pytest.fixture(scope="module")
def own_server():
    """It may be killed; nobody else uses it."""
    with closing(postgres.OwnServer()) as server:
        yield server


@pytest.mark.xdist_group("postgresql that may be killed")
@pytest.mark.parametrize("profile", ["bank", "set-full"])
def test_postgresql_is_shut_down_at_once_again_and_again(tmp_path, own_server, profile):
    """Immediate shutdown, as after a failure of the machine's power supply: it recovers from its log."""
    with own_server.database() as store:
        verdict = run(Run(profile, tmp_path, store, devices=4, seconds=SECONDS, seed=5, kill_database=own_server.kill))
    assert verdict.wrong == []
    assert verdict.disturbances["kill the database"] >= 2
    assert verdict.operations.total() >= 100


def test_a_device_ends_when_the_run_has_gone(tmp_path):
    """It would look for its hub for ever, without a pause."""
    orders = Orders(
        "bank", str(tmp_path / "d.db"), str(tmp_path / "log"), "http://127.0.0.1:9", "t", 0, 0, 1, begin=True
    )
    command = [sys.executable, "-m", "holdfast.testing.histories.device", json.dumps(orders._asdict())]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "network" in ended.stderr
