"""The outbox: sealed transactions on their way to the hub, and those that were refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import apsw
import msgspec

from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m
from holdfast.replica.dependencies import needs
from holdfast.replica.order import Candidate, Choice, choose, first_written
from holdfast.replica.sealed import crc_of
from holdfast.schema.queue import DEFAULT, Queue

BATCH_BYTES = 4 * 1024 * 1024
"""A request carries transactions of about so many bytes."""

MAX_HOLD = 60 * 60 * 1000
"""A transaction is held back for at most so many milliseconds; one that waits longer has met a clock that was set."""
HELD = "(state = 'parked' OR coalesce(not_before BETWEEN ?1 AND ?1 + ?2, 0))"

LEAST_BYTES = 60
"""No operation is shorter: its stamp alone has 27 characters."""


class Named(NamedTuple):
    """A transaction with a name."""

    txn: int
    origin: str
    n: int


class Sending(NamedTuple):
    """A transaction in a request: its local number, its name, its JSON, how many operations it has."""

    txn: int
    origin: str
    n: int
    body: str
    operations: int


class Outbox:
    """Reads and writes of `holdfast_transaction` and `holdfast_operation`."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def next_number(self) -> int:
        """The local number that the next transaction will have at least."""
        sql = "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'holdfast_transaction'"
        return int(self._db.execute(sql).get)

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

    def unanswered(self, after: Mapping[str, int], most: int, batch: int) -> tuple[list[Sending], bool]:
        """The transactions that have been sent and not answered, in the order of naming, and whether there are more.

        `after` maps origins to the n up to which the hub has answered already; `most` is the largest number wanted,
        `batch` how many bytes of them (one at least).
        """
        sql = "SELECT txn, origin, n, size FROM holdfast_transaction WHERE state = 'sending' ORDER BY place"
        chosen: list[Named] = []
        size = 0
        for txn, origin, n, bytes_ in self._db.execute(sql):
            if n <= after.get(origin, 0):
                continue
            if chosen and (size + bytes_ > min(batch, BATCH_BYTES) or len(chosen) >= most):
                return list(self._bodies(chosen)), True
            chosen.append(Named(txn, origin, n))
            size += bytes_
        return list(self._bodies(chosen)), False

    def candidates(self, now: int) -> list[Candidate]:
        """All transactions without a name, those first that were written first. `now`: in milliseconds."""
        sql = f"""SELECT txn, queue, size, {HELD} FROM holdfast_transaction
                  WHERE state IN ('pending', 'parked') ORDER BY txn"""
        return [Candidate(*row) for row in self._db.execute(sql, (now, MAX_HOLD))]

    def may_be_sent(self, now: int) -> bool:
        """Whether a transaction without a name is not held. (It may still wait for one that is.)"""
        sql = f"SELECT EXISTS (SELECT 1 FROM holdfast_transaction WHERE state = 'pending' AND NOT {HELD})"
        return bool(self._db.execute(sql, (now, MAX_HOLD)).get)

    def urgent(self, classes: Sequence[str], sending: Sequence[int]) -> bool:
        """Whether transactions of these classes wait that are not among those that go now."""
        if not classes:
            return False
        sql = """SELECT EXISTS (SELECT 1 FROM holdfast_transaction WHERE state IN ('pending', 'sending')
                     AND queue IN (SELECT value FROM json_each(?1)) AND txn NOT IN (SELECT value FROM json_each(?2)))"""
        return bool(self._db.execute(sql, (m.encode(classes).decode(), m.encode(sending).decode())).get)

    def anything_waits(self, queues: Mapping[str, Queue], now: int) -> bool:
        """Whether there is something to send: captured, sent and not answered, or free to go."""
        sql = """SELECT EXISTS (SELECT 1 FROM holdfast_capture)
                     OR EXISTS (SELECT 1 FROM holdfast_transaction WHERE state = 'sending')"""
        if self._db.execute(sql).get:
            return True
        if not self.may_be_sent(now):
            return False
        sql = f"SELECT EXISTS (SELECT 1 FROM holdfast_transaction WHERE {HELD})"
        return not self._db.execute(sql, (now, MAX_HOLD)).get or bool(self.choose(queues, now, 1).chosen)

    def choose(self, queues: Mapping[str, Queue], now: int, most: int, batch: int = BATCH_BYTES) -> Choice:
        """Which transactions without a name go next, in the order of sending."""
        batch = min(batch, BATCH_BYTES)
        candidates = self.candidates(now)
        used = [queues.get(name, DEFAULT) for name in {candidate.queue for candidate in candidates}]
        in_order = len({queue.priority for queue in used}) <= 1 and all(queue.plain for queue in used)
        if in_order and not any(candidate.held for candidate in candidates):
            return first_written(candidates, most, batch)
        return choose(candidates, needs(self._db, ("pending", "parked")), queues, most, batch)

    def name(self, txns: Sequence[int], origin: str, next_n: int) -> list[Sending]:
        """Give names to transactions, in the order of sending.

        To be committed durably before anything is sent: a name is never given twice (trap 1), and a transaction that
        has one is sent under it until it is answered.
        """
        sql = "SELECT coalesce(max(place), 0) FROM holdfast_transaction WHERE state = 'sending'"
        place: int = self._db.execute(sql).get
        self._db.executemany(
            """UPDATE holdfast_transaction SET state = 'sending', origin = ?, n = ?, place = ?, not_before = NULL,
               counted = '' WHERE txn = ?""",
            ((origin, next_n + index, place + 1 + index, txn) for index, txn in enumerate(txns)),
        )
        return list(self._bodies([Named(txn, origin, next_n + index) for index, txn in enumerate(txns)]))

    def _bodies(self, chosen: Sequence[Named]) -> Iterator[Sending]:
        if not chosen:
            return
        wanted, given = among([named.txn for named in chosen])
        sql = f"SELECT txn, body, crc FROM holdfast_operation WHERE txn {wanted} ORDER BY txn, position"
        bodies: dict[int, list[str]] = {}
        for txn, body, crc in self._db.execute(sql, given):
            if crc is not None and crc != crc_of(body):
                message = f"{self._db.filename} is damaged: transaction {txn} is not what was written"
                raise HoldfastError("file_damaged", message, file=self._db.filename, txn=txn)
            if txn in bodies:
                bodies[txn].append(body)
            else:
                bodies[txn] = [body]
        sql = f"""SELECT txn, label, withdraw, schema FROM holdfast_transaction
                  WHERE txn {wanted} AND (label <> '' OR withdraw <> '' OR schema <> 0)"""
        special = {txn: rest for txn, *rest in self._db.execute(sql, given)}
        for txn, origin, n in chosen:
            found = bodies[txn]
            members = f'"ops":[{found[0] if len(found) == 1 else ",".join(found)}]'
            if txn in special:
                label, withdraw, schema = special[txn]
                members = '"withdrawn":true,"ops":[]' if withdraw else members
                members = f'"label":{msgspec.json.encode(label).decode()},{members}' if label else members
                members = f'"schema":{schema},{members}' if schema else members
            yield Sending(txn, origin, n, f'{{"origin":"{origin}","n":{n},{members}}}', len(found))

    def rename(self, origin: str, queues: Mapping[str, Queue]) -> None:
        """Take the name of that origin away from all transactions that wait: the hub does not know it any more. What it
        was asked to let go is let go by that; what was cancelled will be taken back under its next name.
        """
        sql = "SELECT txn FROM holdfast_transaction WHERE origin = ? AND state = 'sending' AND withdraw = 'release'"
        released: list[Any] = self._db.execute(sql, (origin,)).fetchall()
        for (txn,) in released:
            self.release(txn, queues)
        self._db.execute(
            """UPDATE holdfast_transaction SET state = 'pending', origin = NULL, n = NULL, place = NULL
               WHERE origin = ? AND state = 'sending'""",
            (origin,),
        )

    def sent(self) -> dict[str, int]:
        """The last transaction of each origin that was sent and not answered."""
        sql = "SELECT origin, max(n) FROM holdfast_transaction WHERE state = 'sending' GROUP BY origin"
        return dict(self._db.execute(sql))

    def count(self, through: Mapping[str, int], counts: str) -> None:
        """Note the name under which the hub has counted the increments of the transactions up to these, where nothing
        is noted yet: their answer is not whole, and what completes it may say another one."""
        sql = """UPDATE holdfast_transaction SET counted = ?
                 WHERE state = 'sending' AND origin = ? AND n <= ? AND counted = ''"""
        self._db.executemany(sql, ((counts, origin, n) for origin, n in through.items()))

    def counted(self) -> dict[int, str]:
        """The names that are noted."""
        sql = "SELECT txn, counted FROM holdfast_transaction WHERE state = 'sending' AND counted <> ''"
        return dict(self._db.execute(sql))

    def named(self, origin: str, through: int) -> list[tuple[int, int]]:
        """(local number, n) of the waiting transactions of an origin with n <= `through`, in order of n."""
        sql = """SELECT txn, n FROM holdfast_transaction WHERE origin = ? AND n <= ? AND state = 'sending' ORDER BY n"""
        found: list[Any] = self._db.execute(sql, (origin, through)).fetchall()
        return found

    def operations(self, txns: Sequence[int]) -> Iterator[tuple[int, int, str, str]]:
        """(txn, table number, key, body) of the operations of those transactions, in order."""
        chosen, given = among(txns)
        sql = f"""SELECT txn, tbl, key, coalesce(shown, body) FROM holdfast_operation
                  WHERE txn {chosen} ORDER BY txn, position"""
        found: list[Any] = self._db.execute(sql, given).fetchall()
        return iter(found)

    def written(self, txns: Sequence[int]) -> Iterator[tuple[int, str]]:
        """(txn, body) of the operations of those transactions, in order, as they were written."""
        chosen, given = among(txns)
        sql = f"SELECT txn, body FROM holdfast_operation WHERE txn {chosen} ORDER BY txn, position"
        found: list[Any] = self._db.execute(sql, given).fetchall()
        return iter(found)

    def done(self, txns: Sequence[int]) -> None:
        """They leave the outbox: the hub has them, or nobody wants them."""
        chosen, given = among(txns)
        for table in ("holdfast_operation", "holdfast_transaction"):
            self._db.execute(f"DELETE FROM {table} WHERE txn {chosen}", given)
        if self._db.execute("SELECT EXISTS (SELECT 1 FROM holdfast_use)").get:
            self._db.execute(f"DELETE FROM holdfast_use WHERE txn {chosen}", given)
        if self._db.execute("SELECT EXISTS (SELECT 1 FROM holdfast_after)").get:
            self._db.execute(f"DELETE FROM holdfast_after WHERE txn {chosen} OR earlier {chosen}", given)

    def parts(self, txns: Sequence[int]) -> int:
        """How many transactions of the application are in these."""
        chosen, given = among(txns)
        sql = f"SELECT coalesce(sum(parts), 0) FROM holdfast_transaction WHERE txn {chosen}"
        return int(self._db.execute(sql, given).get)

    def withdraw(self, txns: Sequence[int], why: str) -> None:
        """Ask the hub, with the next request, not to take these; `why` is "cancel" or "release"."""
        chosen, given = among(txns)
        self._db.execute(
            f"UPDATE holdfast_transaction SET withdraw = ?3 WHERE state = 'sending' AND txn {chosen}", (*given, why)
        )

    def fail(self, txn: int, error: str, until: int) -> None:
        """The hub could not process a request because of this one; it is not tried again before `until`."""
        self._db.execute(
            "UPDATE holdfast_transaction SET attempts = attempts + 1, error = ?, not_before = ? WHERE txn = ?",
            (error, until, txn),
        )

    def release(self, txn: int, queues: Mapping[str, Queue]) -> None:
        """The hub has let the name of this one go: it is tried later, or parked when it has failed too often."""
        queue, attempts = self._db.execute("SELECT queue, attempts FROM holdfast_transaction WHERE txn = ?", (txn,)).get
        retries = queues.get(queue, DEFAULT).retries
        state = "parked" if retries is not None and attempts > retries else "pending"
        self._db.execute(
            """UPDATE holdfast_transaction SET state = ?, withdraw = '', origin = NULL, n = NULL, place = NULL
               WHERE txn = ?""",
            (state, txn),
        )

    def withdrawn(self) -> dict[int, str]:
        """Transactions that the hub is asked not to take and has not answered, with why."""
        sql = "SELECT txn, withdraw FROM holdfast_transaction WHERE state = 'sending' AND withdraw <> ''"
        return dict(self._db.execute(sql))

    def refuse(self, txn: int, result: m.Result) -> None:
        """Keep a transaction, readable, among the refused ones."""
        self._db.execute(
            "UPDATE holdfast_transaction SET state = 'refused', result = ? WHERE txn = ?",
            (m.encode(result).decode(), txn),
        )


def among(txns: Sequence[int]) -> tuple[str, tuple[Any, Any]]:
    """An SQL condition for a set of numbers, with its two parameters: a range where they are one."""
    if txns and max(txns) - min(txns) + 1 == len(set(txns)):
        return "BETWEEN ?1 AND ?2", (min(txns), max(txns))
    return "IN (SELECT value FROM json_each(?1) WHERE ?2)", (m.encode(list(txns)).decode(), 1)


def with_transactions(request: bytes, sending: list[Sending]) -> bytes:
    """The request with the transactions in it; their JSON is joined, not made again."""
    if not sending:
        return request
    bodies = ",".join(s.body for s in sending).encode()
    return request[:-1] + b',"transactions":[' + bodies + b"]}"
