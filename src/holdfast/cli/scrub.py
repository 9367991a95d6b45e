"""`holdfast scrub`: what a device file, or a hub, says twice is compared in small pieces, beside other work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from holdfast.cli.failures import Exit
from holdfast.cli.loading import load_schema
from holdfast.cli.options import AsJson
from holdfast.cli.terminal import Terminal, number
from holdfast.cli.verify import SHOWN, prove_hub
from holdfast.errors import HoldfastError
from holdfast.replica.replica import Replica
from holdfast.replica.scrub import ScrubReport

TITLES = {
    "pages": "SQLite finds the file damaged",
    "altered": "Not what was written, and not sent: salvage the file",
    "totals": "Spaces whose rows are not those that were counted: verify them",
    "missing": "Confirmed rows that no table shows: --repair brings them back from the hub",
    "surplus": "Rows that are shown and that nobody wrote through SQL",
    "unreadable": "Rows with a value that the column does not take",
}


def scrub(
    target: str,
    /,
    *,
    db: Annotated[Path | None, Parameter(show_default=False)] = None,
    url: Annotated[str, Parameter(show_default=False)] = "",
    token: Annotated[str | None, Parameter(env_var="HOLDFAST_TOKEN", show_default=False)] = None,
    repair: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    pause: float = 0.02,
    after: Annotated[str, Parameter(show_default=False)] = "",
    database: Annotated[str, Parameter(name=("--database", "-d"), show_default=False)] = "",
    as_json: AsJson = False,
) -> int:
    """Compare in small pieces what a device file (--db), or a hub, says twice. Others can work meanwhile.

    Of a device: SQLite's own check, the checksums of what waits, counted totals, and the rows that are shown against
    those that are confirmed; the hub is not needed. Of a hub: as `holdfast verify` does. Exits with 4 when something
    differs. After Ctrl-C it says where to go on.

    Example: holdfast scrub schema.py --db tablet.db

    Parameters
    ----------
    target
        FILE or FILE:NAME. A Python file that defines `schema` (an hf.Schema); for a hub `server` (an hf.Server), or
        with --database a `schema`.
    db
        The device's SQLite file.
    url
        Where the hub is, for --repair.
    token
        Who asks. Better in the environment than on the command line, where other users may see it.
    repair
        Bring confirmed rows that are missing on a device back from the hub.
    pause
        Seconds between two pieces.
    after
        Go on after this table of a device, or space of a hub.
    database
        Of a hub: its database, such as sqlite:///hub.db; without it the one of the server.
    """
    terminal = Terminal(as_json=as_json)
    if not 0 <= pause <= 3600:
        raise HoldfastError("usage", f"--pause {pause:g}: seconds from 0 to 3600")
    clock = threading.Event()

    def wait() -> None:
        clock.wait(pause)

    if db is None:
        return prove_hub(terminal, target, database, (), after, wait)
    require(db, url, repair=repair)
    with Replica(db, load_schema(target), url=url or None, token=token) as replica:
        report = look(terminal, replica, after, wait, repair=repair)
    if as_json:
        terminal.document(report._asdict())
    else:
        show(terminal, db, report)
    return Exit.OK if report.ok else Exit.REFUSED


def require(db: Path, url: str, *, repair: bool) -> None:
    """Raise what is wrong with the arguments for a device."""
    if not db.is_file():
        raise HoldfastError("file_missing", f"{db} does not exist", file=str(db))
    if repair and not url:
        raise HoldfastError("usage", "--repair brings rows from the hub: say where it is with --url")


def look(terminal: Terminal, replica: Replica, after: str, pause: Callable[[], None], *, repair: bool) -> ScrubReport:
    """The last report; after Ctrl-C, where to go on. Raises `usage` when no table comes after `after`."""
    report: ScrubReport | None = None
    try:
        for report in replica.scrub(after=after, pause=pause, repair=repair):  # noqa: B007 (the last one is used)
            pass
    except KeyboardInterrupt:
        last = report.last if report is not None else after
        terminal.err.print(Text(f"Stopped; go on with --after {last!r}" if last else "Stopped"))
        raise
    if report is None:
        raise HoldfastError("usage", f"--after {after!r}: no table comes after this one")
    return report


def show(terminal: Terminal, db: Path, report: ScrubReport) -> None:
    """What was found, for people."""
    where = f"{number(report.rows, 'row')} of {number(report.tables, 'table')}"
    if report.ok:
        terminal.done(f"{db} says everything as it was written", where)
    else:
        terminal.look(f"{db} contradicts itself", where)
    if report.repaired:
        terminal.done(f"{number(report.repaired, 'row')} brought back from the hub")
    for name, title in TITLES.items():
        found = getattr(report, name)
        if not found or (name == "missing" and report.repaired):
            continue
        terminal.out.print()
        terminal.out.print(Text(title, style="bold"), Text(f"({number(len(found))})", style="dim"))
        for one in found[:SHOWN]:
            terminal.out.print(Text(f"  {one if isinstance(one, str) else ' '.join(one)}"))
        if len(found) > SHOWN:
            terminal.out.print(Text(f"  and {number(len(found) - SHOWN)} more; --json prints all", style="dim"))
