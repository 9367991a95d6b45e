"""Kernel and protocol: every branch is taken by the tests that are about them.

Only those tests run, not the whole suite: a branch that an end-to-end test happens to pass is not thereby tested.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from checks import tree

TESTS = ("tests/unit/kernel", "tests/unit/protocol", "tests/vectors")


def find() -> list[str]:
    """Lines and branches without a test, or the failing tests."""
    tests = [folder for folder in TESTS if any((tree.ROOT / folder).rglob("test_*.py"))]
    if not tests:
        return [f"no tests in {', '.join(TESTS)}"]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"HOLDFAST_HYPOTHESIS": "fixed", "COVERAGE_FILE": str(Path(folder) / "coverage")}
        pytest = ["run", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
        failing = _coverage(environment, *pytest)
        if failing:
            return failing
        return _coverage(environment, "report", "--fail-under=100", "--precision=2")


def _coverage(environment: dict[str, str], *arguments: str) -> list[str]:
    """Output lines of a coverage command that failed."""
    command = [sys.executable, "-m", "coverage", *arguments]
    done = subprocess.run(command, cwd=tree.ROOT, env=environment, check=False, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().splitlines() if done.returncode else []
