"""Undoing statements on a connection."""

from __future__ import annotations

import psycopg
from psycopg import pq

from holdfast.stores.postgres.exchange import Connection


def undo_to(db: Connection, savepoint: str) -> None:
    """ROLLBACK TO SAVEPOINT. The savepoint stays."""
    db.execute(f"ROLLBACK TO SAVEPOINT {savepoint}".encode())


def roll_back(db: Connection) -> None:
    """End the transaction if the connection still can; the pool throws a broken one away."""
    if not db.broken and db.info.transaction_status != pq.TransactionStatus.IDLE:
        try:
            db.execute(b"ROLLBACK")
        except psycopg.Error:
            db.close()
