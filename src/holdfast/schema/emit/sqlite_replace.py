"""Rows that INSERT OR REPLACE and UPDATE OR REPLACE would remove without any trigger telling it."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.schema.emit.sqlite_text import literal, quote
from holdfast.schema.model import MISSING, Column, Table

ALIAS = "existing"
"""Name of the row that stands in the way."""


def identifying(table: Table, *, key: bool) -> list[str]:
    """Names of the columns that can make two rows collide: the key (if `key`) and the unique ones, each once."""
    groups = [table.key_names] if key else []
    return list(dict.fromkeys(name for group in [*groups, *table.unique] for name in group))


def collides(table: Table, *, key: bool, rowid: bool = False) -> str:
    """Condition that the row `ALIAS` is one which the row NEW would replace; never true for equal NULLs, as in SQLite.

    `rowid` adds the row with an explicitly given rowid. Without one NEW.rowid is -1 in a BEFORE INSERT trigger.
    """
    groups: list[Sequence[str]] = [table.key_names] if key else []
    terms = [_equal(table, group) for group in [*groups, *table.unique]]
    if rowid:
        terms.append(f"{ALIAS}.rowid = NEW.rowid")
    return " OR ".join(terms)


def is_other(table: Table) -> str:
    """Condition that the row `ALIAS` is not the row OLD."""
    same = " AND ".join(f"{ALIAS}.{quote(name)} = OLD.{quote(name)}" for name in table.key_names)
    return f"NOT ({same})"


def changed(table: Table, columns: Sequence[str]) -> str:
    """Condition that some of the columns differ between OLD and NEW."""
    return " OR ".join(differs(table.column(name)) for name in columns)


def differs(column: Column) -> str:
    """Condition that the column differs between OLD and NEW, NULL being a value like any other."""
    collation = (
        " COLLATE BINARY" if column.type in ("text", "date", "datetime", "decimal", "uuid", "json", "set") else ""
    )
    return f"OLD.{quote(column.name)} IS NOT NEW.{quote(column.name)}{collation}"


def _equal(table: Table, group: Sequence[str]) -> str:
    terms = [f"{ALIAS}.{quote(name)} = {_incoming(table.column(name))}" for name in group]
    return f"({' AND '.join(terms)})"


def _incoming(column: Column) -> str:
    """The value that will be stored: REPLACE puts the default in the place of a NULL that is not allowed."""
    cell = f"NEW.{quote(column.name)}"
    if column.nullable or column.default is MISSING or column.default is None:
        return cell
    return f"coalesce({cell}, {literal(column.type, column.default)})"
