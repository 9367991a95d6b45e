"""The rights that a role needs to run a hub without owning anything, as the statements that grant what it lacks."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from holdfast.schema.emit.postgres_text import qualified, quote, text_literal
from holdfast.schema.model import Schema, Table
from holdfast.stores.postgres.exchange import Connection
from holdfast.stores.postgres.queries import QUERIES

RIGHTS = "SELECT, INSERT, UPDATE, DELETE"


def missing(
    db: Connection,
    schema: Schema,
    within: str,
    role: str,
    made: Sequence[Table],
    new: Collection[str],
    *,
    fresh: bool,
) -> list[str]:
    """What is to be granted to `role`: the hub's own tables, the tables that Holdfast `made`, and the sequences from
    which devices lease keys. Tables named by `new` are only made by an earlier step, all of Holdfast's when `fresh`.

    Rights on tables of the application are not ours to give.
    """
    name = quote(role)
    statements: list[str] = []
    if fresh or db.execute(QUERIES["lacks_rights"], (role, role)).fetchall()[0][0]:
        statements = [
            f"GRANT USAGE ON SCHEMA holdfast TO {name}",
            f"GRANT {RIGHTS} ON ALL TABLES IN SCHEMA holdfast TO {name}",
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA holdfast GRANT {RIGHTS} ON TABLES TO {name}",
        ]
    for table in made:
        target = qualified(within, table.name)
        if table.name in new or db.execute(QUERIES["lacks_table"], (role, target)).fetchall()[0][0]:
            statements.append(f"GRANT {RIGHTS} ON {target} TO {name}")
    for table in schema.tables:
        if table.key[0].block:
            statements += _sequence(db, table, within, role, new=table.name in new)
    return statements


def _sequence(db: Connection, table: Table, within: str, role: str, *, new: bool) -> list[str]:
    """The grant on the sequence of a table with leased keys. Its name is known when the table is there."""
    target, column = qualified(within, table.name), table.key[0].name
    if new:
        found = f"pg_get_serial_sequence({text_literal(target)}, {text_literal(column)})"
        grant = f"EXECUTE format('GRANT USAGE ON SEQUENCE %s TO %I', {found}, {text_literal(role)})"
        return [f"DO $holdfast$ BEGIN {grant}; END $holdfast$"]
    ((sequence,),) = db.execute(QUERIES["sequence"], (target, column, target, column)).fetchall()
    if sequence is None:
        return []
    lacking = db.execute(QUERIES["lacks_sequence"], (sequence, role)).fetchall()
    return [f"GRANT USAGE ON SEQUENCE {shown} TO {quote(role)}" for (shown,) in lacking]
