"""What waits and what was refused, as people see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import apsw
import msgspec

from holdfast.protocol import messages as m
from holdfast.replica.dependencies import dependants, needs
from holdfast.replica.outbox import Outbox

UNDECIDED = ("pending", "sending", "parked")
EVERY = (*UNDECIDED, "refused")


class Pending(NamedTuple):
    """A transaction that the hub has not answered, or that is parked. `txn` names it on this device; times in
    milliseconds since 2020-01-01 UTC; `age` in milliseconds; `operations` are its changes in wire form; `size` their
    bytes.

    `queue` is its class, `waits_for` the transactions that must go first (direct ones), `parts` how many transactions
    of the application it holds, `attempts` how many requests could not be processed because of it, `error` the last of
    these, `not_before` when it is tried again, `withdrawn` that the hub is asked not to take it.
    """

    txn: int
    state: str
    label: str
    captured: int
    size: int
    operations: list[dict[str, Any]]
    queue: str
    age: int
    waits_for: list[int]
    parts: int
    attempts: int
    error: str
    not_before: int | None
    withdrawn: bool


class Refused(NamedTuple):
    """A transaction that was refused: by the hub, or by the device because it cannot go over the wire.

    `operations` are its changes, readable; `code`, `message`, `table`, `key` and `column` say why and where. `needed`
    are refused transactions that it depended on, `dependants` those in the outbox that depend on it, directly or
    through others.
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
    queue: str
    needed: list[int]
    dependants: list[int]


def pending(db: apsw.Connection, now: int) -> list[Pending]:
    """All sealed transactions that wait or are parked, in the order of writing. `now` in corrected milliseconds."""
    sql = """SELECT txn, state, label, captured, size, queue, parts, attempts, error, not_before, withdraw <> ''
             FROM holdfast_transaction WHERE state <> 'refused' ORDER BY txn"""
    rows: list[Any] = db.execute(sql).fetchall()
    changes = _changes(db, [row[0] for row in rows])
    edges = needs(db, UNDECIDED)
    return [
        Pending(
            *(txn, state, label, captured, size, changes.get(txn, [])),
            *(queue, max(0, now - captured), sorted(edges.get(txn, ()))),
            *(parts, attempts, error, not_before, bool(withdrawn)),
        )
        for txn, state, label, captured, size, queue, parts, attempts, error, not_before, withdrawn in rows
    ]


def refused(db: apsw.Connection) -> list[Refused]:
    """All refused transactions, in the order of writing."""
    sql = "SELECT txn, label, captured, queue, result FROM holdfast_transaction WHERE state = 'refused' ORDER BY txn"
    rows: list[Any] = db.execute(sql).fetchall()
    if not rows:
        return []
    changes = _changes(db, [row[0] for row in rows])
    edges, known = needs(db, EVERY), {row[0] for row in rows}
    found = []
    for txn, label, captured, queue, text in rows:
        r = m.decode_result(text)
        needed = sorted(edges.get(txn, set()) & known)
        where = (r.code, r.message, r.table, r.key, r.column, r.details)
        found.append(
            Refused(txn, label, captured, *where, changes.get(txn, []), queue, needed, dependants(edges, [txn]))
        )
    return found


def _changes(db: apsw.Connection, txns: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """What was written, in the words of the version under which it was: a later one may say less."""
    found: dict[int, list[dict[str, Any]]] = {}
    for txn, body in Outbox(db).written(txns) if txns else ():
        found.setdefault(txn, []).append(msgspec.json.decode(body))
    return found
