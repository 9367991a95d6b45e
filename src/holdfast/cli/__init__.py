"""The command line, `holdfast`: one file a command; `failures.py`: exit codes, `terminal.py`: how it looks.

Only this module is imported before it is known that the packages of the `cli` extra are there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `holdfast` with `arguments` (those of the process if None) and give its exit code. No exception leaves it."""
    try:
        from holdfast.cli.application import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("cyclopts", "rich"):
            raise
        print(f"The command line needs the package {error.name}: pip install 'holdfast[cli]'", file=sys.stderr)
        return 1
    return run(sys.argv[1:] if arguments is None else list(arguments))
