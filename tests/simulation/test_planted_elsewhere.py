"""Faults that another checker than the simulator finds: that checker is run with the fault in all its processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.planted_elsewhere import ELSEWHERE, Elsewhere

ROOT = Path(__file__).resolve().parents[2]
FAILED = 1
"""The exit code of pytest when a test failed; another one says that something else went wrong."""


@pytest.mark.parametrize("fault", ELSEWHERE, ids=[fault.name for fault in ELSEWHERE])
def test_the_named_checker_finds_it(fault: Elsewhere) -> None:
    path = os.pathsep.join((str(Path(__file__).parent / "in_processes"), str(ROOT)))
    # The fault brings libraries in before pytest looks at them.
    options = [
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]
    command = [sys.executable, "-m", "pytest", *options, fault.checker]
    environment = os.environ | {
        "HOLDFAST_PLANTED": fault.name,
        "PYTHONPATH": path,
        "CI": "1",
        "HOLDFAST_CRASH_EVERY": "31",
        "HOLDFAST_HYPOTHESIS": "planted",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # importing them costs more than most of these checkers
    }
    environment.pop("PYTEST_XDIST_WORKER", None)
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == FAILED, run.stdout[-3000:] + run.stderr[-3000:]
    assert fault.says in run.stdout, run.stdout[-3000:]
    assert "\nFAILED " in run.stdout, run.stdout[-3000:]
