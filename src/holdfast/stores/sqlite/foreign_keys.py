"""Foreign keys, checked over the rows that a batch touched.

SQLite counts violations of deferred foreign keys and speaks only at COMMIT, without a name; it also runs ON DELETE
actions behind the back of the feed. So the hub's writer keeps `PRAGMA foreign_keys` off and asks itself, at the end of
a batch: has every written child its parents, and did every parent that went leave no child behind?
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import apsw

from holdfast.schema.emit.sqlite_text import names as listed
from holdfast.schema.emit.sqlite_text import quote
from holdfast.schema.model import Schema
from holdfast.stores.base import Violation
from holdfast.stores.sqlite.queries import fetch
from holdfast.stores.sqlite.user_tables import Change, equal


class Reference(NamedTuple):
    """`columns` of `child` name a row of `parent` by its `parent_columns`."""

    child: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


Gone = dict[Reference, set[tuple[Any, ...]]]
"""Values by which rows of a parent could be named before the batch."""


def references(connection: apsw.Connection, schema: Schema) -> list[Reference]:
    """All foreign keys that touch a table of the schema: those it declares, and others that the database has."""
    found = [
        Reference(table.name, tuple(key.columns), key.parent, tuple(key.parent_columns))
        for table in schema.tables
        for key in table.foreign_keys
    ]
    tables = fetch(connection, "SELECT name FROM sqlite_schema WHERE type = 'table'")
    present = {name.lower(): name for (name,) in tables}
    for child in present.values():
        found.extend(_of_table(connection, child, present))
    return [one for one in dict.fromkeys(found) if {one.child, one.parent} & schema.by_name.keys()]


def _of_table(connection: apsw.Connection, child: str, present: Mapping[str, str]) -> Iterable[Reference]:
    sql = 'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq'
    grouped: dict[int, tuple[str, list[str], list[str | None]]] = {}
    for number, parent, column, parent_column in fetch(connection, sql, (child,)):
        group = grouped.setdefault(number, (parent, [], []))
        group[1].append(column)
        group[2].append(parent_column)
    for parent, columns, parent_columns in grouped.values():
        if parent.lower() in present:
            target = present[parent.lower()]
            yield Reference(child, tuple(columns), target, _parent_columns(connection, target, parent_columns))


def _parent_columns(connection: apsw.Connection, parent: str, given: Sequence[str | None]) -> tuple[str, ...]:
    if None not in given:
        return tuple(str(name) for name in given)
    sql = "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk"
    return tuple(name for (name,) in fetch(connection, sql, (parent,)))


class ForeignKeys:
    """The foreign keys of a hub's file."""

    def __init__(self, found: Sequence[Reference]) -> None:
        self._by_child: dict[str, list[Reference]] = {}
        self._by_parent: dict[str, list[Reference]] = {}
        for one in found:
            self._by_child.setdefault(one.child, []).append(one)
            self._by_parent.setdefault(one.parent, []).append(one)

    def before(self, connection: apsw.Connection, changes: Sequence[Change]) -> Gone:
        """Values by which children may name the touched rows, before they are written."""
        gone: Gone = {}
        for change in changes:
            for one in self._by_parent.get(change.table.name, ()):
                if list(one.parent_columns) == change.table.key:
                    gone[one] = set(change.dead)  # the key of a living row does not change
                else:
                    gone[one] = _named_values(connection, one, change)
        return gone

    def after(self, connection: apsw.Connection, changes: Sequence[Change], gone: Gone) -> None:
        """Raise `Violation` for a child without parent among the written rows, or left behind by a touched parent."""
        for change in changes:
            for one in self._by_child.get(change.table.name, ()):
                self._check_parents(connection, one, change)
        for one, values in gone.items():
            self._check_children(connection, one, values)

    def _check_parents(self, connection: apsw.Connection, one: Reference, change: Change) -> None:
        places = [change.table.place(column) for column in one.columns]
        if None in places:
            return  # a column that the schema does not know is never written
        wanted = {tuple(row[place] for place in places if place is not None) for row in change.alive}
        sql = f"SELECT {_echo(one.columns)} WHERE NOT EXISTS ({_exists(one.parent, one.parent_columns)})"
        for missing in connection.executemany(sql, [values for values in wanted if None not in values]):
            columns = ", ".join(one.columns)
            message = f"{one.child}.{columns} names a row of {one.parent} that is not there: {list(missing)}"
            raise Violation("foreign_key", message, one.child, one.columns)

    def _check_children(self, connection: apsw.Connection, one: Reference, gone: set[tuple[Any, ...]]) -> None:
        sql = (
            f"SELECT {_echo(one.columns)} WHERE NOT EXISTS ({_exists(one.parent, one.parent_columns)})"
            f" AND EXISTS ({_exists(one.child, one.columns)})"
        )
        for left in connection.executemany(sql, [values for values in gone if None not in values]):
            columns = ", ".join(one.columns)
            message = f"rows of {one.child} still name a row of {one.parent} by {columns}: {list(left)}"
            raise Violation("foreign_key", message, one.child, one.columns)


def _named_values(connection: apsw.Connection, one: Reference, change: Change) -> set[tuple[Any, ...]]:
    width = len(change.table.key)
    keys = [*change.dead, *(row[:width] for row in change.alive)]
    sql = f"SELECT {listed(list(one.parent_columns))} FROM {quote(one.parent)} WHERE {equal(change.table.key)}"
    return set(connection.executemany(sql, keys))


def _echo(columns: Sequence[str]) -> str:
    return ", ".join(f"?{number}" for number in range(1, len(columns) + 1))


def _exists(table: str, columns: Sequence[str]) -> str:
    return f"SELECT 1 FROM {quote(table)} WHERE {equal(columns)}"
