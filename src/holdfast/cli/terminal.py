"""How the command line looks: two consoles, a few signs with one meaning each, and JSON for machines.

Colours mean: green done, yellow look here, red failed, dim less important. Nothing is said by colour alone.
"""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from holdfast.cli.failures import remedy_of
from holdfast.errors import HoldfastError
from holdfast.kernel.clock import EPOCH_MS


class Terminal:
    """Where a command writes: `out` is standard output, `err` standard error. `as_json`: `out` gets one document."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out = Console(file=sys.stdout, highlight=False, soft_wrap=False, emoji=False)
        self.err = Console(file=sys.stderr, highlight=False, soft_wrap=False, emoji=False)
        self.unicode = self.out.encoding.lower().replace("-", "").startswith("utf")
        self.ok, self.bad, self.arrow = ("✓", "✗", "→") if self.unicode else ("+", "x", "->")

    def document(self, content: dict[str, Any]) -> None:
        """Print the one JSON document of a `--json` run."""
        print(json.dumps(content, ensure_ascii=False, indent=2, default=str), flush=True)

    def done(self, text: str, note: str = "") -> None:
        """One line: something is done."""
        self.out.print(self.signed(self.ok, "green", text, note))

    def look(self, text: str, note: str = "") -> None:
        """One line: somebody should look at this."""
        self.out.print(self.signed("!", "yellow", text, note))

    def next_steps(self, title: str, commands: Iterable[str]) -> None:
        """Commands to type next, one a line, never wrapped by us: they are to be copied."""
        self.out.print()
        self.out.print(Text(title, style="bold"))
        for command in commands:
            self.out.print(Text(f"  {command}", style="cyan"), soft_wrap=True)

    def facts(self, rows: Iterable[tuple[str, str | Text]]) -> None:
        """Names and values, aligned."""
        self.out.print(self.fact_grid(rows))

    def fact_grid(self, rows: Iterable[tuple[str, str | Text]]) -> Padding:
        """Names and values, aligned, to be printed."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in rows:
            grid.add_row(name, value if isinstance(value, Text) else Text(value))
        return Padding(grid, (0, 0, 0, 2), expand=False)

    def fail(self, error: HoldfastError) -> None:
        """An error: code, message, remedy."""
        remedy = remedy_of(error)
        if self.as_json:
            members = {"code": error.code, "message": error.message, "remedy": remedy, "details": error.details}
            self.document({"error": members})
            return
        self.err.print(self.signed(self.bad, "red", Text.assemble((error.code, "bold red"), "  ", error.message)))
        if remedy:
            self.err.print(self.signed(self.arrow, "dim", remedy))

    def signed(self, sign: str, style: str, text: str | Text, note: str = "", indent: int = 0) -> Padding:
        """A sign, then text that wraps behind it, then a note: beside the text where it fits, else below it."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(style=style, no_wrap=True)
        grid.add_column(overflow="fold")
        body = Text(text) if isinstance(text, str) else text
        if note:
            fits = indent + len(sign) + 1 + body.cell_len + 2 + len(note) <= self.out.width
            body = Text.assemble(body, "  " if fits else "\n", (note, "dim"))
        grid.add_row(sign, body)
        return Padding(grid, (0, 0, 0, indent), expand=False)


def listing(columns: Sequence[tuple[str, str]], *, gap: int = 2, wrap: bool = True) -> Table:
    """An empty table with light lines; `columns` are (heading, "left" or "right"), `gap` is the space between them."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold", show_edge=False)
    for heading, side in columns:
        table.add_column(heading, justify="right" if side == "right" else "left", overflow="fold", no_wrap=not wrap)
    return table


def size(count: int) -> str:
    """Bytes for people: `812 B`, `4.1 kB`, `3.0 MB`, `1.5 GB`."""
    if count < 1000:
        return f"{count} B"
    if count < 999_950:
        return f"{count / 1000:.1f} kB"
    return f"{count / 1_000_000:.1f} MB" if count < 999_950_000 else f"{count / 1_000_000_000:.1f} GB"


def number(count: int, singular: str = "", plural: str = "") -> str:
    """`1,204 rows`, `1 row`; the number alone without a word."""
    word = singular if count == 1 else plural or f"{singular}s"
    return f"{count:,} {word}" if singular else f"{count:,}"


def moment(milliseconds: int | None) -> str | None:
    """Milliseconds since 2020-01-01 UTC as ISO 8601 text with seconds."""
    if milliseconds is None:
        return None
    seconds = (milliseconds + EPOCH_MS) // 1000
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(milliseconds: int, now: int) -> str:
    """How long before `now` something was; both in milliseconds."""
    seconds = max(0, now - milliseconds) // 1000
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            return f"{number(seconds // length, unit)} ago"
    return "just now" if seconds < 5 else f"{seconds} seconds ago"
