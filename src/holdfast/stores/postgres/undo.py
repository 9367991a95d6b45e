"""Undoing statements on a connection, in a way after which its prepared statements can be trusted again."""

from __future__ import annotations

import itertools
from typing import Any

import psycopg
from psycopg import pq

Connection = psycopg.Connection[tuple[Any, ...]]
_numbers = itertools.count()


def undo_to(db: Connection, savepoint: str) -> None:
    """ROLLBACK TO SAVEPOINT. The savepoint stays."""
    db.execute(f"ROLLBACK TO SAVEPOINT {savepoint}".encode())
    _forget_prepared(db)


def roll_back(db: Connection) -> None:
    """End the transaction if the connection still can; the pool throws a broken one away."""
    if not db.broken and db.info.transaction_status != pq.TransactionStatus.IDLE:
        try:
            db.execute(b"ROLLBACK")
            _forget_prepared(db)
        except psycopg.Error:
            db.close()


def _forget_prepared(db: Connection) -> None:
    """When a statement of a pipeline fails, the server skips those behind it, also the preparation of some; psycopg
    (3.3) takes them for prepared. It clears its list when it sees this command, but only one that it has not seen
    before: hence the number.
    """
    if db.prepare_threshold is not None:
        db.execute(f"DEALLOCATE ALL -- {next(_numbers)}".encode())
