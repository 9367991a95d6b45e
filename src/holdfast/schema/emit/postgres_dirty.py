"""Triggers on the hub's user tables (PostgreSQL): the keys of rows that other programs write go to `holdfast.dirty`.

Notes are only ever added, so a program never waits for the hub or for another program because of a note, and a note
becomes visible exactly when the row does: at the commit of its writer. No counter is taken here.
"""

from __future__ import annotations

from holdfast.schema.emit.postgres_text import key_expression, qualified, quote, text_literal
from holdfast.schema.model import Table

CHANNEL = "holdfast_dirty"
"""LISTEN here to hear that a program has written something."""

NOTIFIES = (
    "coalesce(nullif(current_setting('holdfast.notify', true), ''), "
    "CASE WHEN current_setting('max_prepared_transactions') = '0' THEN 'on' END) = 'on'"
)
"""Whether the triggers notify. A transaction that has notified cannot be prepared (`PREPARE TRANSACTION`), so where a
server allows those at all, only who sets `holdfast.notify` to `on` gets it; hubs then look once a second."""

_KEY_BYTES = 2_600
"""PostgreSQL refuses an index entry above 2,704 bytes. No program may fail because its key does not fit into ours, so
the note of such a row gets a key that is longer than any that can be synced: it waits aside with that reason."""

APPLYING = "holdfast.applying"
"""The hub sets this to `on` for its own transaction, by `set_config(..., true)`: no session keeps it."""

EVENTS = ("insert", "update", "delete", "truncate")

# Zero for a statement of the hub itself. A cascade and a trigger of the application run deeper: what they write in
# the hub's transaction is news to the hub, and noted.
_ACTIVE = f"current_setting('{APPLYING}', true) IS DISTINCT FROM 'on' OR pg_trigger_depth() > 0"

_TRANSITIONS = {
    "insert": " REFERENCING NEW TABLE AS new_rows",
    "update": " REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": " REFERENCING OLD TABLE AS old_rows",
    "truncate": "",
}


def function_name(table: Table) -> str:
    """The function of a table, in the hub's own schema; functions and tables do not share names there."""
    return qualified("holdfast", table.name)


def noted_key(key: str) -> str:
    """The key of a note, from the expression of a row's key."""
    return f"CASE WHEN octet_length({key}) > {_KEY_BYTES} THEN rpad(left({key}, 100), 1025, '.') ELSE {key} END"


def create_triggers(table: Table, *, within: str = "public") -> list[str]:
    """The function and the triggers of one table.

    Every row that is inserted, updated (under its old and its new key) or deleted gets a note with a fresh mark. After
    TRUNCATE it is the rows that the feed shows alive.
    """
    return [_function(table), *(_trigger(table, event, within) for event in EVENTS)]


def fire_always(table: Table, *, within: str = "public") -> str:
    """The statement that makes the triggers fire also where others do not, in sessions whose session_replication_role
    is `replica`: whoever loads rows that way means to bypass the application's triggers, not sync. Only who owns the
    table may say so."""
    clauses = ", ".join(f"ENABLE ALWAYS TRIGGER {quote(trigger_name(event))}" for event in EVENTS)
    return f"ALTER TABLE {qualified(within, table.name)} {clauses}"


def function_body(table: Table) -> str:
    """What PostgreSQL keeps as the source of the function."""
    return _function(table).split("$holdfast$")[1]


def drop_triggers(table: Table, *, within: str = "public") -> list[str]:
    """Statements that take triggers and function away again."""
    target = qualified(within, table.name)
    dropped = [f"DROP TRIGGER IF EXISTS {quote(trigger_name(event))} ON {target}" for event in EVENTS]
    return [*dropped, f"DROP FUNCTION IF EXISTS {function_name(table)}()"]


def trigger_name(event: str) -> str:
    """The name of the trigger for one of `EVENTS`, the same on every table."""
    return f"holdfast_{event}"


def _trigger(table: Table, event: str, within: str) -> str:
    target = qualified(within, table.name)
    return (
        f"CREATE TRIGGER {quote(trigger_name(event))} AFTER {event.upper()} ON {target}{_TRANSITIONS[event]}\n"
        f"FOR EACH STATEMENT WHEN ({_ACTIVE})\nEXECUTE FUNCTION {function_name(table)}()"
    )


def _function(table: Table) -> str:
    name = text_literal(table.name)
    old = f"SELECT {key_expression(table, 'r')} AS key FROM old_rows r"
    new = f"SELECT {key_expression(table, 'r')} AS key FROM new_rows r"
    alive = (
        'SELECT r.key FROM holdfast."row" r JOIN holdfast."table" t ON t.id = r.tbl\n'
        f"    WHERE t.name = {name} AND r.mark = 0 AND r.life % 2 = 1"
    )
    sources = {"INSERT": new, "UPDATE": f"{new} UNION {old}", "DELETE": old, "TRUNCATE": alive}
    note = f"INSERT INTO holdfast.dirty (tbl, key) SELECT {name}, {noted_key('s.key')}"
    branches = "\n  ELSIF ".join(
        f"TG_OP = '{event}' THEN\n    {note} FROM (\n      {source}\n    ) s;" for event, source in sources.items()
    )
    # SECURITY DEFINER: who may write the table need not have any right on the hub's own tables.
    return (
        f"CREATE OR REPLACE FUNCTION {function_name(table)}() RETURNS trigger\n"
        "LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $holdfast$\nBEGIN\n"
        f"  IF {branches}\n  END IF;\n"
        f"  IF FOUND AND {NOTIFIES} THEN\n    PERFORM pg_notify('{CHANNEL}', '');\n  END IF;\n"
        "  RETURN NULL;\nEND\n$holdfast$"
    )
