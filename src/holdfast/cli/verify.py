"""`holdfast verify` and `holdfast scrub`: whether a device file is what the hub says, and whether a hub is whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.padding import Padding
from rich.text import Text

from holdfast.cli.failures import Exit
from holdfast.cli.loading import load_schema
from holdfast.cli.migrate import server_of
from holdfast.cli.options import AsJson
from holdfast.cli.terminal import Terminal, listing, number
from holdfast.errors import HoldfastError
from holdfast.hub.proving import Fault, HubReport
from holdfast.replica.compare import Difference
from holdfast.replica.replica import Replica
from holdfast.replica.verify import VerifyReport

SHOWN = 20
"""Rows printed; --json prints all."""
Database = Annotated[str, Parameter(name=("--database", "-d"), show_default=False)]
Device = Annotated[Path | None, Parameter(show_default=False)]


def verify(
    target: str,
    /,
    *spaces: str,
    db: Device = None,
    url: Annotated[str, Parameter(show_default=False)] = "",
    token: Annotated[str | None, Parameter(env_var="HOLDFAST_TOKEN", show_default=False)] = None,
    offer: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    database: Database = "",
    as_json: AsJson = False,
) -> int:
    """Compare a device file with the hub, row by row where hashes differ, and repair it; or prove a hub.

    With --db and --url it is the device's copy: wrong rows are replaced by the hub's. Exits with 4 when the hub has
    lost rows that it had confirmed: they are kept here, and sent with --offer. Exits with 3 when the hub cannot be
    reached.

    Without --db it is the hub itself: what its database says twice is compared: stored digests, feeds, tables. Nothing
    is repaired. Exits with 4 when something differs.

    Example: holdfast verify schema.py --db tablet.db --url http://127.0.0.1:8000

    Parameters
    ----------
    target
        FILE or FILE:NAME. A Python file that defines `schema` (an hf.Schema); for a hub `server` (an hf.Server), or
        with --database a `schema`.
    spaces
        Only these; else all that the device holds, or all of the hub.
    db
        The device's SQLite file.
    url
        Where the hub is.
    token
        Who asks. Better in the environment than on the command line, where other users may see it.
    offer
        Send the hub what it has lost, from the copies that are here.
    database
        Of a hub: its database, such as sqlite:///hub.db; without it the one of the server.
    """
    terminal = Terminal(as_json=as_json)
    if db is None:
        return prove_hub(terminal, target, database, spaces, "", lambda: None)
    if not url:
        raise HoldfastError("usage", "a device is compared with its hub: say where it is with --url")
    with Replica(db, load_schema(target), url=url, token=token) as replica:
        report = replica.verify(*spaces)
        offered = replica.offer_lost_rows() if offer and report.lost else 0
        if offered:
            replica.sync()
            again = replica.verify(*spaces)
            report = again._replace(repaired=[*report.repaired, *again.repaired])
    if as_json:
        differences = {name: [d._asdict() for d in getattr(report, name)] for name in ("repaired", "lost")}
        terminal.document(report._asdict() | differences | {"offered": offered})
    else:
        show(terminal, report, offered)
    return Exit.OK if report.ok else Exit.REFUSED


def prove_hub(
    terminal: Terminal, target: str, database: str, spaces: Sequence[str], after: str, pause: Callable[[], None]
) -> int:
    """Look at a hub and say what was found; after Ctrl-C, where to go on."""
    report = HubReport(True, 0, 0, [], after)
    with server_of(target, database) as server:
        try:
            for report in server.verify(*spaces, after=after, pause=pause):  # noqa: B007 (the last one is used)
                pass
        except KeyboardInterrupt:
            terminal.err.print(Text(f"Stopped; go on with --after {report.last!r}" if report.last else "Stopped"))
            raise
    if terminal.as_json:
        terminal.document(report._asdict() | {"faults": [fault._asdict() for fault in report.faults]})
    else:
        show_hub(terminal, report)
    return Exit.OK if report.ok else Exit.REFUSED


def show_hub(terminal: Terminal, report: HubReport) -> None:
    """What was found at a hub, for people."""
    where = f"{number(report.rows, 'row')} in {number(report.spaces, 'space')}"
    if report.ok:
        terminal.done("The hub is whole: digests, feeds and tables say the same", where)
        return
    terminal.look(f"{number(len(report.faults), 'thing')} of the hub differ from what they should be", where)
    for kind in dict.fromkeys(fault.kind for fault in report.faults):
        faults = [fault for fault in report.faults if fault.kind == kind]
        terminal.out.print()
        terminal.out.print(Text(TITLES[kind], style="bold"), Text(f"({number(len(faults))})", style="dim"))
        for fault in faults[:SHOWN]:
            terminal.out.print(Padding(Text(said(fault)), (0, 0, 0, 2), expand=False))
        if len(faults) > SHOWN:
            terminal.out.print(Text(f"  and {number(len(faults) - SHOWN)} more; --json prints all", style="dim"))


TITLES = {
    "unreadable": "Rows that cannot be read",
    "feed": "Feeds that contradict themselves",
    "digest": "Stored digests that are not those of the rows",
    "table": "User tables that are not what the feeds say",
}


def said(fault: Fault) -> str:
    """A fault in one line."""
    where = " ".join(part for part in (fault.space, fault.table, fault.key) if part)
    return f"{where}: {fault.explanation}"


def show(terminal: Terminal, report: VerifyReport, offered: int) -> None:
    """What was found, for people."""
    where = f"{number(report.rows, 'row')} in {number(report.spaces, 'space')}"
    if offered:
        terminal.done(f"The hub was sent {number(offered, 'row')} that it had lost")
    if report.ok:
        terminal.done("This copy is what the hub has", where)
    else:
        terminal.look(f"The hub has lost {number(len(report.lost), 'row')} that it had confirmed", where)
    if report.lost and not offered:
        terminal.look("They are kept here; --offer sends them, when you know that this file is right")
    tell(terminal, "Repaired here", report.repaired)
    tell(terminal, "Lost at the hub, kept here", report.lost)


def tell(terminal: Terminal, title: str, differences: list[Difference]) -> None:
    """Some rows, and the suspected cause once for each kind."""
    for cause in dict.fromkeys(difference.cause for difference in differences):
        rows = [difference for difference in differences if difference.cause == cause]
        terminal.out.print()
        terminal.out.print(Text(title, style="bold"), Text(f"({number(len(rows), 'row')})", style="dim"))
        terminal.out.print(Padding(Text(rows[0].explanation), (0, 0, 0, 2), expand=False))
        table = listing([("Row", "left"), ("Space", "left")])
        for difference in rows[:SHOWN]:
            table.add_row(f"{difference.table} {difference.key}", difference.space)
        terminal.out.print(Padding(table, (0, 0, 0, 2), expand=False))
        if len(rows) > SHOWN:
            terminal.out.print(Text(f"  and {number(len(rows) - SHOWN)} more; --json prints all", style="dim"))
