"""`holdfast salvage`: a new device file out of a damaged one."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from holdfast.cli.failures import Exit
from holdfast.cli.loading import load_schema
from holdfast.cli.options import AsJson, SchemaFile
from holdfast.cli.terminal import Terminal, number
from holdfast.replica.salvage import salvage as replica_salvage

SHOWN = 20
"""Transactions printed that could not be read; --json prints all."""


def salvage(schema: SchemaFile, /, *, db: Path, as_json: AsJson = False) -> int:
    """Take every unsent transaction that can still be read out of a damaged device file, into a new one in its place.

    End every program that has the file open before. The damaged file is kept beside it. The next sync loads the rest
    from the hub. Exits with 4 when something that was not sent could not be read.

    Example: holdfast salvage schema.py --db tablet.db

    Parameters
    ----------
    db
        The device's SQLite file.
    """
    terminal = Terminal(as_json=as_json)
    saved = replica_salvage.salvage(db, load_schema(schema))
    if as_json:
        terminal.document(saved._asdict())
    else:
        show(terminal, saved)
    return Exit.REFUSED if saved.lost or saved.problems else Exit.OK


def show(terminal: Terminal, saved: replica_salvage.Salvaged) -> None:
    """What was saved and what was not, for people."""
    text = f"{saved.file} is new: {number(saved.transactions, 'unsent transaction')} saved"
    if saved.lost or saved.problems:
        terminal.look(text, "something could not be read")
    else:
        terminal.done(text, "nothing that was not sent is missing")
    facts = [("Damaged file", saved.damaged)]
    if saved.captured:
        facts.append(("Of these", f"{number(saved.captured, 'change')} that no sync had seen"))
    if saved.refused:
        facts.append(("Refused before", f"{number(saved.refused, 'transaction')}, kept"))
    if saved.parked:
        facts.append(("To decide", f"{number(saved.parked, 'transaction')} that may have been sent: holdfast queue"))
    if not saved.device:
        facts.append(("Device", "its id could not be read; it has another one now"))
    terminal.facts(facts)
    for title, found in (("Not whole", saved.lost), ("Not readable", saved.problems)):
        for line in found[:SHOWN]:
            terminal.out.print(Text.assemble((f"  {title}  ", "bold yellow"), line))
        if len(found) > SHOWN:
            terminal.out.print(Text(f"  and {number(len(found) - SHOWN)} more; --json prints all", style="dim"))
    terminal.next_steps("Next: load the rest from the hub", [f"holdfast sync SCHEMA --db {saved.file} --url URL"])
