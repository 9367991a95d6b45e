"""Which states and transitions a run has been through: the table of what matters, and eyes that count it.

A device is looked at from outside, in its file, whenever it is looked at anyway: before and after each step, and while
a request of it is under way. What happened between two looks is told by the two states and what was asked of the
device. The hub's side is read from its history at the end of a run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

import apsw

from holdfast.hub.record import decode_record
from holdfast.replica.states import TRANSITIONS
from holdfast.testing.device import SimulatedDevice
from holdfast.testing.hub import SimulatedHub
from holdfast.testing.ledger import all_rows

SPACES: Final = {
    "space: unknown -> loading": "granted: the first pages are on their way",
    "space: unknown -> ready": "granted and loaded between two looks",
    "space: loading -> ready": "the first load is complete",
    "space: ready -> lost": "the hub has lost the history that is here",
    "space: lost -> ready": "the space has arrived anew",
    "space: ready -> unknown": "revoked",
    "space: r -> rw": "the permission grew",
    "space: rw -> r": "the permission shrank",
}
LIVES: Final = {
    "life: none -> alive by insert": "a new row",
    "life: alive -> alive by insert": "a key that somebody else had used already",
    "life: dead -> alive by insert": "a row that is made again",
    "life: alive -> alive by update": "an edit",
    "life: dead -> alive by update": "an edit that the deleter had not seen",
    "life: alive -> dead by delete": "a deletion",
    "life: alive -> alive by delete": "a deletion that gives way to an edit that it had not seen",
    "life: moved": "a row changes its space",
}
MERGES: Final = {
    "merge: plain": "the operation is what the row shows",
    "merge: gave way": "a cell stayed as it was: the change lost",
    "merge: became something else": "a cell became neither the change nor what it was",
    "merge: conflict won by mine": "the later writer stands",
    "merge: conflict won by theirs": "the earlier one stands",
    "merge: conflict about a life": "a deletion met an edit",
}
VERSIONS: Final = {
    "version: hub to 2": "the hub is upgraded while devices work",
    "version: hub to 3": "and again",
    "version: device to 2": "a file is taken along by the next application",
    "version: device to 3": "and again",
    "version: device with unsent work": "what waits is put into the words of the new version",
    "version: a device waits for its hub": "a device that is newer than the hub keeps what it has",
    "version: a device dies over its upgrade": "the file is taken along whole or not at all",
    "version: the hub dies over its upgrade": "the new columns are filled step by step",
    "version: 1 at a hub of 3": "an application of two versions ago is served",
    "version: three at rest": "devices of all versions agree in the end",
}
WANTED: Final = {
    **{f"transaction: {t.state} -{t.event}-> {t.next}": t.when for t in TRANSITIONS},
    **SPACES,
    **LIVES,
    **MERGES,
    **VERSIONS,
}
"""Name -> what it is. A long run must reach all of them."""


class Waiting(NamedTuple):
    """A transaction of the outbox at one look."""

    state: str
    withdraw: str
    held: bool
    parts: int
    name: str = ""


class Look(NamedTuple):
    """What a device held at one look: transactions by number, spaces by name with state and access."""

    transactions: dict[int, Waiting]
    spaces: dict[str, tuple[str, str]]


EMPTY: Final = Look({}, {})


class Coverage:
    """Counts what `WANTED` names, for all devices and the hub of one run."""

    def __init__(self, counted: Counter[str]) -> None:
        self._counted = counted
        self._last: dict[str, Look] = {}

    def forget(self, device: SimulatedDevice) -> None:
        """The file was put back: what it says now did not become so."""
        self._last[device.name] = look(device)

    def seen(self, device: SimulatedDevice, asked: str = "") -> None:
        """Look at a device; `asked` is the step of somebody who steers, if that was done since the last look."""
        before, now = self._last.get(device.name, EMPTY), look(device)
        if before is now:
            return
        self._last[device.name] = now
        for txn in before.transactions.keys() | now.transactions.keys():
            self._transaction(before.transactions.get(txn), now.transactions.get(txn), asked)
        for name in before.spaces.keys() | now.spaces.keys():
            self._space(before.spaces.get(name, ("unknown", "")), now.spaces.get(name, ("unknown", "")))

    def _transaction(self, before: Waiting | None, now: Waiting | None, asked: str) -> None:
        if before == now:
            return
        if before is None:
            before = Waiting("pending", "", False, 1)
        for step in path(before, now, asked):
            self._counted[f"transaction: {step}"] += 1

    def _space(self, before: tuple[str, str], now: tuple[str, str]) -> None:
        if before[0] != now[0]:
            self._counted[f"space: {before[0]} -> {now[0]}"] += 1
        elif before[1] != now[1]:
            self._counted[f"space: {before[1]} -> {now[1]}"] += 1

    def settled(self, hub: SimulatedHub) -> None:
        """Read what became of every row from the hub's history."""
        with hub.reading() as tx:
            for table, key in sorted(all_rows(hub)):
                space = None
                for entry in tx.history(table, key):
                    self._entry(entry.body)
                    if space not in (None, entry.space):
                        self._counted["life: moved"] += 1
                    space = entry.space

    def _entry(self, body: bytes) -> None:
        record = decode_record(body)
        before, after = (life_name(life) for life in record.life)
        self._counted[f"life: {before} -> {after} by {record.op}"] += 1
        self._counted["merge: gave way"] += bool(record.kept)
        self._counted["merge: became something else"] += bool(record.after)
        self._counted["merge: plain"] += not (record.kept or record.after or record.conflicts)
        for conflict in record.conflicts:
            self._counted[f"merge: conflict won by {conflict.winner}"] += 1
            self._counted["merge: conflict about a life"] += not conflict.column


def life_name(life: int) -> str:
    """What a causal length says of a row."""
    return "none" if life == 0 else "alive" if life % 2 else "dead"


def path(before: Waiting, now: Waiting | None, asked: str) -> list[str]:
    """The transitions that lead from one look to the next, at most two: what was named may have been answered."""
    after = now.state if now is not None else "gone"
    state = before.state
    if state == "pending" and after in ("sending", "gone") and not (after == "gone" and asked):
        if after == "sending":
            return ["pending -name-> sending"]
        return ["pending -join-> pending"]
    if state == "sending" and after == "gone":
        taken_back = before.withdraw == "cancel"
        return ["sending -cancel-> cancelled" if taken_back else "sending -accept-> acknowledged"]
    if state == "sending" and (after == "pending" or (now is not None and after == state and now.name != before.name)):
        back = "sending -release-> pending" if before.withdraw == "release" else "sending -lose-> pending"
        return [back] if after == "pending" else [back, "pending -name-> sending"]
    if state == "pending" and after == "pending":
        return ["pending -retry-> pending"] if before.held and now is not None and not now.held and asked else []
    names = {
        ("pending", "refused"): "refuse",
        ("pending", "gone"): "cancel",
        ("sending", "refused"): "refuse",
        ("sending", "parked"): "park",
        ("refused", "pending"): "retry",
        ("refused", "gone"): "drop",
        ("parked", "pending"): "retry",
        ("parked", "gone"): "drop",
    }
    event = names.get((state, after))
    return [f"{state} -{event}-> {'cancelled' if after == 'gone' else after}"] if event else []


def look(device: SimulatedDevice) -> Look:
    """What the device's file says now."""
    return device.view(read_look) if device.has_tables else EMPTY


def read_look(db: apsw.Connection) -> Look:
    """Transactions and spaces of a file, in one snapshot."""
    sql = """SELECT txn, state, withdraw, not_before IS NOT NULL, parts, iif(state = 'sending', origin || '.' || n, '')
             FROM holdfast_transaction"""
    found = db.execute(sql)
    transactions = {txn: Waiting(state, why, bool(held), parts, name) for txn, state, why, held, parts, name in found}
    sql = "SELECT name, iif(lost, 'lost', iif(ready, 'ready', 'loading')), access FROM holdfast_space"
    return Look(transactions, {name: (state, access) for name, state, access in db.execute(sql)})


def missing(counted: Mapping[str, int]) -> list[str]:
    """What of the table was never reached."""
    return [name for name in WANTED if not counted.get(name)]
