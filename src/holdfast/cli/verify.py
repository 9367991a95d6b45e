"""`holdfast verify`: whether a device file is what the hub says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.padding import Padding
from rich.text import Text

from holdfast.cli.failures import Exit
from holdfast.cli.loading import load_schema
from holdfast.cli.options import AsJson, SchemaFile
from holdfast.cli.terminal import Terminal, listing, number
from holdfast.replica.compare import Difference
from holdfast.replica.replica import Replica
from holdfast.replica.verify import VerifyReport

SHOWN = 20
"""Rows printed; --json prints all."""


def verify(
    schema: SchemaFile,
    /,
    *spaces: str,
    db: Path,
    url: str,
    token: Annotated[str | None, Parameter(env_var="HOLDFAST_TOKEN", show_default=False)] = None,
    as_json: AsJson = False,
) -> int:
    """Compare a device file with the hub, row by row where hashes differ, and repair it.

    Exits with 4 when the hub has lost rows that it had confirmed: they are kept here. Exits with 3 when the hub
    cannot be reached.

    Example: holdfast verify schema.py --db tablet.db --url http://127.0.0.1:8000

    Parameters
    ----------
    spaces
        Only these; else all that the device holds.
    db
        The device's SQLite file.
    url
        Where the hub is.
    token
        Who asks. Better in the environment than on the command line, where other users may see it.
    """
    terminal = Terminal(as_json=as_json)
    with Replica(db, load_schema(schema), url=url, token=token) as replica:
        report = replica.verify(*spaces)
    if as_json:
        differences = {name: [d._asdict() for d in getattr(report, name)] for name in ("repaired", "lost")}
        terminal.document(report._asdict() | differences)
    else:
        show(terminal, report)
    return Exit.OK if report.ok else Exit.REFUSED


def show(terminal: Terminal, report: VerifyReport) -> None:
    """What was found, for people."""
    where = f"{number(report.rows, 'row')} in {number(report.spaces, 'space')}"
    if report.ok:
        terminal.done("This copy is what the hub has", where)
    else:
        terminal.look(f"The hub has lost {number(len(report.lost), 'row')} that it had confirmed", where)
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
