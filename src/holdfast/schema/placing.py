"""In which space a row lives after a change: one rule, used by pushes, by foreign writes and by devices.

A dead row stays where it died. A row of a user stays with the user who made it. A row with a parent lives where the
parent lives, dead or alive. Any other row lives where its template says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from holdfast.kernel.values import InvalidValue
from holdfast.schema.key import key_text, key_values
from holdfast.schema.model import Schema, Table

RowName = tuple[str, str]
"""Table and key."""


class Resident(NamedTuple):
    """A row after a change: its life, its wire values by slot, and the space where it lived before (empty: none)."""

    life: int
    cells: Sequence[Any]
    space: str


class Unplaced(Exception):
    """No space can be found for a row. `name` is the row, `code` and `message` say why, `column` where."""

    def __init__(self, name: RowName, code: str, message: str, column: str = "") -> None:
        super().__init__(message)
        self.name, self.code, self.message, self.column = name, code, message, column


def parent_of(schema: Schema, name: RowName, cells: Sequence[Any]) -> RowName | None:
    """The row that says where this one lives; None when the table has none, or the foreign key is NULL.

    Raises `values.InvalidValue` for values that are no key.
    """
    table = schema.by_name[name[0]]
    if table.via is None:
        return None
    found = table.values_of(table.via.columns, key_values(table, name[1]), cells)
    if any(value is None for value in found):
        return None
    parent = schema.by_name[table.via.parent]
    by_column = dict(zip(table.via.parent_columns, found, strict=True))
    return parent.name, key_text(parent, [by_column[column] for column in parent.key_names])


class Placing:
    """The spaces of rows that changed together, in whatever order they name each other.

    `changed` are the rows after the change, `elsewhere` gives the space of any other row (None: there is no such row).
    `user` is who writes; None for another program, which is no user.
    """

    def __init__(
        self,
        schema: Schema,
        changed: Mapping[RowName, Resident],
        elsewhere: Callable[[RowName], str | None],
        user: str | None,
    ) -> None:
        self._schema = schema
        self._changed = changed
        self._elsewhere = elsewhere
        self._user = user
        self._found: dict[RowName, str] = {}

    def space_of(self, name: RowName) -> str:
        """The space of a changed row. Raises `Unplaced`."""
        path: list[RowName] = []
        on_path: set[RowName] = set()
        while True:
            space = self._found.get(name) or self._by_itself(name)
            if space is None and name in on_path:
                space = self._in_circle(path[path.index(name) :])
            if space is not None:
                break
            path.append(name)
            on_path.add(name)
            name = self._parent(name)
            if name not in self._changed:
                space = self._elsewhere(name)
                if not space:
                    raise self._orphan(path[-1], name)
                break
        self._found.update(dict.fromkeys(path, space))
        return space

    def _by_itself(self, name: RowName) -> str | None:
        """The space of a row that asks no parent; None when it has one."""
        resident = self._changed[name]
        table = self._schema.by_name[name[0]]
        if resident.space and resident.life % 2 == 0:
            return resident.space
        if table.via is not None and self._parent_or_none(name) is not None:
            return None
        return self._root(name)

    def _root(self, name: RowName) -> str:
        """The space that the template names."""
        table = self._schema.by_name[name[0]]
        try:
            self._found[name] = space = self._named(table, name, self._changed[name])
        except InvalidValue as error:
            raise Unplaced(name, "space_invalid", f"{table.name}: {error.message}") from None
        return space

    def _named(self, table: Table, name: RowName, resident: Resident) -> str:
        naming = table.naming
        assert naming is not None
        if naming.per_user and resident.space and (table.via is None or naming.may_name(resident.space)):
            return resident.space
        if naming.per_user and self._user is None:
            raise InvalidValue("space_invalid", "rows of this table belong to users; only devices can make them")
        keys = key_values(table, name[1])
        named = dict(zip(naming.columns, table.values_of(naming.columns, keys, resident.cells), strict=True))
        return naming.name_for(named, self._user or "")

    def _parent_or_none(self, name: RowName) -> RowName | None:
        try:
            return parent_of(self._schema, name, self._changed[name].cells)
        except InvalidValue as error:
            raise Unplaced(name, "space_invalid", f"{name[0]}: {error.message}") from None

    def _parent(self, name: RowName) -> RowName:
        parent = self._parent_or_none(name)
        assert parent is not None
        return parent

    def _in_circle(self, circle: list[RowName]) -> str:
        """Rows of a tree that are each other's ancestors stay together where one of them lived, or go where the
        template sends the first of them.
        """
        lived = (self._changed[name].space for name in circle)
        return next((space for space in lived if space), None) or self._root(min(circle))

    def _orphan(self, child: RowName, parent: RowName) -> Unplaced:
        message = f"{child[0]} names a row of {parent[0]} that is not there: {parent[1]!r}"
        return Unplaced(child, "foreign_key", message, self._columns(child))

    def _columns(self, name: RowName) -> str:
        via = self._schema.by_name[name[0]].via
        return via.columns[0] if via is not None and len(via.columns) == 1 else ""


def fresh_space(table: Table, key: str, given: Mapping[str, Any], user: str) -> str:
    """The space of a new row whose table has no parents, from what its insert gives. The same as `Placing` says, for
    those who have very many of them.

    Raises `values.InvalidValue` `space_invalid`.
    """
    naming = table.naming
    assert naming is not None and table.via is None
    named: dict[str, Any] = {}
    for name in naming.columns:
        slot = table.slot.get(name)
        if slot is not None:
            named[name] = given[name] if name in given else table.cells[slot].default
    if len(named) < len(naming.columns):
        named.update(zip(table.key_names, key_values(table, key), strict=True))
    return naming.name_for(named, user)
