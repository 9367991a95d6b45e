"""SQL, transactions, documents and watched queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.replica.connections import Parameters, Receipt, sql_parameters
from holdfast.replica.facade.opened import Opened
from holdfast.replica.results import ResultRow
from holdfast.replica.watch import Watch


class Writing(Opened):
    """SQL, transactions, documents and watched queries."""

    def execute(self, sql: str, parameters: Parameters = ()) -> list[ResultRow]:
        """Run one SQL statement and give its rows (none for a statement without a result).

        Parameters may be Python dates, decimals, UUIDs, enums, lists and dictionaries. A write outside of
        `transaction()` is a transaction of its own, durable when this returns. Raises `HoldfastError` (`sql`,
        `disk_full`, `busy`, ...).
        """
        self._open()
        return self._connections.execute(sql, parameters)

    def executemany(self, sql: str, rows: Any) -> None:
        """Run one statement for each of many parameter rows, all in one transaction."""
        self._open()
        self._connections.executemany(sql, rows)

    def document(self, table: str, key: Any, column: str) -> Any:
        """The document in a column declared `hf.Text` or `hf.Json`, to be edited inside `with replica.transaction():`.

        Gives a `pycrdt` object: a `Text` whose positions count code points, a `Map` for an object, an `Array` for an
        array. What is edited is part of the transaction, and the plain column shows it to its next SQL statement. `key`
        is the key, a list for a composite one. The object belongs to the thread and ends with the transaction.

        Raises `row_missing`, `not_a_document`, and `document_closed` outside of a transaction.
        """
        self._open()
        return self._connections.document(table, key, column)

    def transaction(self, label: str = "", *, after: Sequence[Receipt] = ()) -> AbstractContextManager[Receipt]:
        """`with replica.transaction():` everything inside is one transaction, here and on the hub: all or nothing.

        `label` names it for people (up to 200 characters). `after` are receipts of earlier transactions that must reach
        the hub before this one (`with replica.transaction() as receipt:`). Nested ones are savepoints of the outer one.
        """
        self._open()
        if len(label) > 200:
            raise HoldfastError("sql", "the label of a transaction has at most 200 characters")
        return self._connections.transaction(label, after)

    def watch(
        self, sql: str, parameters: Parameters = (), callback: Callable[[list[ResultRow]], None] | None = None
    ) -> Watch:
        """The rows of a query, now and whenever they have changed: by writes here, by a sync, by other programs.

        With `callback(rows)` it is called in the thread `holdfast-observer`, outside of every transaction; without, the
        `Watch` is iterated: each step waits for rows that were not given yet. Changes that come quickly are told as
        one. The query runs again only when a table that it reads may have changed: declared tables are told apart; for
        tables of the application's own, and the engine's, every commit counts. Rows that are equal are not given again.

        `cancel()` ends it, as leaving `with` does. Raises `sql` for a statement that does not only read, or is several.
        """
        self._open()
        return self._observer.add_watch(sql, sql_parameters(parameters), callback)
