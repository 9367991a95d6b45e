"""The proof at the end of the demo: every copy against the hub, read with the plain sqlite3 module, row by row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from holdfast.cli.demo.world import Expected
from holdfast.kernel import digest
from holdfast.schema.model import Schema, Table
from holdfast.schema.sqlite_values import from_sql_row
from holdfast.stores.sqlite import SqliteStore

Rows = dict[tuple[Any, ...], tuple[Any, ...]]


class Proof(NamedTuple):
    """What was compared, and what differs (empty: nothing)."""

    rows: int
    digests: int
    expected: list[tuple[str, Any]]
    differences: list[str]


def prove(
    schema: Schema,
    hub: Path,
    copies: Mapping[str, tuple[Path, set[str]]],
    roots: Mapping[str, Mapping[str, str]],
    expected: list[Expected],
) -> Proof:
    """Compare every device's tables with the hub's rows in its spaces, its digest roots with the hub's, and what
    must have come out with what did. `copies` maps device -> (file, spaces), `roots` device -> space -> root."""
    differences: list[str] = []
    compared = 0
    with closing(_open(hub)) as db:
        for table in schema.declared:
            by_space = _by_space(db, table)
            for name, (file, spaces) in copies.items():
                wanted: Rows = {}
                for space in spaces:
                    wanted.update(by_space.get(space, {}))
                with closing(_open(file)) as copy:
                    found = dict(_rows(copy, table))
                compared += len(found)
                differences += (f"{name}: {text}" for text in _differences(table, wanted, found))
        facts = []
        for fact in expected:
            value = db.execute(fact.sql, fact.parameters).fetchone()
            facts.append((fact.what, value and value[0]))
            if not value or value[0] != fact.value:
                differences.append(f"hub: {fact.what}: {value and value[0]!r} instead of {fact.value!r}")
    hub_roots = _hub_roots(schema, hub)
    for name, spaces_of in roots.items():
        for space, root in spaces_of.items():
            if root != hub_roots[space]:
                differences.append(f"{name}: the digest of {space} is {root}, the hub's {hub_roots[space]}")
    return Proof(compared, sum(map(len, roots.values())), facts, differences)


def _open(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)


def _rows(db: sqlite3.Connection, table: Table) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Key and whole row, each value with its storage class: 1 and 1.0 are not equal here."""
    names = [column.name for column in table.columns]
    places = [names.index(column.name) for column in table.key]
    listed = ", ".join(f'"{name}", typeof("{name}")' for name in names)
    for row in db.execute(f'SELECT {listed} FROM "{table.name}"'):
        yield tuple(row[2 * place] for place in places), row


def _by_space(db: sqlite3.Connection, table: Table) -> dict[str, Rows]:
    """The hub's rows of a table, by the space in which each belongs."""
    found: dict[str, Rows] = {}
    naming = table.naming
    assert naming is not None  # the demo's tables all name their spaces themselves
    for key, row in _rows(db, table):
        key_values, values = from_sql_row(table, list(row[::2]))
        members = dict(zip((c.name for c in table.key), key_values, strict=True))
        members |= dict(zip((c.name for c in table.cells), values, strict=True))
        found.setdefault(naming.name_for(members, ""), {})[key] = row
    return found


def _differences(table: Table, wanted: Rows, found: Rows) -> Iterator[str]:
    for key in sorted(wanted.keys() - found.keys(), key=repr):
        yield f"{table.name} {key} is missing"
    for key in sorted(found.keys() - wanted.keys(), key=repr):
        yield f"{table.name} {key} is not on the hub"
    for key in wanted.keys() & found.keys():
        if wanted[key] != found[key]:
            columns = [
                c.name for place, c in enumerate(table.columns) if wanted[key][2 * place] != found[key][2 * place]
            ]
            yield f"{table.name} {key} differs in {', '.join(columns) or 'a type'}"


def _hub_roots(schema: Schema, hub: Path) -> dict[str, str]:
    store = SqliteStore(hub)
    with closing(store):
        store.open(schema)
        with store.transaction(write=False) as tx:
            spaces = tx.all_spaces()
            return {space: digest.root({b: total for b, (_, total) in tx.digest(space).items()}) for space in spaces}
