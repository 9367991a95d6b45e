"""The pages under docs/reference are made from the code: `python -m checks.reference` writes them.

A test compares them with what stands there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from checks import tree
from holdfast.cli.application import COMMANDS, app
from holdfast.cli.failures import LOCAL, MEANING
from holdfast.observe.hub_metrics import SPECS
from holdfast.observe.logs import EVENTS
from holdfast.protocol.errors import CODES
from holdfast.replica.states import STATES, TRANSITIONS, diagram
from tests.simulation.planted_elsewhere import ELSEWHERE, Elsewhere
from tests.simulation.planted_one_way import PLANTED, Planted

ABOUT_ERRORS = (
    "Every error is a `HoldfastError` with `code`, `message` and `details`; over HTTP a JSON object with the same "
    "members. A code keeps its meaning for ever; messages are for people and may change."
)
ABOUT_HOOKS = (
    "A hook may refuse with a code of its own: `hf.Refuse(reason, code=)`. The command line has "
    "[a few more](cli.md#its-own-errors)."
)
ABOUT_CLI = (
    "`holdfast COMMAND --help` shows the same. With `--json` standard output is one JSON document; of a failure it is "
    '`{"error": {"code", "message", "remedy", "details"}}`. Progress and errors for people go to standard error.'
)
ABOUT_METRICS = (
    "`GET /metrics` gives them in Prometheus' text format to who has the token of `Server(metrics_token=)`. "
    "Each process counts for itself, from its start. A metric has at most 100 series; what comes after them is"
    " counted under the label `other`. Bytes are those before compression, times are in seconds. [How to set "
    "it up](../howto/monitor.md)."
)
ABOUT_LOGS = (
    "Events are records of Python's loggers `holdfast.hub` and `holdfast.replica`. Each has the attributes "
    "`event` and `fields`; `holdfast serve --log-json` writes them, and every other record, as one JSON object"
    " a line, with `time`, `level` and `logger`. An event keeps its name and its fields; new ones may come."
)
ABOUT_STATES = (
    "What may happen to a transaction on a device. [How to steer the queue](../howto/steer-the-queue.md) says what "
    "to do with it."
)
ABOUT_PLANTED = (
    "A checker that finds nothing proves nothing until it has been seen to find something. Each of these mistakes is "
    "planted into the engine, alone, by a test; the named checker must find it. Numbers before a trap are those of the "
    "fixed tests in `tests/integration/traps`."
)
ABOUT_SIMULATED = (
    "`python -m holdfast.testing.simulate` runs seeds of 120 steps with the profile that is named. *Within* is how "
    "many seeds, from 0 on, it may take until a violation shows; *invariants* are those of `spec/invariants.md` that "
    "may be the first to be violated."
)
ABOUT_ELSEWHERE = (
    "What the simulator cannot see: what its reading shares with the engine, and what only another program, process or "
    "database shows. The named test holds without the fault and fails with it, which is in all of its processes."
)
QUEUE = ("list", "show", "retry", "drop", "cancel")
FOLDER = tree.ROOT / "docs" / "reference"
MADE = "<!-- Made by `python -m checks.reference` from {source}. Change it there. -->"


def pages() -> dict[Path, str]:
    """Every generated page with its text."""
    return {
        FOLDER / "errors.md": errors(),
        FOLDER / "cli.md": cli(),
        FOLDER / "metrics.md": metrics(),
        FOLDER / "logs.md": logs(),
        FOLDER / "queue.md": states(),
        FOLDER / "planted-faults.md": planted_faults(),
    }


def outdated() -> list[str]:
    """Pages that are not as the code says."""
    return [
        f"{tree.short(path)}: not as the code says; run python -m checks.reference"
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def errors() -> str:
    """The catalogue of error codes, by where they show up."""
    whole = {code: entry for code, entry in CODES.items() if entry.status}
    other = {code: entry for code, entry in CODES.items() if not entry.status}
    lines = [
        "# Error codes",
        MADE.format(source="src/holdfast/protocol/errors.py"),
        ABOUT_ERRORS,
        "## The hub answers a request with it",
        _table(("code", "status", "meaning", "what to do"), [(f"`{c}`", e.status, *e[1:]) for c, e in whole.items()]),
        "## It refuses one transaction, or arises where it is raised",
        _table(("code", "meaning", "what to do"), [(f"`{c}`", *e[1:]) for c, e in other.items()]),
        ABOUT_HOOKS,
    ]
    return _page(lines)


def states() -> str:
    """The states of a transaction and what leads from one to another."""
    lines = [
        "# States of a transaction",
        MADE.format(source="src/holdfast/replica/states.py"),
        ABOUT_STATES,
        f"```mermaid\n{diagram()}\n```",
        _table(("state", "meaning"), [(f"`{state}`", meaning) for state, meaning in STATES.items()]),
        "## Transitions",
        _table(
            ("from", "event", "to", "when"),
            [(f"`{t.state}`", f"`{t.event}`", f"`{t.next}`", t.when) for t in TRANSITIONS],
        ),
    ]
    return _page(lines)


def cli() -> str:
    """Commands, exit codes and the command line's own errors."""
    lines = [
        "# Command line",
        MADE.format(source="src/holdfast/cli"),
        ABOUT_CLI,
        "## Exit codes",
        _table(("code", "meaning"), [(int(exit_), meaning) for exit_, meaning in MEANING.items()]),
        "## Commands",
        *(part for command in COMMANDS for part in _command(command.__name__)),
        *(part for name in QUEUE for part in _command("queue", name)),
        "## Environment",
        _table(
            ("variable", "meaning"),
            [
                ("`HOLDFAST_TOKEN`", "The token of `sync`."),
                ("`HOLDFAST_SECRET`", "What `token` signs with, and a hub with development tokens checks with."),
                (
                    "`HOLDFAST_TRACEBACK`",
                    "Anything: a failure that should not happen prints its traceback.",
                ),
                ("`NO_COLOR`", "Anything: no colours."),
            ],
        ),
        "## Its own errors",
        "Besides [those of the library](errors.md):",
        _table(
            ("code", "exit", "meaning", "what to do"),
            [(f"`{code}`", int(entry.exit), entry.meaning, entry.remedy) for code, entry in LOCAL.items()],
        ),
    ]
    return _page(lines)


def metrics() -> str:
    """The metrics of a hub."""
    rows = [
        (f"`holdfast_{spec.name}`", spec.kind, ", ".join(f"`{label}`" for label in spec.labels), spec.meaning)
        for spec in SPECS
    ]
    return _page(
        [
            "# Metrics of a hub",
            MADE.format(source="src/holdfast/observe/hub_metrics.py"),
            ABOUT_METRICS,
            _table(("name", "kind", "labels", "meaning"), rows),
        ]
    )


def logs() -> str:
    """The structured events of the log."""
    rows = [
        (f"`{name}`", logging.getLevelName(e.level).lower(), e.meaning, ", ".join(f"`{f}`" for f in e.fields.split()))
        for name, e in EVENTS.items()
    ]
    return _page(
        [
            "# Events in the log",
            MADE.format(source="src/holdfast/observe/logs.py"),
            ABOUT_LOGS,
            _table(("event", "level", "meaning", "fields"), rows),
        ]
    )


def planted_faults() -> str:
    """Which checker finds which mistake, and within how many seeds."""
    simulated = [
        (_spoken(f), f.trap, meaning_of(f.plant), f.profile, f.seeds, ", ".join(map(str, sorted(f.finders))))
        for f in PLANTED
    ]
    elsewhere = [(_spoken(f), f.trap, meaning_of(f.plant), f"`{f.checker}`") for f in ELSEWHERE]
    return _page(
        [
            "# Planted faults",
            MADE.format(source="tests/simulation"),
            ABOUT_PLANTED,
            f"## Found by the simulator: {len(simulated)}",
            ABOUT_SIMULATED,
            _table(("fault", "about", "what is wrong", "profile", "within", "invariants"), simulated),
            f"## Found by another checker: {len(elsewhere)}",
            ABOUT_ELSEWHERE,
            _table(("fault", "about", "what is wrong", "checker"), elsewhere),
        ]
    )


def _spoken(fault: Planted | Elsewhere) -> str:
    return fault.name.replace("_", " ")


def meaning_of(plant: Callable[..., None]) -> str:
    """What a fault does, from its function."""
    return " ".join((plant.__doc__ or "").split())


def _command(*names: str) -> list[str]:
    """Heading, description, example and arguments of one command, or of a command of a command."""
    command = app
    for name in names:
        command = command[name]
    text = command.help.strip()
    described = [paragraph for paragraph in text.split("\n\n") if "----" not in paragraph]
    example = next(p for p in described if p.strip().startswith("Example: "))
    prose = [" ".join(p.split()) for p in described if p is not example]
    rows = [_argument(argument) for argument in command.assemble_argument_collection(parse_docstring=True)]
    shown = f"    {example.strip().removeprefix('Example: ')}"
    return [f"### holdfast {' '.join(names)}", *prose, shown, _table(("argument", "meaning", "default"), rows)]


def _argument(argument: Any) -> tuple[str, str, str]:
    parameter = argument.parameter
    names = [name for name in argument.names if name.startswith("-")] or [argument.field_info.names[0].upper()]
    meaning = " ".join((parameter.help or "").split())
    variables = "".join(f" Or `{name}` in the environment." for name in parameter.env_var or ())
    default = argument.field_info.default
    if argument.required:
        shown = "needed"
    elif parameter.show_default is False or default is None:
        shown = ""
    else:
        shown = f"`{default}`"
    return ", ".join(f"`{name}`" for name in names), meaning + variables, shown


def _table(heads: tuple[str, ...], rows: list[Any]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _page(parts: list[str]) -> str:
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    for page, content in pages().items():
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(content, encoding="utf-8")
