"""`holdfast storage`: how much room a device file takes, and what may go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.padding import Padding
from rich.text import Text

from holdfast.cli.failures import Exit
from holdfast.cli.loading import load_schema
from holdfast.cli.options import AsJson, SchemaFile
from holdfast.cli.terminal import Terminal, listing, number, size
from holdfast.errors import HoldfastError
from holdfast.replica.budgets import Level, Storage, class_of
from holdfast.replica.compaction import Compacted
from holdfast.replica.file import snapshot
from holdfast.replica.keeper import Pruned
from holdfast.replica.replica import Replica
from holdfast.replica.status import looking
from holdfast.replica.usage import StorageReport, measure, read_kept
from holdfast.schema.model import Schema

STYLES: dict[Level, str] = {"ok": "green", "warning": "yellow", "critical": "bold yellow", "full": "bold red"}


def storage(
    schema: SchemaFile,
    /,
    *,
    db: Path,
    prune: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    compact: float = 0.0,
    as_json: AsJson = False,
) -> int:
    """Show how much room a device file takes, for what, and how near that is to its budgets; reads all of the file.

    Budgets are those of the application that had the file open last. Nothing is changed without --prune or --compact.

    Example: holdfast storage schema.py --db tablet.db --prune --compact 5

    Parameters
    ----------
    db
        The device's SQLite file.
    prune
        Let rows go first, as the tables and budgets allow: only what the hub has; `replica.fetch` brings it back.
    compact
        Then give free pages back to the disk, for up to so many seconds.
    """
    terminal = Terminal(as_json=as_json)
    declared = load_schema(schema)
    if compact < 0:
        raise HoldfastError("usage", f"--compact {compact}: seconds are not negative")
    if not db.is_file():
        raise HoldfastError("file_missing", f"{db} does not exist; `holdfast sync` makes it", file=str(db))
    budgets = remembered(db, declared)
    pruned: Pruned | None = None
    compacted: Compacted | None = None
    if prune or compact:
        with Replica(db, declared, storage=budgets) as replica:
            pruned = replica.prune() if prune else None
            compacted = replica.compact(compact) if compact else None
    with looking(db, declared) as device, snapshot(device):
        report = measure(device, str(db), declared, budgets)
    if as_json:
        done = {"pruned": pruned and pruned._asdict(), "compacted": compacted and compacted._asdict()}
        terminal.document({"file_name": str(db), **document(report), **done})
    else:
        show(terminal, db, declared, report)
        tell(terminal, pruned, compacted)
    return Exit.OK


def remembered(db: Path, declared: Schema) -> Storage:
    """The budgets that the file remembers, as far as the schema still has their classes."""
    with looking(db, declared) as device:
        kept = read_kept(device)
    if kept is None:
        return Storage()
    found = Storage.from_json(kept.budgets)
    known = {class_of(table) for table in declared.declared}
    return Storage(found.total, warn=found.warn, **{n: size for n, size in found.classes.items() if n in known})


def document(report: StorageReport) -> dict[str, object]:
    """The report for machines."""
    return {
        **report._asdict(),
        "classes": {name: found._asdict() for name, found in report.classes.items()},
        "tables": {name: found._asdict() for name, found in report.tables.items()},
    }


def show(terminal: Terminal, db: Path, declared: Schema, report: StorageReport) -> None:
    """The report for people."""
    text = f"{db}: {size(report.used)} of {size(report.budget)} in use"
    (terminal.done if report.level == "ok" else terminal.look)(text, "" if report.level == "ok" else report.level)
    facts = [("File", f"{size(report.file)}, {size(report.free)} of it free"), ("Log", size(report.wal))]
    terminal.facts([*facts, ("Disk", f"{size(report.disk_free)} free")])
    table = listing([("Class", "left"), ("Table", "left"), ("Rows", "right"), ("Left", "right"), ("Size", "right")])
    table.add_column("Budget", justify="right")
    for name, found in report.classes.items():
        members = [one.name for one in declared.declared if class_of(one) == name]
        budget = Text("" if found.budget is None else size(found.budget), style=STYLES[found.level])
        for place, member in enumerate(members):
            one = report.tables[member]
            first = (name, budget) if place == 0 else ("", Text())
            table.add_row(first[0], member, number(one.rows), number(one.evicted), size(one.bytes), first[1])
    for part, used in report.engine.items():
        table.add_row("", Text(f"({part})", style="dim"), "", "", size(used), "")
    terminal.out.print()
    terminal.out.print(Padding(table, (0, 0, 0, 2), expand=False))


def tell(terminal: Terminal, pruned: Pruned | None, compacted: Compacted | None) -> None:
    """What was done."""
    if pruned is not None:
        rows = ", ".join(f"{number(count, 'row')} of {name}" for name, count in pruned.rows.items())
        terminal.done(f"{rows} left the device" if rows else "No row may leave now")
    if compacted is not None:
        terminal.done(f"{size(compacted.freed)} went back to the disk", f"{size(compacted.left)} of the file is free")
