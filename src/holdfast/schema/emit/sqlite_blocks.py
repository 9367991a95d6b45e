"""Keys that a row gets by itself: the next number of a leased block on a device, of a counter on the hub.

SQLite has no sequences, and a DEFAULT cannot read a table. So an INSERT without the key puts a provisional one, below
every real key, and a trigger in the same statement puts the next number in its place. `RETURNING` shows the provisional
one; `SELECT ... WHERE rowid = last_insert_rowid()` the real one.
"""

from __future__ import annotations

from holdfast.schema.emit.sqlite_text import quote, text_literal
from holdfast.schema.model import Column, Table

_LIMIT = -(2**52)
PROVISIONAL = f"({_LIMIT - 1} - abs(random() % {2**52 - 2}))"
"""A default that no two rows share: below every key that a sequence gives, and still an `int`."""
DEVICE_EVENTS = ("fill", "used", "moved")


def block_column(table: Table) -> Column | None:
    """The key column of a table whose keys come from blocks; None for any other table."""
    column = table.key[0]
    return column if column.generate == "block" else None


def provisional(cell: str) -> str:
    """Condition that a key is not there yet."""
    return f"{cell} < {_LIMIT}"


def create_block_triggers(table: Table) -> list[str]:
    """The triggers of a device: numbers come from `holdfast_block`, where each leased range has its next number."""
    name = text_literal(table.name)
    empty = text_literal(
        f"holdfast block_used_up: the leased keys of {table.name} are used up; sync to lease more, or declare a larger "
        "block= for longer times without a network"
    )
    block = f"FROM holdfast_block WHERE tbl = {name}"
    here = f"tbl = {name} AND NEW.{_key(table)} BETWEEN next AND last"
    used = [
        f"UPDATE holdfast_block SET next = NEW.{_key(table)} + 1 WHERE {here}",
        f"DELETE {block} AND next > last",
    ]
    refusal = f"SELECT RAISE(ABORT, {empty}) WHERE NOT EXISTS (SELECT 1 {block})"
    within = f"EXISTS (SELECT 1 {block} AND NEW.{_key(table)} BETWEEN next AND last)"
    return _triggers(table, "holdfast_block", [refusal], f"SELECT min(next) {block}", within, used)


def create_counter_triggers(table: Table) -> list[str]:
    """The triggers of a hub: numbers come from the counter of the table in `holdfast_key`, above every key it has."""
    counter = f"FROM holdfast_key WHERE tbl = {text_literal(table.name)}"
    used = [f"UPDATE holdfast_key SET next = NEW.{_key(table)} + 1 WHERE tbl = {text_literal(table.name)}"]
    above = f"NEW.{_key(table)} >= (SELECT next {counter})"
    return _triggers(table, "holdfast_dirty", [], next_of_counter(table), above, used)


def next_of_counter(table: Table) -> str:
    """SELECT of the hub's next key: the counter, or past the rows that the hub itself wrote with keys of devices."""
    beyond = f"coalesce((SELECT max({_key(table)}) FROM {quote(table.name)}), 0) + 1"
    return f"SELECT max(next, {beyond}) FROM holdfast_key WHERE tbl = {text_literal(table.name)}"


def _key(table: Table) -> str:
    return quote(table.key[0].name)


def _triggers(table: Table, prefix: str, first: list[str], number: str, within: str, used: list[str]) -> list[str]:
    key, target = _key(table), quote(table.name)
    stuck = text_literal(f"holdfast key_taken: the next key of {table.name} is taken; sync, then try again")
    fill = [
        *first,
        f"UPDATE {target} SET {key} = ({number}) WHERE {key} = NEW.{key}",
        # With OR IGNORE a key that is taken would leave the provisional one in place.
        f"SELECT RAISE(ABORT, {stuck}) WHERE EXISTS (SELECT 1 FROM {target} WHERE {key} = NEW.{key})",
    ]
    return [
        _trigger(f"{prefix}_{table.name}_fill", f"AFTER INSERT ON {target}", provisional(f"NEW.{key}"), fill),
        _trigger(f"{prefix}_{table.name}_used", f"AFTER INSERT ON {target}", within, used),
        _trigger(f"{prefix}_{table.name}_moved", f"AFTER UPDATE OF {key} ON {target}", within, used),
    ]


def _trigger(name: str, when: str, condition: str, statements: list[str]) -> str:
    body = "\n  ".join(f"{statement};" for statement in statements)
    return f"CREATE TRIGGER {quote(name)} {when}\nWHEN {condition}\nBEGIN\n  {body}\nEND"
