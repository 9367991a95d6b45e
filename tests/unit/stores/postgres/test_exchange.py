"""What a connection has prepared is bounded, and is let go with an exchange that goes anyway."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from holdfast.stores.contract.ground import head, write
from holdfast.stores.contract.samples import ITEM, batch, contract_schema, gone, item, place
from holdfast.stores.postgres import PostgresStore
from holdfast.stores.postgres import exchange as exchanges
from holdfast.stores.postgres.exchange import Answer, exchange, keep_session
from tests.postgres import connect, database

MOST = 3


@pytest.fixture(autouse=True)
def few_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "MOST_PREPARED", MOST)


def plus(db: psycopg.Connection[tuple[object, ...]], *numbers: int, fails: bool = False) -> list[Answer]:
    with exchange(db) as one:
        found = [one.execute(b"SELECT %%s::int4 + %d" % number, (1,)) for number in numbers]
        if fails:
            one.execute(b"SELECT 1 / %s::int4", (0,))
    return found


def prepared(db: psycopg.Connection[tuple[object, ...]]) -> int:
    ((count,),) = db.execute("SELECT count(*) FROM pg_prepared_statements", prepare=False).fetchall()
    assert isinstance(count, int)
    return count


def test_what_is_prepared_beyond_measure_is_let_go() -> None:
    with database() as url, connect(url) as db:
        keep_session(db, 30)
        for number in range(3 * MOST):
            plus(db, number)
            assert prepared(db) <= MOST
        plus(db, *range(20, 20 + 2 * MOST))  # more at once than are kept
        assert prepared(db) == 2 * MOST
        plus(db, 1)
        assert prepared(db) == MOST
        with pytest.raises(psycopg.errors.DivisionByZero):
            plus(db, *range(30, 30 + MOST), fails=True)  # what should have been let go behind it is kept
        for number in (1, 2, 20, 25, 31, 1):
            plus(db, number)
            assert prepared(db) <= MOST


def test_a_store_with_more_statements_than_are_kept_prepared_writes_on() -> None:
    with database() as url, closing(PostgresStore(url)) as store:
        store.open(contract_schema())
        for number in range(2 * MOST):
            write(store, batch(place(f"k{number}")))
            write(store, batch(item(f"i{number}", f"k{number}"), place(f"l{number}", space="b")))
            write(store, batch(gone(ITEM, f"i{number}")))
            assert head(store) == 3 * (number + 1)
