"""`holdfast compact`: a hub without what nobody needs any more."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from holdfast.cli.failures import Exit
from holdfast.cli.migrate import server_of
from holdfast.cli.options import AsJson
from holdfast.cli.terminal import Terminal, number
from holdfast.errors import HoldfastError


def compact(
    target: str,
    /,
    *,
    database: Annotated[str, Parameter(name=("--database", "-d"), show_default=False)] = "",
    days: Annotated[float | None, Parameter(show_default=False)] = None,
    as_json: AsJson = False,
) -> int:
    """Collect what a hub keeps for devices that were away: traces of deleted rows, and history that is kept no longer.

    A hub that runs does it by itself in quiet hours. Rounds go on meanwhile. A device that was away for longer than
    that compares its copy with the hub when it comes back; what it has not sent arrives all the same.

    Example: holdfast compact server.py

    Parameters
    ----------
    target
        FILE or FILE:NAME. A Python file that defines `server` (an hf.Server), or with --database a `schema`.
    database
        The database, such as sqlite:///hub.db; without it the one of the server.
    days
        What was deleted more than so many days ago goes; without it after the horizon of the server, 90 days.
    """
    terminal = Terminal(as_json=as_json)
    if days is not None and not 0 <= days < 36_500:
        raise HoldfastError("usage", f"--days {days:g}: a number of days from 0 on")
    with server_of(target, database) as server:
        done = server.compact(days=days)
    if as_json:
        terminal.document(done._asdict())
    elif done.records or done.conflicts:
        went = f"{number(done.records, 'record')} and {number(done.conflicts, 'decided conflict')} collected"
        terminal.done(went, f"in {number(done.spaces, 'space')}")
    else:
        terminal.done("Nothing to collect", f"in {number(done.spaces, 'space')}")
    return Exit.OK
