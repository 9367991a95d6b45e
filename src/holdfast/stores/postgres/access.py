"""Asking the application who may read what, and hearing when the answer may have changed.

The tables that the question reads are found in PostgreSQL's own catalogue of dependencies: it knows them of a view, so
a view of the question is made for a moment. Triggers on them notify all hubs, whoever writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import errors

from holdfast.errors import HoldfastError
from holdfast.schema.emit.postgres_dirty import CHANNEL, NOTIFIES
from holdfast.schema.emit.postgres_text import qualified
from holdfast.stores.base import Question
from holdfast.stores.postgres.exchange import Connection
from holdfast.stores.postgres.queries import QUERIES

EVENTS = ("insert", "update", "delete", "truncate")
FUNCTION = "holdfast.access_changed"

CREATE_FUNCTION = (
    f"CREATE OR REPLACE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER\n"
    "SET search_path = pg_catalog, pg_temp AS $holdfast$\n"
    f"BEGIN\n  IF {NOTIFIES} THEN\n    PERFORM pg_notify('{CHANNEL}', '');\n  END IF;\n"
    "  RETURN NULL;\nEND\n$holdfast$"
)


class NotThere(Exception):
    """The question reads a table that is not there."""


def statement(question: Question) -> bytes:
    """The question with psycopg's named parameters."""
    pieces = [f"%({p})s" if place % 2 else p.replace("%", "%%") for place, p in enumerate(question.pieces)]
    return "".join(pieces).encode()


def tables_of(db: Connection, question: Question, within: str) -> list[str]:
    """The qualified names of the tables that the question reads, if changes of them shall be heard.

    Checks the question, in a transaction of the caller's or one of its own; leaves nothing behind. Raises
    `HoldfastError` `membership_invalid`; `NotThere`.
    """
    try:
        with db.transaction(force_rollback=True):
            _check_width(db, question)
            return _read_by(db, question, within) if question.watched else []
    except errors.UndefinedTable as error:
        raise NotThere(_reason(error)) from error
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise invalid(f"PostgreSQL does not take the query: {_reason(error)}") from error


def _check_width(db: Connection, question: Question) -> None:
    cursor = db.execute(statement(question), dict.fromkeys(question.names))
    if cursor.description is None:
        raise invalid("the query gives no rows; write a SELECT")
    columns = len(cursor.description)
    if columns not in (1, 2):
        raise invalid(f"the query has {columns} columns; it gives the name of a space and, if you like, 'r' or 'rw'")


def _read_by(db: Connection, question: Question, within: str) -> list[str]:
    text = "".join("NULL" if place % 2 else piece for place, piece in enumerate(question.pieces))
    width = len(db.execute(statement(question), dict.fromkeys(question.names)).description or ())
    columns = ", ".join(("space", "access")[:width])
    db.execute(f"CREATE TEMPORARY VIEW holdfast_question ({columns}) AS SELECT * FROM (\n{text}\n) q".encode())
    found: dict[str, str] = {}
    for schema, name, kind in db.execute(QUERIES["read_by_question"]):
        found[qualified(schema, name)] = kind
    for name in question.tables:
        schema, dot, table = name.rpartition(".")
        full = qualified(schema if dot else within, table)
        kinds = db.execute(b"SELECT relkind::text FROM pg_class WHERE oid = to_regclass(%s)", (full,)).fetchall()
        if not kinds:
            raise invalid(f"tables= names {name}, which the database does not have")
        found[full] = kinds[0][0]
    own = sorted(name for name in found if name.startswith('"holdfast".'))
    if own:
        reason = f"it reads {', '.join(own)}, of the hub itself: the role's search path begins with that schema"
        raise invalid(f"{reason}; say the schema of the table that is meant, such as public")
    odd = sorted(name for name, kind in found.items() if kind not in ("r", "p") or name.startswith('"pg_catalog"'))
    if odd:
        names = ", ".join(odd)
        raise invalid(f"changes of {names} cannot be heard, it is no plain table; say how often to look: poll=5")
    functions = [name for (name,) in db.execute(QUERIES["called_by_question"])]
    if functions and not question.tables:
        names = ", ".join(functions)
        raise invalid(f"the query calls {names}, and nobody can tell what that reads; name it with tables=[...]")
    return sorted(found)


def unwatched(db: Connection, tables: list[str]) -> list[str]:
    """Those of the tables on which some of our triggers is missing or disabled."""
    missing = []
    for table in tables:
        found = {name for (name,) in db.execute(QUERIES["triggers"], (table,))}
        if not {_trigger(event) for event in EVENTS} <= found:
            missing.append(table)
    return missing


def watching(table: str) -> list[str]:
    """The statements that make hubs hear of changes of a table, whose qualified name this is."""
    statements = [CREATE_FUNCTION]
    for event in EVENTS:
        name = f'"{_trigger(event)}"'
        does = f"FOR EACH STATEMENT EXECUTE FUNCTION {FUNCTION}()"
        statements.append(f"DROP TRIGGER IF EXISTS {name} ON {table}")
        statements.append(f"CREATE TRIGGER {name} AFTER {event.upper()} ON {table}\n{does}")
    return statements


def _trigger(event: str) -> str:
    return f"holdfast_access_{event}"


def answer(db: Connection, question: Question, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows for these parameters. Raises `HoldfastError` `membership_failed`."""
    try:
        return db.execute(statement(question), dict(values)).fetchall()
    except (psycopg.DataError, psycopg.ProgrammingError) as error:
        message = f"the membership query failed for {values.get('user', 'a user')}: {_reason(error)}"
        raise HoldfastError("membership_failed", message) from error


def invalid(reason: str) -> HoldfastError:
    """The error for a question that cannot be used."""
    return HoldfastError("membership_invalid", f"spaces=hf.sql(...): {reason}")


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
