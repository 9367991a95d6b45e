"""Imports point one way, and the kernel is pure. The rules are one table, each with its reason.

Read from the syntax tree, so an import inside a function or under TYPE_CHECKING counts like any other: it is knowledge.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from checks import tree

PACKAGE = "holdfast"
SOURCE = tree.ROOT / "src" / PACKAGE
STANDARD_LIBRARY = sys.stdlib_module_names
ANY = "*"


class Rule(NamedTuple):
    """What one part of the package may import.

    `inside`: parts or modules of holdfast (`stores.base` allows that module only), `ANY` for all;
    `outside`: top-level names of installed packages. The standard library is free, but see FORBIDDEN_IN_KERNEL.
    """

    inside: frozenset[str]
    outside: frozenset[str]
    why: str


def _rule(inside: str, outside: str, why: str) -> Rule:
    return Rule(frozenset(inside.split()), frozenset(outside.split()), why)


RULES: dict[str, Rule] = {
    "errors": _rule("", "", "everybody raises it, so it may know nobody"),
    "observe": _rule(
        "errors", "opentelemetry", "metrics, logs and traces are told by everybody, so it may know nobody"
    ),
    "kernel": _rule("", "msgspec pycrdt", "pure and written twice (Python, TypeScript): nothing from here may leak in"),
    "schema": _rule("errors kernel", "msgspec", "a declaration knows values, for its defaults, and no storage"),
    "protocol": _rule("errors kernel schema", "msgspec zstandard", "bytes to bytes: no store, no file, no socket"),
    "stores": _rule(
        "errors kernel schema protocol",
        "apsw msgspec psycopg psycopg_pool",
        "a store must be replaceable: it knows no hub",
    ),
    "hub": _rule(
        "errors observe kernel schema protocol stores.base stores.chain stores.kept stores.listing",
        "msgspec",
        "the core runs on any store, without any transport",
    ),
    "replica": _rule(
        "errors observe kernel schema protocol edge.http",
        "apsw msgspec pycrdt zstandard",
        "a device has no server in it, only a way to one",
    ),
    "images": _rule(
        "errors observe schema protocol hub replica stores.base",
        "apsw msgspec zstandard",
        "what a device begins with is made by the replica's own code, for the hub",
    ),
    "one_sqlite": _rule("errors", "", "a guard that every opener of an SQLite file needs"),
    "server": _rule(ANY, "starlette", "joins a hub, its store and its doors"),
    "auth": _rule("errors kernel schema protocol hub.identity", "msgspec", "who asks does not depend on the transport"),
    "edge": _rule(
        "errors observe kernel schema protocol hub",
        "msgspec starlette uvicorn urllib3 websockets zstandard anyio",
        "thin input and output around the core; it decides nothing and opens no store",
    ),
    "adopt": _rule(
        "errors kernel schema stores.postgres",
        "psycopg",
        "reads a database and writes a schema; no hub and no device is running then",
    ),
    "cli": _rule(ANY, "apsw cyclopts msgspec rich starlette urllib3 uvicorn", "the terminal joins everything"),
    "testing": _rule(
        ANY, "apsw hypothesis msgspec psycopg pytest starlette uvicorn", "what users test with may join everything"
    ),
    "__init__": _rule(ANY, "", "the public names, gathered; what they need is imported where they live"),
    "__main__": _rule(ANY, "", "python -m holdfast"),
}

# Everybody may know these: they hold no behaviour of their own.
FOR_ALL = frozenset({"errors", "one_sqlite"})

# The kernel gets time, randomness and storage as arguments (design, principle 1).
FORBIDDEN_IN_KERNEL: dict[str, str] = {
    **dict.fromkeys(("time", "sched", "signal"), "time is passed in as `now`"),
    **dict.fromkeys(("random", "secrets"), "randomness is passed in"),
    **dict.fromkeys(
        ("os", "io", "pathlib", "tempfile", "shutil", "glob", "fcntl", "mmap", "subprocess", "sys"),
        "no files, no processes, no environment",
    ),
    **dict.fromkeys(("socket", "ssl", "http", "urllib", "select", "selectors"), "no network"),
    **dict.fromkeys(("sqlite3", "apsw", "dbm", "shelve"), "no storage"),
    **dict.fromkeys(("asyncio", "threading", "multiprocessing", "concurrent", "queue"), "no concurrency"),
    **dict.fromkeys(("logging", "warnings", "importlib", "locale", "platform"), "no effect but the returned value"),
    **dict.fromkeys(("uuid.uuid1", "uuid.uuid4", "uuid.uuid6", "uuid.uuid7", "uuid.uuid8", "uuid.getnode"), "not pure"),
}
IMPURE_METHODS = frozenset({"now", "utcnow", "today"})  # datetime.now() and its like
IMPURE_NAMES = frozenset({"open", "print", "input", "exec", "eval", "__import__", "breakpoint"})


class Import(NamedTuple):
    """One imported dotted name and the line it stands in."""

    name: str
    line: int


def find() -> list[str]:
    """Every import against the table, and every impure call in the kernel."""
    findings = []
    for path in tree.files(".py", under="src"):
        inner = path.relative_to(SOURCE)
        findings += judge(inner, path.read_text(encoding="utf-8"))
    return findings


def judge(inner: Path, text: str) -> list[str]:
    """Findings for one module; `inner` is its path inside the package, such as `kernel/clock.py`."""
    place = f"src/{PACKAGE}/{inner.as_posix()}"
    part = inner.parts[0].removesuffix(".py")
    rule = RULES.get(part)
    if rule is None:
        return [f"{place}: no rule for '{part}': add it to RULES in checks/imports.py with its reason"]
    syntax = ast.parse(text, filename=place)
    findings = []
    for imported in _imports(syntax, inner):
        complaint = _complaint(imported.name, part, rule)
        if complaint:
            findings.append(f"{place}:{imported.line}: {complaint}")
    if part == "kernel":
        findings += [f"{place}:{line}: the kernel is pure: {what}" for what, line in _impurities(syntax, inner)]
    return findings


def _complaint(name: str, part: str, rule: Rule) -> str:
    """Why this import is not allowed here; "" when it is."""
    top, _, rest = name.partition(".")
    if top == PACKAGE:
        target = rest.partition(".")[0] or "__init__"
        allowed = rule.inside | FOR_ALL | {part}
        if ANY in allowed or target in allowed or any(f"{rest}.".startswith(f"{entry}.") for entry in allowed):
            return ""
        return f"'{part}' imports '{name}': {rule.why}"
    if top in STANDARD_LIBRARY or top in rule.outside:
        return ""
    return f"'{part}' imports '{top}' from outside, allowed are {sorted(rule.outside)}: {rule.why}"


def _impurities(syntax: ast.Module, inner: Path) -> Iterator[tuple[str, int]]:
    for imported in _imports(syntax, inner):
        for name in (imported.name, imported.name.partition(".")[0]):
            if name in FORBIDDEN_IN_KERNEL:
                yield f"'{imported.name}': {FORBIDDEN_IN_KERNEL[name]}", imported.line
                break
    for node in ast.walk(syntax):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name) if f"{module}.{name}" in FORBIDDEN_IN_KERNEL:
                yield f"'{module}.{name}' is random or knows the machine", node.lineno
            case ast.Call(func=ast.Attribute(attr=name)) if name in IMPURE_METHODS:
                yield f"'{name}()' reads a clock", node.lineno
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_NAMES:
                yield f"'{name}()' has an effect", node.lineno


def _imports(syntax: ast.Module, inner: Path) -> Iterator[Import]:
    """Every imported name, dotted and absolute; `from m import n` gives `m.n`, for n may be a module."""
    for node in ast.walk(syntax):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, inner)
            yield from (Import(f"{module}.{alias.name}", node.lineno) for alias in node.names)


def _absolute(node: ast.ImportFrom, inner: Path) -> str:
    """The dotted name of the module in a from-import, relative ones resolved."""
    if not node.level:
        return node.module or ""
    folders = [PACKAGE, *inner.parent.parts]
    base = folders[: len(folders) - (node.level - 1)]
    return ".".join([*base, *([node.module] if node.module else [])])
