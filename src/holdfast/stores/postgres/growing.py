"""What a table that a hub knows needs for further versions of its schema: expanded before they are deployed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from holdfast.schema.emit.postgres import column_definition
from holdfast.schema.emit.postgres_text import qualified, quote, text_literal
from holdfast.schema.model import MISSING, Table
from holdfast.stores.postgres import fit


class Grown(NamedTuple):
    """The statements, the columns of the table as they will be, and the names of those that will be added."""

    statements: list[str]
    found: list[fit.Found]
    added: set[str]


def grow(table: Table, within: str, found: list[fit.Found], number: int, renamed: Sequence[tuple[str, str]]) -> Grown:
    """Rename columns and their slots (both or neither), add new ones, and let rows of later versions leave out those
    that only earlier ones have. None of it reads or writes a row: each statement takes a moment, whatever the table
    holds. `number` is that of the table, `renamed` what `slots.renamings` gives."""
    target, statements = qualified(within, table.name), list[str]()
    for old, new in renamed:
        names = {column.name for column in found}
        if old in names and new not in names:
            statements.append(f"ALTER TABLE {target} RENAME COLUMN {quote(old)} TO {quote(new)}")
            found = [column._replace(name=new) if column.name == old else column for column in found]
        statements.append(
            f"UPDATE holdfast.slot SET name = {text_literal(new)} WHERE tbl = {number} AND name = {text_literal(old)}"
        )
    names = {column.name for column in found}
    added = [column for column in table.cells if column.name not in names]
    for column in added:
        # What has no default is filled by the hub afterwards.
        definition = column if column.default is not MISSING else replace(column, nullable=True)
        statements.append(f"ALTER TABLE {target} ADD COLUMN {column_definition(table, definition, within=within)}")
    former = {column.name for column in table.cells if column.former}
    bound = [column.name for column in found if column.name in former and column.not_null]
    statements += [f"ALTER TABLE {target} ALTER COLUMN {quote(name)} DROP NOT NULL" for name in bound]
    return Grown(statements, found, {column.name for column in added})
