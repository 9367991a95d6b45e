"""`python -m checks [name ...]`: run the checks and print what they find.

Exit code 1 when there is anything, 2 when there is no such check.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from checks import (
    core_coverage,
    dead_code,
    documents,
    formatting,
    imports,
    links,
    lint,
    machine_names,
    size,
    static_types,
    vectors,
)

# Quick ones first.
CHECKS: dict[str, Callable[[], list[str]]] = {
    "imports": imports.find,
    "size": size.find,
    "links": links.find,
    "vectors": vectors.find,
    "machine_names": machine_names.find,
    "lint": lint.find,
    "formatting": formatting.find,
    "dead_code": dead_code.find,
    "static_types": static_types.find,
    "core_coverage": core_coverage.find,
    "documents": documents.find,
}


def findings_of(name: str) -> list[str]:
    """What one check finds; a file that is no Python is a finding and does not stop the other checks."""
    try:
        return CHECKS[name]()
    except SyntaxError as error:
        return [f"{error.filename}:{error.lineno}: {error.msg}"]


def main(names: Sequence[str]) -> int:
    """Run the named checks, or all; the exit code."""
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        print(f"no such check: {', '.join(unknown)}; there are: {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    failed = []
    for name in names or CHECKS:
        start = time.monotonic()
        findings = findings_of(name)
        print(f"{'FAILED' if findings else 'ok':7}{name:15}{time.monotonic() - start:6.1f} s", flush=True)
        for finding in findings:
            print(f"       {finding}", flush=True)
        if findings:
            failed.append(name)
    for note in size.notes() if "size" in (names or CHECKS) and "size" not in failed else []:
        print(f"note   {note}")
    if failed:
        print(f"\nFailed: {', '.join(failed)}. Again: make check ONLY='{' '.join(failed)}'")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
