"""`holdfast sync`: one device file against a hub."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from holdfast.cli.failures import Exit
from holdfast.cli.loading import load_schema
from holdfast.cli.options import AsJson, SchemaFile
from holdfast.cli.terminal import Terminal, listing, number, size
from holdfast.cli.watched import WatchedTransport
from holdfast.edge.http import HttpTransport
from holdfast.protocol.conflicts import Conflict
from holdfast.replica.replica import Replica
from holdfast.replica.report import Refusal, SyncReport

SHOWN = 20
"""Conflicts and refusals printed; --json prints all."""


def sync(
    schema: SchemaFile,
    /,
    *,
    db: Path,
    url: str,
    token: Annotated[str | None, Parameter(env_var="HOLDFAST_TOKEN", show_default=False)] = None,
    timeout: float = 60.0,
    as_json: AsJson = False,
) -> int:
    """Sync a device file with a hub: send what waits, fetch what is new.

    Exits with 4 when transactions were refused, with 3 when the hub cannot be reached.

    Example: holdfast sync schema.py --db tablet.db --url http://127.0.0.1:8000

    Parameters
    ----------
    db
        The device's SQLite file; made when it is not there.
    url
        Where the hub is.
    token
        Who asks. Better in the environment than on the command line, where other users may see it.
    timeout
        Seconds to wait while another process syncs the same file.
    """
    terminal = Terminal(as_json=as_json)
    declared = load_schema(schema)
    started = time.monotonic()
    transport = HttpTransport(url, token)
    with progress_bar(terminal, transport) as carrier, Replica(db, declared, transport=carrier) as replica:
        carrier.replica = replica
        report = replica.sync(timeout=timeout)
        refused = replica.status.refused_count
    seconds = time.monotonic() - started
    if terminal.as_json:
        terminal.document(as_document(report, refused, seconds))
    else:
        show(terminal, report, refused, seconds)
    return Exit.REFUSED if refused else Exit.OK


class SyncProgress(WatchedTransport):
    """Moves a bar: sending counts transactions out of all that wait, receiving counts bytes (nobody knows how many)."""

    def __init__(self, inner: HttpTransport, bar: Progress) -> None:
        super().__init__(inner, self.on_sending, self.on_received)
        self.replica: Replica | None = None
        self._bar = bar
        self._task = bar.add_task("Reading what was written", total=None)

    def on_sending(self, plain: int) -> None:
        """A request goes out: how many of the waiting transactions are answered already?"""
        status = self.replica.status if self.replica is not None else None
        waiting = status.pending_count if status is not None else 0
        answered = status.progress.transactions if status is not None and status.progress is not None else 0
        if waiting:
            text = f"Sending {number(answered + waiting, 'transaction')}, {size(plain)}"
            total = answered + waiting if answered + waiting > 1 else None
            self._bar.update(self._task, description=text, total=total, completed=answered)
        else:
            self._bar.update(self._task, description="Asking the hub", total=None)

    def on_received(self, received: int) -> None:
        """A piece of an answer is here."""
        self._bar.update(self._task, description=f"Receiving {size(received)}", total=None)


@contextmanager
def progress_bar(terminal: Terminal, transport: HttpTransport) -> Iterator[SyncProgress]:
    """A transport with a bar on standard error, which goes away at the end; none without a terminal or with --json."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(None), TaskProgressColumn())
    hidden = terminal.as_json or not terminal.err.is_terminal
    bar = Progress(*columns, TimeElapsedColumn(), console=terminal.err, transient=True, disable=hidden)
    try:
        with bar:
            yield SyncProgress(transport, bar)
    finally:
        transport.close()


def as_document(report: SyncReport, refused: int, seconds: float) -> dict[str, Any]:
    """The report for machines. `refused_count` counts all that the device keeps, `refused` lists those of this sync."""
    members = report._asdict()
    members["conflicts"] = [conflict._asdict() for conflict in report.conflicts]
    members["refused"] = [refusal._asdict() for refusal in report.refused]
    return members | {"refused_count": refused, "seconds": round(seconds, 3)}


def show(terminal: Terminal, report: SyncReport, refused: int, seconds: float) -> None:
    """The report for people."""
    moved = f"{size(report.bytes_sent)} sent, {size(report.bytes_received)} received, {seconds:.1f} s"
    what = f"{number(report.pushed, 'transaction')} pushed, {number(report.pulled, 'row')} pulled"
    if not (report.pushed or report.pulled or report.refused):
        what = "Nothing new on either side"
    terminal.done(what, moved)
    if report.conflicts:
        terminal.look(f"{number(len(report.conflicts), 'conflict')}: two writes met, one is shown")
        terminal.out.print(conflict_table(report.conflicts[:SHOWN], terminal.out.width))
        more(terminal, len(report.conflicts))
    for refusal in report.refused[:SHOWN]:
        terminal.look(refusal_text(refusal), "refused")
    more(terminal, len(report.refused))
    if refused:
        terminal.look(f"{number(refused, 'refused transaction')} in all", "holdfast status lists them")


def more(terminal: Terminal, count: int) -> None:
    """How many are not shown."""
    if count > SHOWN:
        terminal.out.print(Text(f"  and {number(count - SHOWN)} more; --json prints all", style="dim"))


def refusal_text(refusal: Refusal) -> str:
    """Where and why, in one line."""
    where = " ".join(part for part in (refusal.table, refusal.key, refusal.column) if part)
    return f"{refusal.code}: {refusal.message}" + (f" ({where})" if where else "")


def conflict_table(conflicts: list[Conflict], width: int) -> Any:
    """What met: the value that stays and the other one. On a narrow terminal the key is shortened."""
    table = listing([("Row", "left"), ("Column", "left"), ("Shown", "left"), ("Other", "left"), ("Rule", "left")])
    for conflict in conflicts:
        key = conflict.key if width >= 100 or len(conflict.key) <= 13 else f"…{conflict.key[-12:]}"
        shown, other = (
            (conflict.mine, conflict.theirs) if conflict.winner == "mine" else (conflict.theirs, conflict.mine)
        )
        column = conflict.column + conflict.path or "(row)"
        table.add_row(f"{conflict.table} {key}", column, brief(shown), Text(brief(other), style="dim"), conflict.rule)
    return table


def brief(value: Any) -> str:
    """A value in a few characters."""
    text = "NULL" if value is None else value if isinstance(value, str) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= 40 else f"{text[:39]}…"
