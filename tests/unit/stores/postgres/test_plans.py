"""How PostgreSQL goes about what the store asks, on tables of which it knows nothing yet."""

from __future__ import annotations

from contextlib import closing

import pytest
from psycopg import ClientCursor

from holdfast.stores.contract.samples import contract_schema
from holdfast.stores.postgres import PostgresStore
from holdfast.stores.postgres.queries import QUERIES
from tests.postgres import connect, database

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
