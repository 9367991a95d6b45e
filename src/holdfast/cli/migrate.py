"""`holdfast migrate`: a database made ready for a hub, or rid of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from holdfast.cli.failures import Exit
from holdfast.cli.loading import load, load_schema, split
from holdfast.cli.options import AsJson
from holdfast.cli.terminal import Terminal, number
from holdfast.errors import HoldfastError
from holdfast.server import Server
from holdfast.stores.migrating import Phase, Step

Switch = Annotated[bool, Parameter(negative="", show_default=False)]


def migrate(
    target: str,
    /,
    *,
    database: Annotated[str, Parameter(name=("--database", "-d"), show_default=False)] = "",
    before: Switch = False,
    after: Switch = False,
    grant: Annotated[str, Parameter(show_default=False)] = "",
    dry_run: Switch = False,
    remove: Switch = False,
    as_json: AsJson = False,
) -> int:
    """Make a database ready for a hub: its own schema, triggers on the synced tables, the feed of what they hold.

    Run it before a hub starts on the tables of an application, and whenever schema or Holdfast change. It may be run
    any number of times, while programs use the tables, and goes on where it was interrupted.

    Example: holdfast migrate server.py --dry-run

    Parameters
    ----------
    target
        FILE or FILE:NAME. A Python file that defines `server` (an hf.Server), or with --database a `schema`.
    database
        The database, such as postgresql://host/name; without it the one of the server.
    before
        Only what a new release or schema needs; the old one goes on working. Run it before the deployment.
    after
        Only what the old one still needed: take away what nobody uses any more. Run it after the deployment.
    grant
        A role of the database that gets the rights that a hub needs, and owns nothing.
    dry_run
        Change nothing; print the SQL that would run.
    remove
        Take everything of Holdfast out again. Tables and rows stay; feeds and history are gone. Stop the hubs first.
    """
    terminal = Terminal(as_json=as_json)
    with server_of(target, database) as server:
        if remove:
            return _remove(terminal, server, dry_run=dry_run)
        wanted: dict[Phase, bool] = {"before": before or not after, "after": after or not before}
        phases = [phase for phase, is_wanted in wanted.items() if is_wanted]
        if dry_run:
            steps = [step for step in server.plan(grant=grant or None) if step.phase in phases]
            return _print(terminal, server, steps)
        return _migrate(terminal, server, phases, grant or None)


class Opened:
    """A server that is closed at the end, and not opened at the beginning: opening may fail before it is migrated."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __enter__(self) -> Server:
        return self._server

    def __exit__(self, *_: object) -> None:
        self._server.close()


def server_of(target: str, database: str) -> Opened:
    """The server that the arguments name. Raises what `load` raises, `name_missing`, `store_open`."""
    if database:
        try:
            return Opened(Server(database, load_schema(target)))
        except HoldfastError as error:
            if error.code != "name_missing":
                raise
    name, found = load(target, ("server",))
    if not isinstance(found, Server):
        kind = type(found).__name__
        raise HoldfastError("name_missing", f"{name!r} in {split(target)[0]} is a {kind} and not an hf.Server")
    return Opened(Server(database, found.schema) if database else found)


def _migrate(terminal: Terminal, server: Server, phases: Sequence[Phase], grant: str | None) -> int:
    taken: list[Step] = []

    def done(step: Step) -> None:
        taken.append(step)
        if not terminal.as_json:
            terminal.done(step.title)

    rows = server.migrate(phases=phases, grant=grant, done=done)
    left = server.plan(grant=grant)
    if terminal.as_json:
        terminal.document({"steps": _documents(taken), "rows": rows, "left": _documents(left)})
        return Exit.OK
    if not taken and not rows:
        terminal.done("Nothing to do: the database is ready")
    elif "before" in phases:
        terminal.done(f"The database is ready, {number(rows, 'row')} put into feeds")
    for step in left:
        terminal.look(f"Left for {step.phase} the deployment: {step.title}")
    return Exit.OK


def _remove(terminal: Terminal, server: Server, *, dry_run: bool) -> int:
    if dry_run:
        return _print(terminal, server, server.removal())
    steps = server.remove()
    if terminal.as_json:
        terminal.document({"steps": _documents(steps), "rows": 0, "left": []})
    elif steps:
        terminal.done("Holdfast is out of the database; tables and rows are as they were")
    else:
        terminal.done("Nothing to do: there is nothing of Holdfast in the database")
    return Exit.OK


def _print(terminal: Terminal, server: Server, steps: Sequence[Step]) -> int:
    """The SQL alone on standard output, so that it can be saved and reviewed."""
    if terminal.as_json:
        terminal.document({"steps": _documents(steps), "sql": server.script(steps) if steps else ""})
    elif steps:
        print(server.script(steps), end="")
    else:
        terminal.err.print(Text("Nothing to do", style="dim"))
    return Exit.OK


def _documents(steps: Sequence[Step]) -> list[dict[str, Any]]:
    return [{"title": step.title, "phase": step.phase, "statements": list(step.statements)} for step in steps]
