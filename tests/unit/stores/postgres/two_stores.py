"""Two stores on one database, and another program."""

from __future__ import annotations

from contextlib import ExitStack

from holdfast.stores.contract.samples import contract_schema
from holdfast.stores.postgres import PostgresStore
from tests.postgres import connect, database


class TwoStores:
    """`one` and `two`, open on a database of their own; `program` is a plain connection to it."""

    def __init__(self, things: ExitStack) -> None:
        self.dsn = things.enter_context(database())
        self.one, self.two = PostgresStore(self.dsn), PostgresStore(self.dsn)
        self.program = things.enter_context(connect(self.dsn))
        for store in (self.one, self.two):
            store.open(contract_schema())
            things.callback(store.close)
