"""User tables of the hub: from wire forms to SQL rows, many rows of one table in one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from holdfast.schema.emit.postgres_dirty import noted_key
from holdfast.schema.emit.postgres_text import key_expression, qualified, quote
from holdfast.schema.emit.postgres_text import names as listed
from holdfast.schema.key import key_text
from holdfast.schema.model import MISSING, Column, Table
from holdfast.schema.postgres_values import from_sql, read_expression, record_type, write_expression
from holdfast.stores.base import RowWrite

Record = dict[str, Any]
"""A row, or its key, as a member of the one JSON parameter: `c0`, `c1`... are wire forms."""

_encode = msgspec.json.Encoder().encode


def as_json(records: Sequence[Any]) -> str:
    """The parameter for `json_to_recordset`."""
    return _encode(records).decode()


def can_hold(*values: Any) -> bool:
    """Whether PostgreSQL has texts like these: it has none with a NUL. What cannot be there is not asked for."""
    return not any(isinstance(value, str) and "\0" in value for value in values)


def text_array(names: Iterable[str]) -> str:
    """A parameter for `text[]`. One text has one type; a list's depends on its members, and the statement is prepared
    for each."""
    escaped = (name.replace("\\", "\\\\").replace('"', '\\"') for name in sorted(set(names)))
    return "{" + ",".join(f'"{name}"' for name in escaped) + "}"


class UserTable:
    """One user table. Row order of its columns: the key columns, then those of the layout that the schema has.

    Columns that the database has and the schema does not are never written, and keep what they hold.
    """

    def __init__(self, table: Table, within: str, layout: Sequence[str], unique: Sequence[Sequence[str]]) -> None:
        self.name = table.name
        self.table = table
        self.within = within
        self._target = qualified(within, table.name)
        self._width = len(layout)
        self._slots = [slot for slot, name in enumerate(layout) if name in table.slot]
        cells = [table.cells[table.slot[layout[slot]]] for slot in self._slots]
        self._columns: list[Column] = [*table.key, *cells]
        # PostgreSQL keeps no NUL in a text, so ASCII is all that there is to ask of most values.
        self._read_as = [(column, column.is_plain_text) for column in self._columns]
        by_name = {column.name: column for column in table.cells}
        defaults = [by_name[name].default if name in by_name else None for name in layout]
        self._defaults = [None if default is MISSING else default for default in defaults]
        self._members = [f"c{number}" for number in range(len(self._columns))]
        self._key_members = self._members[: len(table.key)]
        self._statements(len(table.key))
        self.park = self._parking(unique)

    def _statements(self, key_width: int) -> None:
        """Prepare the text of every statement; the one parameter is an array of records."""
        written = [pair for pair in zip(self._columns, self._members, strict=True) if not pair[0].read_only]
        names = [column.name for column, _ in written]
        key = names[:key_width]
        values = ", ".join(write_expression(column, f"r.{member}", self.within) for column, member in written)
        sets = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in names[key_width:])
        self._matches = " AND ".join(
            f"t.{quote(column.name)} = {write_expression(column, f'r.{member}', self.within)}"
            for column, member in zip(self._columns, self._key_members, strict=False)
        )
        self.upsert = (
            f"INSERT INTO {self._target} ({listed(names)}) OVERRIDING SYSTEM VALUE SELECT {values} "
            f"FROM {self._records(len(self._columns))} ON CONFLICT ({listed(key)}) DO "
            + (f"UPDATE SET {sets}" if sets else "NOTHING")
        ).encode()
        self.delete = f"DELETE FROM {self._target} t USING {self._records(key_width)} WHERE {self._matches}".encode()
        self.locked_alive = self._locked(key_width, "NO KEY UPDATE")
        self.locked_dead = self._locked(key_width, "UPDATE")
        shown = ", ".join(read_expression(column, f"t.{quote(column.name)}") for column in self._columns)
        self.read = (
            f"SELECT r.n, {shown} FROM {self._records(key_width, 'n bigint')} JOIN {self._target} t ON {self._matches}"
        ).encode()
        noted = noted_key(f"({key_expression(self.table, 't')})")
        self.noted_keys = (
            f"SELECT k.key FROM unnest(%s::text[]) AS k(key) JOIN {self._target} t ON {noted} = k.key"
        ).encode()
        """Those of the keys, in the form of notes, that rows have. Slow: for keys that are none for us."""
        self.try_to_read = f"LOCK TABLE ONLY {self._target} IN ACCESS SHARE MODE NOWAIT".encode()
        """Fails at once where another program holds the table as a whole, or waits to do so."""

    def _records(self, width: int, *more: str) -> str:
        pairs = zip(self._members[:width], self._columns, strict=False)
        declared = [f"{member} {record_type(column)}" for member, column in pairs]
        return f"json_to_recordset(%s::json) AS r({', '.join([*declared, *more])})"

    def _locked(self, key_width: int, strength: str) -> bytes:
        """Which of the named rows another transaction holds now, by number; the parameter comes twice."""
        source = f"{self._records(key_width, 'n bigint')} JOIN {self._target} t ON {self._matches}"
        return (
            f"WITH free AS MATERIALIZED (SELECT r.n FROM {source} FOR {strength} OF t SKIP LOCKED) "
            f"SELECT r.n FROM {source} WHERE r.n NOT IN (SELECT f.n FROM free f)"
        ).encode()

    def _parking(self, unique: Sequence[Sequence[str]]) -> bytes | None:
        """The statement that takes away the unique values of rows for a moment; None when a constraint cannot be eased.

        PostgreSQL checks a plain unique constraint at each row, so that two rows cannot simply swap their values.
        """
        key = {column.name for column in self.table.key}
        by_name = {column.name: column for column in self._columns}
        parked: dict[str, str] = {}
        for columns in unique:
            if set(columns) == key or parked.keys() & set(columns):
                continue
            places = {name: self._parked(by_name[name]) for name in columns if name in by_name and name not in key}
            found = {name: place for name, place in places.items() if place}
            if not found:
                return None
            name = min(found, key=lambda name: (found[name] != "NULL", name))
            parked[name] = found[name]
        if not parked:
            return None
        sets = ", ".join(f"{quote(name)} = {place}" for name, place in parked.items())
        source = self._records(len(self.table.key), "n bigint")
        return f"UPDATE {self._target} t SET {sets} FROM {source} WHERE {self._matches}".encode()

    def _parked(self, column: Column) -> str:
        """A value of the column that no row has; empty when none can be named."""
        if column.nullable:
            return "NULL"
        if column.type == "text":
            return "'holdfast:' || gen_random_uuid()::text"
        if column.type == "uuid":
            return "gen_random_uuid()"
        if column.type in ("int", "bigint"):
            name = quote(column.name)
            return f"least(0, (SELECT min(x.{name}) FROM {self._target} x)) - r.n"
        return ""

    def to_record(self, row: RowWrite) -> Record:
        """The record of a living row."""
        cells = row.values or ()
        if len(cells) != self._width:  # shorter: from before a column; longer: a hub of a later version wrote it, too
            cells = [*cells[: self._width], *self._defaults[len(cells) :]]
        if len(self._slots) < self._width:
            cells = [cells[slot] for slot in self._slots]
        return dict(zip(self._members, (*row.key_values, *cells), strict=True))

    def to_key(self, key_values: Sequence[Any], number: int) -> Record:
        """The record of a key, with a number that `read` gives back."""
        return {**dict(zip(self._key_members, key_values, strict=True)), "n": number}

    def children(self, columns: Sequence[str], *, part: bool = False) -> bytes:
        """The statement that finds the keys of rows by what these columns hold; see `child_record`. `part`: only a
        `Span` of them, with these parameters behind the records: after, before twice, limit twice.
        """
        places = {column.name: (column, member) for column, member in zip(self._columns, self._members, strict=True)}
        known = [places[name] for name in columns]
        declared = ", ".join(f"{member} {record_type(column)}" for column, member in known)
        matches = " AND ".join(
            f"t.{quote(column.name)} = {write_expression(column, f'r.{member}', self.within)}"
            for column, member in known
        )
        shown = ", ".join(read_expression(column, f"t.{quote(column.name)}") for column in self.table.key)
        source = f"json_to_recordset(%s::json) AS r({declared})"
        if part:
            key = f"t.{quote(self.table.key[0].name)}"
            within = f"{key} > %s::text AND (%s::text = '' OR {key} < %s::text)"
            inner = f"""SELECT {shown} AS shown, {key} AS sort FROM {self._target} t
                        WHERE {matches} AND {within} ORDER BY {key} LIMIT %s::bigint"""
            whole = f"SELECT x.shown FROM {source} CROSS JOIN LATERAL ({inner}) x ORDER BY x.sort LIMIT %s::bigint"
            return whole.encode()
        return f"SELECT {shown} FROM {source} JOIN {self._target} t ON {matches}".encode()

    def keys(self) -> bytes:
        """The cursor over the keys of all rows, as `key_of` takes them."""
        shown = ", ".join(read_expression(column, f"t.{quote(column.name)}") for column in self.table.key)
        return f"DECLARE holdfast_keys NO SCROLL CURSOR FOR SELECT {shown} FROM {self._target} t".encode()

    def child_record(self, columns: Sequence[str], values: Sequence[Any]) -> Record:
        """One record of the parameter of `children`: one value tuple."""
        places = {column.name: member for column, member in zip(self._columns, self._members, strict=True)}
        return {places[name]: value for name, value in zip(columns, values, strict=True)}

    def key_of(self, row: Sequence[Any]) -> str:
        """The key text of what `children` gave. Raises `values.InvalidValue`."""
        wires = [from_sql(column, value) for column, value in zip(self.table.key, row, strict=True)]
        return key_text(self.table, wires)

    def from_row(self, row: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Wire forms (key values, values by slot) of what `read` gave. Raises `values.InvalidValue`, naming the
        column.
        """
        wires = [
            value if plain and type(value) is str and value.isascii() else from_sql(column, value)
            for (column, plain), value in zip(self._read_as, row, strict=True)
        ]
        width = len(self._key_members)
        cells: list[Any] = [None] * self._width
        for slot, value in zip(self._slots, wires[width:], strict=True):
            cells[slot] = value
        return wires[:width], cells


class Change(NamedTuple):
    """What a batch does to one user table: records of rows that live, in key order, and keys of rows that die;
    `names` are the key texts."""

    table: UserTable
    alive: list[Record]
    alive_keys: list[Record]
    dead: list[Record]
    alive_names: list[str]
    dead_names: list[str]
