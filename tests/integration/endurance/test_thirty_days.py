"""The thirty days, in a process of their own: their full disks are those of every file of the process."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SEEDS = range(1, 1 + int(os.environ.get("HOLDFAST_THIRTY_DAYS", "1")))
"""`HOLDFAST_THIRTY_DAYS=20` lives through them twenty times."""


def test_thirty_days(tmp_path: Path) -> None:
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        folder.mkdir()
        command = [sys.executable, "-m", "tests.integration.endurance.thirty_days", str(folder), str(seed)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        facts = ast.literal_eval(done.stdout.rpartition("}")[0] + "}")
        print(done.stdout)
        assert facts["restores"] == 1
        assert facts["network"] > 3, "answers were lost on the day of the restore"
        assert facts["disk_full"] == 4
        assert facts["upgrades"] > 30
        assert facts["collected"] > 100
        assert facts["largest skew in days"] > 300
        assert facts["syncs"] > 300
