"""What others may have changed behind the hub's back: altered tables, triggers that are or were off, rows to look at.

Only triggers note what other programs write. Whether they were always there is found in the versions (`xmin`) of their
rows in PostgreSQL's own catalogue: who switches a trigger off and on again, or rewrites a column, leaves other versions
behind, whether or not anybody looked in between. Then every row of the table is compared with the feed.
"""

from __future__ import annotations

import json
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.schema.emit.postgres_dirty import EVENTS, function_body, trigger_name
from holdfast.schema.emit.postgres_text import key_expression, qualified, text_literal
from holdfast.schema.model import Schema, Table
from holdfast.stores.postgres import fit
from holdfast.stores.postgres.exchange import Connection
from holdfast.stores.postgres.queries import QUERIES


def versions(table: Table, within: str) -> str:
    """The SQL expression of a hash over the versions of our triggers on a table, of their function, and of the synced
    columns: those that have a slot, whatever schema has them, so that hubs of two schemas find the same."""
    target = text_literal(qualified(within, table.name))
    triggers = ", ".join(text_literal(trigger_name(event)) for event in EVENTS)
    key = ", ".join(text_literal(name) for name in table.key_names)
    slots = (
        'SELECT s.name FROM holdfast.slot s JOIN holdfast."table" n ON n.id = s.tbl '
        f"WHERE n.name = {text_literal(table.name)}"
    )
    return (
        "(SELECT encode(sha256(convert_to(coalesce(string_agg(v.part, ',' ORDER BY v.part), ''), 'UTF8')), 'hex') "
        "FROM (SELECT concat('t', g.oid, ' ', g.xmin, ' ', g.tgenabled) AS part FROM pg_trigger g "
        f"WHERE g.tgrelid = to_regclass({target}) AND g.tgname IN ({triggers}) UNION ALL "
        "SELECT concat('f', f.oid, ' ', f.xmin) FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace "
        f"WHERE n.nspname = 'holdfast' AND f.proname = {text_literal(table.name)} UNION ALL "
        "SELECT concat('c', a.attnum, ' ', a.xmin) FROM pg_attribute a "
        f"WHERE a.attrelid = to_regclass({target}) AND (a.attname IN ({key}) OR a.attname IN ({slots}))) v)"
    )


def note_rows(table: Table, within: str) -> list[str]:
    """The statements that note every row that the table shows, or the feed shows alive. What the next look compares is
    taken before: a trigger that goes off in between makes it look again."""
    name = text_literal(table.name)
    shown = f"SELECT {key_expression(table, 't')} FROM {qualified(within, table.name)} t"
    alive = (
        'SELECT w.key FROM holdfast."row" w JOIN holdfast."table" n ON n.id = w.tbl '
        f"WHERE n.name = {name} AND w.mark = 0 AND w.life % 2 = 1"
    )
    return [
        f'UPDATE holdfast."table" SET noted = true, watched = {versions(table, within)} WHERE name = {name}',
        f"INSERT INTO holdfast.dirty (tbl, key) SELECT {name}, k.key FROM ({shown} UNION {alive}) AS k(key)",
    ]


def watch_over(db: Connection, table: Table, within: str) -> None:
    """Note all rows of a table, which is as it should be now, when its triggers may have been off since they were last
    noted, or a column was rewritten."""
    look = (
        f'SELECT noted AND watched IS NOT DISTINCT FROM {versions(table, within)} FROM holdfast."table" WHERE name = %s'
    )
    name = (table.name,)
    if db.execute(look.encode(), name).fetchall() == [(True,)]:
        return
    with db.transaction():
        # Others look, too: whoever comes first does it.
        if db.execute(f"{look} FOR UPDATE".encode(), name).fetchall() == [(False,)]:
            for statement in note_rows(table, within):
                db.execute(statement.encode())


def lost_triggers(db: Connection, table: Table, within: str) -> list[str]:
    """Events whose trigger somebody has dropped or disabled."""
    found = {name for (name,) in db.execute(QUERIES["triggers"], (qualified(within, table.name),))}
    return [event for event in EVENTS if trigger_name(event) not in found]


def altered(db: Connection, table: Table) -> bool:
    """Whether the function of the triggers is not what this release has made."""
    return db.execute(QUERIES["capture_source"], (table.name,)).fetchall() != [(function_body(table),)]


def drift(db: Connection, table: Table, within: str) -> list[str]:
    """What is wrong with a table that was right when it was opened, with the remedy."""
    target = qualified(within, table.name)
    if db.execute(b"SELECT to_regclass(%s)", (target,)).fetchall()[0][0] is None:
        return [f"the table {table.name} is gone: restore it, or deploy a schema without it"]
    found = []
    try:
        fit.check_kind(db, table, target)
        fit.check_policies(db, table, target)
        fit.check(table, fit.columns_of(db, target), list(fit.unique_of(db, target).values()))
    except HoldfastError as error:
        found.append(error.message)
    lost = lost_triggers(db, table, within)
    if lost:
        found.append(
            f"the triggers of {table.name} for {', '.join(lost)} were dropped or disabled, so writes of other programs "
            "are missed: run `holdfast migrate FILE`, which makes them again and looks at every row"
        )
    if altered(db, table):
        found.append(
            f"the function that the triggers of {table.name} call is not the one that `holdfast migrate` made, so "
            "writes of other programs may be missed: run `holdfast migrate FILE`, which makes it again and "
            "looks at every row"
        )
    return found


def place_again(db: Connection, schema: Schema, within: str) -> None:
    """Note all rows of tables whose space has another rule than the one by which they were placed: the drainer moves
    them. A hub of an earlier version of the schema leaves them alone. In the transaction of the caller, a hub's that
    starts: hubs of the former rule may still run, so `migrate` does it again after the deployment."""
    for table in schema.tables:
        found = placed(db, table)
        if found is None:
            _set_placed(db, place(schema, table, again=False), table)
        elif found["space"] != table.space.to_json() and found["version"] <= schema.version:
            _set_placed(db, place(schema, table, again=True), table)
            for statement in note_rows(table, within):
                db.execute(statement.encode())


def place(schema: Schema, table: Table, *, again: bool) -> str:
    """By which rule the rows of a table are placed, as JSON."""
    return json.dumps({"space": table.space.to_json(), "version": schema.version, "again": again})


def placed(db: Connection, table: Table) -> dict[str, Any] | None:
    """By which rule the rows of a table were placed; None: no hub has said it."""
    found = db.execute(QUERIES["placed"], (table.name,)).fetchall()
    return json.loads(found[0][0]) if found and found[0][0] is not None else None


def _set_placed(db: Connection, text: str, table: Table) -> None:
    db.execute(b'UPDATE holdfast."table" SET placed = %s WHERE name = %s', (text, table.name))
