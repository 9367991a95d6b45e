"""What is kept of a transaction so that it can be undone: written inside the transaction itself."""

from __future__ import annotations

from typing import Literal

import apsw

Kind = Literal["do", "undo", "redo"]
HAS_LEFT = "left"
"""The kind of a copied change whose row has left the device since, and its values with it."""

KEPT_STEPS = 200
"""So many of the latest transactions can be undone."""
MOST_CHANGES = 1_000
"""A transaction with more changes cannot be undone: its copy would cost as much as itself."""
PRUNE_EVERY = 32


def note_step(db: apsw.Connection, mark: int, first: int, last: int, label: str, kind: Kind) -> None:
    """Keep what reverses the transaction with that mark, inside it. A new one ends what could be redone."""
    if last - first >= MOST_CHANGES:
        return
    db.execute("INSERT INTO holdfast_step (mark, kind, label) VALUES (?, ?, ?)", (mark, kind, label))
    step = db.last_insert_rowid()
    db.execute(
        "INSERT INTO holdfast_done SELECT ?, * FROM holdfast_capture WHERE op BETWEEN ? AND ?", (step, first, last)
    )
    if kind == "do":
        db.execute("UPDATE holdfast_step SET state = 'over' WHERE kind = 'undo' AND state = 'done'")
    if step % PRUNE_EVERY == 0:
        db.execute("DELETE FROM holdfast_step WHERE step <= ?", (step - KEPT_STEPS,))
        db.execute("DELETE FROM holdfast_done WHERE step <= ?", (step - KEPT_STEPS,))


def note_origin(db: apsw.Connection, origin: str) -> None:
    """Remember an origin of this device: what has its stamp is our own."""
    db.execute("INSERT OR IGNORE INTO holdfast_own (origin) VALUES (?)", (origin,))
