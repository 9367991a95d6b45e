"""A run of the simulator in which hub and devices go from one version of the schema to the next while all is in use.

Devices of three versions write the same rows through renames, lenses and drops; the hub is upgraded in the middle, and
may die over it; so may a device over its file. Nothing that a version knows may get lost (invariants 24 and 25).
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError
from holdfast.testing.clock import HOUR, MINUTE
from holdfast.testing.coverage import Coverage
from holdfast.testing.device import CRASHED, OK, SimulatedDevice, has_waiting
from holdfast.testing.hub import FAULTS
from holdfast.testing.invariants import Violation
from holdfast.testing.network import KINDS, Fault
from holdfast.testing.ordering import SendingOrder
from holdfast.testing.simulation import MAX_ROUNDS, Simulation
from holdfast.testing.version_tables import VERSIONS
from holdfast.testing.visits import (
    COUNTERS,
    MUST,
    SETS,
    TEXTS,
    Visit,
    added,
    new_visit,
    read_photos,
    read_visits,
    some_value,
)

if TYPE_CHECKING:
    from holdfast.testing.trial import Step

NEWEST = max(VERSIONS)
WEIGHTS = {
    "make": 10,
    "correct": 22,
    "join in": 12,
    "photograph": 6,
    "round": 22,
    "round in trouble": 12,
    "old request": 3,
    "deploy": 5,
    "update": 10,
    "die": 3,
    "die in a round": 5,
    "end": 3,
    "hub trouble": 3,
}
"""Kinds of steps and how often each is done; no other profile has any of them."""
EXPECTED = frozenset((OK, CRASHED, "network", "response_incomplete", "hub_unavailable", "schema_version"))


class Upgrades:
    """A world of two to four devices, each of a version of its own. Its members are those of `Trial`."""

    def __init__(self, seed: int, postgres: str | None = None) -> None:
        dice = random.Random(f"{seed}/world")
        self.seed = seed
        self.simulation = Simulation(
            VERSIONS[1],
            seed=seed,
            devices=dice.choice((2, 3, 3, 4)),
            spaces={"site": "rw"},
            memory=dice.random() < 0.7,
            processes=dice.choice((1, 2)),
            postgres=postgres,
        )
        self.simulation.order = SendingOrder(VERSIONS[NEWEST])
        self.history: list[str] = []
        self.covered: Counter[str] = Counter()
        self.coverage = Coverage(self.covered)
        self.simulation.on_request = self.coverage.seen
        self.visits: dict[str, Visit] = {}
        self.photos: dict[str, tuple[str, str]] = {}
        if dice.random() < 0.4:
            self.deploy(dice)
        for device in self.simulation.devices.values():
            # One device in eight is newer than its hub.
            newest = min(NEWEST, self.hub_version + (dice.random() < 0.125))
            device.schema = VERSIONS[dice.randint(1, newest)]

    @property
    def hub_version(self) -> int:
        """The version that the hub runs."""
        return self.simulation.hub.schema.version

    def play(self, steps: Iterable[Step]) -> None:
        """Do all steps, then let everything settle. Raises `Violation`."""
        for step in steps:
            dice = random.Random(f"{self.seed}/{step.place}")
            self.simulation.time.advance(dice.randrange(MINUTE))
            what = ACTIONS[step.kind](self, dice)
            self.history.append(f"{step.place} {step.kind}: {what}")
            self.covered[step.kind] += 1
            for device in self.simulation.devices.values():
                self.coverage.seen(device)
                self.look(device)
        rounds = self._healed()
        heads = repr(sorted(self.simulation.hub.heads().items()))
        shown = hashlib.blake2s(heads.encode(), digest_size=8).hexdigest()
        self.history.append(f"healed in {rounds} rounds; {shown}")

    def device(self, dice: random.Random) -> SimulatedDevice:
        """One of the devices."""
        return dice.choice(list(self.simulation.devices.values()))

    def expect(self, outcome: str, what: str) -> str:
        """The outcome, if it is one of those that may be; else a violation."""
        if outcome not in EXPECTED:
            raise Violation(18, f"{what} ended with {outcome}")
        self.covered[f"outcome {outcome}"] += 1
        return outcome

    def write(self, device: SimulatedDevice, sql: str, values: tuple[object, ...]) -> str:
        """One statement of the application on a device."""
        outcome = device.attempt(lambda: device.replica.execute(sql, values))
        return self.expect(outcome, f"a write on {device.name}")

    def sync(self, device: SimulatedDevice) -> str:
        """One sync; a device that is newer than the hub is told so, and waits."""
        before = self.hub_version  # an upgrade may come while the answer is under way
        outcome = self.expect(device.sync(), f"a sync of {device.name}")
        if outcome == "schema_version":
            if device.schema.version <= before:
                raise Violation(24, f"{device.name} of version {device.schema.version} is told that it is too new")
            self.covered["version: a device waits for its hub"] += 1
        elif outcome == OK:
            self.covered[f"version: {device.schema.version} at a hub of {self.hub_version}"] += 1
        return outcome

    def deploy(self, dice: random.Random) -> str:
        """The hub goes to the next version; it may die over it, and begins again."""
        if self.hub_version == NEWEST:
            return "nothing"
        version = self.hub_version + 1
        fault = dice.choice((None, None, *FAULTS))
        died = self.simulation.hub.deploy(VERSIONS[version], fault)
        self.simulation.watch.hub_moved()
        self.covered[f"version: hub to {version}"] += 1
        self.covered["version: the hub dies over its upgrade"] += died
        return f"{version} {'after it died' if died else 'at once'}"

    def update(self, device: SimulatedDevice, dice: random.Random) -> str:
        """A device gets the next application; its file is taken along when that is opened, or it dies over it."""
        version = device.schema.version + 1
        if version > NEWEST:
            return f"{device.name} nothing"
        waits = device.has_tables and device.view(has_waiting)
        device.run_version(VERSIONS[version])
        if dice.random() < 0.3:
            device.disk.crash_at_commit(dice.randint(1, 2))
        outcome = self.expect(device.attempt(lambda: device.replica.device), f"an update of {device.name}")
        device.disk.crash_at_commit(None)
        self.covered[f"version: device to {version}"] += 1
        self.covered["version: device with unsent work"] += waits
        self.covered["version: a device dies over its upgrade"] += outcome == CRASHED
        if outcome == CRASHED:
            self.expect(device.attempt(lambda: device.replica.device), f"the second update of {device.name}")
        return f"{device.name} to {version} {'with' if waits else 'without'} unsent work {outcome}"

    def mine(self, device: SimulatedDevice) -> list[str]:
        """The visits that a device has made."""
        return [key for key, visit in self.visits.items() if visit.owner == device.name]

    def look(self, device: SimulatedDevice) -> None:
        """A device shows the texts of its own visits as they were written last, at every moment."""
        if not device.has_tables:
            return
        version = device.schema.version
        with device.reading() as db:
            shown = read_visits(db, version)
        for key in self.mine(device):
            wanted, found = self.visits[key].seen_by(version), shown.get(key)
            if found is None or any(found[name] != wanted[name] for name in TEXTS[version]):
                raise Violation(25, f"{device.name}, version {version}, shows {found} of its visit {key}: {wanted}")

    def _healed(self) -> int:
        simulation = self.simulation
        simulation.network.heal()
        for device in simulation.devices.values():
            device.disk.crash_at_commit(None)
        simulation.hub.heal()
        while self.hub_version < max(device.schema.version for device in simulation.devices.values()):
            simulation.hub.deploy(VERSIONS[self.hub_version + 1], None)
        simulation.watch.hub_moved()
        try:
            for version in range(1, self.hub_version + 1):  # who comes new, with any application that is served
                simulation.add_device(f"new{version}", "user0").schema = VERSIONS[version]
            rounds = 1
            while self._round():
                rounds += 1
                if rounds > MAX_ROUNDS:
                    raise Violation(17, f"after {MAX_ROUNDS} rounds the devices still exchange something")
        except HoldfastError as error:
            raise Violation(18, f"a sync failed although everything works: {error.code}: {error}") from error
        self._check_rest()
        simulation.watch.check_hub()
        simulation.watch.check_stamps()
        self.coverage.settled(simulation.hub)
        served = {device.schema.version for device in simulation.devices.values()}
        self.covered["version: three at rest"] += len(served) == NEWEST
        return rounds

    def _round(self) -> bool:
        moved = 0
        for device in self.simulation.devices.values():
            self.simulation.time.advance(HOUR)
            device.link.exchanges = 0
            report = device.replica.sync()
            if report.refused:
                raise Violation(25, f"{device.name}: refused {report.refused}")
            moved += report.pushed + report.pulled
        return moved > 0

    def _check_rest(self) -> None:
        """All copies agree, in the words of each version, and nothing is missing."""
        hub = self.simulation.hub
        for device in self.simulation.devices.values():
            version = device.schema.version
            wanted = {key: visit.seen_by(version) for key, visit in self.visits.items()}
            with device.reading() as db:
                shown, photos = read_visits(db, version), read_photos(db, version)
            for key in wanted.keys() | shown.keys():
                if wanted.get(key) != shown.get(key):
                    found = f"shows {shown.get(key)}, wanted {wanted.get(key)}"
                    raise Violation(25, f"{device.name}, version {version}, visit {key} of {self._owner(key)}: {found}")
            if version > 1 and photos != self.photos:
                raise Violation(25, f"{device.name}, version {version}, shows the photos {photos}: {self.photos}")
            if device.replica.digest("site") != hub.digest("site") and "site" in hub.heads():
                raise Violation(24, f"{device.name}, version {version}, has another digest than the hub")

    def _owner(self, key: str) -> str:
        return self.visits[key].owner if key in self.visits else "nobody"


def do_make(trial: Upgrades, dice: random.Random) -> str:
    """A device makes a visit."""
    device = trial.device(dice)
    version, key = device.schema.version, trial.simulation.new_id()
    given = {*MUST[version], *dice.sample(TEXTS[version], dice.randint(0, 3))}
    values = {name: some_value(name, dice) for name in TEXTS[version] if name in given}
    marks = ", ".join("?" * (len(values) + 1))
    sql = f"INSERT INTO visit (id, {', '.join(values)}) VALUES ({marks})"
    outcome = trial.write(device, sql, (key, *values.values()))
    if outcome == OK:
        trial.visits[key] = new_visit(device.name, version).with_values(values)
    return f"{device.name} {values} {outcome}"


def do_correct(trial: Upgrades, dice: random.Random) -> str:
    """A device edits texts of a visit that it has made, in the words that it has now."""
    device = trial.device(dice)
    mine = trial.mine(device)
    if not mine:
        return do_make(trial, dice)
    key, version = dice.choice(mine), device.schema.version
    values = {name: some_value(name, dice) for name in dice.sample(TEXTS[version], dice.randint(1, 2))}
    sets = ", ".join(f"{name} = ?" for name in values)
    outcome = trial.write(device, f"UPDATE visit SET {sets} WHERE id = ?", (*values.values(), key))
    if outcome == OK:
        trial.visits[key] = trial.visits[key].with_values(values)
    return f"{device.name} {values} {outcome}"


def do_join_in(trial: Upgrades, dice: random.Random) -> str:
    """A device adds to the counter and the set of any visit that it shows."""
    device = trial.device(dice)
    if not device.has_tables:
        return f"{device.name} nothing"
    version = device.schema.version
    with device.reading() as db:
        shown = read_visits(db, version)
    if not shown:
        return f"{device.name} none"
    key, more, tag = dice.choice(sorted(shown)), dice.randint(-3, 5), f"t{dice.randrange(6)}"
    counter, tags = COUNTERS[version], SETS[version]
    sql = f"UPDATE visit SET {counter} = {counter} + ?, {tags} = ? WHERE id = ?"
    outcome = trial.write(device, sql, (more, added(shown[key][tags], tag), key))
    if outcome == OK:
        visit = trial.visits[key]
        trial.visits[key] = visit._replace(crew=visit.crew + more, tags=visit.tags | {tag})
    return f"{device.name} {more} {tag} {outcome}"


def do_photograph(trial: Upgrades, dice: random.Random) -> str:
    """A device adds a row of a table that the first version does not have."""
    device = trial.device(dice)
    if device.schema.version == 1:
        return f"{device.name} has no camera"
    key, visit, caption = trial.simulation.new_id(), f"v{dice.randrange(3)}", f"c{dice.randrange(1000)}"
    sql = "INSERT INTO photo (id, visit_id, caption) VALUES (?, ?, ?)"
    outcome = trial.write(device, sql, (key, visit, caption))
    if outcome == OK:
        trial.photos[key] = (visit, caption)
    return f"{device.name} {caption} {outcome}"


def do_round(trial: Upgrades, dice: random.Random) -> str:
    """A device syncs."""
    device = trial.device(dice)
    return f"{device.name} {trial.sync(device)}"


def do_round_in_trouble(trial: Upgrades, dice: random.Random) -> str:
    """A device syncs over a bad network; maybe the hub is upgraded while the answer is under way."""
    device = trial.device(dice)
    fault = device.link.fault = Fault(dice.choice(KINDS), dice.randrange(1000))
    told: list[str] = []
    if dice.random() < 0.3:
        device.link.meanwhile = lambda: told.append(trial.deploy(dice))
    outcome = trial.sync(device)
    device.link.fault = device.link.meanwhile = None
    return f"{device.name} {fault.kind} {told} {outcome}"


def do_old_request(trial: Upgrades, dice: random.Random) -> str:
    """An old request arrives, maybe at a hub of another version."""
    return trial.simulation.network.arrive_late(dice)


def do_die(trial: Upgrades, dice: random.Random) -> str:
    """A device's process dies between two things."""
    device = trial.device(dice)
    return f"{device.name} {device.crash() if device.path.exists() else 'nothing'}"


def do_die_in_a_round(trial: Upgrades, dice: random.Random) -> str:
    """A device's process dies at some commit of a sync."""
    device = trial.device(dice)
    device.disk.crash_at_commit(dice.randint(1, 5))
    outcome = trial.sync(device)
    device.disk.crash_at_commit(None)
    return f"{device.name} {outcome}"


def do_end(trial: Upgrades, dice: random.Random) -> str:
    """A device's process ends in good order."""
    device = trial.device(dice)
    device.restart()
    return device.name


def do_hub_trouble(trial: Upgrades, dice: random.Random) -> str:
    """The next write of a hub process ends badly, or the process is replaced."""
    hub = trial.simulation.hub
    if dice.random() < 0.3:
        hub.restart(dice.randrange(len(hub.servers)))
        return "restart"
    store, fault = dice.choice(hub.stores), dice.choice(FAULTS)
    store.fault = fault
    return fault


ACTIONS: dict[str, Callable[[Upgrades, random.Random], str]] = {
    "make": do_make,
    "correct": do_correct,
    "join in": do_join_in,
    "photograph": do_photograph,
    "round": do_round,
    "round in trouble": do_round_in_trouble,
    "old request": do_old_request,
    "deploy": lambda trial, dice: trial.deploy(dice),
    "update": lambda trial, dice: trial.update(trial.device(dice), dice),
    "die": do_die,
    "die in a round": do_die_in_a_round,
    "end": do_end,
    "hub trouble": do_hub_trouble,
}
