"""The guard of rows that have left a device: nobody may insert under the key of one, for it would hide what is there.

A row that left is in no user table; `holdfast_row.evicted` says that it is still one of the hub's. An insert under its
key would be merged at the hub as a second insert by a writer who has seen nothing, and here as one who has seen what
the row was: so it is refused, with the remedy, also in other programs.
"""

from __future__ import annotations

from holdfast.schema.emit.sqlite_replace import changed
from holdfast.schema.emit.sqlite_text import key_expression, names, quote, text_literal
from holdfast.schema.model import Table


def create_guards(table: Table, number: int) -> dict[str, str]:
    """Name -> CREATE TRIGGER of the guards of a table, by whose `number` the file knows it."""
    message = text_literal(
        f"holdfast row_evicted: a row of {table.name} with this key has left this device; fetch it: "
        f"replica.fetch('{table.name}', key)"
    )
    left = (
        f"EXISTS (SELECT 1 FROM holdfast_row WHERE tbl = {number} AND key = {key_expression(table, 'NEW')} AND evicted)"
    )
    active = "(SELECT applying FROM holdfast_state) = 0"
    body = f"BEGIN\n  SELECT RAISE(ABORT, {message});\nEND"
    on = f"ON {quote(table.name)}"
    insert, update = (f"holdfast_evicted_{table.name}_{event}" for event in ("insert", "update"))
    moved = f"({changed(table, table.key_names)})"
    return {
        insert: f"CREATE TRIGGER {quote(insert)} BEFORE INSERT {on}\nWHEN {active} AND {left}\n{body}",
        update: (
            f"CREATE TRIGGER {quote(update)} BEFORE UPDATE OF {names(table.key_names)} {on}\n"
            f"WHEN {active} AND {moved} AND {left}\n{body}"
        ),
    }
