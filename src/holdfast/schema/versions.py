"""All versions of a schema that one hub serves, in one: every column of every version has its place in the rows.

A row holds the cells of all versions side by side. A renamed column is one cell with several names; the two sides of a
lens are cells of their own, and whoever writes one side has the other derived. Slots are given in the order in which
the versions came, and never again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, NoReturn

from holdfast.errors import HoldfastError
from holdfast.schema.migrations import Drop, Function, Lens, Migration, Rename, Step
from holdfast.schema.model import MISSING, Column, Schema, Table
from holdfast.schema.rules import WHOLE_MERGES

EARLIER = 2
"""So many versions before its own does a hub serve."""


class BoundLens(NamedTuple):
    """A lens between slots of one table. `old` and `new` are slots of its two sides, whose columns are declared as
    `takes_old` and `takes_new` by the versions that have them."""

    old: tuple[int, ...]
    new: tuple[int, ...]
    forward: Function
    backward: Function
    takes_old: tuple[Column, ...]
    takes_new: tuple[Column, ...]


class View(NamedTuple):
    """One version as its devices see it: `names` are its column names by slot, "" for what it does not have; `to_hub`
    maps its names to the hub's where they differ."""

    schema: Schema
    names: Mapping[str, list[str]]
    to_hub: Mapping[str, Mapping[str, str]]


class _Cell:
    """One slot: its column as the latest version that has it declares it, and its name in each version."""

    def __init__(self, column: Column) -> None:
        self.column = self.declared = column
        self.names: dict[int, str] = {}


class _Grown:
    """One table over all versions so far; `fills` are the values of dropped columns."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.cells: list[_Cell] = []
        self.fills: dict[str, Any] = {}


class Versions:
    """The union of the versions that a hub has ever run, in `schema`, and what tells them apart.

    `earlier` are the versions before `current`, oldest first, `views` those that are served, by number; `lenses` and
    `fills` (slot -> value) by table; `renames` are (table, old, new) in order. `known` False: versions in between may
    be missing, whose columns only the steps name. Raises `HoldfastError` `schema_change` when a version cannot follow
    another one without a word.
    """

    def __init__(self, earlier: Sequence[Schema], current: Schema, *, known: bool = True) -> None:
        self.current = current
        self._known = known
        self.lenses: dict[str, list[BoundLens]] = {}
        self.renames: list[tuple[str, str, str]] = []
        self._tables: dict[str, _Grown] = {}
        chain = [*earlier, current]
        served = [*earlier[-EARLIER:], current]
        self._served = frozenset(schema.version for schema in served)
        for before, after in zip([None, *chain], chain, strict=False):
            self._step(before, after, path(current.migrations, before, after) if before is not None else ())
        self.schema = self._union() if earlier else current
        self.views = {schema.version: self._view(schema) for schema in served}
        self.fills = {
            name: {
                slot: grown.fills[c.column.name] for slot, c in enumerate(grown.cells) if c.column.name in grown.fills
            }
            for name, grown in self._tables.items()
            if grown.fills
        }

    def _step(self, before: Schema | None, after: Schema, steps: Iterable[Step]) -> None:
        told = list(steps) if self._known else _followed(list(steps))
        for table in after.declared:
            grown = self._tables.get(table.name)
            if grown is None:
                grown = self._tables[table.name] = _Grown(table)
            known = before.by_name.get(table.name) if before is not None else None
            mine = [step for step in told if step.table == table.name]
            self._grow(grown, known, table, mine, before.version if before is not None else 0, after.version)
        for table in before.declared if before is not None else ():
            if table.name not in after.by_name and Drop(table.name, "") not in told:
                _fail(table.name, "", f"version {after.version} has no such table; declare hf.drop({table.name!r})")

    def _grow(
        self, grown: _Grown, before: Table | None, after: Table, steps: Sequence[Step], earlier: int, version: int
    ) -> None:
        """Take in what one version says of a table."""
        if before is not None and [(c.name, c.type) for c in before.key] != [(c.name, c.type) for c in after.key]:
            _fail(after.name, "", "the key of a table never changes; make another table")
        live = (
            {cell.names[earlier]: cell for cell in grown.cells if earlier in cell.names} if before is not None else {}
        )
        gone = self._rename(after, live, steps, earlier, version)
        made = {name for step in steps if isinstance(step, Lens) for name in step.new}
        if not self._known:
            for name in made - after.slot.keys() - live.keys():
                # A column of a version in between: whatever a lens makes of it is only handed on to the next one.
                live[name] = _Cell(Column(name, "json", nullable=True, default=None, former=True))
                grown.cells.append(live[name])
                gone.setdefault(name, None)
        former = {cell.column.name: cell for cell in grown.cells if cell not in live.values()}
        for column in after.cells:
            cell = live.get(column.name) or former.get(column.name)
            if cell is None:
                if before is not None and column.name not in made and column.default is MISSING and not column.nullable:
                    _fail(after.name, column.name, "a new column is optional, has a default, or comes of a lens")
                cell = _Cell(column)
                grown.cells.append(cell)
            _check_same(after.name, cell.column, column)
            if not self._served.isdisjoint(cell.names):
                _check_null(after.name, cell.declared, column)
            cell.declared = column
            awaited = column.name in made or (cell.column.nullable and not column.nullable)
            if before is not None and awaited and column.default is MISSING:
                # Rows from before have nothing there until the lens has been through them.
                column = replace(column, nullable=True, default=None, required=True)
            cell.column = column
            cell.names[version] = column.name
            grown.fills.pop(column.name, None)
        for name, cell in live.items():
            if version not in cell.names:
                self._retire(grown, after.name, name, cell, gone, steps, version)
        grown.table = after
        self._bind(grown, steps)

    def _rename(
        self, after: Table, live: dict[str, _Cell], steps: Sequence[Step], earlier: int, version: int
    ) -> dict[str, Any]:
        """Follow the steps through the names; gives the columns that are no more, with what they are filled with."""
        gone: dict[str, Any] = {}
        for step in steps:
            names = step.old if isinstance(step, Lens) else (step.old,) if isinstance(step, Rename) else (step.column,)
            unknown = [name for name in names if name and name not in live and name not in gone]
            if unknown and not self._known:
                continue
            for name in unknown:
                _fail(after.name, name, f"the steps to version {version} name it, and version {earlier} has none")
            if isinstance(step, Rename):
                live[step.new] = live.pop(step.old)
                self.renames.append((after.name, step.old, step.new))
            elif isinstance(step, Lens):
                gone.update(dict.fromkeys(step.old, MISSING))
            elif step.column:
                gone[step.column] = step.fill
        return gone

    def _retire(
        self,
        grown: _Grown,
        table: str,
        name: str,
        cell: _Cell,
        gone: Mapping[str, Any],
        steps: Sequence[Step],
        version: int,
    ) -> None:
        """A column that only earlier versions have from now on."""
        if name not in gone:
            _fail(table, name, f"version {version} has no such column; declare hf.rename, hf.lens or hf.drop")
        fill = gone[name] if gone[name] is not MISSING else cell.column.default
        if fill is MISSING and not cell.column.nullable and not _comes_of(steps, name):
            _fail(table, name, "earlier versions need a value in new rows; declare hf.drop(..., fill=)")
        if fill is not MISSING and fill is not None:
            grown.fills[name] = cell.column.accept(fill)
        if (cell.column.default is MISSING or cell.column.required) and cell.column.merge in WHOLE_MERGES:
            # Programs that write rows at the hub do not know it any more: its cell may be empty there for a moment.
            cell.column = replace(cell.column, nullable=True, default=_or_none(fill), required=True)
        cell.column = replace(cell.column, name=name, former=True)

    def _bind(self, grown: _Grown, steps: Sequence[Step]) -> None:
        slots = {cell.column.name: slot for slot, cell in enumerate(grown.cells)}
        for step in steps:
            if isinstance(step, Lens):
                missing = [name for name in (*step.old, *step.new) if name not in slots]
                if missing and not self._known:
                    continue
                if missing:
                    _fail(grown.table.name, missing[0], "a lens names it; no version that this hub has run has it")
                old, new = tuple(slots[name] for name in step.old), tuple(slots[name] for name in step.new)
                for column in (grown.cells[slot].column for slot in old + new):
                    if column.merge not in WHOLE_MERGES:
                        _fail(grown.table.name, column.name, "a lens takes plain values; what merges is only renamed")
                if set(old) & set(new):
                    _fail(grown.table.name, step.new[0], "the new columns of a lens have other names than the old ones")
                self.lenses.setdefault(grown.table.name, []).append(
                    BoundLens(old, new, step.forward, step.backward, self._takes(grown, old), self._takes(grown, new))
                )

    def _takes(self, grown: _Grown, slots: Iterable[int]) -> tuple[Column, ...]:
        return tuple(grown.cells[slot].declared for slot in slots)

    def _union(self) -> Schema:
        tables = []
        for grown in self._tables.values():
            columns = (*grown.table.key, *(cell.column for cell in grown.cells))
            tables.append(replace(grown.table, columns=columns))
        return Schema(self.current.version, tuple(tables), self.current.migrations, tuple(self.renames), self.lenses)

    def _view(self, schema: Schema) -> View:
        names: dict[str, list[str]] = {}
        to_hub: dict[str, dict[str, str]] = {}
        for name, grown in self._tables.items():
            own = [cell.names.get(schema.version, "") for cell in grown.cells]
            if name in schema.by_name:
                names[name] = own
                renamed = {mine: c.column.name for mine, c in zip(own, grown.cells, strict=True) if mine}
                to_hub[name] = {mine: theirs for mine, theirs in renamed.items() if mine != theirs}
        for table in schema.tables:
            names.setdefault(table.name, [column.name for column in table.cells])
        return View(schema, names, {table: found for table, found in to_hub.items() if found})


def path(migrations: Sequence[Migration], before: Schema, after: Schema) -> list[Step]:
    """The declared steps from one version to another, in order. Versions between which nothing is declared differ in
    nothing that needs a word."""
    chosen = sorted(
        (m for m in migrations if m.from_ >= before.version and m.to <= after.version), key=lambda m: m.from_
    )
    return [step for migration in chosen for step in migration.steps]


def _followed(steps: Sequence[Step]) -> list[Step]:
    """The steps with the new columns of each lens under the names that later steps give them."""
    found: list[Step] = []
    for place, step in enumerate(steps):
        if isinstance(step, Lens):
            new = list(step.new)
            for later in steps[place + 1 :]:
                if isinstance(later, Rename) and later.table == step.table and later.old in new:
                    new[new.index(later.old)] = later.new
            step = step._replace(new=tuple(new))
        found.append(step)
    return found


def _check_same(table: str, before: Column, after: Column) -> None:
    for what in ("type", "element", "merge", "function", "stored", "block"):
        if getattr(before, what) != getattr(after, what):
            message = f"its {what} changed from {getattr(before, what)!r} to {getattr(after, what)!r}: give the new "
            _fail(table, after.name, message + "column another name and declare hf.lens, or hf.drop the old one")
    if after.choices is not None and not set(after.choices) >= set(before.choices or after.choices):
        _fail(table, after.name, "choices may be added, not taken away")


def _check_null(table: str, before: Column, after: Column) -> None:
    """A cell holds a null for all versions that are served, or for none."""
    if after.nullable and not before.nullable:
        message = "devices of the version before cannot hold a null: make it another column, with hf.lens"
        _fail(table, after.name, message)
    if before.nullable and not after.nullable:
        message = "rows of the version before may hold a null: make it another column, with hf.lens"
        _fail(table, after.name, message)


def _comes_of(steps: Sequence[Step], name: str) -> bool:
    return any(isinstance(step, Lens) and name in step.old for step in steps)


def _or_none(value: Any) -> Any:
    return None if value is MISSING else value


def _fail(table: str, column: str, message: str) -> NoReturn:
    place = f"{table}.{column}" if column else table
    raise HoldfastError("schema_change", f"{place}: {message}", table=table, column=column)
