"""Steps of a trial that are short scenes: several things in the order that leads to where chance alone seldom comes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from holdfast.testing.clock import HOUR
from holdfast.testing.device import OK, SimulatedDevice
from holdfast.testing.network import Fault
from holdfast.testing.steering import do_drop, do_retry, drop, poison, retry
from holdfast.testing.trial import EXPECTED_SQL, Trial

BOTH = "both"
"""The key of the form that two devices edit at once."""
EDITS = (
    "memo = memo || ' and more'",
    "memo = 'first, ' || memo",
    "memo = ''",
    "story = story || ', and then'",
    "story = 'Well. ' || story",
    "setup = json_set(setup, '$.a', 2)",
    "setup = json_set(setup, '$.list[0]', 'x')",
    "title = 'ours'",
    "crew = crew + 2",
    "stock = 7",
)


def do_lost_permission(trial: Trial, dice: random.Random) -> str:
    """A device writes where its user may only read since just now; then he may write again. Somebody deals with it."""
    device = trial.device(dice)
    rights = trial.simulation.access[device.user]
    before = rights.get("p:1")
    rights["p:1"] = "r"
    sql = f"INSERT INTO owner (id, project, name) VALUES ('{dice.choice('xyz')}', '1', 'new') ON CONFLICT DO NOTHING"
    told = [execute(trial, device, (sql, "UPDATE owner SET points = points + 1 WHERE project = '1'"))]
    told.append(trial.sync(device))
    rights.pop("p:1")
    if before is not None:
        rights["p:1"] = before
    told.append(asked(trial, *dice.choice((("drop", do_drop), ("retry", do_retry))), dice))
    return f"{'; '.join(told)}; {told[0]}"


def do_lost_history(trial: Trial, dice: random.Random) -> str:
    """The hub goes back to a copy from before it took what a device has just sent; the device has not heard of it.
    Nor does it hear the whole of the first answer after that."""
    simulation, device = trial.simulation, trial.device(dice)
    told = [trial.sync(device)]
    simulation.hub.back_up()
    sql = f"INSERT INTO mine (id) VALUES ('lost {dice.randrange(1000)}') ON CONFLICT DO NOTHING"
    told += [execute(trial, device, (sql,)), trial.sync(device), trial.write(device, dice)]
    device.link.fault = Fault(dice.choice(("lost response", "cut")), dice.randrange(1000))
    told.append(trial.sync(device))
    device.link.fault = None
    told.append(trial.restore_hub())
    device.link.fault = Fault("cut", dice.randrange(500, 1000))
    told.append(trial.sync(device))
    device.link.fault = None
    told.append(trial.sync(device))
    return f"{'; '.join(told)}; {told[-1].rsplit(' ', 1)[-1]}"


def do_both_edit(trial: Trial, dice: random.Random) -> str:
    """Two devices edit one form without hearing of each other."""
    devices = list(trial.simulation.devices.values())
    first, second = dice.sample(devices, 2)
    told = [execute(trial, first, (f"INSERT INTO form (id) VALUES ('{BOTH}') ON CONFLICT DO NOTHING",))]
    told += [trial.sync(device) for device in (first, second)]
    for device in (first, second):
        sets = ", ".join({edit.partition(" ")[0]: edit for edit in dice.sample(EDITS, 4)}.values())
        told.append(execute(trial, device, (f"UPDATE form SET {sets} WHERE id = '{BOTH}'",)))
    told += [trial.sync(device) for device in (first, second, first)]
    return f"{'; '.join(told)}; {told[-1].rsplit(' ', 1)[-1]}"


def do_made_again(trial: Trial, dice: random.Random) -> str:
    """A device makes a row that another one makes, too, and deletes at once, before it hears of the first."""
    first, second = dice.sample(list(trial.simulation.devices.values()), 2)
    key = f"again {dice.randrange(100)}"
    make = f"INSERT INTO owner (id, name) VALUES ('{key}', '{{}}') ON CONFLICT DO NOTHING"
    told = [execute(trial, first, (make.format("first"),))]
    trial.simulation.time.advance(HOUR)
    told.append(execute(trial, second, (make.format("second"),)))
    told.append(execute(trial, second, (f"DELETE FROM owner WHERE id = '{key}'",)))
    told += [trial.sync(device) for device in (second, first)]
    return f"{'; '.join(told)}; {told[-1].rsplit(' ', 1)[-1]}"


def do_held_back(trial: Trial, dice: random.Random) -> str:
    """Something on the way refuses what a device sends, so that it is held back; then somebody deals with it."""
    device = trial.device(dice)
    told = poison(trial, dice, device)
    kind, act = dice.choice((("retry", retry), ("drop", drop)))
    again = asked(trial, kind, lambda given, chance: act(given, chance, device), dice)
    return f"{told}; {again}"


def asked(trial: Trial, kind: str, act: Callable[[Trial, random.Random], str], dice: random.Random) -> str:
    """Let somebody steer a queue, so that the coverage sees what he did and nothing else."""
    for device in trial.simulation.devices.values():
        trial.coverage.seen(device)
    told = act(trial, dice)
    for device in trial.simulation.devices.values():
        trial.coverage.seen(device, kind)
    return told


def execute(trial: Trial, device: SimulatedDevice, statements: Sequence[str]) -> str:
    """Statements of the application in one transaction; "ok", or what may stand in their way."""

    def write() -> None:
        with device.replica.transaction():
            for sql in statements:
                device.replica.execute(sql)

    outcome = trial.expect(device.attempt(write), EXPECTED_SQL, f"a write on {device.name}")
    if outcome == OK:
        trial.ledger.look(device)
    return outcome
