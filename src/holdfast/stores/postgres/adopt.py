"""What a store must know of a database that is ready: tables, layout, constraints. Nothing is changed here."""

from __future__ import annotations

from holdfast.schema.emit.postgres_text import qualified
from holdfast.schema.model import Schema
from holdfast.stores.postgres import fit
from holdfast.stores.postgres.exchange import Connection
from holdfast.stores.postgres.native import BusyTables
from holdfast.stores.postgres.queries import QUERIES
from holdfast.stores.postgres.user_tables import UserTable
from holdfast.stores.postgres.writing import Catalog


def adopt(db: Connection, schema: Schema, within: str) -> tuple[Catalog, dict[str, list[str]]]:
    """The catalog, and the layout: names of columns by slot. `within` is the PostgreSQL schema of the user tables.

    Raises `schema_mismatch_table` for a table of which this role does not see every row.
    """
    ids: dict[str, int] = {name: number for name, _, _, number, _ in db.execute(QUERIES["tables"])}
    layout = {
        table.name: [name for (name,) in db.execute(QUERIES["slots"], (ids[table.name],))] for table in schema.tables
    }
    tables: dict[str, UserTable] = {}
    constraints: dict[tuple[str, str], list[str]] = {}
    rewritten: set[str] = set()
    for table in schema.tables:
        target = qualified(within, table.name)
        fit.check_policies(db, table, target)
        unique = fit.unique_of(db, target)
        tables[table.name] = UserTable(table, within, layout[table.name], list(unique.values()))
        for name, columns in {**unique, **fit.constraints_of(db, target)}.items():
            constraints[table.name, name] = columns
        if fit.is_rewritten(db, target) or any(column.read_only for column in table.columns):
            rewritten.add(table.name)
    return Catalog(tables, ids, constraints, frozenset(rewritten), BusyTables()), layout
