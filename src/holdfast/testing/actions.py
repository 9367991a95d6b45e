"""What happens in a trial, one function for each kind of step. Each gives a line for the history."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from holdfast.schema import sqlite_values
from holdfast.testing.clock import DAY, HOUR, MINUTE
from holdfast.testing.device import SimulatedDevice
from holdfast.testing.drafts import do_draft, do_redo, do_undo
from holdfast.testing.hub import FAULTS
from holdfast.testing.network import KINDS, Fault
from holdfast.testing.scenes import do_both_edit, do_held_back, do_lost_history, do_lost_permission, do_made_again
from holdfast.testing.simulation import JUMPS
from holdfast.testing.steering import do_cancel, do_drop, do_edit, do_edits, do_poison, do_retry
from holdfast.testing.trial import CHANGING_SPACES, EXPECTED_SQL, Trial
from holdfast.testing.workload import TABLES, cell_value, key_of

UNDECIDABLE = frozenset(
    ("forbidden_space", "conflict_choice", "conflict_gone", "value_null", "value_type", "value_format", "value_range")
)
Action = Callable[[Trial, random.Random], str]


def do_write(trial: Trial, dice: random.Random) -> str:
    """A device writes."""
    trial.simulation.time.advance(dice.randrange(MINUTE))
    return trial.write(trial.device(dice), dice)


def do_program(trial: Trial, dice: random.Random) -> str:
    """Another program writes on a device."""
    return trial.program(trial.device(dice), dice)


def do_unsynced(trial: Trial, dice: random.Random) -> str:
    """Another program writes on a device and does not wait for the disk."""
    return trial.program(trial.device(dice), dice, durable=False)


def do_sync(trial: Trial, dice: random.Random) -> str:
    """A device syncs."""
    return trial.sync(trial.device(dice))


def do_sync_all(trial: Trial, dice: random.Random) -> str:
    """All devices sync, in any order."""
    devices = list(trial.simulation.devices.values())
    dice.shuffle(devices)
    return ", ".join(trial.sync(device) for device in devices)


def do_seal(trial: Trial, dice: random.Random) -> str:
    """What was captured on a device is sealed."""
    return trial.seal(trial.device(dice))


def do_pass(trial: Trial, dice: random.Random) -> str:
    """Time goes on; sometimes weeks."""
    ms = dice.choice((MINUTE, HOUR, DAY, 30 * DAY))
    trial.simulation.time.advance(ms)
    return f"{ms} ms"


def do_faulty_sync(trial: Trial, dice: random.Random) -> str:
    """A device syncs over a bad network."""
    device = trial.device(dice)
    fault = device.link.fault = Fault(dice.choice(KINDS), dice.randrange(1000))
    outcome = trial.sync(device)
    device.link.fault = None
    trial.covered[f"fault {fault.kind}"] += 1
    return f"{fault.kind} {fault.at} {outcome}"


def do_late(trial: Trial, dice: random.Random) -> str:
    """An old request arrives."""
    return trial.simulation.network.arrive_late(dice)


def do_partition(trial: Trial, dice: random.Random) -> str:
    """One direction of a link opens or closes."""
    link = trial.device(dice).link
    if dice.random() < 0.5:
        link.sending = not link.sending
        return f"{link.name} sending {link.sending}"
    link.receiving = not link.receiving
    return f"{link.name} receiving {link.receiving}"


def do_meanwhile(trial: Trial, dice: random.Random) -> str:
    """A device syncs, and while the answer is under way the world goes on."""
    device = trial.device(dice)
    told: list[str] = []

    def meanwhile() -> None:
        for _ in range(dice.randint(1, 3)):
            kind = dice.choice(("write", "program", "sync", "foreign", "look", "own write"))
            told.append(f"{kind}: {go_on(trial, dice, device, kind)}")

    device.link.meanwhile = meanwhile
    outcome = trial.sync(device)
    device.link.meanwhile = None
    return f"{'; '.join(told)}; {outcome}"


def go_on(trial: Trial, dice: random.Random, device: SimulatedDevice, kind: str) -> str:
    """One thing that happens while an answer to `device` is under way."""
    other = trial.other_device(dice)
    if kind == "own write":
        return trial.write(device, dice)
    if kind == "look":
        return str(len(device.replica.pending()))
    if kind == "foreign" or other is None:
        return do_foreign(trial, dice)
    if kind == "sync":
        return trial.sync(other)
    return trial.write(other, dice) if kind == "write" else trial.program(device, dice)


def do_crash(trial: Trial, dice: random.Random) -> str:
    """A device's process dies between two things."""
    device = trial.device(dice)
    if not device.path.exists():
        return f"{device.name} nothing"
    outcome = device.crash()
    trial.ledger.look(device)
    return f"{device.name} {outcome}"


def do_crash_in_write(trial: Trial, dice: random.Random) -> str:
    """A device's process dies at the commit of a write."""
    device = trial.device(dice)
    device.disk.crash_at_commit(1)
    outcome = trial.write(device, dice)
    device.disk.crash_at_commit(None)
    return outcome


def do_crash_in_sync(trial: Trial, dice: random.Random) -> str:
    """A device's process dies at some commit of a sync."""
    device = trial.device(dice)
    device.disk.crash_at_commit(dice.randint(1, 5))
    if dice.random() < 0.5:
        trial.write(device, dice)
    outcome = trial.sync(device)
    device.disk.crash_at_commit(None)
    return outcome


def do_restart(trial: Trial, dice: random.Random) -> str:
    """A device's process ends in good order."""
    device = trial.device(dice)
    device.restart()
    trial.ledger.look(device)
    return device.name


def do_second_process(trial: Trial, dice: random.Random) -> str:
    """Two processes on one file take turns."""
    device = trial.device(dice)
    device.another_process()
    return device.name


def do_resolve(trial: Trial, dice: random.Random) -> str:
    """Somebody decides about a conflict that his device holds, also about one that is decided already."""
    device = trial.device(dice)
    if not device.has_tables:
        return f"{device.name} nothing"
    found = device.replica.conflicts()
    if not found:
        return f"{device.name} none"
    conflict, choice = dice.choice(found), dice.choice(("mine", "theirs"))
    outcome = device.attempt(lambda: device.replica.resolve(conflict, choice))
    # The row may be gone, the access revoked, a value taken meanwhile, a difference no value of its own.
    trial.expect(outcome, EXPECTED_SQL | UNDECIDABLE, f"a decision on {device.name}")
    trial.covered[f"resolve {conflict.rule} -> {outcome}"] += 1
    return f"{device.name} {conflict.rule} {choice} {outcome}"


def do_power(trial: Trial, dice: random.Random) -> str:
    """The power of a device goes: its unsynced tail is lost."""
    return trial.lose_power(trial.device(dice))


def do_clock(trial: Trial, dice: random.Random) -> str:
    """Somebody sets the clock of a device."""
    device, ms = trial.device(dice), dice.choice(JUMPS)
    device.clock.jump(ms)
    return f"{device.name} {ms}"


def do_drift(trial: Trial, dice: random.Random) -> str:
    """The clock of a device runs too fast or too slow."""
    device, drift = trial.device(dice), dice.choice((-100_000, -50, 50, 100_000))
    device.clock.run(drift)
    return f"{device.name} {drift}"


def do_hub_clock(trial: Trial, dice: random.Random) -> str:
    """Somebody sets the clock of the hub."""
    ms = dice.choice(JUMPS)
    trial.simulation.hub.clock.jump(ms)
    return f"{ms}"


def do_access(trial: Trial, dice: random.Random) -> str:
    """A permission is granted, changed or revoked."""
    user, space = dice.choice(sorted(trial.simulation.access)), dice.choice(CHANGING_SPACES)
    right: Any = dice.choice(("rw", "rw", "r", ""))
    trial.simulation.access[user].pop(space, None)
    if right:
        trial.simulation.access[user][space] = right
    return f"{user} {space} {right or 'nothing'}"


def do_foreign(trial: Trial, dice: random.Random) -> str:
    """Another program writes in the hub's tables."""
    hub, table = trial.simulation.hub, dice.choice([table for table in TABLES if table.name != "mine"])
    keys = [canonical(c, v) for c, v in zip(table.key, key_of(table, dice), strict=True)]
    values = None
    if dice.random() < 0.8:
        there = {row[: len(keys)]: row[len(keys) :] for row in hub.user_rows()[table.name]}
        old = there.get(tuple(keys))
        if old is None:
            values = [canonical(c, cell_value(table, c, dice)) for c in table.cells]
        else:
            values = [
                canonical(c, cell_value(table, c, dice)) if dice.random() < 0.3 else v
                for c, v in zip(table.cells, old, strict=True)
            ]
    written = hub.foreign_write(table, keys, values)
    if dice.random() < 0.5:
        hub.sequence()
        trial.simulation.watch.hub_moved()
    return f"{table.name} {keys} {'deleted' if values is None else values} {'ok' if written else 'refused'}"


def canonical(column: Any, value: Any) -> Any:
    """The wire form of a value in SQLite's types."""
    return sqlite_values.from_sql(column, value)


def do_hub_fault(trial: Trial, dice: random.Random) -> str:
    """The next write of a hub process ends badly."""
    store = dice.choice(trial.simulation.hub.stores)
    fault = dice.choice(FAULTS)
    store.fault = fault
    return fault


def do_hub_restart(trial: Trial, dice: random.Random) -> str:
    """A hub process is replaced by a new one."""
    hub = trial.simulation.hub
    hub.restart(dice.randrange(len(hub.servers)))
    return "ok"


def do_hub_down(trial: Trial, dice: random.Random) -> str:
    """A hub process is not there for a while, or is there again; if there are others, they answer meanwhile."""
    hub = trial.simulation.hub
    number = dice.randrange(len(hub.servers))
    if number not in hub.down:
        hub.down.add(number)
        return f"{number} down"
    hub.down.discard(number)
    hub.restart(number)
    return f"{number} up"


def do_hub_full(trial: Trial, dice: random.Random) -> str:
    """The hub's disk has little room left."""
    return "ok" if trial.simulation.hub.place.fill(dice.randrange(3)) else "nothing"


def do_hub_free(trial: Trial, dice: random.Random) -> str:
    """There is room on the hub's disk."""
    del dice
    trial.simulation.hub.place.free()
    return "ok"


def do_back_up(trial: Trial, dice: random.Random) -> str:
    """The hub's store is copied."""
    del dice
    trial.simulation.hub.back_up()
    return "ok"


def do_restore(trial: Trial, dice: random.Random) -> str:
    """The hub's store is replaced by its copy."""
    del dice
    return trial.restore_hub()


def do_disk_full(trial: Trial, dice: random.Random) -> str:
    """The disk of a device has little room left."""
    device = trial.device(dice)
    if not device.path.exists():
        return f"{device.name} nothing"
    device.disk.fill(dice.randrange(3))
    return device.name


def do_disk_free(trial: Trial, dice: random.Random) -> str:
    """There is room on all disks."""
    del dice
    for device in trial.simulation.devices.values():
        device.disk.free()
    return "ok"


def do_image(trial: Trial, _: random.Random) -> str:
    """The hub makes the files that were wished for; the first time, it begins to keep any."""
    if not trial.simulation.hub.keeps_images:
        trial.simulation.keep_images()
    return f"{trial.simulation.hub.make_images()} images"


MOST_DEVICES = 9


def do_newcomer(trial: Trial, dice: random.Random) -> str:
    """Two new devices of somebody begin, over a bad network perhaps, or they die over it; before the second one, the
    hub makes the file that the first one wished for."""
    simulation = trial.simulation
    if not simulation.hub.keeps_images or len(simulation.devices) >= MOST_DEVICES:
        return "nothing"
    user, told = dice.choice(("ann", "ben", "cay")), []
    for _ in range(2):
        device = simulation.newcomer(f"n{len(simulation.devices)}", user)
        how = dice.choice(("well", "well", "network", "crash"))
        if how == "network":
            device.link.fault = Fault(dice.choice(KINDS), dice.randrange(1000))
        elif how == "crash":
            device.disk.crash_at_commit(dice.randrange(1, 8))
        outcome = trial.sync(device)
        device.link.fault = None
        device.disk.crash_at_commit(None)
        file = "file" if device.began_with_file else "pages"
        trial.covered[f"newcomer {how}, {file}: {outcome.rpartition(' ')[2]}"] += 1
        told.append(f"{outcome} {how} {file}")
        simulation.hub.make_images()
    return ", ".join(told)


ACTIONS: dict[str, Action] = {
    "image": do_image,
    "newcomer": do_newcomer,
    "write": do_write,
    "draft": do_draft,
    "undo": do_undo,
    "redo": do_redo,
    "edits": do_edits,
    "cancel": do_cancel,
    "retry": do_retry,
    "edit": do_edit,
    "drop": do_drop,
    "poison": do_poison,
    "program": do_program,
    "unsynced": do_unsynced,
    "sync": do_sync,
    "sync all": do_sync_all,
    "seal": do_seal,
    "pass": do_pass,
    "faulty sync": do_faulty_sync,
    "late": do_late,
    "partition": do_partition,
    "meanwhile": do_meanwhile,
    "crash": do_crash,
    "crash in write": do_crash_in_write,
    "crash in sync": do_crash_in_sync,
    "restart": do_restart,
    "second process": do_second_process,
    "power": do_power,
    "resolve": do_resolve,
    "clock": do_clock,
    "drift": do_drift,
    "hub clock": do_hub_clock,
    "access": do_access,
    "foreign": do_foreign,
    "hub fault": do_hub_fault,
    "hub restart": do_hub_restart,
    "hub down": do_hub_down,
    "hub full": do_hub_full,
    "hub free": do_hub_free,
    "back up": do_back_up,
    "restore": do_restore,
    "lost permission": do_lost_permission,
    "lost history": do_lost_history,
    "both edit": do_both_edit,
    "made again": do_made_again,
    "held back": do_held_back,
    "disk full": do_disk_full,
    "disk free": do_disk_free,
}
