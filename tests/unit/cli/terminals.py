"""Running the command line as a user does: a process of its own, with what it printed and how it ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

SCHEMA = """
import holdfast as hf
class Item(hf.Table, space="shop"):
    name: str
    stock: hf.Counter = 0
schema = hf.Schema(Item)
"""
SECRET = "sixteen characters and more"


class Ended(NamedTuple):
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def environment(extra: Mapping[str, str] | None = None, *, columns: int = 80) -> dict[str, str]:
    """The process environment without what would change how commands behave."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    return kept | {"COLUMNS": str(columns), "NO_COLOR": "1", "PYTHONUTF8": "1"} | dict(extra or {})


def holdfast(folder: Path, *arguments: str, columns: int = 80, **extra: str) -> Ended:
    """Run `holdfast` in a folder; upper-case keywords are environment variables."""
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", *arguments],
        cwd=folder,
        env=environment(extra, columns=columns),
        capture_output=True,
        text=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)
