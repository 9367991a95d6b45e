"""What the hub does with a transaction that breaks a unique or a foreign key, where its table declares a policy.

It is found out after the database has refused the transaction alone: only then is anything looked for. Each policy is a
few further operations at the end of the transaction, made by the hub; then the database is asked again
(`spec/merge.md`, section 9).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from holdfast.hub.workspace import RowName, Standing, Workspace
from holdfast.kernel import clock
from holdfast.kernel.row import Op, Row
from holdfast.kernel.values import InvalidValue
from holdfast.schema.key import key_text, key_values
from holdfast.schema.model import MISSING, ForeignKey, Schema, Table
from holdfast.schema.rules import renamed_column
from holdfast.stores.base import Transaction, Violation

ROUNDS = 20
"""So often at most the hub mends a transaction: each generation of children is one round."""
MOST_NAMES = 1_000
"""So many numbers are tried to make a name unique."""


class Mend(NamedTuple):
    """One row that the hub changes so that the transaction fits.

    `kind`: "rename" (`values` maps the slot to the new name), "null" (it empties the slots), "cascade" (the row goes)
    or "revive" (the row comes back). `rule` is that of the conflict, `waits` whether a person has to look at it, `own`
    whether the transaction wrote the row itself; `other` is the row that stood in the way, or the parent.
    """

    kind: Literal["rename", "null", "cascade", "revive"]
    name: RowName
    values: dict[int, Any]
    rule: str
    own: bool
    other: str
    waits: bool = False


class Policies:
    """Looks for what a refused transaction has met, over the workspace in which it was decided."""

    def __init__(self, tx: Transaction, schema: Schema, workspace: Workspace) -> None:
        self._tx = tx
        self._schema = schema
        self._workspace = workspace
        self._changed = workspace.all_changed()

    def mends(self, violation: Violation) -> list[Mend]:
        """What makes the transaction fit; empty when nothing is declared, or nothing helps."""
        if violation.kind == "unique":
            table = self._schema.by_name.get(violation.table)
            if table is None or table.on_unique == "refuse":
                return []
            return self._renamed(table, violation.columns)
        if violation.kind == "foreign_key":
            return [*self._orphans(), *self._left_behind()]
        return []

    def other(self, violation: Violation) -> tuple[RowName, RowName] | None:
        """The row of the transaction that breaks a unique key, and the one that holds the value already."""
        table = self._schema.by_name.get(violation.table)
        if violation.kind != "unique" or table is None or not violation.columns:
            return None
        for name, other in self._collisions(table, violation.columns):
            return name, other
        return None

    def _renamed(self, table: Table, columns: Sequence[str]) -> list[Mend]:
        column = renamed_column(table, columns)
        if column is None:
            return []
        slot, mends, taken = table.slot[column], [], set[str]()
        for name, other in self._collisions(table, columns):
            row = self._row(name)
            fresh = self._free_name(table, columns, row, name[1], slot, taken)
            if fresh is None:
                return []
            taken.add(fresh)
            waits = table.on_unique == "review"
            mends.append(Mend("rename", name, {slot: fresh}, "unique", True, other[1], waits))
        return mends

    def _collisions(self, table: Table, columns: Sequence[str]) -> Iterable[tuple[RowName, RowName]]:
        """Changed rows of the table whose values in the columns another row has."""
        seen: dict[tuple[Any, ...], RowName] = {}
        for name in self._changed:
            standing = self._standing(name)
            if name[0] != table.name or not alive(standing.row):
                continue
            values = values_of(table, name[1], standing.row, columns)
            if None in values or not all(isinstance(value, (str, int, float, bool)) for value in values):
                continue
            holders = [(table.name, key) for key in self._tx.children(table.name, columns, [values])]
            self._workspace.load(holders)
            for holder in holders:
                row = self._standing(holder).row
                if holder != name and alive(row) and values_of(table, holder[1], row, columns) == values:
                    yield name, holder
                    break
            else:
                if values in seen:
                    yield name, seen[values]
                seen.setdefault(values, name)

    def _free_name(
        self, table: Table, columns: Sequence[str], row: Row, key: str, slot: int, taken: set[str]
    ) -> str | None:
        """The old name with the first number that makes the group unique: `Roof (2)`."""
        values = list(values_of(table, key, row, columns))
        place = list(columns).index(table.cells[slot].name)
        stem = str(values[place])
        for number in range(2, MOST_NAMES):
            values[place] = f"{stem} ({number})"
            here = any(
                name[0] == table.name
                and alive(self._standing(name).row)
                and values_of(table, name[1], self._standing(name).row, columns) == tuple(values)
                for name in self._changed
            )
            if values[place] not in taken and not here and not self._tx.children(table.name, columns, [values]):
                return str(values[place])
        return None

    def _orphans(self) -> list[Mend]:
        """Changed rows that name a parent which was deleted."""
        mends: list[Mend] = []
        for name in self._changed:
            table, row = self._schema.by_name[name[0]], self._standing(name).row
            if table.on_parent_deleted == "refuse" or not alive(row):
                continue
            for foreign_key in table.foreign_keys:
                parent = self._parent(table, name[1], row, foreign_key)
                if parent is not None and is_dead(self._standing(parent).row):
                    mends += self._of_child(table, name, foreign_key, parent, own=True)
        return once(mends)

    def _left_behind(self) -> list[Mend]:
        """Children that the transaction's deletions would leave behind."""
        mends: list[Mend] = []
        for parent in [name for name in self._changed if is_dead(self._standing(name).row)]:
            for table in self._schema.declared:
                for foreign_key in table.foreign_keys:
                    if foreign_key.parent == parent[0] and table.on_parent_deleted != "refuse":
                        mends += self._children(table, foreign_key, parent)
        return once(mends)

    def _children(self, table: Table, foreign_key: ForeignKey, parent: RowName) -> list[Mend]:
        owner = self._schema.by_name[parent[0]]
        row = self._standing(parent).row
        values = values_of(owner, parent[1], row, foreign_key.parent_columns)
        names = [(table.name, key) for key in self._tx.children(table.name, foreign_key.columns, [values])]
        self._workspace.load(names)
        mends: list[Mend] = []
        for name in names:
            child = self._standing(name).row
            if alive(child) and values_of(table, name[1], child, foreign_key.columns) == values:
                mends += self._of_child(table, name, foreign_key, parent, own=False)
        return mends

    def _of_child(
        self, table: Table, name: RowName, foreign_key: ForeignKey, parent: RowName, *, own: bool
    ) -> list[Mend]:
        if table.on_parent_deleted == "revive":
            return [Mend("revive", parent, {}, "parent_revived", not own, name[1])]
        if table.on_parent_deleted == "cascade":
            return [Mend("cascade", name, {}, "parent_deleted", own, parent[1])]
        if any(column not in table.slot for column in foreign_key.columns):
            return []
        emptied = {table.slot[column]: None for column in foreign_key.columns}
        return [Mend("null", name, emptied, "parent_deleted", own, parent[1])]

    def _parent(self, table: Table, key: str, row: Row | None, foreign_key: ForeignKey) -> RowName | None:
        """The parent that a row names, if by its key; it is loaded."""
        parent = self._schema.by_name[foreign_key.parent]
        if set(foreign_key.parent_columns) != set(parent.key_names):
            return None
        named = dict(zip(foreign_key.parent_columns, values_of(table, key, row, foreign_key.columns), strict=True))
        if None in named.values():
            return None
        try:
            found = (parent.name, key_text(parent, [named[column] for column in parent.key_names]))
        except InvalidValue:
            return None
        self._workspace.load([found])
        return found

    def _standing(self, name: RowName) -> Standing:
        return self._workspace.standing(self._schema.by_name[name[0]], name)

    def _row(self, name: RowName) -> Row:
        row = self._standing(name).row
        assert row is not None, "only rows that are there collide"
        return row


def values_of(table: Table, key: str, row: Row | None, columns: Sequence[str]) -> tuple[Any, ...]:
    """The wire values of some columns of a row."""
    keys = dict(zip(table.key_names, key_values(table, key), strict=True))
    found = []
    for name in columns:
        slot = table.slot.get(name)
        if slot is None:
            found.append(keys[name])
        elif row is not None and slot < len(row.values):
            found.append(row.values[slot])
        else:
            default = table.cells[slot].default
            found.append(None if default is MISSING else default)
    return tuple(found)


def alive(row: Row | None) -> bool:
    """Whether a row is there."""
    return row is not None and row.life % 2 == 1


def is_dead(row: Row | None) -> bool:
    """Whether a row was deleted, so that its cells are still known."""
    return row is not None and row.life > 0 and row.life % 2 == 0


def once(mends: Iterable[Mend]) -> list[Mend]:
    """Each row once; the slots that are emptied together."""
    found: dict[RowName, Mend] = {}
    for mend in mends:
        known = found.get(mend.name)
        found[mend.name] = mend if known is None else known._replace(values={**known.values, **mend.values})
    return list(found.values())


def mending(mend: Mend, key: str, row: Row, stamp: str, origin: str) -> Op:
    """The operation of a policy, with a stamp of the hub's. On a row that the transaction wrote it goes on under the
    writer's origin, so that what he wrote after it follows; on others it is the hub's own.
    """
    if mend.own:
        stamp = clock.stamp(clock.hlc_of(stamp), origin)
    if mend.kind == "cascade":
        return Op("delete", key, stamp, row.life, {}, list(row.stamps))
    base = {slot: seen for slot in mend.values if slot < len(row.stamps) and (seen := row.stamps[slot]) is not None}
    return Op("update", key, stamp, row.life, mend.values, base)


def revived(row: Row) -> Row:
    """A dead row that is alive again, as it was."""
    again = row.copy()
    again.life += 1
    return again
