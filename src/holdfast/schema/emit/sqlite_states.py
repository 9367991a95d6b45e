"""How each row of a device stands, as a view that anybody can join: `holdfast_state_of_<table>`.

It has the key columns of the table and `state`: "refused" (a write of this row was refused and is kept), "conflict"
(somebody has to decide about it, or a value of this device lost and nobody has resolved that), "pending" (the hub has
not answered for it yet), else "synced". The first that is true counts: it is what a person has to look at. Works from
SQLite 3.38 on, in any program that reads the file.
"""

from __future__ import annotations

from typing import Final

from holdfast.schema.emit.sqlite_text import key_expression, names, quote, text_literal
from holdfast.schema.model import Table

UNSETTLED: Final = (
    "c.state = 'open' OR (c.state = 'auto' AND CASE c.winner WHEN 'mine' THEN c.theirs_device "
    "WHEN 'theirs' THEN c.mine_device END = (SELECT device FROM holdfast_state WHERE id = 1))"
)
"""The condition of a conflict `c` that somebody has to look at: it waits for a decision, or a value of this device
lost."""


def state_view_name(table: Table) -> str:
    """The name of the view of a table."""
    return f"holdfast_state_of_{table.name}"


def create_state_view(table: Table, number: int) -> str:
    """CREATE VIEW for a table, by whose `number` the file knows it.

    Sealed operations are found by their index, row by row. Captured ones have no index, so that writing stays fast:
    they are read once for each statement.
    """
    key = key_expression(table, "t")
    operation = (
        "EXISTS (SELECT 1 FROM holdfast_operation o JOIN holdfast_transaction x USING (txn) "
        f"WHERE o.tbl = {number} AND o.key = {key} AND x.state {{}} 'refused')"
    )
    conflict = (
        "EXISTS (SELECT 1 FROM holdfast_conflict c "
        f"WHERE c.table_name = {text_literal(table.name)} AND c.row_key = {key} AND ({UNSETTLED}))"
    )
    captured = f"{key} IN (SELECT key FROM holdfast_capture WHERE tbl = {number} AND kind <> 'suspect')"
    columns = ", ".join(f"t.{quote(name)}" for name in table.key_names)
    state = (
        f"CASE\n    WHEN {operation.format('=')} THEN 'refused'\n    WHEN {conflict} THEN 'conflict'\n"
        f"    WHEN {operation.format('<>')} THEN 'pending'\n    WHEN {captured} THEN 'pending'\n"
        "    ELSE 'synced'\n  END"
    )
    listed = names([*table.key_names, "state"])
    return (
        f"CREATE VIEW {quote(state_view_name(table))} ({listed}) AS\n"
        f"  SELECT {columns}, {state}\n  FROM {quote(table.name)} t"
    )
