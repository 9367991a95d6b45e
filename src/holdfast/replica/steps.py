"""What is kept of a transaction so that it can be undone: written inside the transaction itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import apsw

from holdfast.replica.tables import UserTables

Kind = Literal["do", "undo", "redo"]
HAS_LEFT = "left"
"""The kind of a copied change whose row has left the device since, and its values with it."""


class Purpose(NamedTuple):
    """What a transaction is for: `reverses` is the step that an undo or redo takes back."""

    kind: Kind = "do"
    reverses: int | None = None


DO = Purpose()

KEPT_STEPS = 200
"""So many of the latest transactions can be undone."""
MOST_CHANGES = 1_000
"""A transaction with more changes cannot be undone: its copy would cost as much as itself."""
PRUNE_EVERY = 32


def note_step(
    db: apsw.Connection, tables: UserTables, mark: int, changes: tuple[int, int], label: str, purpose: Purpose
) -> None:
    """Keep what reverses the transaction with that mark, inside it: the captured `changes` from the first number to the
    last. A new one ends what could be redone.
    """
    first, last = changes
    if last - first >= MOST_CHANGES:
        return
    sql = "INSERT INTO holdfast_step (mark, kind, reverses, label) VALUES (?, ?, ?, ?)"
    db.execute(sql, (mark, *purpose, label))
    step = db.last_insert_rowid()
    db.execute(
        "INSERT INTO holdfast_done SELECT ?, * FROM holdfast_capture WHERE op BETWEEN ? AND ?", (step, first, last)
    )
    _settle_suspects(db, tables, step)
    if purpose.kind == "do":
        db.execute("UPDATE holdfast_step SET state = 'over' WHERE kind = 'undo' AND state = 'done'")
    if step % PRUNE_EVERY == 0:
        db.execute("DELETE FROM holdfast_step WHERE step <= ?", (step - KEPT_STEPS,))
        db.execute("DELETE FROM holdfast_done WHERE step <= ?", (step - KEPT_STEPS,))


def _settle_suspects(db: apsw.Connection, tables: UserTables, step: int) -> None:
    """Of each row that REPLACE may have removed, say whether it did; now is the last moment to see it. One that was
    overwritten stays a suspect, before its insert.
    """
    sql = """SELECT op, tbl, key, (SELECT n.kind FROM holdfast_done n WHERE n.step = s.step AND n.op > s.op
                                   AND (n.tbl, n.key) = (s.tbl, s.key) ORDER BY n.op LIMIT 1)
             FROM holdfast_done s WHERE step = ? AND kind = 'suspect'"""
    found: list[Any] = db.execute(sql, (step,)).fetchall()
    for op, tbl, key, following in found:
        if following is None and tables.by_number[tbl].read(db, key) is None:
            db.execute("UPDATE holdfast_done SET kind = 'delete' WHERE step = ? AND op = ?", (step, op))
        elif following != "insert":
            db.execute("DELETE FROM holdfast_done WHERE step = ? AND op = ?", (step, op))


def joined(db: apsw.Connection, txns: Sequence[int], into: int) -> None:
    """Those transactions of the outbox become part of another one: what becomes of it becomes of their steps."""
    db.execute(
        """UPDATE holdfast_step SET mark = (SELECT mark FROM holdfast_transaction WHERE txn = ?1)
           WHERE mark IN (SELECT mark FROM holdfast_transaction WHERE txn IN (SELECT value FROM json_each(?2)))
             AND EXISTS (SELECT 1 FROM holdfast_transaction WHERE txn = ?1 AND mark IS NOT NULL)""",
        (into, json.dumps(list(txns))),
    )


def without_effect(db: apsw.Connection, txns: Sequence[int]) -> None:
    """Those transactions of the outbox have no effect and leave it: nothing is left to undo, and what they had reversed
    stands again.
    """
    if not txns:
        return
    steps = """SELECT step FROM holdfast_step WHERE mark IN (
                   SELECT mark FROM holdfast_transaction WHERE txn IN (SELECT value FROM json_each(?)))"""
    given = (json.dumps(list(txns)),)
    db.execute(
        f"""UPDATE holdfast_step SET state = 'done' WHERE state = 'reversed'
            AND step IN (SELECT reverses FROM holdfast_step WHERE step IN ({steps}))""",
        given,
    )
    db.execute(f"UPDATE holdfast_step SET state = 'over' WHERE step IN ({steps})", given)


def note_origin(db: apsw.Connection, origin: str) -> None:
    """Remember an origin of this device: what has its stamp is our own."""
    db.execute("INSERT OR IGNORE INTO holdfast_own (origin) VALUES (?)", (origin,))
