"""Asking the application who may read what, and noticing when the answer may have changed.

The tables that the question reads are those that SQLite asks its authorizer about while it prepares the question.
Triggers on them count the changes of any program; what the hub itself writes there is counted when it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apsw

from holdfast.errors import HoldfastError
from holdfast.schema.emit.sqlite_text import quote
from holdfast.stores.base import Question
from holdfast.stores.sqlite.queries import QUERIES, fetch


def statement(question: Question) -> str:
    """The question with SQLite's named parameters."""
    pieces = [f":{piece}" if place % 2 else piece for place, piece in enumerate(question.pieces)]
    return "".join(pieces)


def prepare(connection: apsw.Connection, question: Question) -> frozenset[str]:
    """Check the question and count changes of the tables that it reads; gives these. In the caller's transaction.

    Raises `HoldfastError` `membership_invalid`.
    """
    present = {name for (name,) in fetch(connection, "SELECT name FROM sqlite_schema WHERE type = 'table'")}
    read: set[str] = set()

    def authorize(operation: int, table: str | None, *_: Any) -> int:
        if operation == apsw.SQLITE_READ and table in present:
            read.add(str(table))
        return apsw.SQLITE_OK

    connection.authorizer = authorize
    try:
        # A join on one row, so that there is a row whose width tells the number of columns.
        sql = f"SELECT * FROM (SELECT 1) LEFT JOIN (\n{statement(question)}\n) LIMIT 1"
        columns = len(connection.execute(sql, dict.fromkeys(question.names)).fetchall()[0]) - 1
    except apsw.Error as error:
        raise _invalid(f"SQLite does not take the query: {error}") from None
    finally:
        connection.authorizer = None
    if columns not in (1, 2):
        raise _invalid(f"the query has {columns} columns; it gives the name of a space and, if you like, 'r' or 'rw'")
    unknown = [table for table in question.tables if table not in present]
    if unknown:
        raise _invalid(f"tables= names {', '.join(unknown)}, which the database does not have")
    read.update(question.tables)
    for name in sorted(read) if question.watched else ():
        _watch(connection, name)
    return frozenset(read)


def _watch(connection: apsw.Connection, table: str) -> None:
    for event in ("insert", "update", "delete"):
        name = quote(f"holdfast_access_{table}_{event}")
        connection.execute(
            f"CREATE TRIGGER IF NOT EXISTS {name} AFTER {event.upper()} ON {quote(table)}\n"
            "BEGIN\n  UPDATE holdfast_access SET version = version + 1;\nEND"
        )


def answer(connection: apsw.Connection, question: Question, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows for these parameters. Raises `HoldfastError` `membership_failed`."""
    try:
        return connection.execute(statement(question), values).fetchall()
    except apsw.SQLError as error:
        message = f"the membership query failed for {values.get('user', 'a user')}: {error}"
        raise HoldfastError("membership_failed", message) from None


def count(connection: apsw.Connection, watched: frozenset[str], tables: Sequence[str]) -> None:
    """Count a write of the hub, whose triggers are off, if it touched a table that the question reads."""
    if not watched.isdisjoint(tables):
        connection.execute(QUERIES["count_access"])


def _invalid(reason: str) -> HoldfastError:
    return HoldfastError("membership_invalid", f"spaces=hf.sql(...): {reason}")
