"""`holdfast status`: how a device file stands. Reads only, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.padding import Padding
from rich.text import Text

from holdfast.cli.failures import Exit
from holdfast.cli.loading import load_schema
from holdfast.cli.options import AsJson, SchemaFile
from holdfast.cli.terminal import Terminal, ago, listing, moment, number
from holdfast.errors import HoldfastError
from holdfast.protocol.errors import CODES
from holdfast.replica.facade.opened import device_clock
from holdfast.replica.queued import Refused
from holdfast.replica.status import Status, look, looking

ACCESS = {"r": "read", "rw": "read and write", "": "not granted"}


def status(
    schema: SchemaFile,
    /,
    *,
    db: Path,
    as_json: AsJson = False,
) -> int:
    """Show how a device file stands: what waits, what was refused, when it synced.

    Asks no hub. Exits with 4 when there are refused transactions.

    Example: holdfast status schema.py --db tablet.db

    Parameters
    ----------
    db
        The device's SQLite file.
    """
    terminal = Terminal(as_json=as_json)
    declared = load_schema(schema)
    if not db.is_file():
        raise HoldfastError("file_missing", f"{db} does not exist; `holdfast sync` makes it", file=str(db))
    with looking(db, declared) as device:
        found, refused, _ = look(device, lines=0)
    if terminal.as_json:
        terminal.document(as_document(db, found, refused))
    else:
        show(terminal, db, found, refused)
    return Exit.REFUSED if refused else Exit.OK


def as_document(db: Path, found: Status, refused: list[Refused]) -> dict[str, Any]:
    """The status for machines."""
    return {
        "file": str(db),
        "device": found.device,
        "user": found.user,
        "has_synced": found.has_synced,
        "last_synced_at": moment(found.last_synced_at),
        "pending_count": found.pending_count,
        "refused_count": found.refused_count,
        "spaces": found.spaces,
        "refused": [{**item._asdict(), "captured": moment(item.captured)} for item in refused],
    }


def show(terminal: Terminal, db: Path, found: Status, refused: list[Refused]) -> None:
    """The status for people."""
    waiting = number(found.pending_count, "transaction")
    if refused:
        terminal.look(f"{db}: {number(len(refused), 'transaction')} refused, {waiting} waiting")
    elif found.pending_count:
        terminal.look(f"{db}: {waiting} waiting for the next sync")
    elif found.has_synced:
        terminal.done(f"{db}: everything written here is on the hub")
    else:
        terminal.done(f"{db}: nothing written, never synced")
    last = moment(found.last_synced_at)
    since = f"{last}, {ago(found.last_synced_at, device_clock())}" if last and found.last_synced_at else "never"
    facts = [("Device", found.device), ("User", found.user or "not known before the first sync"), ("Synced", since)]
    terminal.facts(facts)
    if found.spaces:
        table = listing([("Space", "left"), ("Access", "left"), ("Copy", "left")])
        for name, space in found.spaces.items():
            table.add_row(name, ACCESS[space["access"]], "complete" if space["ready"] else "first load not finished")
        terminal.out.print()
        terminal.out.print(Padding(table, (0, 0, 0, 2), expand=False))
    for item in refused:
        terminal.out.print()
        show_refused(terminal, item)


def show_refused(terminal: Terminal, item: Refused) -> None:
    """One refused transaction: why, where, what it wanted to write, what to do."""
    title = f" {item.label}" if item.label else ""
    terminal.out.print(Text.assemble((f"Refused #{item.txn}{title}  ", "bold"), (moment(item.captured) or "", "dim")))
    where = " ".join(part for part in (item.table, item.key, item.column) if part)
    facts: list[tuple[str, str | Text]] = [("Why", Text.assemble((item.code, "yellow"), "  ", item.message))]
    if where:
        facts.append(("Where", where))
    facts += [("Wrote", f"{op['op']} {op['table']} {op['key']}") for op in item.operations[:5]]
    if len(item.operations) > 5:
        facts.append(("", f"and {number(len(item.operations) - 5, 'more change')}"))
    if item.code in CODES:
        facts.append(("To do", CODES[item.code].remedy))
    terminal.facts(facts)
