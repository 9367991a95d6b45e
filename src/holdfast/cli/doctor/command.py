"""The command `holdfast doctor`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from holdfast.cli.doctor import device, hub, way
from holdfast.cli.doctor.finding import Finding
from holdfast.cli.failures import Exit
from holdfast.cli.loading import load, split
from holdfast.cli.options import AsJson
from holdfast.cli.terminal import Terminal, number
from holdfast.errors import HoldfastError
from holdfast.replica.status import look, looking
from holdfast.schema.model import Schema
from holdfast.server import Server


def doctor(
    target: Annotated[str, Parameter(help="FILE or FILE:NAME, with an hf.Schema (a device) or an hf.Server (a hub).")],
    /,
    *,
    db: Path | None = None,
    url: str | None = None,
    token: Annotated[str | None, Parameter(env_var="HOLDFAST_TOKEN", show_default=False)] = None,
    as_json: AsJson = False,
) -> int:
    """Check everything between tables and store, and say what to do about what is wrong.

    Exits with 0 when nothing failed (warnings are no failures), else with 1.

    Example: holdfast doctor schema.py --db tablet.db --url https://hub.example

    Parameters
    ----------
    db
        The device's SQLite file; for a hub its own one, if it has one.
    url
        Where the hub is: checks the way to it, from this computer.
    token
        Who asks. Better in the environment than on the command line, where other users may see it.
    """
    terminal = Terminal(as_json=as_json)
    found: list[Finding] = []
    for finding in examine(target, db, url, token):
        found.append(finding)
        if not as_json:
            show(terminal, finding)
    if as_json:
        terminal.document(as_document(found))
    else:
        summary(terminal, found)
    return Exit.FAILURE if any(finding.result == "failed" for finding in found) else Exit.OK


def examine(target: str, db: Path | None, url: str | None, token: str | None) -> Iterator[Finding]:
    """The findings, one after another. Raises `usage` when there is nothing to look at."""
    name, loaded = load(target, ("server", "schema"))
    schema = loaded.schema if isinstance(loaded, Server) else loaded
    if not isinstance(schema, Schema):
        kind = type(loaded).__name__
        raise HoldfastError("name_missing", f"{name!r} in {split(target)[0]} is a {kind}: no hf.Schema, no hf.Server")
    if isinstance(loaded, Server):
        yield from hub.examine(loaded, db)
    elif db is not None:
        yield from device.examine(schema, db)
    elif url is None:
        raise HoldfastError("usage", "give --db, --url or both")
    if url is not None:
        yield from way.examine(url, token, schema, "" if isinstance(loaded, Server) else user_of(schema, db))


def user_of(schema: Schema, db: Path | None) -> str:
    """Whose data the device's file holds; "" while that cannot be known."""
    if db is None or not db.is_file():
        return ""
    try:
        with looking(db, schema) as connection:
            return look(connection, lines=0).status.user
    except HoldfastError:
        return ""


def as_document(found: Iterable[Finding]) -> dict[str, Any]:
    """The findings for machines."""
    listed = [finding._asdict() for finding in found]
    return {"ok": not any(finding["result"] == "failed" for finding in listed), "checks": listed}


def show(terminal: Terminal, finding: Finding) -> None:
    """One finding: its sign, its name, what was seen, what to do."""
    signs = {
        "ok": (terminal.ok, "green"),
        "warning": ("!", "yellow"),
        "failed": (terminal.bad, "red"),
        "skipped": ("-", "dim"),
    }
    sign, style = signs[finding.result]
    text = Text.assemble((f"{finding.check}: ", "bold"), (finding.message, "dim" if style == "dim" else ""))
    terminal.out.print(terminal.signed(sign, style, text))
    if finding.remedy:
        terminal.out.print(terminal.signed(terminal.arrow, "dim", finding.remedy, indent=2))


def summary(terminal: Terminal, found: list[Finding]) -> None:
    """The last line."""
    bad = sum(1 for finding in found if finding.result == "failed")
    odd = sum(1 for finding in found if finding.result == "warning")
    terminal.out.print()
    if bad:
        terminal.out.print(Text(f"{number(bad, 'check')} failed, {number(odd, 'warning')}", style="bold red"))
    elif odd:
        terminal.out.print(Text(f"Nothing failed, {number(odd, 'warning')}", style="bold yellow"))
    else:
        terminal.out.print(Text("All is well", style="bold green"))
