"""Steps of a trial that concern the queue: edits of one row that become one, and people who steer."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.replica.steering import Cancelled
from holdfast.testing.clock import HOUR, MINUTE
from holdfast.testing.device import CRASHED, OK, SimulatedDevice
from holdfast.testing.ledger import labels_in
from holdfast.testing.tables import SCHEMA
from holdfast.testing.trial import EXPECTED, EXPECTED_SQL, Trial
from holdfast.testing.workload import TABLES, edits

MINE = SCHEMA.by_name["mine"]
"""Its class gives up after two retries."""
NOT_NOW = frozenset(
    ("transaction_unknown", "transaction_state", "has_dependants", "not_sendable", "row_missing", "not_editable")
)


def do_edits(trial: Trial, dice: random.Random) -> str:
    """A device edits one row several times, each a transaction of its own; in between others that touch it, too."""
    device = trial.device(dice)
    table = dice.choice([table for table in TABLES if table.cells])
    told = []
    for batch in edits(table, dice, dice.randint(2, 6)):
        outcome = device.attempt(lambda batch=batch: _transaction(device, batch))  # type: ignore[misc]
        told.append(trial.expect(outcome, EXPECTED_SQL, f"an edit on {device.name}"))
        if outcome == CRASHED:
            break
    trial.ledger.look(device)
    return f"{device.name} {table.name} {told} {told[-1]}"


def _transaction(device: SimulatedDevice, batch: list[Any]) -> None:
    with device.replica.transaction():
        for one in batch:
            device.replica.execute(one.sql, one.parameters)


def do_cancel(trial: Trial, dice: random.Random) -> str:
    """Somebody takes back something that waits; with what depends on it, or not at all."""
    return _take_back(
        trial,
        dice,
        trial.device(dice),
        lambda device, txn, others: device.replica.cancel(txn, dependants=others),
        False,
    )


def do_drop(trial: Trial, dice: random.Random) -> str:
    """Somebody forgets a refused transaction."""
    return drop(trial, dice, trial.device(dice))


def drop(trial: Trial, dice: random.Random, device: SimulatedDevice) -> str:
    """The same on that device, or a parked one."""
    return _take_back(
        trial, dice, device, lambda device, txn, others: device.replica.drop(txn, dependants=others), True
    )


def _take_back(
    trial: Trial,
    dice: random.Random,
    device: SimulatedDevice,
    act: Callable[[SimulatedDevice, int, bool], Cancelled],
    refused: bool,
) -> str:
    held = _parked(device) if refused else {}
    items = _listed(device, refused=refused) | held
    if not items:
        return f"{device.name} nothing"
    txn, others, done = dice.choice(sorted(items)), dice.random() < 0.7, Cancelled([], [])
    if txn in held:
        items |= _listed(device, refused=False)  # what depends on it goes with it, whatever its state

    def take_back() -> None:
        nonlocal done
        done = act(device, txn, others)

    outcome = trial.expect(device.attempt(take_back), EXPECTED | NOT_NOW, f"taking back on {device.name}")
    if outcome == CRASHED:
        # It happened or it did not: what the file says now.
        left = _listed(device, refused=False) | _listed(device, refused=True)
        done = Cancelled([number for number in items if number not in left], [])
    labels = {number: labels_in(operations) for number, operations in items.items()}
    gone = {label for number in done.cancelled for label in labels.get(number, ())}
    asked = {label for number in done.asked for label in labels.get(number, ())}
    if outcome == CRASHED:
        asked |= {label for found in labels.values() for label in found} - gone
    trial.ledger.cancelled(device, gone, asked)
    trial.ledger.look(device)
    return f"{device.name} #{txn} {done} {outcome}"


def do_retry(trial: Trial, dice: random.Random) -> str:
    """Somebody has a refused transaction sent again."""
    return retry(trial, dice, trial.device(dice))


def do_edit(trial: Trial, dice: random.Random) -> str:
    """Somebody corrects a refused transaction and has it sent again."""

    def correct(device: SimulatedDevice, txn: int, operations: list[dict[str, Any]]) -> None:
        op = dice.choice(operations)
        columns = {"account": "deposits", "form": "title", "pet": "note", "owner": "name", "mine": "note"}
        name = columns.get(op["table"])
        # Money must not be made: what is added is what was added.
        if name is not None and name != "deposits":
            device.replica.edit(txn, op["table"], op["key"], **{name: dice.choice(("edited", "é", ""))})

    return retry(trial, dice, trial.device(dice), correct)


def retry(
    trial: Trial,
    dice: random.Random,
    device: SimulatedDevice,
    before: Callable[[SimulatedDevice, int, list[dict[str, Any]]], None] = lambda *_: None,
) -> str:
    """What was refused, parked or held back on a device is sent again, `before` has been done to it."""
    items = _listed(device, refused=True) | _parked(device)
    if not items:
        return f"{device.name} nothing"
    txn = dice.choice(sorted(items))
    trial.simulation.order.excuse(items[txn])

    def again() -> None:
        before(device, txn, items[txn])
        device.replica.retry(txn)

    outcome = trial.expect(device.attempt(again), EXPECTED | NOT_NOW, f"a retry on {device.name}")
    if outcome == OK or (outcome == CRASHED and txn not in _listed(device, refused=True)):
        trial.ledger.retried(device, labels_in(items[txn]))
    trial.ledger.look(device)
    return f"{device.name} #{txn} {outcome}"


def do_poison(trial: Trial, dice: random.Random) -> str:
    """Something on the way refuses every request with rows of one table, for some hours, while a device tries."""
    return poison(trial, dice, trial.device(dice))


def poison(trial: Trial, dice: random.Random, device: SimulatedDevice) -> str:
    """The same for that device."""
    batch = edits(MINE, dice, 1)[0]
    told = [trial.expect(device.attempt(lambda: _transaction(device, batch)), EXPECTED_SQL, "a write")]
    trial.simulation.poison = b'"table":"%s"' % MINE.name.encode()
    for _ in range(dice.randint(1, 5)):
        told.append(trial.expect(device.sync(), EXPECTED | {"hub_error"}, f"a sync of {device.name}"))
        trial.coverage.seen(device)
        trial.simulation.time.advance(dice.choice((MINUTE, HOUR, HOUR)))
    trial.simulation.poison = None
    trial.ledger.look(device)
    return f"{device.name} {told} {told[-1]}"


def _parked(device: SimulatedDevice) -> dict[int, list[dict[str, Any]]]:
    """Number and operations of what is parked, or held back."""
    if not device.has_tables:
        return {}
    try:
        listed = device.replica.pending()
    except HoldfastError:
        return {}
    return {item.txn: item.operations for item in listed if item.state == "parked" or item.not_before is not None}


def _listed(device: SimulatedDevice, *, refused: bool) -> dict[int, list[dict[str, Any]]]:
    """Number and operations of what waits, or of what was refused."""
    if not device.has_tables:
        return {}
    try:
        listed = device.replica.refused() if refused else device.replica.pending()
    except HoldfastError:
        return {}
    return {item.txn: item.operations for item in listed}
