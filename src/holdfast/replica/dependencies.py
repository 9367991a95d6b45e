"""What a transaction depends on: which others must reach the hub before it.

Two transactions conflict when both touch one thing and at least one of them changes it; then the later one must not
overtake the earlier one. The things are rows, the rows that a row refers to by a foreign key, and values of unique
columns (which one frees and another takes). Orders that keep all conflicts give the same result (conflict
serializability: Papadimitriou, *The serializability of concurrent database updates*, 1979).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

import apsw

from holdfast.kernel.row import Row
from holdfast.kernel.values import canonical_json
from holdfast.protocol import messages as m
from holdfast.replica.tables import UserTable, UserTables
from holdfast.schema.key import key_text, key_values
from holdfast.schema.model import ForeignKey


class Use(NamedTuple):
    """A thing that a transaction depends on beside the rows that it changes, as in `holdfast_use`."""

    table: int
    part: int
    name: str
    wrote: bool


def uses_of(tables: UserTables, user: UserTable, key: str, rows: Iterable[Row | None]) -> Iterator[Use]:
    """What the states of one row, before and after a change, depend on."""
    table = user.table
    keys = None
    for row in rows:
        if row is None or row.life % 2 == 0:
            continue
        keys = keys or key_values(table, key)
        values = dict(zip((c.name for c in table.row_columns), user.whole([*keys, *row.values]), strict=True))
        for part, group in enumerate(table.unique, 1):
            named = [values[name] for name in group]
            if None not in named:
                yield Use(user.number, part, canonical_json(named), True)
        for reference in table.foreign_keys:
            named = [values[name] for name in reference.columns]
            if None not in named:
                yield _reference(tables, reference, named)


def _reference(tables: UserTables, reference: ForeignKey, named: list[Any]) -> Use:
    parent = tables.by_name[reference.parent]
    by_name = dict(zip(reference.parent_columns, named, strict=True))
    if by_name.keys() == set(parent.table.key_names):
        return Use(parent.number, 0, key_text(parent.table, [by_name[n] for n in parent.table.key_names]), False)
    part = next(n for n, group in enumerate(parent.table.unique, 1) if by_name.keys() == set(group))
    return Use(parent.number, part, canonical_json([by_name[n] for n in parent.table.unique[part - 1]]), False)


def needs(db: apsw.Connection, states: Collection[str]) -> dict[int, set[int]]:
    """Transaction -> those among the ones in `states` that must go before it; direct ones only."""
    chosen = m.encode(sorted(states)).decode()
    found: dict[int, set[int]] = {}
    for _, accesses in groupby(_accesses(db, chosen), key=lambda access: access[:3]):
        _note_conflicts(accesses, found)
    sql = """SELECT a.txn, a.earlier FROM holdfast_after a JOIN holdfast_transaction t ON t.txn = a.earlier
             WHERE t.state IN (SELECT value FROM json_each(?))"""
    for txn, earlier in db.execute(sql, (chosen,)):
        found.setdefault(txn, set()).add(earlier)
    return found


def _accesses(db: apsw.Connection, states: str) -> Iterator[tuple[int, int, str, int, int]]:
    """(table, part, name, transaction, wrote) of everything touched, thing by thing, each in order of transaction."""
    sql = """SELECT o.tbl, 0, o.key, o.txn, 1 FROM holdfast_operation o JOIN holdfast_transaction t USING (txn)
             WHERE t.state IN (SELECT value FROM json_each(?1))"""
    if db.execute("SELECT EXISTS (SELECT 1 FROM holdfast_use)").get:
        sql += """ UNION ALL
             SELECT u.tbl, u.part, u.name, u.txn, u.wrote FROM holdfast_use u JOIN holdfast_transaction t USING (txn)
             WHERE t.state IN (SELECT value FROM json_each(?1))"""
    return iter(db.execute(sql + " ORDER BY 1, 2, 3, 4", (states,)))


def _note_conflicts(accesses: Iterable[tuple[int, int, str, int, int]], found: dict[int, set[int]]) -> None:
    """Of one thing: who reads it needs the last one who wrote it; who writes it, that one and all who read it since."""
    writer: int | None = None
    readers: set[int] = set()
    for *_, txn, wrote in accesses:
        before = {writer} | readers if wrote else {writer}
        earlier = {other for other in before if other is not None and other != txn}
        if earlier:
            found.setdefault(txn, set()).update(earlier)
        if wrote:
            writer, readers = txn, set()
        else:
            readers.add(txn)


def dependants(edges: dict[int, set[int]], txns: Iterable[int]) -> list[int]:
    """All that needs one of those, directly or through others, oldest first; not they themselves.

    A transaction never needs a later one, so one pass in order finds all.
    """
    found = set(txns)
    given = set(found)
    for txn in sorted(edges):
        if edges[txn] & found:
            found.add(txn)
    return sorted(found - given)
