"""User tables of the hub: from wire forms to SQL rows, and how many rows of one table are written at once."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apsw

from holdfast.kernel.values import InvalidValue
from holdfast.schema.emit.sqlite_text import names as listed
from holdfast.schema.emit.sqlite_text import quote
from holdfast.schema.key import key_text
from holdfast.schema.model import MISSING, Column, Table
from holdfast.schema.sqlite_values import from_sql, to_sql
from holdfast.stores.base import RowWrite, Span

SqlRow = tuple[Any, ...]


def equal(names: Sequence[str]) -> str:
    """The condition that each named column equals its parameter, numbered from 1."""
    return " AND ".join(f"{quote(name)} = ?{number}" for number, name in enumerate(names, 1))


class UserTable:
    """One user table. Row order of its columns: the key columns, then those of the layout that the schema has.

    `extras` are columns that the database has and the schema does not: the hub never writes them, and keeps them.
    """

    def __init__(self, table: Table, layout: Sequence[str], extras: Sequence[str]) -> None:
        self.name = table.name
        self.table = table
        self._width = len(layout)
        self._slots = [slot for slot, name in enumerate(layout) if name in table.slot]
        cells = [table.cells[table.slot[layout[slot]]] for slot in self._slots]
        self._columns: list[Column] = [*table.key, *cells]
        self.columns = [column.name for column in self._columns]
        self.key = self.columns[: len(table.key)]
        self._defaults = self._missing_values(layout)
        self._converters = _converters(self._columns)
        self._extras = list(extras)
        self._statements(table.name)

    def _missing_values(self, layout: Sequence[str]) -> list[Any]:
        by_name = {column.name: column.default for column in self.table.cells}
        defaults = [by_name.get(name) for name in layout]
        return [None if default is MISSING else default for default in defaults]

    def _statements(self, name: str) -> None:
        """Prepare the text of every statement; parameters are in row order."""
        target, marks = quote(name), ", ".join("?" * len(self.columns))
        self.insert = f"INSERT INTO {target} ({listed(self.columns)}) VALUES ({marks})"
        sets = ", ".join(f"{quote(column)} = excluded.{quote(column)}" for column in self.columns[len(self.key) :])
        action = f"UPDATE SET {sets}" if sets else "NOTHING"
        self.upsert = f"{self.insert} ON CONFLICT ({listed(self.key)}) DO {action}"
        self.delete = f"DELETE FROM {target} WHERE {equal(self.key)}"
        found = [*self.columns, *self._extras]
        all_marks = ", ".join("?" * len(found))
        self._insert_with_extras = f"INSERT INTO {target} ({listed(found)}) VALUES ({all_marks})"
        self._select_extras = f"SELECT {listed([*self.key, *self._extras])} FROM {target} WHERE {equal(self.key)}"
        read_mark = f"?{len(self.key) + 1}"
        self._read = f"SELECT {read_mark}, {listed(self.columns)} FROM {target} WHERE {equal(self.key)}"

    def to_row(self, row: RowWrite) -> SqlRow:
        """The SQL row of a living row."""
        cells = row.values or ()
        if len(cells) != self._width:  # shorter: from before a column; longer: a hub of a later version wrote it, too
            cells = [*cells[: self._width], *self._defaults[len(cells) :]]
        if len(self._slots) < self._width:
            cells = [cells[slot] for slot in self._slots]
        if not self._converters:
            return (*row.key_values, *cells)
        values = [*row.key_values, *cells]
        for place, convert in self._converters:
            if values[place] is not None:
                values[place] = convert(values[place])
        return tuple(values)

    def to_key(self, key_values: Sequence[Any]) -> SqlRow:
        """The SQL values of the key columns."""
        values = list(key_values)
        for place, convert in self._converters:
            if place < len(values):
                values[place] = convert(values[place])
        return tuple(values)

    def from_row(self, row: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Wire forms (key values, values by slot) of a SQL row. Raises `values.InvalidValue`, naming the column."""
        wires = [from_sql(column, value) for column, value in zip(self._columns, row, strict=True)]
        cells: list[Any] = [None] * self._width
        for slot, value in zip(self._slots, wires[len(self.key) :], strict=True):
            cells[slot] = value
        return wires[: len(self.key)], cells

    def canonical(self, values: tuple[Sequence[Any], Sequence[Any]]) -> SqlRow:
        """The SQL row, in row order, of what `from_row` gave: accepted forms of values become the canonical ones."""
        found = [*values[0], *(values[1][slot] for slot in self._slots)]
        for place, convert in self._converters:
            if found[place] is not None:
                found[place] = convert(found[place])
        return tuple(found)

    def read(self, connection: apsw.Connection, keys: Sequence[tuple[Any, ...]]) -> dict[int, SqlRow]:
        """SQL rows by number; a key is (key columns..., number)."""
        return {row[0]: row[1:] for row in connection.executemany(self._read, keys)}

    def children(
        self,
        connection: apsw.Connection,
        columns: Sequence[str],
        values: Sequence[Sequence[Any]],
        span: Span | None = None,
    ) -> list[str]:
        """Keys of the rows with one of these value tuples (wire forms) in the columns; see `stores.base`."""
        known = [self.table.column(name) for name in columns]
        sql = f"SELECT {listed(self.key)} FROM {quote(self.name)} WHERE {equal(columns)}"
        asked = [tuple(_to_sql(known, one)) for one in values]
        if span is not None:
            key = quote(self.key[0])
            sql += f" AND {key} > ? AND (? = '' OR {key} < ?) ORDER BY {key} LIMIT ?"
            asked = [(*one, span.after, span.before, span.before, span.limit) for one in asked]
        found = self._key_texts(connection.executemany(sql, asked))
        # The smallest of all, however many tuples there are: no more than those are held.
        return list(found) if span is None else heapq.nsmallest(span.limit, found)

    def keys(self, stream: apsw.Cursor) -> Iterator[str]:
        """Keys of all rows."""
        return self._key_texts(stream.execute(f"SELECT {listed(self.key)} FROM {quote(self.name)}"))

    def _key_texts(self, rows: Iterable[Any]) -> Iterator[str]:
        """Keys as text, of rows of the key's columns; a row whose key is none is in no feed."""
        for row in rows:
            try:
                wires = [from_sql(column, value) for column, value in zip(self.table.key, row, strict=True)]
                yield key_text(self.table, wires)
            except InvalidValue:
                continue  # it is not in any feed

    def place(self, column: str) -> int | None:
        """Index of a column in a SQL row; None when it is not one of the schema's."""
        return self.columns.index(column) if column in self.columns else None

    def put(self, connection: apsw.Connection, rows: Sequence[SqlRow]) -> None:
        """Insert or update rows. Two that swap a unique value meet a constraint which `replace` does not meet."""
        connection.executemany(self.upsert, rows)

    def replace(self, connection: apsw.Connection, rows: Sequence[SqlRow]) -> None:
        """Take the rows out and put them back, so that only what they leave meets the unique constraints.

        Columns that the schema does not know keep their values. Foreign keys are off here: nothing cascades.
        """
        keys = [row[: len(self.key)] for row in rows]
        if not self._extras:
            connection.executemany(self.delete, keys)
            connection.executemany(self.insert, rows)
            return
        width = len(self.key)
        extras = {row[:width]: row[width:] for row in connection.executemany(self._select_extras, keys)}
        connection.executemany(self.delete, keys)
        known = [(*row, *extras[row[:width]]) for row in rows if row[:width] in extras]
        connection.executemany(self._insert_with_extras, known)
        connection.executemany(self.insert, [row for row in rows if row[:width] not in extras])


def _to_sql(columns: Sequence[Column], values: Sequence[Any]) -> SqlRow:
    converts = [to_sql(column) for column in columns]
    return tuple(v if c is None else c(v) for c, v in zip(converts, values, strict=True))


def _converters(columns: Sequence[Column]) -> list[tuple[int, Callable[[Any], Any]]]:
    found = [(place, to_sql(column)) for place, column in enumerate(columns)]
    return [(place, convert) for place, convert in found if convert is not None]


class Change(NamedTuple):
    """What a batch does to one user table: SQL rows that live, SQL keys of rows that die."""

    table: UserTable
    alive: list[SqlRow]
    dead: list[SqlRow]
