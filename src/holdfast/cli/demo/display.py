"""What the demo shows: numbered chapters, one line for each thing that happened, two tables, and the proof."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from holdfast.cli.demo.proof import Proof
from holdfast.cli.demo.record import DeviceRecord
from holdfast.cli.sync import brief
from holdfast.cli.terminal import Terminal, listing, number, size

CONFLICTS_SHOWN = 6
DIFFERENCES_SHOWN = 10
INDENT = 3
MEDIUM, WIDE = 78, 104
"""From how many columns on the tables have their middle and their full form."""


class Display:
    """Tells the story on a terminal, or says nothing when the run is for machines."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._silent = terminal.as_json
        self._chapters = 0

    def _print(self, what: Any = "") -> None:
        if not self._silent:
            self._terminal.out.print(what)

    def opening(self, title: str, facts: str, note: str) -> None:
        """The head line."""
        self._print(Text.assemble(("Holdfast demo", "bold"), "  ", title))
        self._print(Text(facts, style="dim"))
        if note:
            self._print(Text(note, style="dim"))

    def chapter(self, title: str) -> None:
        """A new part of the story."""
        self._chapters += 1
        self._print()
        self._print(Text(f"{self._chapters}  {title}", style="bold"))

    def said(self, text: str, note: str = "") -> None:
        """One thing that happened and went well."""
        self._line(self._terminal.ok, "green", text, note)

    def accident(self, text: str, note: str = "") -> None:
        """One thing that happened and is not nice, but meant to be."""
        self._line("!", "yellow", text, note)

    def failed(self, text: str) -> None:
        """One thing that must not be."""
        self._line(self._terminal.bad, "bold red", text, "")

    def _line(self, sign: str, style: str, text: str, note: str) -> None:
        self._print(self._terminal.signed(sign, style, text, note, INDENT))

    def _table(self, table: Table) -> None:
        self._print(Padding(table, (0, 0, 0, self._indent), expand=False))

    @property
    def _indent(self) -> int:
        """Tables get every column on a narrow terminal."""
        return INDENT if self._terminal.out.width >= MEDIUM else 0

    @contextmanager
    def working(self, text: str) -> Iterator[list[str]]:
        """Something that takes a while: a spinner on a terminal, then one line with the time it took. What is appended
        to the list stands in that line."""
        started = time.monotonic()
        notes: list[str] = []
        if self._silent or not self._terminal.out.is_terminal:
            yield notes
        else:
            with self._terminal.out.status(Text(text)):
                yield notes
        seconds = f"{time.monotonic() - started:.1f} s"
        self.said(text, ", ".join([*notes, seconds]))

    def devices(self, records: list[DeviceRecord]) -> None:
        """What each device wrote, sent and received."""
        self._print()
        self._table(device_table(records, self._terminal.out.width))

    def conflicts(self, records: list[DeviceRecord]) -> None:
        """Some of the conflicts: what is shown now, and what it met."""
        found = [(record.name, conflict) for record in records for conflict in record.conflicts]
        if not found:
            return
        # One of each column first: they show more than six of the same.
        first = list({_kind(conflict): (name, conflict) for name, conflict in reversed(found)}.values())[::-1]
        chosen = (first + [pair for pair in found if pair not in first])[:CONFLICTS_SHOWN]
        self._print()
        title = f"{number(len(found), 'conflict')}, settled by the same rule everywhere"
        title += f"; {len(chosen)} of them" if len(found) > len(chosen) else ""
        self._line("!", "yellow", title, "")
        self._print()
        self._table(conflict_table(chosen, self._terminal.out.width))

    def proof(self, proof: Proof) -> None:
        """What was compared, and what came of it."""
        for what, value in proof.expected:
            self.said(what, brief(value))
        self.said(f"{number(proof.rows, 'row')} compared with the hub's, value by value")
        self.said(f"{number(proof.digests, 'digest')} compared with the hub's")
        for difference in proof.differences[:DIFFERENCES_SHOWN]:
            self.failed(difference)
        if len(proof.differences) > DIFFERENCES_SHOWN:
            self.failed(f"and {number(len(proof.differences) - DIFFERENCES_SHOWN, 'more difference')}")

    def verdict(self, equal: bool, seconds: float) -> None:
        """The last line."""
        text = "All copies are equal. Nothing was lost." if equal else "The copies are NOT equal."
        style = "green" if equal else "bold red"
        self._print()
        self._print(Panel.fit(Text.assemble((text, style), (f"  {seconds:.1f} s", "dim")), border_style=style))


def _kind(conflict: dict[str, Any]) -> tuple[str, str]:
    return conflict["table"], conflict["column"]


def device_table(records: list[DeviceRecord], width: int) -> Table:
    """One row a device, and a sum. A narrow table adds the bytes up and leaves out what was written and befell."""
    wide, medium = width >= WIDE, width >= MEDIUM
    heads = ["Pending", "Pushed", "Merged", "Conflicts", "Pulled", *(["Sent", "Received"] if medium else ["Bytes"])]
    heads = ["Wrote", *heads] if medium else heads
    columns = [("Device", "left"), *((head, "right") for head in heads), *([("", "left")] if wide else [])]
    table = listing(columns, gap=2 if wide else 1, wrap=False)
    for record in records:
        table.add_row(*_cells(record, medium), *([Text(record.fate, style="yellow")] if wide else []))
    total = DeviceRecord("all")
    for record in records:
        total.add(record)
    table.add_section()
    table.add_row(*_cells(total, medium), style="bold")
    return table


def _cells(record: DeviceRecord, medium: bool) -> list[str]:
    counts = [record.pending, record.pushed, record.merged, len(record.conflicts), record.pulled]
    counts = [record.changes, *counts] if medium else counts
    moved = [record.sent, record.received] if medium else [record.sent + record.received]
    return [record.name, *(number(count) if count else "·" for count in counts), *(size(count) for count in moved)]


def conflict_table(chosen: list[tuple[str, dict[str, Any]]], width: int) -> Table:
    """Row and column, the value that is shown, the other one, and the device that was told."""
    medium = width >= MEDIUM
    heads = ["Row, column", "Shown now", "Met", *(["Reported to"] if medium else [])]
    table = listing([(head, "left") for head in heads])
    limit = max(12, (width - (50 if medium else 34)) // 2)
    for name, conflict in chosen:
        key = conflict["key"] if len(conflict["key"]) <= 12 else f"…{conflict['key'][-6:]}"
        mine, theirs = conflict["mine"], conflict["theirs"]
        shown, other = (mine, theirs) if conflict["winner"] == "mine" else (theirs, mine)
        if not conflict["column"]:
            shown, other = f"row {conflict['rule']}", "edited and deleted"
        place = f"{conflict['table']} {key}" + (f", {conflict['column']}" if conflict["column"] else "")
        met = Text(_cut(_text(other), limit), style="dim")
        table.add_row(place, _cut(_text(shown), limit), met, *([name] if medium else []))
    return table


def _text(value: Any) -> str:
    return "NULL" if value is None else " ".join(str(value).split())


def _cut(text: str, limit: int) -> str:
    """The text in at most `limit` characters: its beginning and its end, where the difference often is."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) * 2 // 3
    return f"{text[: limit - 1 - tail]}…{text[-tail:]}"
