"""A naive model of the hub: every rule of `spec/merge.md`, written from its text, plain and slow.

It shares no code with the kernel. It takes operations in wire form, one after the other, and keeps rows as plain
objects. Whoever finds it hard to follow should read `spec/merge.md` beside it, section by section.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from holdfast.schema.model import MISSING, Column, Table

LIMIT = 2**53 - 1
LOSSLESS = ("counter", "set", "grow_set", "earliest", "latest")


class Met(NamedTuple):
    """A conflict (section 3). `column` is empty when a deletion met an edit; then the values are column -> value."""

    column: str
    rule: str
    mine: Any
    theirs: Any
    winner: str


class Refused(Exception):
    """The hub must refuse the transaction, with this code."""


@dataclass
class ModelCell:
    """One cell. `added` and `removed` hold (element, dot) of a set, `plus` and `minus` the sums of a counter."""

    value: Any
    stamp: str | None = None
    added: set[tuple[Any, str]] = field(default_factory=set)
    removed: set[tuple[Any, str]] = field(default_factory=set)
    plus: int = 0
    minus: int = 0


@dataclass
class ModelRow:
    """One row: its life, its cells by column name, and the space where the hub keeps it."""

    life: int
    cells: dict[str, ModelCell]
    space: str = ""

    @property
    def alive(self) -> bool:
        """Odd lives are alive."""
        return self.life % 2 == 1


def default(column: Column) -> Any:
    """What a cell shows that nobody wrote (section 4)."""
    if column.default is not MISSING and column.default is not None:
        return copy.deepcopy(column.default)
    return {"counter": 0, "set": [], "grow_set": []}.get(column.merge)


def follows(current: str | None, base: str | None, origin: str) -> bool:
    """Section 2, its four rules."""
    if current is None:
        return True
    if base == current:
        return True
    current_origin = current.partition("-")[2]
    if current_origin == origin:
        return True
    return base is not None and current_origin == base.partition("-")[2] and current <= base


def next_stamp(current: str, origin: str) -> str:
    """The next HLC after the current stamp, with that origin."""
    hlc = min(int(current.partition("-")[0], 16) + 1, LIMIT)
    return f"{hlc:014x}-{origin}"


def rank(column: Column, value: Any) -> Any:
    """What values of an extremum or a set are ordered by (encoding.md 1.2)."""
    kind = column.element if column.type == "set" else column.type
    if kind == "bigint":
        return int(value)
    return (Decimal(value), value) if kind == "decimal" else value


def shown(column: Column, elements: set[Any]) -> list[Any]:
    """A set as SQL shows it."""
    return sorted(elements, key=lambda element: rank(column, element))


def change_cell(column: Column, cell: ModelCell, change: Any, stamp: str, dot: str) -> None:
    """Section 4: the change is applied to a cell, with a stamp; `dot` is the stamp as its writer named it."""
    first = cell.stamp is None
    if column.merge == "register":
        if first or stamp > str(cell.stamp):
            cell.value, cell.stamp = change, stamp
    elif column.merge == "counter":
        if first and cell.value:
            cell.plus, cell.minus = max(cell.value, 0), max(-cell.value, 0)
        cell.value += change
        cell.plus, cell.minus = cell.plus + max(change, 0), cell.minus + max(-change, 0)
        if max(abs(cell.value), cell.plus, cell.minus) > LIMIT:
            raise Refused("value_range")
        cell.stamp = max(cell.stamp or "", stamp)
    elif column.merge == "set":
        if first:
            cell.added |= {(element, "=") for element in cell.value}
        for element, dots in change.get("remove", []):
            cell.removed |= {(element, removed) for removed in dots}
        cell.added |= {(element, dot) for element in change.get("add", [])}
        cell.value = shown(column, {element for element, _ in cell.added - cell.removed})
        cell.stamp = max(cell.stamp or "", stamp)
    elif column.merge == "grow_set":
        cell.value = shown(column, {*cell.value, *change.get("add", [])})
        cell.stamp = max(cell.stamp or "", stamp)
    else:
        change_extremum(column, cell, change, stamp)


def change_extremum(column: Column, cell: ModelCell, change: Any, stamp: str) -> None:
    """The smaller or larger value; null loses to anything; the stamp is that of the winning value."""
    if cell.value is None or change is None:
        order = (change is not None) - (cell.value is not None)
    else:
        new, old = rank(column, change), rank(column, cell.value)
        order = (new > old) - (new < old)
        order = -order if column.merge == "earliest" else order
    if order > 0:
        cell.value, cell.stamp = change, stamp
    elif cell.stamp is None or (order == 0 and stamp > cell.stamp):
        cell.stamp = stamp


def equal(a: Any, b: Any) -> bool:
    """Whether two wire values are one JSON value: 1 is 1.0 there, and true is neither."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(value, b[name]) for name, value in a.items())
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def merge_cell(
    column: Column, cell: ModelCell, change: Any, base: str | None, op: dict[str, Any], met: list[Met]
) -> bool:
    """One change meets one cell of a living row; True when that makes the outcome `merged`. What was lost is `met`."""
    stamp, origin = op["stamp"], op["stamp"].partition("-")[2]
    following = follows(cell.stamp, base, origin)
    merged = not following
    if column.merge == "register" and following and cell.stamp is not None and stamp <= cell.stamp:
        stamp, merged = next_stamp(cell.stamp, origin), True
    if column.merge == "register" and not following and not equal(cell.value, change):
        winner = "mine" if stamp > str(cell.stamp) else "theirs"
        met.append(Met(column.name, "register", change, cell.value, winner))
    change_cell(column, cell, change, stamp, op["named"])
    return merged


def start(table: Table, op: dict[str, Any], dead: ModelRow | None, life: int) -> ModelRow:
    """An insert writes every cell; a register of a reinsert gets a stamp after that of the dead cell."""
    cells = {}
    for column in table.cells:
        cell = ModelCell({"counter": 0, "set": [], "grow_set": []}.get(column.merge))
        stamp = op["stamp"]
        old = dead.cells[column.name].stamp if dead is not None else None
        if column.merge == "register" and old is not None and old >= stamp:
            stamp = next_stamp(old, stamp.partition("-")[2])
        change = op.get("set", {}).get(column.name, MISSING)
        if change is MISSING:
            value = default(column)
            change = {"add": value} if column.merge in ("set", "grow_set") else value
        change_cell(column, cell, change, stamp, op["named"])
        cells[column.name] = cell
    return ModelRow(life, cells)


def apply(
    table: Table, row: ModelRow | None, op: dict[str, Any], met: list[Met] | None = None
) -> tuple[ModelRow | None, str]:
    """Section 3. `op` is the wire form with `named`: the stamp as the writer gave it. Gives a new row and the status:
    "applied", "merged" or "ignored". Raises `Refused`. Conflicts are added to `met`, in order.
    """
    met = [] if met is None else met
    row = copy.deepcopy(row)
    life = op.get("life", 0)
    restamped = "merged" if op["named"] != op["stamp"] else "applied"
    if op["op"] == "insert":
        if row is None:
            return start(table, op, None, odd(life + 1)), restamped
        if not row.alive:
            fresh = start(table, op, row, odd(max(row.life, life) + 1))
            return fresh, restamped if life == row.life else "merged"
        for name, change in op.get("set", {}).items():
            merge_cell(table.cells[table.slot[name]], row.cells[name], change, None, op, met)
        return row, "merged"
    if op["op"] == "delete":
        return delete(table, row, op, restamped, met)
    if row is None:
        raise Refused("row_missing")
    merged = life != row.life
    if not row.alive:
        if table.on_delete == "delete":
            met.append(Met("", "deleted", op.get("set", {}), None, "theirs"))
            return row, "merged"
        met.append(Met("", "revived", op.get("set", {}), None, "mine"))
        row.life += 1
    bases = op.get("base", {})
    for name, change in op.get("set", {}).items():
        if merge_cell(table.cells[table.slot[name]], row.cells[name], change, bases.get(name), op, met):
            merged = True
    return row, "merged" if merged else restamped


def odd(life: int) -> int:
    """An insert makes an odd life in any case."""
    return life if life % 2 else life + 1


def delete(
    table: Table, row: ModelRow | None, op: dict[str, Any], restamped: str, met: list[Met]
) -> tuple[ModelRow | None, str]:
    """A deletion meets a row."""
    if row is None or not row.alive:
        return row, "ignored"
    origin = op["stamp"].partition("-")[2]
    bases = stamps_by_slot(op.get("base", ""), len(table.cells))
    stamps = [row.cells[column.name].stamp for column in table.cells]
    unseen = {
        column.name: row.cells[column.name].value
        for column, current, base in zip(table.cells, stamps, bases, strict=True)
        if not follows(current, base, origin)
    }
    again = not any(stamps) and op.get("life", 0) < row.life
    if unseen or again:
        if table.on_delete == "keep_edits":
            met.append(Met("", "kept", None, unseen, "theirs"))
            return row, "merged"
        met.append(Met("", "deleted", None, unseen, "mine"))
        row.life += 1
        return row, "merged"
    merged = op.get("life", 0) != row.life
    row.life += 1
    return row, "merged" if merged else restamped


def stamps_by_slot(text: str, width: int) -> list[str | None]:
    """Row stamps, from encoding.md section 3."""
    if not text:
        return [None] * width
    if "*" in text:
        stamp, _, count = text.partition("*")
        found: list[str | None] = [stamp] * int(count)
    else:
        distinct, _, places = text.partition(":")
        names = distinct.split(",")
        found = [names[int(place)] if place else None for place in places.split(".")]
    return found + [None] * (width - len(found))
