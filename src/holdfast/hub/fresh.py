"""New rows of plain tables, decided by the short way: most of what devices send after a long time alone.

A transaction that only inserts rows which the hub never had, each once, into tables of registers that neither have nor
are a parent, with no hook asking: the kernel would give every cell the insert's stamp, and nothing could conflict.
Everything else, and everything that is wrong with such a one, goes the long way, which decides and says why. A test
compares both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from holdfast.hub.hooks import Context
from holdfast.hub.record import Record
from holdfast.kernel.column import default_of
from holdfast.kernel.row import Row
from holdfast.kernel.values import InvalidValue
from holdfast.protocol import messages as m
from holdfast.schema.built_in import BUILT_IN
from holdfast.schema.key import key_values
from holdfast.schema.model import MISSING, Schema, Table
from holdfast.schema.placing import fresh_space
from holdfast.stores.base import HistoryEntry


class Cell(NamedTuple):
    """One column; `simple`: any ASCII text without NUL is valid and canonical."""

    name: str
    simple: bool
    accept: Callable[[Any], Any]
    default: Any


class Fresh(NamedTuple):
    """A new row, its space, and the changes by name in canonical form."""

    row: Row
    space: str
    set: dict[str, Any]


@lru_cache(maxsize=8)
def fresh_rows(schema: Schema) -> FreshRows:
    """The short way of a schema, prepared once."""
    return FreshRows(schema)


class FreshRows:
    """The short way for the tables of one schema."""

    def __init__(self, schema: Schema) -> None:
        self._tables = {table.name: (table, cells) for table in schema.tables if (cells := _cells(schema, table))}
        self._plain = {table.name for table in schema.tables if _is_plain(schema, table)}

    def decide(self, ops: Sequence[m.AnyOperation], user: str) -> dict[tuple[str, str], tuple[m.AnyOperation, Fresh]]:
        """The rows that the inserts make, by (table, key) in their order; none when only the long way will do."""
        found: dict[tuple[str, str], tuple[m.AnyOperation, Fresh]] = {}
        for op in ops:
            fresh = self._row(op, user)
            if fresh is None or (op.table, op.key) in found:
                return {}
            found[op.table, op.key] = op, fresh
        return found

    def foreign(self, name: str, values: Sequence[Any], stamp: str) -> Row | None:
        """The row that another program has made, of checked values; None when only the long way will do."""
        return Row(1, list(values), [stamp] * len(values)) if name in self._plain else None

    def may_take(self, ops: Iterable[m.AnyOperation]) -> bool:
        """Whether all of them are inserts that may go the short way."""
        return all(isinstance(op, m.Insert) and not op.life and op.table in self._tables for op in ops)

    def _row(self, op: m.AnyOperation, user: str) -> Fresh | None:
        """The row that an insert makes; None when only the long way will do."""
        found = self._tables.get(op.table)
        if found is None or not isinstance(op, m.Insert) or op.life:
            return None
        table, cells = found
        given, values, changes = op.set, [], {}
        try:
            key_values(table, op.key)
            for name, simple, accept, default in cells:
                if name not in given:
                    if default is MISSING:
                        return None
                    values.append(default)
                    continue
                value = given[name]
                if not (simple and type(value) is str and value.isascii() and "\0" not in value):
                    value = accept(value)
                changes[name] = value
                values.append(value)
            if len(changes) != len(given):
                return None
            space = fresh_space(table, op.key, changes, user)
        except InvalidValue:
            return None
        return Fresh(Row(1, values, [op.stamp] * len(values)), space, changes)


def may_count(schema: Schema, transactions: Iterable[m.Transaction]) -> bool:
    """Whether there may be an increment in them: new rows of registers hold none, and who takes the name under which
    the hub counts from memory has only those."""
    return not fresh_rows(schema).may_take(op for transaction in transactions for op in transaction.ops)


def fresh_entry(op: m.AnyOperation, fresh: Fresh, transaction: m.Transaction, context: Context) -> HistoryEntry:
    """The history of such a row."""
    record = Record("insert", transaction.origin, transaction.n, (0, 1), fresh.set, label=transaction.label)
    user = context.identity.user
    return HistoryEntry(fresh.space, op.table, op.key, op.stamp, context.device, user, context.now, m.encode(record))


def _cells(schema: Schema, table: Table) -> tuple[Cell, ...] | None:
    """What the short way needs of a table; None for a table that must go the long one."""
    family = table.via is not None or table.name in schema.offspring
    if not _is_plain(schema, table) or family or any(column.read_only for column in table.cells) or not table.cells:
        return None
    return tuple(
        Cell(
            column.name,
            column.is_plain_text,
            column.accept,
            MISSING if column.default is MISSING else default_of(column, None),
        )
        for column in table.cells
    )


def _is_plain(schema: Schema, table: Table) -> bool:
    """Whether rows are nothing but registers, from which no lens derives anything."""
    registers = all(column.merge == "register" for column in table.cells)
    return registers and table not in BUILT_IN and table.name not in schema.lenses
