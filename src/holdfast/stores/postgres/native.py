"""What user tables hold of named rows now; and tables that other programs hold as a whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from psycopg import errors

from holdfast.kernel.values import InvalidValue
from holdfast.schema.key import key_values
from holdfast.stores.postgres.exchange import Answer, Connection, Sender
from holdfast.stores.postgres.undo import undo_to
from holdfast.stores.postgres.user_tables import Record, UserTable, as_json

Values = dict[int, tuple[list[Any], list[Any]]]

REST = 1.0
"""Seconds for which nobody tries to read a table that somebody held, such as for ALTER TABLE: every try is a wait."""


class BusyTables:
    """Tables that could not be read just now. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def add(self, names: Collection[str]) -> None:
        """These are held."""
        self._until = {**self._until, **dict.fromkeys(names, self._clock() + REST)}

    def without(self, names: Collection[str]) -> list[str]:
        """The others."""
        now, until = self._clock(), self._until
        return [name for name in names if until.get(name, now) <= now]


class Native:
    """One question for the rows that are marked with numbers: what their tables hold of them, in wire forms."""

    def __init__(self, tables: Mapping[str, UserTable], marks: Mapping[int, tuple[str, str]]) -> None:
        self._tables = tables
        self._marks = marks
        self._keys: dict[str, list[Record]] = {}
        self._unusable: dict[str, dict[str, int]] = {}
        self._problems: dict[int, str] = {}
        self._there: list[tuple[str, Answer]] = []
        self._found: list[tuple[str, Answer]] = []
        for mark, (table, key) in marks.items():
            try:
                record = tables[table].to_key(key_values(tables[table].table, key), mark)
                self._keys.setdefault(table, []).append(record)
            except InvalidValue as problem:
                self._unusable.setdefault(table, {})[key] = mark
                self._problems[mark] = f"row {key!r} of {table}: {problem.message}"

    @property
    def names(self) -> Sequence[tuple[str, str]]:
        """The rows."""
        return list(self._marks.values())

    def ask(self, to: Sender) -> None:
        """Send for them."""
        for name, own in self._unusable.items():
            self._there.append((name, to.execute(self._tables[name].noted_keys, ([*own],))))
        for name, keys in self._keys.items():
            self._found.append((name, to.execute(self._tables[name].read, (as_json(keys),), binary=True)))

    def take(self) -> tuple[Values, dict[int, str]]:
        """Their values, and what cannot be read of them, by mark; a row that is gone is in neither."""
        values: Values = {}
        for name, answer in self._there:
            gone = self._unusable[name].keys() - {key for (key,) in answer.fetchall()}
            for key in gone:
                del self._problems[self._unusable[name][key]]
        for name, answer in self._found:
            for mark, *row in answer.fetchall():
                try:
                    values[mark] = self._tables[name].from_row(row)
                except InvalidValue as problem:
                    self._problems[mark] = f"row {self._marks[mark][1]!r} of {name}: {problem.message}"
        return values, self._problems


def held_tables(db: Connection, tables: Mapping[str, UserTable], names: Collection[str]) -> set[str]:
    """Those of the tables that nobody can read now, under the savepoint of whoever has found that out; all of them if
    they can be read again."""
    held = set()
    for name in names:
        try:
            db.execute(tables[name].try_to_read)
        except errors.LockNotAvailable:
            undo_to(db, "holdfast_reading")
            held.add(name)
    return held or set(names)
