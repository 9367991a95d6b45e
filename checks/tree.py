"""Which files belong to the project: what git knows, or would know after `git add`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def files(*suffixes: str, under: str = ".") -> list[Path]:
    """Absolute paths of the project's files, sorted; only those with one of the suffixes, when any are given.

    Ignored files are left out, new ones are not: a check must see a file before it is committed.
    Raises subprocess.CalledProcessError outside a git checkout.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", under]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    paths = (ROOT / name for name in sorted(set(listed)) if name)
    return [path for path in paths if path.is_file() and (not suffixes or path.suffix in suffixes)]


def short(path: Path) -> str:
    """The path as a person writes it: from the root of the project."""
    return path.relative_to(ROOT).as_posix()


def run(*command: str) -> list[str]:
    """Run a Python module of this environment in the root; its output lines when it fails, otherwise nothing."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode == 0:
        return []
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines or [f"{command[0]} ended with {done.returncode} and said nothing"]
