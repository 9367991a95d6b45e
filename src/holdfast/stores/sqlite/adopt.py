"""Making a SQLite file ready for a schema: the hub's tables, the user tables, the layout, the triggers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import apsw

from holdfast.errors import HoldfastError
from holdfast.kernel.values import canonical_json
from holdfast.schema.emit.sqlite import column_definition, create_indexes, create_table
from holdfast.schema.emit.sqlite_blocks import block_column
from holdfast.schema.emit.sqlite_dirty import create_triggers
from holdfast.schema.emit.sqlite_text import key_expression, quote
from holdfast.schema.model import MISSING, Column, Schema, Table
from holdfast.stores.slots import Renames, renamings, with_added
from holdfast.stores.sqlite import fit
from holdfast.stores.sqlite.foreign_keys import ForeignKeys, references
from holdfast.stores.sqlite.queries import TABLES, fetch
from holdfast.stores.sqlite.transaction import Catalog
from holdfast.stores.sqlite.user_tables import UserTable

FORMAT = 1
"""Version of the hub's own tables. A file with a higher one was written by a newer Holdfast."""


def check_file(connection: apsw.Connection, path: str) -> None:
    """Refuse a device's file and a file of a newer version, before anything is written. Raises `HoldfastError`."""
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if "holdfast_capture" in present:
        message = f"{path} is the file of a device (a replica), not of a hub. Give the hub a file of its own."
        raise HoldfastError("store_open", message, file=path)
    if "holdfast_hub" in present:
        version = connection.execute("SELECT max(format) FROM holdfast_hub").get
        if version is not None and version > FORMAT:
            message = f"{path} has format {version}, from a newer Holdfast; this one reads up to {FORMAT}. Update it."
            raise HoldfastError("store_format", message, file=path, found=version, known=FORMAT)


def adopt(
    connection: apsw.Connection, schema: Schema, new_name: Callable[[], str]
) -> tuple[Catalog, dict[str, list[str]]]:
    """Create or check everything, in the transaction of the caller. Gives the catalog and the layout."""
    connection.execute(TABLES)
    if connection.execute("SELECT count(*) FROM holdfast_hub").get == 0:
        connection.execute("INSERT INTO holdfast_hub (id, format, hub, hlc) VALUES (1, ?, ?, 0)", (FORMAT, new_name()))
    known = dict(fetch(connection, "SELECT name, id FROM holdfast_table"))
    for table in schema.tables:
        _rename(connection, table, schema.renames)
    extras = {table.name: _user_table(connection, schema, table, table.name in known) for table in schema.tables}
    layout: dict[str, list[str]] = {}
    for table in schema.tables:
        connection.execute("INSERT INTO holdfast_table (name) VALUES (?) ON CONFLICT DO NOTHING", (table.name,))
        layout[table.name] = _layout(connection, table)
        _capture(connection, table)
        _place(connection, table)
    _release(connection, schema)
    ids = dict(fetch(connection, "SELECT name, id FROM holdfast_table"))
    tables = {table.name: UserTable(table, layout[table.name], extras[table.name]) for table in schema.tables}
    return Catalog(tables, ids, ForeignKeys(references(connection, schema))), layout


def _user_table(connection: apsw.Connection, schema: Schema, table: Table, known: bool) -> list[str]:
    """Create a user table, or check the one that is there; gives the columns that the schema does not know."""
    found = fit.columns_of(connection, table.name)
    if found and known:
        names = {column.name for column in found}
        added = [column for column in table.cells if column.name not in names]
        for column in added:
            connection.execute(f"ALTER TABLE {quote(table.name)} ADD COLUMN {_added(table, column)}")
        found = fit.columns_of(connection, table.name) if added else found
    if found:
        return fit.check(connection, table, found)
    if known:
        message = (
            f"The table {table.name} was synced and is gone from the database. Restore it from a backup, or take it "
            "out of the schema."
        )
        raise HoldfastError("schema_mismatch_table", message, table=table.name, expected="a table", found="none")
    for statement in (create_table(table, parents=schema.by_name), *create_indexes(table)):
        connection.execute(statement)
    return []


def _rename(connection: apsw.Connection, table: Table, renames: Renames) -> None:
    """Give columns of an earlier version their new names; nothing when they have them."""
    number, names = _slots(connection, table)
    for old, new in renamings(table, names, renames):
        if old in {column.name for column in fit.columns_of(connection, table.name)}:
            connection.execute(f"ALTER TABLE {quote(table.name)} RENAME COLUMN {quote(old)} TO {quote(new)}")
        connection.execute("UPDATE holdfast_slot SET name = ? WHERE tbl = ? AND name = ?", (new, number, old))


def _slots(connection: apsw.Connection, table: Table) -> tuple[int | None, list[str]]:
    """The number of a table, None when no hub has known it, and the names of its columns by slot."""
    number = connection.execute("SELECT id FROM holdfast_table WHERE name = ?", (table.name,)).get
    sql = "SELECT name FROM holdfast_slot WHERE tbl = ? ORDER BY slot"
    return number, [name for (name,) in connection.execute(sql, (number,))]


def _added(table: Table, column: Column) -> str:
    """The definition of a column that a table with rows gets: what has no default is filled by the hub afterwards."""
    if column.default is MISSING and not column.nullable:
        column = replace(column, nullable=True)
    return column_definition(table, column)


def _layout(connection: apsw.Connection, table: Table) -> list[str]:
    """Names by slot, kept. Raises `schema_changed`."""
    number, names = _slots(connection, table)
    every = with_added(table, names)
    rows = [(number, slot, every[slot]) for slot in range(len(names), len(every))]
    connection.executemany("INSERT INTO holdfast_slot (tbl, slot, name) VALUES (?, ?, ?)", rows)
    return every


def _capture(connection: apsw.Connection, table: Table) -> None:
    """Make the triggers that note foreign writes. If there were none until now, or somebody has taken one away (who
    rebuilds a table loses its triggers), any row may be such a write: note all.
    """
    block = block_column(table)
    if block is not None:
        key, target = quote(block.name), quote(table.name)
        above = f"SELECT ?, max(1, coalesce(max({key}) + 1, 1)) FROM {target}"
        connection.execute(f"INSERT OR IGNORE INTO holdfast_key (tbl, next) {above}", (table.name,))
    statements = create_triggers(table)
    script = ";\n".join(statements)
    before = connection.execute("SELECT capture FROM holdfast_table WHERE name = ?", (table.name,)).get
    intact = before is not None and _are_there(connection, table.name, before)
    if before == script and intact:
        return
    _drop_triggers(connection, table.name)
    for statement in statements:
        connection.execute(statement)
    connection.execute("UPDATE holdfast_table SET capture = ? WHERE name = ?", (script, table.name))
    if not intact:
        _note_all(connection, table)


def _place(connection: apsw.Connection, table: Table) -> None:
    """Note all rows when the rule of the space is not the one by which they were placed."""
    rule = canonical_json(table.space.to_json())
    before = connection.execute("SELECT rule FROM holdfast_placed WHERE tbl = ?", (table.name,)).get
    if before != rule:
        connection.execute("INSERT OR REPLACE INTO holdfast_placed (tbl, rule) VALUES (?, ?)", (table.name, rule))
        if before is not None:
            _note_all(connection, table)


def _are_there(connection: apsw.Connection, table: str, script: str) -> bool:
    """Whether the table has all triggers of a script."""
    sql = "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?"
    found = [text for (text,) in fetch(connection, sql, (table,)) if text in script]
    return len(found) == script.count("CREATE TRIGGER ")


def _note_all(connection: apsw.Connection, table: Table) -> None:
    """Note the rows that the user table shows and those that the feed shows alive: they may differ."""
    expression = key_expression(table, quote(table.name))
    connection.execute(
        f"INSERT INTO holdfast_dirty (tbl, key) SELECT ?, {expression} FROM {quote(table.name)}", (table.name,)
    )
    sql = """INSERT INTO holdfast_dirty (tbl, key) SELECT t.name, r.key FROM holdfast_table t
      JOIN holdfast_row r ON r.tbl = t.id AND r.mark = 0 AND r.life & 1 WHERE t.name = ?"""
    connection.execute(sql, (table.name,))


def _drop_triggers(connection: apsw.Connection, table: str) -> None:
    sql = "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?"
    for name in [name for (name,) in fetch(connection, sql, (table,)) if name.startswith("holdfast_")]:
        connection.execute(f"DROP TRIGGER {quote(name)}")


def _release(connection: apsw.Connection, schema: Schema) -> None:
    """Tables that the schema no longer has are not watched any more."""
    names = [name for (name,) in connection.execute("SELECT name FROM holdfast_table WHERE capture IS NOT NULL")]
    for name in names:
        if name not in schema.by_name:
            _drop_triggers(connection, name)
            connection.execute("UPDATE holdfast_table SET capture = NULL WHERE name = ?", (name,))
            connection.execute("DELETE FROM holdfast_dirty WHERE tbl = ?", (name,))
