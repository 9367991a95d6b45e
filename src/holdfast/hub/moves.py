"""Rows and their parents on the hub: where changed rows go, and which other rows go with them.

A row whose table is declared with `via` lives where its parent lives. So when a parent moves to another space, its
children move too, and theirs, by one question to the store for each table and generation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from holdfast.hub.workspace import RowName, Standing, Workspace
from holdfast.kernel.row import Row
from holdfast.kernel.values import InvalidValue
from holdfast.protocol import messages as m
from holdfast.schema.key import key_values
from holdfast.schema.model import Schema, Table
from holdfast.schema.placing import Placing, Resident, Unplaced, parent_of
from holdfast.stores.base import Transaction


class Settled(NamedTuple):
    """The changed rows in their spaces, those that went with them, and the rows for which no space was found, with the
    reason, which may lie in a parent.
    """

    rows: dict[RowName, Standing]
    along: set[RowName]
    unplaced: dict[RowName, Unplaced]


class Moves:
    """The moves of one batch over its workspace."""

    def __init__(self, tx: Transaction, schema: Schema, workspace: Workspace) -> None:
        self._tx = tx
        self._schema = schema
        self._workspace = workspace
        self._children: dict[RowName, list[RowName]] = {}
        self._adopted: dict[RowName, set[RowName]] = {}

    def prepare(self, operations: Iterable[m.AnyOperation]) -> None:
        """Load, for all operations of a batch at once, the parents that they may need and what they may move."""
        parents: set[RowName] = set()
        moving: set[RowName] = set()
        for op in operations:
            table = self._schema.by_name.get(op.table)
            if (
                table is None
                or isinstance(op, m.Delete)
                or (table.via is None and op.table not in self._schema.offspring)
            ):
                continue
            row = self._row((op.table, op.key))
            touched = not table.space_columns.isdisjoint(op.set)
            if table.via is not None and (row is None or row.life % 2 == 0 or touched):
                parents.update(named_parent(self._schema, table, op, row))
            if row is not None and (touched or row.life % 2 == 0) and op.table in self._schema.offspring:
                moving.add((op.table, op.key))
        self._workspace.load(parents)
        seen: set[RowName] = set()
        while moving := moving - seen:
            seen |= moving
            moving = {child for children in self._find_children(moving).values() for child in children}

    def settle(self, rows: Mapping[RowName, Standing], user: str | None) -> Settled:
        """Give changed rows their spaces, and move with them whatever lives where they live."""
        if not self._schema.offspring:
            return self._place(rows, user)
        self._workspace.load(self.parents(rows))
        settled = self._place(rows, user)
        self._adopt(settled.rows)
        self._move_along(settled)
        return settled

    def unexpected(self, names: Iterable[RowName], user: str) -> set[RowName]:
        """Of rows that the batch changed, the new ones that a device must be told of: those that do not live where the
        rule puts them that only knows what the batch leaves. They were placed step by step: they were in a circle, died
        before their parent moved, or stayed with a user.
        """
        found: set[RowName] = set()
        fresh: dict[RowName, Resident] = {}
        for name in names:
            standing = self._workspace.standing(table := self._schema.by_name[name[0]], name)
            if table.via is None or standing.row is None or self._workspace.stored(name) is not None:
                continue
            if standing.row.life % 2 == 0:
                # Where it died depends on when; and a parent that moves in a later batch leaves it there.
                found.add(name)
            else:
                fresh[name] = Resident(standing.row.life, standing.row.values, "")
        placing = Placing(self._schema, fresh, self._space_of, user)
        found.update(name for name in fresh if not self._is_there(placing, name))
        return found

    def _is_there(self, placing: Placing, name: RowName) -> bool:
        try:
            return placing.space_of(name) == self._space_of(name)
        except Unplaced:
            return False

    def parents(self, rows: Mapping[RowName, Standing]) -> set[RowName]:
        """The parents of changed rows that did not change with them."""
        found = set()
        for name, standing in rows.items():
            parent = self.parent(name, standing.row)
            if parent is not None and parent not in rows:
                found.add(parent)
        return found

    def parent(self, name: RowName, row: Row | None) -> RowName | None:
        """The row that says where this one lives, as far as its values name one."""
        try:
            return parent_of(self._schema, name, row.values) if row is not None else None
        except InvalidValue:
            return None

    def _place(self, rows: Mapping[RowName, Standing], user: str | None) -> Settled:
        settled = Settled({}, set(), {})
        residents = {
            name: Resident(standing.row.life, standing.row.values, standing.space)
            for name, standing in rows.items()
            if standing.row is not None
        }
        placing = Placing(self._schema, residents, self._space_of, user)
        for name, standing in rows.items():
            try:
                settled.rows[name] = standing._replace(space=placing.space_of(name))
            except Unplaced as problem:
                settled.unplaced[name] = problem
        return settled

    def _space_of(self, name: RowName) -> str | None:
        return self._workspace.standing(self._schema.by_name[name[0]], name).space or None

    def _row(self, name: RowName) -> Row | None:
        return self._workspace.standing(self._schema.by_name[name[0]], name).row

    def _adopt(self, rows: Mapping[RowName, Standing]) -> None:
        """Remember whom the changed rows name: the store does not know it yet."""
        for name, standing in rows.items():
            parent = self.parent(name, standing.row)
            if parent is not None:
                self._adopted.setdefault(parent, set()).add(name)

    def _move_along(self, settled: Settled) -> None:
        rows = settled.rows
        moved = {name for name, standing in rows.items() if self._space_of(name) not in (None, standing.space)}
        while moved := {name for name in moved if name[0] in self._schema.offspring}:
            known = self._find_children(moved)
            next_moved = set()
            for parent in sorted(moved):
                for child in sorted({*known[parent], *self._adopted.get(parent, ())}):
                    standing = self._as_it_stands(child, rows)
                    if standing.row is None or standing.row.life % 2 == 0 or standing.space == rows[parent].space:
                        continue
                    if self.parent(child, standing.row) == parent:
                        rows[child] = standing._replace(space=rows[parent].space)
                        settled.along.add(child)
                        next_moved.add(child)
            moved = next_moved

    def _as_it_stands(self, name: RowName, rows: Mapping[RowName, Standing]) -> Standing:
        """The row in this settlement, in this batch, or as it was: then the user table shows it already."""
        found = rows.get(name)
        if found is None:
            found = self._workspace.standing(self._schema.by_name[name[0]], name)
            if not self._workspace.touched(name):
                found = found._replace(foreign=True)
        return found

    def _find_children(self, parents: set[RowName]) -> dict[RowName, list[RowName]]:
        """The children that the user tables and the feed both show, asked once for each parent."""
        unknown = {name for name in parents if name not in self._children}
        self._children.update((name, []) for name in unknown)
        candidates: list[RowName] = []
        for parent_table in sorted({name[0] for name in unknown}):
            keys = sorted(key for table, key in unknown if table == parent_table)
            for table in self._schema.offspring.get(parent_table, ()):
                candidates += self._candidates(table, self._schema.by_name[parent_table], keys)
        self._workspace.load(candidates)
        for name in dict.fromkeys(candidates):
            # Another program may have written the row since: its own note takes it to where it belongs.
            stored = self._workspace.as_stored(name)
            if stored is not None and stored.life % 2 == 1:
                parent = self.parent(name, stored)
                if parent in unknown:
                    self._children[parent].append(name)
        return {name: self._children[name] for name in parents}

    def _candidates(self, table: Table, parent: Table, keys: Iterable[str]) -> list[RowName]:
        assert table.via is not None
        places = [parent.key_names.index(column) for column in table.via.parent_columns]
        found = [key_values(parent, key) for key in keys]
        values = [[one[place] for place in places] for one in found]
        return [(table.name, key) for key in self._tx.children(table.name, table.via.columns, values)]


def named_parent(schema: Schema, table: Table, op: m.Insert | m.Update, row: Row | None) -> list[RowName]:
    """The parent that the row will have by the operation; none when it has none, or the operation makes no sense."""
    cells = list(row.values) if row is not None else []
    cells += [column.default for column in table.cells[len(cells) :]]
    for name, value in op.set.items():
        if name in table.slot:
            cells[table.slot[name]] = value
    try:
        parent = parent_of(schema, (op.table, op.key), cells)
    except (InvalidValue, TypeError, ValueError, AttributeError):
        return []  # the operation itself will be refused
    return [] if parent is None else [parent]
