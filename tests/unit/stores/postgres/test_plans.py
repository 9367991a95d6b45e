"""How PostgreSQL goes about what the store asks, on tables of which it knows nothing yet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from psycopg import ClientCursor

from holdfast.stores.contract.samples import contract_schema
from holdfast.stores.postgres import PostgresStore
from holdfast.stores.postgres.queries import QUERIES
from tests.postgres import connect, database, server

FILL = """
INSERT INTO holdfast."row" (tbl, key, mark, space, seq, life, image)
SELECT 1, 'k' || n, 0, 1, n, 1, decode(repeat('00', 500), 'hex') FROM generate_series(1, 5000) n
"""


@pytest.mark.parametrize("query", ["feed", "changes"])
def test_a_page_of_a_feed_is_read_along_the_index_and_nothing_is_sorted(query: str) -> None:
    with database() as dsn, closing(PostgresStore(dsn)) as store:
        store.open(contract_schema())
        with connect(dsn) as db:
            db.execute('ALTER TABLE holdfast."row" SET (autovacuum_enabled = off)')
            db.execute(FILL.encode())
            with db.transaction():
                db.execute(QUERIES["in_order"])
                values = (0,) if query == "changes" else ()
                asked = b"EXPLAIN " + QUERIES[query] + b" LIMIT %s"
                plan = [line for (line,) in ClientCursor(db).execute(asked, (*values, 1, 0, 2**62, 2000))]
    assert "Index Scan using row_place" in plan[1]
    assert not [line for line in plan if "Sort" in line or "Bitmap" in line]


KEYS = 200
NOTE = "INSERT INTO holdfast.dirty (tbl, key) SELECT 'place', 'k' || n FROM generate_series(1, 5000) n"
PLACES = "INSERT INTO place (id, name) SELECT 'k' || n, '' FROM generate_series(1, 5000) n"
OF_THE_HUB = ["lock_rows", "rows", "drop_marks", "noted", "noted_since", "drop_aside", "look_again"]
OF_A_TABLE = ["read", "delete", "locked_alive", "locked_dead"]


def explained(db: Any, query: str) -> dict[str, Any]:
    """The plan with which named rows were looked up, by a statement that was prepared before."""
    numbered = query in ("lock_rows", "rows", "drop_marks")
    names = [{"tbl": 1 if numbered else "place", "key": f"k{n}", "mark": 0, "c0": f"k{n}", "n": n} for n in range(KEYS)]
    values = [f"$v${json.dumps(names)}$v$"] * (2 if query.startswith("locked") else 1)
    if query == "noted_since":
        values.insert(0, "'{}'")
    with db.transaction(force_rollback=True):
        db.execute(QUERIES["settings"], ("1s", "1s"))
        asked = f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {query} ({', '.join(values)})"
        ((found,),) = db.execute(asked.encode()).fetchall()
    plan: dict[str, Any] = found[0]["Plan"]
    return plan


@pytest.fixture(scope="module")
def filled() -> Iterator[Any]:
    """A connection that has prepared its statements on empty tables, which were filled then: PostgreSQL has plans from
    before, and no statistics."""
    with database() as dsn, closing(PostgresStore(dsn)) as store:
        store.open(contract_schema())
        assert store._catalog is not None
        user = store._catalog.tables["place"]
        with connect(dsn) as db:
            for table in ('holdfast."row"', "holdfast.dirty", "place"):
                db.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)".encode())
            for query in (*OF_THE_HUB, *OF_A_TABLE):
                sql = QUERIES[query] if query in OF_THE_HUB else getattr(user, query)
                first, *rest = sql.decode().split("%s")
                numbered = first + "".join(f"${number}{piece}" for number, piece in enumerate(rest, 1))
                db.execute(f"PREPARE {query} AS {numbered}".encode())
                explained(db, query)
            with db.transaction():
                db.execute(QUERIES["settings"], ("1s", "1s"))
                db.execute(PLACES)
            db.execute(FILL.encode())
            db.execute(NOTE)
            yield db


@pytest.mark.parametrize("query", [*OF_THE_HUB, *OF_A_TABLE])
def test_named_rows_are_looked_up_by_their_keys_however_many_others_there_are(filled: Any, query: str) -> None:
    assert max(looked_at(explained(filled, query))) <= 3 * KEYS


def looked_at(plan: dict[str, Any]) -> Iterator[float]:
    """How many rows each part of a plan looked at."""
    removed = sum(value for name, value in plan.items() if name.startswith("Rows Removed"))
    yield (plan["Actual Rows"] + removed) * plan["Actual Loops"]
    for part in plan.get("Plans", ()):
        yield from looked_at(part)


@pytest.mark.parametrize(
    ("query", "values"),
    [("settings", ("1s", "1s")), ("settings_and_origins", ("1s", "1s", "{1}", 1)), ("in_order", ())],
)
def test_no_statement_is_compiled_because_something_is_switched_off(query: str, values: tuple[Any, ...]) -> None:
    """Before PostgreSQL 18 such a plan costs ten thousand millions: JIT took half a second of every push."""
    with connect(server()) as db, db.transaction():
        db.execute("set local jit = on")
        db.execute(QUERIES[query], values)
        assert db.execute("show jit").fetchall() == [("off",)]
