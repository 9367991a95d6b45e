"""The outbox: sealed transactions on their way to the hub, and those that were refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apsw
import msgspec

from holdfast.protocol import messages as m

BATCH_BYTES = 4 * 1024 * 1024
"""A request carries transactions of about so many bytes."""

LEAST_BYTES = 60
"""No operation is shorter: its stamp alone has 27 characters."""


class Pending(NamedTuple):
    """A transaction that the hub has not answered. `txn` names it on this device; `captured` in milliseconds since
    2020-01-01 UTC; `operations` are its changes in wire form; `size` their bytes."""

    txn: int
    state: str
    label: str
    captured: int
    size: int
    operations: list[dict[str, Any]]


class Refused(NamedTuple):
    """A transaction that was refused: by the hub, or by the device because it cannot go over the wire.

    `operations` are its changes, readable; `code`, `message`, `table`, `key` and `column` say why and where.
    """

    txn: int
    label: str
    captured: int
    code: str
    message: str
    table: str
    key: str
    column: str
    details: dict[str, Any]
    operations: list[dict[str, Any]]


class Sending(NamedTuple):
    """A transaction in a request: its local number, its name, its JSON."""

    txn: int
    origin: str
    n: int
    body: str


class Outbox:
    """Reads and writes of `holdfast_transaction` and `holdfast_operation`."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def count(self, *, refused: bool = False) -> int:
        """Number of sealed transactions that wait, or of the refused ones."""
        compare = "=" if refused else "<>"
        return int(self._db.execute(f"SELECT count(*) FROM holdfast_transaction WHERE state {compare} 'refused'").get)

    def refuse_oversized(self, limit: int) -> list[int]:
        """Move transactions that no request can carry to the refused ones; gives their local numbers."""
        # Only a transaction of that size can have too many operations: the others need not be counted.
        sql = """SELECT txn, size, (SELECT count(*) FROM holdfast_operation o WHERE o.txn = t.txn)
                 FROM holdfast_transaction t WHERE state = 'pending' AND size > ?"""
        found: list[Any] = self._db.execute(sql, (min(limit, m.MAX_OPERATIONS * LEAST_BYTES),)).fetchall()
        found = [row for row in found if row[1] > limit or row[2] > m.MAX_OPERATIONS]
        for txn, size, count in found:
            message = (
                f"the transaction has {count} operations of {size} bytes; "
                f"a request carries at most {m.MAX_OPERATIONS} and {limit} bytes"
            )
            self.refuse(txn, m.Result("", 0, "refused", "transaction_too_large", message))
        return [row[0] for row in found]

    def name(self, origin: str, next_n: int, after: dict[str, int]) -> tuple[list[Sending], bool]:
        """Choose the transactions of the next request, oldest first, and name those that have no name yet.

        `after` maps origins to the n up to which the hub has answered already. Gives the transactions and whether
        more wait. To be committed durably before anything is sent: a name is never given twice (trap 1).
        """
        chosen: list[tuple[int, str, int]] = []
        size = 0
        sql = """SELECT txn, origin, n, size FROM holdfast_transaction
                 WHERE state IN ('pending', 'sending') ORDER BY txn"""
        more = False
        named = []
        for txn, known_origin, known_n, bytes_ in self._db.execute(sql):
            if known_origin is not None and known_n <= after.get(known_origin, 0):
                continue
            if chosen and (size + bytes_ > BATCH_BYTES or len(chosen) >= m.MAX_TRANSACTIONS // 2):
                more = True
                break
            if known_origin is None:
                known_origin, known_n = origin, next_n
                named.append((origin, next_n, txn))
                next_n += 1
            chosen.append((txn, known_origin, known_n))
            size += bytes_
        self._db.executemany(
            "UPDATE holdfast_transaction SET state = 'sending', origin = ?, n = ? WHERE txn = ?", named
        )
        return list(self._bodies(chosen)), more

    def _bodies(self, chosen: Sequence[tuple[int, str, int]]) -> Iterator[Sending]:
        if not chosen:
            return
        sql = """SELECT t.txn, t.label, (SELECT group_concat(body, ',') FROM
                     (SELECT body FROM holdfast_operation o WHERE o.txn = t.txn ORDER BY position))
                 FROM holdfast_transaction t WHERE t.txn BETWEEN ? AND ? ORDER BY t.txn"""
        names = {txn: (origin, n) for txn, origin, n in chosen}
        for txn, label, operations in self._db.execute(sql, (chosen[0][0], chosen[-1][0])):
            if txn in names:
                origin, n = names[txn]
                extra = f',"label":{msgspec.json.encode(label).decode()}' if label else ""
                yield Sending(txn, origin, n, f'{{"origin":"{origin}","n":{n}{extra},"ops":[{operations}]}}')

    def rename(self, origin: str) -> None:
        """Take the name of that origin away from all transactions that wait: the hub does not know it any more."""
        self._db.execute(
            """UPDATE holdfast_transaction SET state = 'pending', origin = NULL, n = NULL
               WHERE origin = ? AND state = 'sending'""",
            (origin,),
        )

    def named(self, origin: str, through: int) -> list[tuple[int, int]]:
        """(local number, n) of the waiting transactions of an origin with n <= `through`, in order of n."""
        sql = """SELECT txn, n FROM holdfast_transaction WHERE origin = ? AND n <= ? AND state = 'sending' ORDER BY n"""
        found: list[Any] = self._db.execute(sql, (origin, through)).fetchall()
        return found

    def operations(self, txns: Sequence[int]) -> Iterator[tuple[int, int, str, str]]:
        """(txn, table number, key, body) of the operations of those transactions, in order."""
        sql = """SELECT txn, tbl, key, body FROM holdfast_operation
                 WHERE txn IN (SELECT value FROM json_each(?)) ORDER BY txn, position"""
        found: list[Any] = self._db.execute(sql, (msgspec.json.encode(list(txns)).decode(),)).fetchall()
        return iter(found)

    def done(self, txns: Sequence[int]) -> None:
        """The hub has these: they leave the outbox."""
        for table in ("holdfast_operation", "holdfast_transaction"):
            self._db.execute(
                f"DELETE FROM {table} WHERE txn IN (SELECT value FROM json_each(?))", (m.encode(txns).decode(),)
            )

    def refuse(self, txn: int, result: m.Result) -> None:
        """Keep a transaction, readable, among the refused ones."""
        self._db.execute(
            "UPDATE holdfast_transaction SET state = 'refused', result = ? WHERE txn = ?",
            (m.encode(result).decode(), txn),
        )

    def pending(self) -> list[Pending]:
        """All sealed transactions that wait, oldest first."""
        sql = """SELECT txn, state, label, captured, size FROM holdfast_transaction
                 WHERE state <> 'refused' ORDER BY txn"""
        rows: list[Any] = self._db.execute(sql).fetchall()
        changes = self._changes([row[0] for row in rows])
        return [
            Pending(txn, state, label, captured, size, changes.get(txn, []))
            for txn, state, label, captured, size in rows
        ]

    def refused(self) -> list[Refused]:
        """All refused transactions, oldest first."""
        sql = "SELECT txn, label, captured, result FROM holdfast_transaction WHERE state = 'refused' ORDER BY txn"
        rows: list[Any] = self._db.execute(sql).fetchall()
        changes = self._changes([row[0] for row in rows])
        refused = []
        for txn, label, captured, text in rows:
            r = m.decode_result(text)
            where = (r.code, r.message, r.table, r.key, r.column, r.details)
            refused.append(Refused(txn, label, captured, *where, changes.get(txn, [])))
        return refused

    def _changes(self, txns: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
        found: dict[int, list[dict[str, Any]]] = {}
        for txn, _, _, body in self.operations(txns):
            found.setdefault(txn, []).append(msgspec.json.decode(body))
        return found
