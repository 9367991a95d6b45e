"""What simulated people and programs write: few rows, so that they collide, by every kind of statement."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from holdfast.schema.model import Column, Table
from holdfast.testing.tables import ACCOUNTS, SCHEMA
from holdfast.testing.values import MAX_INT, value_for

PROJECTS = ("1", "2")
KEYS: dict[str, tuple[Any, ...]] = {
    "form": ("f", "g", "é"),
    "item": (("1", 1, 1), ("2", 1, 1), ("1", -MAX_INT, 0)),
    "code": (1, 2, MAX_INT),
    "owner": ("x", "y", ""),
    "pet": ("p", "q"),
    "toy": ("t", "u"),
    "page": ("a", "b"),
    "line": (("a", 1), ("b", 1)),
    "node": ("r", "s", "v"),
    "mine": ("m", "n"),
    "bare": (("1", "a"), ("2", "a")),
}
SMALL: dict[tuple[str, str], tuple[Any, ...]] = {
    ("code", "label"): ("l", "m", None),
    ("code", "level"): (1, 2, None),
    ("code", "part"): ("l", "m", None),
    ("pet", "owner"): ("x", "y", None),
    ("toy", "owner"): ("x", "y", None),
    ("toy", "lent"): ("x", "y", None),
    ("page", "owner"): ("x", "y"),
    ("node", "parent"): ("r", "s", "v", None),
}
TABLES = (*(SCHEMA.by_name[name] for name in KEYS), *(SCHEMA.by_name[n] for n in ("form", "code", "owner", "form")))
VERBS = ("INSERT", "INSERT OR REPLACE", "REPLACE", "INSERT OR IGNORE", "INSERT OR FAIL", "UPSERT", "UPSERT", "NOTHING")
UPDATE_VERBS = ("", "", "OR REPLACE ", "OR IGNORE ")


class Statement(NamedTuple):
    """One SQL statement with its parameters in SQLite's types; `kind` is what it is meant to reach."""

    kind: str
    sql: str
    parameters: tuple[Any, ...]


class Posting(NamedTuple):
    """What a transaction does to the ledger: `amounts` are deltas (account, balance, deposits)."""

    label: str
    amounts: tuple[tuple[str, int, int], ...]


def posting(label: str, choose: random.Random) -> Posting:
    """A transfer between two accounts, a deposit, or neither."""
    kind = choose.randrange(4)
    if kind == 0:
        source, target = choose.sample(ACCOUNTS, 2)
        amount = choose.randint(1, 100)
        return Posting(label, ((source, -amount, 0), (target, amount, 0)))
    if kind == 1:
        return Posting(label, ((choose.choice(ACCOUNTS), 0, choose.randint(-3, 5)),))
    return Posting(label, ())


def posting_statements(post: Posting) -> list[Statement]:
    """The statements that make a posting: its entry, its echo, and what it moves."""
    moves = [
        Statement(
            "account",
            "UPDATE account SET balance = balance + ?, deposits = deposits + ? WHERE id = ?",
            (balance, deposits, account),
        )
        for account, balance, deposits in post.amounts
    ]
    return [
        Statement("entry", "INSERT INTO entry (label) VALUES (?)", (post.label,)),
        *moves,
        Statement("echo", "INSERT INTO echo (label) VALUES (?)", (post.label,)),
    ]


def statements(choose: random.Random, count: int) -> list[Statement]:
    """Statements over the tables beside the ledger. They may fail on a constraint."""
    kind = choose.random()
    if kind < 0.2:
        return family(choose) if kind < 0.1 else rivals(choose)
    return [statement(choose.choice(TABLES), choose) for _ in range(count)]


def family(choose: random.Random) -> list[Statement]:
    """A parent and its children, made (or taken away) together."""
    owner = choose.choice(("x", "y"))
    project = choose.choice(PROJECTS)
    if choose.random() < 0.3:
        return [
            Statement("family gone", "DELETE FROM toy WHERE owner = ?", (owner,)),
            Statement("family gone", "DELETE FROM owner WHERE id = ?", (owner,)),
        ]
    if choose.random() < 0.3:
        return [Statement("family moves", "UPDATE owner SET project = ? WHERE id = ?", (project, owner))]
    return [
        Statement("family", "INSERT OR IGNORE INTO owner (id, project) VALUES (?, ?)", (owner, project)),
        Statement("family", "INSERT OR REPLACE INTO pet (id, project, owner) VALUES ('p', ?, ?)", (project, owner)),
        Statement("family", "INSERT OR REPLACE INTO toy (id, project, owner) VALUES ('t', ?, ?)", (project, owner)),
        # The grandchild before the child: what lives where is known when the transaction ends.
        Statement("family", "INSERT OR IGNORE INTO line (page, number) VALUES ('a', 1)", ()),
        Statement("family", "INSERT OR REPLACE INTO page (id, owner) VALUES ('a', ?)", (owner,)),
    ]


def rivals(choose: random.Random) -> list[Statement]:
    """Two rows that want one unique value: the second one takes the first one's place."""
    first, second = choose.sample(KEYS["code"], 2)
    label = choose.choice(("l", "m"))
    taking = choose.choice(
        (
            ("INSERT OR REPLACE INTO code (number, label) VALUES (?, ?)", (second, label)),
            ("UPDATE OR REPLACE code SET label = ?2 WHERE number = ?1", (second, label)),
            ("UPDATE OR REPLACE code SET number = ?1 WHERE label = ?2", (second, label)),
        )
    )
    placing = Statement("rivals", "INSERT OR IGNORE INTO code (number, label) VALUES (?, ?)", (first, label))
    return [placing, Statement("rivals", *taking)] if choose.random() < 0.5 else [Statement("rivals", *taking)]


def edits(table: Table, choose: random.Random, count: int) -> list[list[Statement]]:
    """Transactions that edit one row again and again; one in four touches another row or table, too."""
    key = key_of(table, choose)
    where = " AND ".join(f"{name} = ?" for name in table.key_names)
    found: list[list[Statement]] = [[_insert(table, choose)]]
    for _ in range(count):
        column = choose.choice(table.cells)
        adds = column.merge == "counter" and choose.random() < 0.7
        value = f"{column.name} = {column.name} + ?" if adds else f"{column.name} = ?"
        sql = f"UPDATE OR IGNORE {table.name} SET {value} WHERE {where}"
        batch = [Statement("edit", sql, (cell_value(table, column, choose), *key))]
        if choose.random() < 0.25:
            batch.append(statement(choose.choice(TABLES), choose))
        found.append(batch)
    return found


def statement(table: Table, choose: random.Random) -> Statement:
    """One random statement on a table."""
    kinds = [_insert, _insert, _update, _update, _delete, _rekey] if table.cells else [_insert, _insert, _delete]
    return choose.choice(kinds)(table, choose)


def cell_value(table: Table, column: Column, choose: random.Random) -> Any:
    """A value for a column that is not part of the key."""
    if column.name == "project":
        return choose.choice(PROJECTS)
    few = SMALL.get((table.name, column.name))
    return choose.choice(few) if few else value_for(column, choose)


def key_of(table: Table, choose: random.Random) -> tuple[Any, ...]:
    """A key that others use, too."""
    key = choose.choice(KEYS[table.name])
    return key if isinstance(key, tuple) else (key,)


def some_cells(table: Table, choose: random.Random, least: int) -> Sequence[Column]:
    """A few different columns that are not part of the key."""
    return choose.sample(table.cells, min(len(table.cells), choose.randint(least, 3)))


def _insert(table: Table, choose: random.Random) -> Statement:
    cells = some_cells(table, choose, 0)
    names = [*table.key_names, *(c.name for c in cells)]
    values = (*key_of(table, choose), *(cell_value(table, c, choose) for c in cells))
    verb, tail = choose.choice(VERBS), ""
    kind = verb.lower()
    if verb in ("UPSERT", "NOTHING"):
        sets = ", ".join(f"{c.name} = excluded.{c.name}" for c in cells)
        does = f"UPDATE SET {sets}" if sets and verb == "UPSERT" else "NOTHING"
        verb, tail = "INSERT", f" ON CONFLICT ({', '.join(table.key_names)}) DO {does}"
    marks = ", ".join("?" * len(names))
    return Statement(kind, f"{verb} INTO {table.name} ({', '.join(names)}) VALUES ({marks}){tail}", values)


def _where(table: Table, choose: random.Random) -> tuple[str, tuple[Any, ...]]:
    if choose.random() < 0.1:
        return "", ()
    return " WHERE " + " AND ".join(f"{name} = ?" for name in table.key_names), key_of(table, choose)


def _update(table: Table, choose: random.Random) -> Statement:
    sets, values = [], []
    for column in some_cells(table, choose, 1):
        expression, value = _written(table, column, choose)
        sets.append(f"{column.name} = {expression}")
        values.append(value)
    where, key = _where(table, choose)
    verb = choose.choice(UPDATE_VERBS)
    return Statement("update", f"UPDATE {verb}{table.name} SET {', '.join(sets)}{where}", (*values, *key))


def _written(table: Table, column: Column, choose: random.Random) -> tuple[str, Any]:
    """An expression for the new value of a column, with its parameter: mostly a change of what is there."""
    name, value = column.name, cell_value(table, column, choose)
    if choose.random() < 0.3:
        return "?", value
    if column.merge == "counter":
        return f"{name} + ?", value
    if column.merge in ("text", "merge_text"):
        at, gone = choose.randint(0, 12), choose.choice((0, 0, 0, 1, 4))
        return f"substr({name}, 1, {at}) || ? || substr({name}, {at + gone + 1})", value[:5]
    if column.merge == "json":
        path = choose.choice(("$.a", "$.b.c", "$.list[#]", "$.list[0]"))
        return f"CASE json_type({name}) WHEN 'object' THEN json_set({name}, '{path}', ?) ELSE {name} END", value
    return "?", value


def _rekey(table: Table, choose: random.Random) -> Statement:
    sets = ", ".join(f"{name} = ?" for name in table.key_names)
    new = key_of(table, choose)
    where, key = _where(table, choose)
    return Statement("rekey", f"UPDATE {choose.choice(UPDATE_VERBS)}{table.name} SET {sets}{where}", (*new, *key))


def _delete(table: Table, choose: random.Random) -> Statement:
    where, key = _where(table, choose)
    return Statement("delete", f"DELETE FROM {table.name}{where}", key)
