"""`holdfast conflicts`, `holdfast resolve`: what met on a device, side by side, and deciding about it. No network."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from holdfast.cli.failures import Exit
from holdfast.cli.loading import load_schema
from holdfast.cli.options import AsJson, SchemaFile
from holdfast.cli.terminal import Terminal, moment, number
from holdfast.errors import HoldfastError
from holdfast.protocol.conflicts import Conflict, Writer
from holdfast.replica.replica import Replica

Database = Annotated[Path, Parameter(name="--db", help="The device's SQLite file.")]
Everything = Annotated[
    bool, Parameter(name="--all", negative="", show_default=False, help="Also those that are decided.")
]
Which = Annotated[str, Parameter(help="The conflict's id, as `holdfast conflicts` shows it.")]
Choice = Annotated[Literal["mine", "theirs"] | None, Parameter(help="Which of the two stays.")]
Value = Annotated[
    str | None, Parameter(name="--value", help="Another value, as JSON; a word that is no JSON is taken as text.")
]
SIDE_BY_SIDE = 60
"""From this width on both values stand beside each other, below it one under the other."""


def conflicts(schema: SchemaFile, /, *, db: Database, everything: Everything = False, as_json: AsJson = False) -> int:
    """List the conflicts of a device: which values met, who wrote them, and what was decided.

    Exits with 6 when some wait for a decision.

    Example: holdfast conflicts schema.py --db tablet.db
    """
    terminal = Terminal(as_json=as_json)
    with opened(schema, db) as device:
        found = device.conflicts(open=None if everything else True)
        decided = len(device.conflicts(open=False))
    waiting = [conflict for conflict in found if conflict.state == "open"]
    if terminal.as_json:
        terminal.document({"file": str(db), "conflicts": [as_document(conflict) for conflict in found]})
    else:
        for conflict in found:
            show(terminal, conflict)
        if not found:
            terminal.done(f"{db}: no conflict waits for a decision")
        elif waiting:
            terminal.next_steps("Decide:", [f"holdfast resolve {schema} {short(waiting[0])} mine --db {db}"])
        if decided and not everything:
            terminal.look(f"{number(decided, 'decided conflict')}", "--all shows them")
    return Exit.REVIEW if waiting else Exit.OK


def resolve(
    schema: SchemaFile,
    conflict: Which,
    choice: Choice = None,
    /,
    *,
    db: Database,
    value: Value = None,
    as_json: AsJson = False,
) -> int:
    """Decide a conflict: "mine", "theirs" or another value. It goes to the hub with the next sync.

    A conflict that a rule has decided can be decided anew: so a value that lost comes back.

    Example: holdfast resolve schema.py 32a037c23c000-1db6399d1693 mine --db tablet.db
    """
    terminal = Terminal(as_json=as_json)
    if (choice is None) == (value is None):
        raise HoldfastError("usage", "say mine, theirs or --value, one of them")
    with opened(schema, db) as device:
        found = named(device, conflict)
        decided = device.resolve(found, choice if choice is not None else parsed(value or ""))
    if terminal.as_json:
        terminal.document(as_document(decided))
    else:
        terminal.done(f"{place_of(decided)} is {shown(decided.result)}", "goes to the hub with the next sync")
    return Exit.OK


def opened(schema: str, db: Path) -> Replica:
    """The device of a file that is there. Raises `file_missing`."""
    declared = load_schema(schema)
    if not db.is_file():
        raise HoldfastError("file_missing", f"{db} does not exist; `holdfast sync` makes it", file=str(db))
    return Replica(db, declared)


def named(device: Replica, text: str) -> Conflict:
    """The conflict with that id. Raises `conflict_unknown`."""
    found = [conflict for conflict in device.conflicts() if conflict.id == text or short(conflict) == text]
    if not found:
        message = f"the device holds no conflict {text!r}; `holdfast conflicts --all` lists them"
        raise HoldfastError("conflict_unknown", message, conflict=text)
    return found[0]


def short(conflict: Conflict) -> str:
    """The id as people type it: without its leading zeros."""
    return conflict.id.lstrip("0")


def parsed(text: str) -> Any:
    """A value from the command line: JSON, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def as_document(conflict: Conflict) -> dict[str, Any]:
    """A conflict for machines: times as ISO 8601 text."""
    members = conflict._asdict()
    for side in ("mine_by", "theirs_by"):
        members[side] = members[side]._asdict() | {"at": moment(members[side].at)}
    return members | {"resolved_at": moment(conflict.resolved_at)}


def place_of(conflict: Conflict) -> str:
    """Row and column."""
    return f"{conflict.table} {conflict.key}" + (f", {conflict.column}{conflict.path}" if conflict.column else "")


def show(terminal: Terminal, conflict: Conflict) -> None:
    """One conflict: where, what met, side by side with the differences marked, and what was decided."""
    sign, style = {"open": ("?", "yellow"), "auto": ("!", "dim")}.get(conflict.state, (terminal.ok, "green"))
    told = {"open": "waits for a decision", "auto": f"decided by {conflict.rule}"}.get(
        conflict.state, f"decided by {conflict.resolved_by}"
    )
    terminal.out.print(terminal.signed(sign, style, Text(place_of(conflict), style="bold"), told))
    values = {"mine": conflict.mine, "theirs": conflict.theirs}
    mine, theirs = marked(*("(deleted)" if side == conflict.deleted else shown(values[side]) for side in values))
    sides = [
        (heading("mine", conflict.mine_by, conflict.winner == "mine"), mine),
        (heading("theirs", conflict.theirs_by, conflict.winner == "theirs"), theirs),
    ]
    if terminal.out.width >= SIDE_BY_SIDE:
        grid = Table.grid(padding=(0, 2), expand=True)
        for _ in sides:
            grid.add_column(ratio=1, overflow="fold")
        grid.add_row(*(head for head, _ in sides))
        grid.add_row(*(value for _, value in sides))
    else:
        grid = Table.grid()
        grid.add_column(overflow="fold")
        for head, value in sides:
            grid.add_row(head)
            grid.add_row(Padding(value, (0, 0, 0, 2)))
    terminal.out.print(Padding(grid, (0, 0, 0, 2)))
    facts = [("base", shown(conflict.base))] if conflict.has_base and conflict.column else []
    facts += [("result", shown(conflict.result))] if conflict.state != "open" else []
    facts += [("why", conflict.error)] if conflict.error else []
    terminal.facts([*facts, ("id", short(conflict))])
    terminal.out.print()


def heading(side: str, by: Writer, wins: bool) -> Text:
    """Who wrote a side, when, and whether the row shows it."""
    who = by.user or "somebody"
    when = moment(by.at)
    return Text.assemble(
        (side, "bold"), (" (shown)" if wins else "", "green"), (f"  {who}" + (f", {when}" if when else ""), "dim")
    )


def shown(value: Any) -> str:
    """A value for people."""
    if value is None:
        return "NULL"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def marked(mine: str, theirs: str) -> tuple[Text, Text]:
    """Both texts with what differs underlined, word by word."""
    a, b = _words(mine), _words(theirs)
    left, right = Text(), Text()
    for tag, a0, a1, b0, b1 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        style = "" if tag == "equal" else "underline yellow"
        left.append("".join(a[a0:a1]), style=style)
        right.append("".join(b[b0:b1]), style=style)
    return left, right


def _words(text: str) -> list[str]:
    """Words with the white space that follows them."""
    found: list[str] = []
    for piece in text.splitlines(keepends=True):
        found += [word + " " for word in piece.split(" ")[:-1]] + [piece.split(" ")[-1]]
    return found
