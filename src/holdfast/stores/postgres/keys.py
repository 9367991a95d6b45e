"""The keys of a user table, streamed out of one snapshot."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from holdfast.kernel.values import InvalidValue
from holdfast.stores.postgres.exchange import Connection
from holdfast.stores.postgres.user_tables import UserTable
from holdfast.stores.postgres.writing import Catalog

PAGE = 2_000


class Keys:
    """The part of a transaction that lists keys; see `stores.listing`."""

    _using: Callable[[], AbstractContextManager[Connection]]
    _catalog: Catalog

    def keys(self, table: str) -> Iterator[str]:
        """Keys of all rows of a user table; read in pages."""
        return read_keys(self._using, self._catalog.tables[table])


def read_keys(using: Callable[[], AbstractContextManager[Connection]], user: UserTable) -> Iterator[str]:
    """Key texts of all rows; those whose key is none are in no feed, and left out."""
    with using() as db:
        db.execute(user.keys())
    while True:
        with using() as db:
            page = db.execute(f"FETCH {PAGE} FROM holdfast_keys".encode(), binary=True).fetchall()
        for row in page:
            with contextlib.suppress(InvalidValue):
                yield user.key_of(row)
        if len(page) < PAGE:
            break
    with using() as db:
        db.execute(b"CLOSE holdfast_keys")
