"""`holdfast status`: how a device file stands. Reads only, no network."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from holdfast.cli import standing
from holdfast.cli.failures import Exit
from holdfast.cli.loading import load_schema
from holdfast.cli.options import AsJson, SchemaFile
from holdfast.cli.terminal import Terminal, moment, number
from holdfast.errors import HoldfastError
from holdfast.protocol.errors import CODES
from holdfast.replica.facade.opened import device_clock
from holdfast.replica.progress import Progress
from holdfast.replica.queued import Refused
from holdfast.replica.status import Look, look, looking
from holdfast.replica.sync_log import Running

WATCH_SECONDS = 0.5
"""How often `--watch` looks."""


def status(
    schema: SchemaFile,
    /,
    *,
    db: Path,
    watch: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    log: int = 5,
    as_json: AsJson = False,
) -> int:
    """Show how a device file stands: what waits, what was refused, when it synced, what its latest rounds did.

    Asks no hub, changes nothing, and waits for nobody who writes or syncs. Exits with 4 when there are refused
    transactions.

    Example: holdfast status schema.py --db tablet.db --watch

    Parameters
    ----------
    db
        The device's SQLite file.
    watch
        Draw it again whenever something has changed, until Ctrl-C: queue, progress, connection, log.
    log
        How many rounds to show; 1,000 are kept.
    """
    terminal = Terminal(as_json=as_json)
    declared = load_schema(schema)
    if watch and as_json:
        raise HoldfastError("usage", "--watch draws for people: leave --json out")
    if not db.is_file():
        raise HoldfastError("file_missing", f"{db} does not exist; `holdfast sync` makes it", file=str(db))
    with looking(db, declared) as device:
        if watch:
            follow(terminal, db, lambda: look(device, lines=log))
            return Exit.OK
        found = look(device, lines=log)
    if terminal.as_json:
        terminal.document(as_document(db, found))
    else:
        show(terminal, db, found)
    return Exit.REFUSED if found.refused else Exit.OK


def follow(terminal: Terminal, db: Path, seen: Callable[[], Look]) -> None:
    """Draw until Ctrl-C. Where there is no terminal: each new state once, one below the other."""
    pause, before = threading.Event(), None
    with contextlib.suppress(KeyboardInterrupt), Live(console=terminal.out, auto_refresh=False) as live:
        while True:
            found = seen()
            if terminal.out.is_terminal:
                live.update(standing.drawing(terminal, db, found, device_clock()), refresh=True)
            elif found != before:
                terminal.out.print(standing.drawing(terminal, db, found, device_clock()))
                sys.stdout.flush()
            before = found
            pause.wait(WATCH_SECONDS)


def as_document(db: Path, found: Look) -> dict[str, Any]:
    """The status for machines."""
    status, running, moving = found.status, found.running, found.status.progress
    return {
        "file": str(db),
        **status._asdict(),
        "last_synced_at": moment(status.last_synced_at),
        "progress": None if moving is None else progress_document(moving),
        "storage_used": found.storage_used,
        "storage_budget": found.storage_budget,
        "queues": [{**queue._asdict(), "oldest": moment(queue.oldest)} for queue in found.queues],
        "running": None if running is None else running_document(running),
        "refused": [{**item._asdict(), "captured": moment(item.captured)} for item in found.refused],
        "log": [{**line._asdict(), "began": moment(line.began)} for line in found.log],
    }


def running_document(running: Running) -> dict[str, Any]:
    """What the process that syncs says, for machines; its progress stands in `progress`."""
    return {
        "state": running.state,
        "channel": running.channel,
        "url": running.url,
        "retry_at": moment(running.retry_at),
    }


def progress_document(moving: Progress) -> dict[str, Any]:
    """The progress for machines."""
    return {**moving._asdict(), "upload": moving.upload._asdict(), "download": moving.download._asdict()}


def show(terminal: Terminal, db: Path, found: Look) -> None:
    """The status for people."""
    now, width = device_clock(), terminal.out.width
    well, text = standing.headline(db, found.status)
    (terminal.done if well else terminal.look)(text)
    terminal.facts(standing.facts(found, now))
    for bar in standing.progress(terminal, found):
        terminal.out.print(bar)
    tables = (standing.queue_table(found, width, now), standing.space_table(found.status))
    for table in (*tables, standing.log_table(found.log, width)):
        if table is not None:
            terminal.out.print()
            terminal.out.print(Padding(table, (0, 0, 0, 2), expand=False))
    for item in found.refused:
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
