"""No file tells about the machine it was made on: no absolute paths of it, no package index it uses."""

from __future__ import annotations

import re

from checks import tree

PATTERNS: dict[str, re.Pattern[str]] = {
    "a path of one machine": re.compile(
        r"(?<![\w./~-])/(?:root|work|home/[\w.-]+|Users/[\w.-]+|opt/[\w.-]+|tmp/[\w.-]+)(?=[/\s\"'`:;,)]|$)"
        r"|\b[A-Z]:\\Users\\"
    ),
    "a package index": re.compile(
        r"(?:extra[-_])?index[-_]url\b|trusted[-_]host\b|find[-_]links\b"
        r"|files\.pythonhosted\.[o]rg|pypi\.[o]rg/simple|registry\.npmjs\.[o]rg|registry\.yarnpkg\.[c]om",
        re.IGNORECASE,
    ),
}
BINARY = b"\0"
# This module holds the patterns, its test the examples.
EXEMPT = frozenset({"checks/machine_names.py", "tests/unit/repository/test_machine_names.py"})


def find() -> list[str]:
    """One line for each place that names a machine or an index."""
    findings = []
    for path in tree.files():
        data = path.read_bytes()
        if BINARY in data[:8192] or tree.short(path) in EXEMPT:
            continue
        findings += judge(tree.short(path), data.decode("utf-8", errors="replace"))
    return findings


def judge(name: str, text: str) -> list[str]:
    """Findings for one file's text."""
    return [
        f"{name}:{number}: {what}: {match.group(0)!r}"
        for number, line in enumerate(text.splitlines(), start=1)
        for what, pattern in PATTERNS.items()
        for match in pattern.finditer(line)
    ]
