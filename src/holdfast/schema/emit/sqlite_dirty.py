"""Triggers on the hub's user tables (SQLite): the keys of rows that other programs write go to `holdfast_dirty`."""

from __future__ import annotations

from holdfast.schema.emit.sqlite_blocks import block_column, create_counter_triggers
from holdfast.schema.emit.sqlite_replace import ALIAS, changed, collides, identifying, is_other
from holdfast.schema.emit.sqlite_text import key_expression, names, quote, text_literal
from holdfast.schema.model import Table

_ACTIVE = "(SELECT applying FROM holdfast_hub) = 0"
EVENTS = ("before_insert", "before_update", "insert", "update", "rekey", "delete", "fill", "used", "moved")


def trigger_names(table: Table) -> list[str]:
    """Names of all triggers that `create_triggers` can make for a table."""
    return [f"holdfast_dirty_{table.name}_{event}" for event in EVENTS]


def drop_triggers(table: Table) -> list[str]:
    """Statements that take the triggers away from a table."""
    return [f"DROP TRIGGER IF EXISTS {quote(name)}" for name in trigger_names(table)]


def create_triggers(table: Table) -> list[str]:
    """The triggers of one table.

    Every row that is inserted, updated (under its old and its new key) or deleted gets a note with a fresh mark, also
    one that OR REPLACE removes because of a unique column. A row that OR REPLACE removes because of its key needs no
    note of its own: the new row has the same key.
    """
    key_columns = list(table.key_names)
    triggers = [
        _trigger(table, "insert", "AFTER INSERT", "", _note(table, "NEW")),
        _trigger(table, "delete", "AFTER DELETE", "", _note(table, "OLD")),
        _trigger(table, "update", "AFTER UPDATE", "", _note(table, "NEW")),
        _trigger(
            table, "rekey", f"AFTER UPDATE OF {names(key_columns)}", changed(table, key_columns), _note(table, "OLD")
        ),
    ]
    if block_column(table) is not None:
        triggers += create_counter_triggers(table)
    unique = identifying(table, key=False)
    if unique:
        collision = collides(table, key=False)
        others = f"({collision}) AND {is_other(table)}"
        update = f"BEFORE UPDATE OF {names(unique)}"
        triggers += [
            _trigger(table, "before_insert", "BEFORE INSERT", "", _note_existing(table, collision)),
            _trigger(table, "before_update", update, changed(table, unique), _note_existing(table, others)),
        ]
    return triggers


def _note(table: Table, row: str) -> list[str]:
    """Statements that note one row under a mark higher than that of its old note."""
    key = key_expression(table, row)
    return _renew(table, f"VALUES ('', {key})", f"key = {key}")


def _note_existing(table: Table, condition: str) -> list[str]:
    """Statements that note the rows which stand in the way of NEW."""
    key = key_expression(table, ALIAS)
    found = f"FROM {quote(table.name)} AS {ALIAS} WHERE {condition}"
    return _renew(table, f"SELECT '', {key} {found}", f"key IN (SELECT {key} {found})")


def _renew(table: Table, source: str, old: str) -> list[str]:
    """Insert new notes under no table, delete the old ones, name the table.

    The constraint's own ON CONFLICT REPLACE would not do: the conflict clause of the statement that fired the trigger
    takes its place, and OR IGNORE would leave the old mark. Nor would it do to delete first: OR FAIL ends a statement
    before SQLite has stored the last number of AUTOINCREMENT, and the mark of a deleted note would be given again.
    """
    name = text_literal(table.name)
    return [
        f"INSERT INTO holdfast_dirty (tbl, key) {source}",
        f"DELETE FROM holdfast_dirty WHERE tbl = {name} AND {old}",
        f"UPDATE holdfast_dirty SET tbl = {name} WHERE tbl = ''",
    ]


def _trigger(table: Table, event: str, when: str, condition: str, statements: list[str]) -> str:
    tests = f"{_ACTIVE} AND ({condition})" if condition else _ACTIVE
    body = "\n  ".join(f"{statement};" for statement in statements)
    name = quote(f"holdfast_dirty_{table.name}_{event}")
    return f"CREATE TRIGGER {name} {when} ON {quote(table.name)}\nWHEN {tests}\nBEGIN\n  {body}\nEND"
