"""A ratchet on length: the longest function and file of src, tests and the rest are held in limits.toml and only fall.

A function counts from `def` to its last line, docstring and nested functions included; a file counts all its lines.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from checks import tree

LIMITS = tree.ROOT / "checks" / "limits.toml"
KINDS = ("function", "file")


class Length(NamedTuple):
    """One measured thing: lines, and where it is."""

    lines: int
    place: str


def find() -> list[str]:
    """Everything longer than the limit of its part."""
    limits, measured = _limits(), measure()
    return [
        f"{length.place}: {kind} of {length.lines} lines, limit of {part}: {limits[part][kind]}; split it by concept"
        for part in limits
        for kind in KINDS
        for length in measured[part][kind]
        if length.lines > limits[part][kind]
    ]


def notes() -> list[str]:
    """Limits that are higher than anything left: the code got smaller, so the limit falls."""
    limits = _limits()
    return [
        f"longest {kind} of {part} has {longest} lines, limit {limits[part][kind]}: python -m checks.size --lower"
        for part, kinds in _longest().items()
        for kind, longest in kinds.items()
        if 0 < longest < limits[part][kind]
    ]


def measure() -> dict[str, dict[str, list[Length]]]:
    """Every function and file of the project by part ("src", "tests", "other") and kind."""
    measured: dict[str, dict[str, list[Length]]] = {part: {kind: [] for kind in KINDS} for part in _limits()}
    for path in tree.files(".py"):
        name = tree.short(path)
        top = name.split("/", 1)[0]
        part = measured[top if top in measured else "other"]
        text = path.read_text(encoding="utf-8")
        part["file"].append(Length(len(text.splitlines()), name))
        part["function"].extend(functions(text, name))
    return measured


def functions(text: str, name: str) -> list[Length]:
    """Length of every function in a module's text."""
    return [
        Length((node.end_lineno or node.lineno) - node.lineno + 1, f"{name}:{node.lineno} {node.name}")
        for node in ast.walk(ast.parse(text, filename=name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def lower() -> None:
    """Write today's maxima into limits.toml; a limit is never raised by this."""
    limits, lines, part = _limits(), [], ""
    longest = _longest()
    for line in LIMITS.read_text(encoding="utf-8").splitlines():
        kind = line.split("=")[0].strip()
        if line.startswith("["):
            part = line.strip("[]")
        if part and kind in KINDS:
            line = f"{kind} = {min(limits[part][kind], longest[part][kind] or limits[part][kind])}"
        lines.append(line)
    LIMITS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _limits() -> dict[str, dict[str, int]]:
    return tomllib.loads(Path(LIMITS).read_text(encoding="utf-8"))


def _longest() -> dict[str, dict[str, int]]:
    return {
        part: {kind: max((length.lines for length in lengths), default=0) for kind, lengths in kinds.items()}
        for part, kinds in measure().items()
    }


if __name__ == "__main__":
    if sys.argv[1:] != ["--lower"]:
        sys.exit("usage: python -m checks.size --lower")
    lower()
