"""Code in src that nothing uses (vulture), apart from dead_code.toml, where every exception has its reason.

Tests do not count as use, for what only a test calls is dead. What users call is the exception: names exported by
holdfast and holdfast.testing, and the public members of exported classes, need a use in a test or a document only.
An exception that is no longer needed is a finding too.
"""

from __future__ import annotations

import ast
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

from vulture import Vulture

from checks import documents, tree

ALLOWED = tree.ROOT / "checks" / "dead_code.toml"
SOURCE = tree.ROOT / "src"
EXPORTING = ("src/holdfast/__init__.py", "src/holdfast/testing/__init__.py")
CONFIDENCE = 60  # vulture's own: everything it cannot see a use of
ENTRY_DECORATORS = ["@*.command", "@*.command(*", "@*.default", "@*.meta.default"]  # the command line calls these


class Unused(NamedTuple):
    """One unused thing in src."""

    place: Path
    line: int
    name: str
    message: str


def find() -> list[str]:
    """Unused functions, classes, attributes, imports and unreachable code; exceptions without need or reason."""
    inner = [path for folder in ("src", "bench", "examples") for path in tree.files(".py", under=folder)]
    with tempfile.TemporaryDirectory() as folder:
        outer = [*tree.files(".py", under="tests"), *_documented(Path(folder))]
        by_nobody = set(unused([*inner, *outer]))
    modules = [tree.ROOT / module for module in EXPORTING if (tree.ROOT / module).exists()]
    exported = {name for module in modules for name in exports(module.read_text(encoding="utf-8"))}
    dead = [item for item in unused(inner) if item in by_nobody or not _is_public(item, exported)]
    dead = [item for item in dead if item.name not in entry_points() and not _is_column(item) and not _is_suite(item)]
    reasons = allowed(tomllib.loads(ALLOWED.read_text(encoding="utf-8")))
    needless = set(reasons) - {item.name for item in dead}
    return [
        *(f"{tree.short(item.place)}:{item.line}: {item.message}" for item in dead if item.name not in reasons),
        *(f"checks/dead_code.toml: '{name}' needs no exception any more" for name in sorted(needless)),
        *(f"checks/dead_code.toml: '{name}' without a reason" for name, why in reasons.items() if not why.strip()),
    ]


def unused(paths: list[Path]) -> list[Unused]:
    """What vulture finds in the files of src among `paths`."""
    watch = Vulture(ignore_decorators=ENTRY_DECORATORS)
    watch.scavenge([str(path) for path in paths])
    return [
        Unused(Path(item.filename), item.first_lineno, item.name, item.message)
        for item in watch.get_unused_code(min_confidence=CONFIDENCE)
        if Path(item.filename).is_relative_to(SOURCE)
    ]


def entry_points() -> set[str]:
    """The functions that pyproject.toml names as programs."""
    project = tomllib.loads((tree.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {target.rpartition(":")[2] for target in project.get("scripts", {}).values()}


def exports(text: str) -> set[str]:
    """The public names of a package's __init__: what __all__ lists and what it imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.ImportFrom(module=module) if module != "__future__":
                names |= {alias.asname or alias.name for alias in node.names}
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=listed) | ast.Tuple(elts=listed)):
                names |= {str(item.value) for item in listed if isinstance(item, ast.Constant)}
    return names


def allowed(content: dict[str, list[dict[str, object]]]) -> dict[str, str]:
    """Name -> reason, from the [[exception]] tables of dead_code.toml."""
    return {
        str(name): str(group.get("why", ""))
        for group in content.get("exception", [])
        for name in (group["names"] if isinstance(group["names"], list) else [])
    }


def _is_public(item: Unused, exported: set[str]) -> bool:
    """Whether users are meant to use it: exported, or a public member of an exported class."""
    if item.name.startswith("_"):
        return False
    for node in ast.parse(item.place.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.lineno < item.line <= (node.end_lineno or node.lineno):
            return node.name in exported
    return item.name in exported


def _is_suite(item: Unused) -> bool:
    """Whether pytest calls it: the contract of stores is a suite that lives in src, so that anybody can run it."""
    return item.place.parent.name == "contract" and item.name.startswith(("test_", "teardown_method"))


def _is_column(item: Unused) -> bool:
    """Whether it is a column in a table declaration: SQL uses it."""
    for node in ast.walk(ast.parse(item.place.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and node.lineno < item.line <= (node.end_lineno or node.lineno):
            return any(ast.unparse(base) in ("hf.Table", "Table") for base in node.bases)
    return False


def _documented(folder: Path) -> list[Path]:
    """The Python blocks of every page, one file a page, as further users of the public names."""
    written = []
    for number, page in enumerate(documents.pages()):
        found = documents.runnable(page.read_text(encoding="utf-8"))
        path = folder / f"page_{number}.py"
        path.write_text("\n".join(block.text for block in found if block.language == "python"), encoding="utf-8")
        written.append(path)
    return written
