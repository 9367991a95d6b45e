"""`holdfast queue`: what waits on a device and what was refused, and what to do with it. No network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.padding import Padding
from rich.text import Text

from holdfast.cli.failures import Exit
from holdfast.cli.loading import load_schema
from holdfast.cli.options import AsJson, SchemaFile
from holdfast.cli.status import show_refused
from holdfast.cli.terminal import Terminal, listing, moment, number, size
from holdfast.errors import HoldfastError
from holdfast.replica.queued import Pending, Refused
from holdfast.replica.replica import Replica
from holdfast.replica.steering import Cancelled

queue = App(
    name="queue",
    help="Look at the transactions of a device that are not on the hub, and decide about them.",
    help_format="plaintext",
    sort_key=4,
)

Database = Annotated[Path, Parameter(name="--db", help="The device's SQLite file.")]
Number = Annotated[int, Parameter(help="The number of the transaction, as `holdfast queue list` shows it.")]
WithDependants = Annotated[
    bool,
    Parameter(name="--dependants", negative="", show_default=False, help="Take back what depends on it, too."),
]
STYLES = {"pending": "", "sending": "cyan", "parked": "yellow", "refused": "red"}


@queue.command(name="list", sort_key=0)
def list_(schema: SchemaFile, /, *, db: Database, as_json: AsJson = False) -> int:
    """List what waits and what was refused, in the order of writing.

    Exits with 4 when there are refused transactions.

    Example: holdfast queue list schema.py --db tablet.db
    """
    terminal = Terminal(as_json=as_json)
    with opened(schema, db) as device:
        waiting, refused = device.pending(), device.refused()
    if terminal.as_json:
        documents = [*map(as_document, waiting), *map(as_document, refused)]
        terminal.document({"file": str(db), "transactions": sorted(documents, key=lambda d: d["txn"])})
    elif not waiting and not refused:
        terminal.done(f"{db}: the queue is empty")
    else:
        show_list(terminal, db, waiting, refused)
    return Exit.REFUSED if refused else Exit.OK


@queue.command(sort_key=1)
def show(schema: SchemaFile, txn: Number, /, *, db: Database, as_json: AsJson = False) -> int:
    """Show one transaction with everything that it writes.

    Example: holdfast queue show schema.py 7 --db tablet.db
    """
    terminal = Terminal(as_json=as_json)
    with opened(schema, db) as device:
        found: list[Pending | Refused] = [*device.pending(), *device.refused()]
    item = next((one for one in found if one.txn == txn), None)
    if item is None:
        message = f"{db} has no transaction {txn}; `holdfast queue list` shows those that it has"
        raise HoldfastError("transaction_unknown", message, transaction=txn)
    if terminal.as_json:
        terminal.document(as_document(item))
    elif isinstance(item, Refused):
        show_refused(terminal, item)
        show_dependants(terminal, item.dependants)
        show_operations(terminal, item.operations)
    else:
        show_pending(terminal, item)
        show_operations(terminal, item.operations)
    return Exit.OK


@queue.command(sort_key=2)
def retry(schema: SchemaFile, txn: Number, /, *, db: Database, as_json: AsJson = False) -> int:
    """Have a refused or parked transaction sent again with the next sync, or one that is held back at once.

    Example: holdfast queue retry schema.py 7 --db tablet.db
    """
    terminal = Terminal(as_json=as_json)
    with opened(schema, db) as device:
        device.retry(txn)
    if terminal.as_json:
        terminal.document({"retried": [txn]})
    else:
        terminal.done(f"#{txn} goes with the next sync")
    return Exit.OK


@queue.command(sort_key=3)
def drop(
    schema: SchemaFile, txn: Number, /, *, db: Database, dependants: WithDependants = False, as_json: AsJson = False
) -> int:
    """Forget a refused transaction with its values, or roll a parked one back.

    Example: holdfast queue drop schema.py 7 --db tablet.db
    """
    with opened(schema, db) as device:
        done = device.drop(txn, dependants=dependants)
    return tell(Terminal(as_json=as_json), done)


@queue.command(sort_key=4)
def cancel(
    schema: SchemaFile, txn: Number, /, *, db: Database, dependants: WithDependants = False, as_json: AsJson = False
) -> int:
    """Take back a transaction that waits; what it wrote is rolled back on the device.

    One that was sent may be on the hub already: the next sync asks the hub not to take it.

    Example: holdfast queue cancel schema.py 7 --db tablet.db --dependants
    """
    with opened(schema, db) as device:
        done = device.cancel(txn, dependants=dependants)
    return tell(Terminal(as_json=as_json), done)


def opened(schema: str, db: Path) -> Replica:
    """The device of a file that is there. Raises `file_missing`."""
    declared = load_schema(schema)
    if not db.is_file():
        raise HoldfastError("file_missing", f"{db} does not exist; `holdfast sync` makes it", file=str(db))
    return Replica(db, declared)


def as_document(item: Pending | Refused) -> dict[str, Any]:
    """A transaction for machines: times as ISO 8601 text, `age` in milliseconds."""
    members = item._asdict() | {"captured": moment(item.captured)}
    if isinstance(item, Refused):
        return {"state": "refused", **members}
    return members | {"not_before": moment(item.not_before)}


def tell(terminal: Terminal, done: Cancelled) -> int:
    """What was taken back."""
    if terminal.as_json:
        terminal.document(done._asdict())
        return Exit.OK
    if done.cancelled:
        terminal.done(f"{numbers(done.cancelled)} taken back")
    if done.asked:
        terminal.look(f"{numbers(done.asked)} may be on the hub already", "the next sync asks it not to take them")
    return Exit.OK


def numbers(txns: Sequence[int]) -> str:
    """`#3, #4`; of many the first ones."""
    shown = ", ".join(f"#{txn}" for txn in txns[:8])
    return shown if len(txns) <= 8 else f"{shown} and {number(len(txns) - 8, 'more', 'more')}"


def show_list(terminal: Terminal, db: Path, waiting: Sequence[Pending], refused: Sequence[Refused]) -> None:
    """One line for each transaction, those of a class in one colour."""
    counts = [number(len(waiting), "transaction") + " waiting"] if waiting else []
    counts += [number(len(refused), "transaction") + " refused"] if refused else []
    terminal.look(f"{db}: {', '.join(counts)}")
    table = listing(
        [("#", "right"), ("State", "left"), ("Class", "left"), ("Age", "right"), ("Changes", "left"), ("", "left")]
    )
    rows: list[Pending | Refused] = sorted([*waiting, *refused], key=lambda item: item.txn)
    for item in rows:
        state = "refused" if isinstance(item, Refused) else item.state
        age = "" if isinstance(item, Refused) else short_age(item.age)
        changed = changes_of(item.operations)
        what = f"{item.label}: {changed}" if item.label else changed
        table.add_row(
            str(item.txn), Text(state, STYLES[state]), shortened(item.queue), age, what, Text(note_of(item), "dim")
        )
    terminal.out.print()
    terminal.out.print(Padding(table, (0, 0, 0, 2), expand=False))


def note_of(item: Pending | Refused) -> str:
    """Why a transaction is where it is."""
    if isinstance(item, Refused):
        return item.code
    if item.withdrawn:
        return "being taken back"
    if item.waits_for:
        return f"after {numbers(item.waits_for)}"
    return f"failed {number(item.attempts, 'time')}: {item.error}" if item.attempts else size(item.size)


def changes_of(operations: Sequence[dict[str, Any]]) -> str:
    """`insert form f1`, and how many more; a long key by its beginning and end, so that a line is a transaction."""
    first = operations[0]
    text = f"{first['op']} {first['table']} {brief(first['key'])}"
    return text if len(operations) == 1 else f"{text} and {number(len(operations) - 1, 'more', 'more')}"


def brief(text: str) -> str:
    """At most 16 characters of it; those at the end tell UUIDs of one moment apart."""
    return text if len(text) <= 16 else f"{text[:8]}…{text[-7:]}"


def shortened(text: str) -> str:
    """At most 16 characters of a name."""
    return text if len(text) <= 16 else f"{text[:15].rstrip()}…"


def short_age(milliseconds: int) -> str:
    """`3 d`, `4 h`, `5 min`, `6 s`."""
    seconds = milliseconds // 1000
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:,} {unit}"
    return f"{seconds} s"


def show_pending(terminal: Terminal, item: Pending) -> None:
    """One waiting transaction."""
    title = f" {item.label}" if item.label else ""
    state = item.state.capitalize()
    terminal.out.print(Text.assemble((f"{state} #{item.txn}{title}  ", "bold"), (moment(item.captured) or "", "dim")))
    facts: list[tuple[str, str | Text]] = [
        ("Class", item.queue),
        ("Age", short_age(item.age)),
        ("Size", size(item.size)),
    ]
    if item.parts > 1:
        facts.append(("Holds", number(item.parts, "transaction") + " that became one"))
    if item.waits_for:
        facts.append(("Waits for", numbers(item.waits_for)))
    if item.attempts:
        facts.append(("Failed", f"{number(item.attempts, 'time')}, last: {item.error}"))
    if item.not_before is not None:
        facts.append(("Not before", moment(item.not_before) or ""))
    if item.withdrawn:
        facts.append(("Then", "the hub is asked not to take it"))
    terminal.facts(facts)


def show_dependants(terminal: Terminal, dependants: Sequence[int]) -> None:
    """Others in the outbox that depend on a refused one."""
    if dependants:
        terminal.facts([("Dependants", numbers(dependants))])


def show_operations(terminal: Terminal, operations: Sequence[dict[str, Any]]) -> None:
    """What a transaction writes, value by value."""
    for op in operations:
        terminal.out.print()
        terminal.out.print(Text(f"  {op['op']} {op['table']} {op['key']}", style="bold"))
        terminal.facts([(f"  {name}", str(value)) for name, value in op.get("set", {}).items()])
