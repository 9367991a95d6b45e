"""The user tables of the memory store, with the constraints that a database would check: in Python, on wire forms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from holdfast.kernel import values as kernel_values
from holdfast.schema.model import MISSING, Column, ForeignKey, Schema, Table
from holdfast.stores.base import Violation
from holdfast.stores.memory.layers import Layers


class UserRow(NamedTuple):
    """A row of a user table: wire forms of the key columns in key order and of the others by slot of the layout."""

    key_values: tuple[Any, ...]
    values: tuple[Any, ...]


class Change(NamedTuple):
    """What a user table is to hold under a key: a row, or None for no row."""

    table: str
    key: str
    row: UserRow | None


class UserTable:
    """What one table of the schema demands, with its columns placed by the layout."""

    def __init__(self, table: Table, layout: Sequence[str], referenced: Iterable[tuple[str, ...]]) -> None:
        self.name = table.name
        self.map = f"user {table.name}"
        self.foreign_keys: tuple[ForeignKey, ...] = table.foreign_keys
        self._key: tuple[Column, ...] = table.key
        self._key_place = {column.name: place for place, column in enumerate(table.key)}
        self._slot = {name: slot for slot, name in enumerate(layout)}
        by_name = {column.name: column for column in table.cells}
        self._cells: list[Column | None] = [by_name.get(name) for name in layout]
        key_names = tuple(column.name for column in table.key)
        self.unique: tuple[tuple[str, ...], ...] = tuple(dict.fromkeys((key_names, *table.unique, *referenced)))

    def row(self, key_values: Sequence[Any], values: Sequence[Any]) -> UserRow:
        """The row with the defaults of the columns that the values are too short for."""
        missing = [self._default(column) for column in self._cells[len(values) :]]
        return UserRow(tuple(key_values), (*values, *missing))

    def _default(self, column: Column | None) -> Any:
        return None if column is None or column.default is MISSING else column.default

    def check(self, row: UserRow) -> None:
        """Raise `Violation` when a value is null, outside its type or outside its choices against the declaration."""
        for column, value in (*zip(self._key, row.key_values, strict=True), *zip(self._cells, row.values, strict=True)):
            if column is not None:
                self._check_value(column, value)

    def _check_value(self, column: Column, value: Any) -> None:
        try:
            column.accept(value)
        except kernel_values.InvalidValue as problem:
            kind = "not_null" if problem.code == "value_null" else "check"
            raise Violation(
                kind, f"{self.name}.{column.name}: {problem.message}", self.name, [column.name]
            ) from problem

    def pick(self, row: UserRow, columns: Sequence[str]) -> tuple[Any, ...]:
        """The values of some columns, comparable: lists and objects as their text."""
        return tuple(_comparable(self._value(row, name)) for name in columns)

    def _value(self, row: UserRow, name: str) -> Any:
        place = self._key_place.get(name)
        return row.values[self._slot[name]] if place is None else row.key_values[place]

    def unique_map(self, columns: tuple[str, ...]) -> str:
        """Name of the map from the values of these columns to the key of the row that has them."""
        return f"unique {self.name} {','.join(columns)}"


def _comparable(value: Any) -> Any:
    return kernel_values.canonical_json(value) if isinstance(value, list | dict) else value


class UserTables:
    """All user tables of a schema."""

    def __init__(self, schema: Schema, layout: Mapping[str, Sequence[str]]) -> None:
        referenced: dict[str, list[tuple[str, ...]]] = {table.name: [] for table in schema.tables}
        for table in schema.tables:
            for foreign_key in table.foreign_keys:
                referenced[foreign_key.parent].append(tuple(foreign_key.parent_columns))
        self.by_name = {
            table.name: UserTable(table, layout[table.name], referenced[table.name]) for table in schema.tables
        }

    def apply(self, view: Layers, changes: Sequence[Change]) -> None:
        """Make the changes and check every constraint on what they leave, not on a moment in between."""
        old = [(change, view.get(self.by_name[change.table].map, change.key)) for change in changes]
        for change, row in old:
            if row is not None:
                self._remove(view, change, row)
        for change in changes:
            if change.row is not None:
                self._add(view, change, change.row)
        for change in changes:
            if change.row is not None:
                self._check_parents(view, change.table, change.row)
        self._check_children(view, [(change.table, row) for change, row in old if row is not None])

    def _remove(self, view: Layers, change: Change, row: UserRow) -> None:
        table = self.by_name[change.table]
        view.drop(table.map, change.key)
        for columns in table.unique:
            view.drop(table.unique_map(columns), table.pick(row, columns))

    def _add(self, view: Layers, change: Change, row: UserRow) -> None:
        table = self.by_name[change.table]
        table.check(row)
        for columns in table.unique:
            picked = table.pick(row, columns)
            if None in picked:
                continue  # SQL: null equals nothing
            other = view.get(table.unique_map(columns), picked)
            if other is not None:
                message = f"another row of {table.name} ({other!r}) has the same {', '.join(columns)}"
                raise Violation("unique", message, table.name, columns)
            view.put(table.unique_map(columns), picked, change.key)
        view.put(table.map, change.key, row)

    def _check_parents(self, view: Layers, name: str, row: UserRow) -> None:
        table = self.by_name[name]
        for reference in table.foreign_keys:
            picked = table.pick(row, reference.columns)
            if None not in picked and not self._has_parent(view, reference, picked):
                message = f"{name}.{', '.join(reference.columns)} names a row of {reference.parent} that is not there"
                raise Violation("foreign_key", message, name, reference.columns)

    def _has_parent(self, view: Layers, reference: ForeignKey, picked: tuple[Any, ...]) -> bool:
        parent = self.by_name[reference.parent]
        return view.get(parent.unique_map(tuple(reference.parent_columns)), picked) is not None

    def _check_children(self, view: Layers, old_parents: Sequence[tuple[str, UserRow]]) -> None:
        for child in self.by_name.values():
            for reference in child.foreign_keys:
                parent = self.by_name[reference.parent]
                picked = {
                    parent.pick(row, reference.parent_columns) for name, row in old_parents if name == parent.name
                }
                gone = {one for one in picked if None not in one and not self._has_parent(view, reference, one)}
                if gone and any(child.pick(row, reference.columns) in gone for _, row in view.items(child.map)):
                    message = (
                        f"rows of {child.name} still name a row of {parent.name} by {', '.join(reference.columns)}"
                    )
                    raise Violation("foreign_key", message, child.name, reference.columns)
