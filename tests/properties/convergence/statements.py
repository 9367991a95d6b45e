"""Random SQL over the tables of the machines: few keys, so that devices collide; values from their whole domains."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from hypothesis import strategies as st

from holdfast.schema.model import Column, Table
from tests.properties.convergence.tables import SCHEMA

MAX_INT = 2**53 - 1


class Statement(NamedTuple):
    """One SQL statement with its parameters, all in SQLite's own types."""

    sql: str
    parameters: tuple[Any, ...]


texts = st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=6)
few_texts = st.sampled_from(["", "a", "é", "e\u0301", "🏗", '"', "\\u0000 is not it"])
ints = st.integers(-MAX_INT, MAX_INT) | st.integers(-3, 3)
floats = st.floats(allow_nan=False, allow_infinity=False) | st.just(0.1 + 0.2)
json_values = st.recursive(
    st.none() | st.booleans() | ints | floats | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)


def _array(elements: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(elements, max_size=3).map(json.dumps)


_DECIMALS = st.sampled_from(["0", "1.5", "1.50", "-0.0", "1e3", "+007", "-12.50", "9" * 40 + ".1"])
_TYPES: dict[str, st.SearchStrategy[Any]] = {
    "text": texts | few_texts,
    "int": ints,
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "float": floats,
    "bool": st.sampled_from([0, 1]),
    "bytes": st.binary(max_size=5),
    "date": st.dates().map(str),
    "datetime": st.datetimes().map(lambda moment: moment.isoformat(timespec="microseconds") + "Z")
    | st.sampled_from(["2026-02-03 04:05:06", "2026-02-03T04:05:06.7+02:00"]),
    "decimal": _DECIMALS | st.decimals(-1000, 1000, places=3).map(str),
    "uuid": st.uuids().map(str) | st.uuids().map(lambda value: "{" + str(value).upper() + "}"),
    "json": json_values.map(json.dumps) | st.just(' { "b" : 1.0, "a" : [ ] } '),
}
_KEYS: dict[str, list[Any]] = {
    "form": ["a", "b", "é"],
    "entry": [("1", 1, 1), ("2", 1, 1), ("1", -MAX_INT, 0)],
    "code": [1, 2, MAX_INT],
    "owner": ["x", "y", ""],
    "pet": ["p", "q"],
    "toy": ["t", "u"],
    "mine": ["m", "n"],
    "bare": [("1", "a"), ("2", "a")],
}
_SMALL: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("code", "label"): st.sampled_from(["l", "m", None]),
    ("code", "level"): st.sampled_from([1, 2, None]),
    ("code", "part"): st.sampled_from(["l", "m", None]),
    ("owner", "name"): st.sampled_from(["ann", "bob", None]),
    ("pet", "owner"): st.sampled_from(["x", "y", None]),
    ("toy", "owner"): st.sampled_from(["x", "y", None]),
    ("toy", "lent"): st.sampled_from(["x", "y", None]),
    ("form", "extra"): _TYPES["json"] | st.none(),
    ("form", "tags"): _array(few_texts),
    ("form", "seen"): _array(st.integers(0, 3)),
    ("entry", "tags"): _array(st.integers(0, 3)),
    # What SQLite's CHECK lets pass and sealing does not: the transaction is refused on the device.
    ("mine", "note"): texts,
}


def value_for(table: Table, column: Column) -> st.SearchStrategy[Any]:
    """Values in SQLite's types for a column that is not part of the key."""
    if column.name == "project":
        return st.sampled_from(["1", "2"])
    if (table.name, column.name) in _SMALL:
        return _SMALL[table.name, column.name]
    if column.choices is not None:
        return st.sampled_from(list(column.choices))
    if column.merge == "counter":
        return st.integers(-5, 5) | st.integers(-(2**40), 2**40)
    found = _TYPES[column.type]
    return found | st.none() if column.nullable else found


def _key(draw: st.DrawFn, table: Table) -> tuple[Any, ...]:
    key = draw(st.sampled_from(_KEYS[table.name]))
    return key if isinstance(key, tuple) else (key,)


def _some_cells(draw: st.DrawFn, table: Table, least: int) -> list[Column]:
    if not table.cells:
        return []
    return draw(st.lists(st.sampled_from(table.cells), min_size=least, max_size=3, unique_by=lambda c: c.name))


def _insert(draw: st.DrawFn, table: Table) -> Statement:
    cells = _some_cells(draw, table, 0)
    if table.unique and draw(st.booleans()):
        cells = [table.cells[table.slot[name]] for name in draw(st.sampled_from(table.unique))]
    names = [*(c.name for c in table.key), *(c.name for c in cells)]
    values = [*_key(draw, table), *(draw(value_for(table, c)) for c in cells)]
    verbs = ["INSERT", "INSERT OR REPLACE", "REPLACE", "INSERT OR IGNORE", "INSERT OR FAIL"]
    verb = draw(st.sampled_from([*verbs, "UPSERT", "UPSERT", "NOTHING"]))
    tail = ""
    if verb in ("UPSERT", "NOTHING"):
        keys = ", ".join(c.name for c in table.key)
        sets = ", ".join(f"{c.name} = excluded.{c.name}" for c in cells)
        tail = f" ON CONFLICT ({keys}) DO " + (f"UPDATE SET {sets}" if sets and verb == "UPSERT" else "NOTHING")
        verb = "INSERT"
    marks = ", ".join("?" * len(names))
    return Statement(f"{verb} INTO {table.name} ({', '.join(names)}) VALUES ({marks}){tail}", tuple(values))


def _where(draw: st.DrawFn, table: Table) -> tuple[str, tuple[Any, ...]]:
    if draw(st.integers(0, 4)) == 0:
        return "", ()
    return " WHERE " + " AND ".join(f"{c.name} = ?" for c in table.key), _key(draw, table)


def _update(draw: st.DrawFn, table: Table) -> Statement:
    sets, values = [], []
    for column in _some_cells(draw, table, 1):
        value = draw(value_for(table, column))
        if column.merge == "counter" and draw(st.booleans()):
            sets.append(f"{column.name} = {column.name} + ?")
        else:
            sets.append(f"{column.name} = ?")
        values.append(value)
    where, key = _where(draw, table)
    return Statement(f"UPDATE {_verb(draw)}{table.name} SET {', '.join(sets)}{where}", (*values, *key))


def _rekey(draw: st.DrawFn, table: Table) -> Statement:
    new = _key(draw, table)
    sets = ", ".join(f"{c.name} = ?" for c in table.key)
    where, key = _where(draw, table)
    return Statement(f"UPDATE {_verb(draw)}{table.name} SET {sets}{where}", (*new, *key))


def _verb(draw: st.DrawFn) -> str:
    return draw(st.sampled_from(["", "", "OR REPLACE ", "OR IGNORE "]))


def _delete(draw: st.DrawFn, table: Table) -> Statement:
    where, key = _where(draw, table)
    return Statement(f"DELETE FROM {table.name}{where}", key)


_TABLES = [*SCHEMA.declared, *(SCHEMA.by_name[name] for name in ("form", "code", "owner", "form"))]


@st.composite
def statements(draw: st.DrawFn, *, tables: tuple[str, ...] = ()) -> Statement:
    """One statement that writes; it may fail on a constraint."""
    table = draw(st.sampled_from([SCHEMA.by_name[name] for name in tables] or _TABLES))
    kinds = [_insert, _insert, _update, _delete] if table.cells else [_insert, _insert, _delete]
    return draw(st.sampled_from([*kinds, _rekey]))(draw, table)
