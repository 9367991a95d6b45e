"""One run of the simulator: a plan of steps from a seed, played in a world, with every invariant checked on the way.

Each step of the plan has dice of its own, made of the seed and its place. So a run can be played again with some steps
left out and the others unchanged: that is how a failing run is made small.
"""

from __future__ import annotations

import hashlib
import random
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from holdfast.errors import HoldfastError
from holdfast.hub import pull
from holdfast.hub.identity import Access
from holdfast.replica import downloads, outbox, seal, stage, uploads
from holdfast.testing import one_way, upgrades
from holdfast.testing.coverage import Coverage
from holdfast.testing.device import CRASHED, OK, SimulatedDevice
from holdfast.testing.hub_places import read_rows
from holdfast.testing.invariants import Violation
from holdfast.testing.ledger import Ledger
from holdfast.testing.lost_values import check_inbox
from holdfast.testing.simulation import Simulation
from holdfast.testing.tables import ACCOUNTS, SCHEMA
from holdfast.testing.workload import (
    Posting,
    Statement,
    posting,
    posting_statements,
    statements,
)

DEVICES = {"d0": "ann", "d1": "ben", "d2": "cay", "d3": "ann"}
SPACES = ("log", "mirror", "shared", "p:1", "p:2")
CHANGING_SPACES = ("shared", "p:1", "p:2")
EXPECTED = frozenset(("network", "response_incomplete", "hub_unavailable", "disk_full", OK, CRASHED))
EXPECTED_SQL = frozenset(("sql:constraint", "disk_full", OK, CRASHED))

CALM = {"write": 40, "edits": 10, "seal": 4, "program": 5, "sync": 25, "sync all": 2, "pass": 5}
STEERING = {"cancel": 4, "retry": 2, "edit": 2, "drop": 1}
POISON = {"poison": 3}
FAULTY = {"faulty sync": 15, "late": 4, "partition": 3, "meanwhile": 6}
CRASHES = {"crash": 3, "crash in write": 3, "crash in sync": 6, "restart": 3, "second process": 3}
POWER = {"unsynced": 5, "power": 3}
CLOCKS = {"clock": 4, "drift": 2, "hub clock": 1}
ACCESS = {"access": 3}
HUB = {"foreign": 6, "hub fault": 3, "hub restart": 1}
RESTORE = {"back up": 1, "restore": 1}
FAILOVER = {"hub down": 5, "hub full": 2, "hub free": 3}
DISK = {"disk full": 2, "disk free": 3}

DECISIONS = {"resolve": 20}
SCENES = {"lost permission": 14, "lost history": 14, "both edit": 10, "made again": 6, "held back": 12, "drop": 6}
UNDO = {"draft": 40, "undo": 20, "redo": 12}

PROFILES: dict[str, dict[str, int]] = {
    "calm": CALM,
    "conflicts": CALM | FAULTY | CRASHES | ACCESS | HUB | DECISIONS,
    "undo": FAULTY | CRASHES | HUB | ACCESS | UNDO | {"sync": 25, "sync all": 6, "write": 6, "resolve": 5, "pass": 5},
    "queue": CALM | FAULTY | ACCESS | STEERING,
    "network": CALM | FAULTY,
    "poison": CALM | FAULTY | STEERING | POISON,
    "crash": CALM | FAULTY | CRASHES | POWER,
    "clock": CALM | FAULTY | CLOCKS,
    "access": CALM | FAULTY | ACCESS,
    "hub": CALM | FAULTY | HUB,
    "restore": CALM | FAULTY | HUB | RESTORE,
    "disk": CALM | FAULTY | CRASHES | DISK,
    "failover": CALM | FAULTY | HUB | FAILOVER,
    "steering": CALM | FAULTY | POISON | {"access": 8, "cancel": 6, "retry": 6, "edit": 3, "drop": 6},
    "scenes": CALM | FAULTY | STEERING | SCENES,
    "image": CALM | FAULTY | CRASHES | ACCESS | HUB | RESTORE | {"image": 12, "newcomer": 8},
    "mixed": CALM | FAULTY | STEERING | CRASHES | POWER | CLOCKS | ACCESS | HUB | DISK | FAILOVER | POISON,
}
PROFILES["everything"] = PROFILES["mixed"] | RESTORE | {"draft": 8, "undo": 4, "redo": 2, "resolve": 3}
PROFILES["upgrade"] = upgrades.WEIGHTS
PROFILES["upload"] = one_way.WEIGHTS


def profile_of(seed: int, asked: str) -> str:
    """The profile of a seed: the one that was asked for, or with "all" each in its turn."""
    names = list(PROFILES)
    return names[seed % len(names)] if asked == "all" else asked


class Step(NamedTuple):
    """One step of a plan: its place, and what is done."""

    place: int
    kind: str


class Report(NamedTuple):
    """What a run did: `history` line by line, `covered` counts of steps and outcomes, `violation` if there was one.

    `events`: commits in device files and requests that arrived at the hub; a step makes several.
    """

    seed: int
    steps: int
    events: int
    history: list[str]
    covered: Counter[str]
    violation: Violation | None


def plan(seed: int, steps: int, profile: str) -> list[Step]:
    """The steps of a run."""
    weights = PROFILES[profile]
    kinds = random.Random(f"{seed}/plan").choices(list(weights), list(weights.values()), k=steps)
    return [Step(place, kind) for place, kind in enumerate(kinds)]


def run(seed: int, steps: Iterable[Step], postgres: str | None = None) -> Report:
    """Play a plan to its end, or to the first violation; on `postgres`, as `Simulation` takes it, if it is given."""
    played = list(steps)
    with small_limits(random.Random(f"{seed}/limits")):
        kinds = {step.kind for step in played}
        trial: Trial | upgrades.Upgrades | one_way.OneWay
        if kinds & upgrades.ACTIONS.keys():
            trial = upgrades.Upgrades(seed, postgres)
        elif kinds & one_way.ACTIONS.keys():
            trial = one_way.OneWay(seed, postgres)
        else:
            trial = Trial(seed, postgres)
        violation = None
        try:
            trial.play(played)
        except Exception as error:  # noqa: BLE001 - whatever the engine lets through is a finding
            violation = error if isinstance(error, Violation) else unexpected(error)
            trial.history.append(f"VIOLATION {violation}")
        finally:
            trial.simulation.close()
    return Report(seed, len(played), trial.simulation.events, trial.history, trial.covered, violation)


def unexpected(error: Exception) -> Violation:
    """An exception that nobody foresaw, with the innermost place that it came from."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return Violation(18, f"{error!r} in {Path(place.filename).name}, line {place.lineno}")


LIMITS: dict[tuple[Any, str], tuple[int, ...]] = {
    (pull, "PAGE_ROWS"): (1, 3, 2_000),
    (pull, "RESPONSE_BYTES"): (300, 3_000, 2**26),
    (outbox, "BATCH_BYTES"): (300, 3_000, 2**22),
    (downloads, "DIRECT_BYTES"): (200, 2**22),
    (stage, "MEMORY_BYTES"): (300, 2**22),
    (seal, "CHUNK"): (1, 3, 2_000),
    (uploads, "MAX_TRANSACTION"): (*(uploads.MAX_TRANSACTION,) * 7, 900),
}


@contextmanager
def small_limits(dice: random.Random) -> Iterator[None]:
    """Let pages, answers, requests and chunks be small for a while, so that their ends are reached."""
    before = {(module, name): getattr(module, name) for module, name in LIMITS}
    try:
        for (module, name), choices in LIMITS.items():
            setattr(module, name, dice.choice(choices))
        yield
    finally:
        for (module, name), value in before.items():
            setattr(module, name, value)


class Trial:
    """A world of four devices and three users, with the ledger beside it."""

    def __init__(self, seed: int, postgres: str | None = None) -> None:
        dice = random.Random(f"{seed}/world")
        access: dict[str, dict[str, Access]] = {
            user: {**dict.fromkeys(SPACES, "rw"), f"user:{user}": "rw"} for user in ("ann", "ben", "cay")
        }
        access["cay"]["shared"] = "r"
        names = dict(list(DEVICES.items())[: dice.choice((2, 3, 3, 4))])
        self.seed = seed
        self.simulation = Simulation(
            SCHEMA,
            seed=seed,
            devices=names,
            access=access,
            memory=dice.random() < 0.7,
            processes=dice.choice((1, 2)),
            postgres=postgres,
        )
        self.ledger = Ledger(self.simulation.hub)
        self.history: list[str] = []
        self.covered: Counter[str] = Counter()
        self.coverage = Coverage(self.covered)
        self.simulation.on_request = self.coverage.seen
        self.drafts: dict[str, dict[str, dict[tuple[str, str], tuple[Any, Any]]]] = {}
        """Device -> label of a draft -> (key, column) -> value before and after it."""
        self._labels = 0
        self._unsynced: dict[str, set[str]] = {}
        account = SCHEMA.by_name["account"]
        for name in ACCOUNTS:
            self.simulation.hub.foreign_write(account, [name], [0, 0])
        self.simulation.hub.sequence()
        self.simulation.watch.hub_moved()

    def play(self, steps: Iterable[Step]) -> None:
        """Do all steps, then heal and settle. Raises `Violation`."""
        from holdfast.testing.actions import ACTIONS

        for step in steps:
            dice = random.Random(f"{self.seed}/{step.place}")
            self._say(step, ACTIONS[step.kind](self, dice))
        needed = self._healed()
        self.history.append(f"healed in {needed} rounds; {self._fingerprint()}")

    def _say(self, step: Step, what: str) -> None:
        self.history.append(f"{step.place} {step.kind}: {what}")
        self.covered[step.kind] += 1
        self.covered[f"{step.kind} -> {what.rsplit(' ', 1)[-1]}"] += 1
        for device in self.simulation.devices.values():
            self.coverage.seen(device, step.kind if step.kind in ASKED else "")

    def _fingerprint(self) -> str:
        """A hash over everything that the hub shows and every head with its chain."""
        shown = repr((sorted(self.simulation.hub.user_rows().items()), sorted(self.simulation.hub.heads().items())))
        return hashlib.blake2s(shown.encode(), digest_size=8).hexdigest()

    def _healed(self) -> int:
        simulation = self.simulation
        devices = list(simulation.devices.values())
        try:
            needed = simulation.heal()
        except HoldfastError as error:
            raise Violation(18, f"a sync failed although everything works: {error.code}: {error}") from error
        for device in devices:
            self.ledger.synced(device)
            self.ledger.look(device)
        simulation.watch.check_stamps()
        self.ledger.settle()
        # A backup does not know the conflicts of what it had lost, while devices send their rows again.
        if self.drafts and not self.ledger.inexact_conflicts:
            check_inbox(simulation.hub.servers[0], SCHEMA.by_name["draft"], ("k", "l"))
        self.coverage.settled(simulation.hub)
        return needed

    def device(self, dice: random.Random) -> SimulatedDevice:
        """One of the devices."""
        return dice.choice(list(self.simulation.devices.values()))

    def other_device(self, dice: random.Random) -> SimulatedDevice | None:
        """A device that is not in the middle of a sync."""
        free = [device for device in self.simulation.devices.values() if device.alone]
        return dice.choice(free) if free else None

    def posting(self, device: SimulatedDevice, dice: random.Random) -> Posting:
        """The next posting; without amounts as long as the device has no accounts."""
        self._labels += 1
        made = posting(f"t{self._labels}", dice)
        return made if self._has_accounts(device) else made._replace(amounts=())

    def _has_accounts(self, device: SimulatedDevice) -> bool:
        return device.has_tables and device.view(count_accounts) == len(ACCOUNTS)

    def expect(self, outcome: str, expected: frozenset[str], what: str) -> str:
        """The outcome, if it is one of those; else a violation."""
        if outcome not in expected:
            raise Violation(18, f"{what} ended with {outcome}")
        self.covered[f"outcome {outcome}"] += 1
        return outcome

    def write(self, device: SimulatedDevice, dice: random.Random) -> str:
        """One transaction of the application."""
        post = self.posting(device, dice)
        batch = [*posting_statements(post), *statements(dice, dice.randint(0, 4))]
        if dice.random() < 0.3:
            dice.shuffle(batch)
        how = dice.choice(("strict", "forgiving", "forgiving", "savepoint", "undo"))
        outcome = device.attempt(lambda: transaction(device, post.label, batch, how))
        if how == "undo" and outcome == "internal":
            outcome = "undone"
        self.expect(outcome, EXPECTED_SQL | {"undone"}, f"a transaction on {device.name}")
        self._book(device, post, outcome == OK)
        for one in batch:
            self.covered[f"statement {one.kind}"] += 1
        if dice.random() < 0.25:
            self.seal(device)
        return f"{device.name} {post.label} {how} {[one.sql for one in batch if one.kind not in LEDGER]} {outcome}"

    def _book(self, device: SimulatedDevice, post: Posting, committed: bool) -> None:
        if committed:
            self.ledger.committed(device, post)
        else:
            self.ledger.rolled_back(post)
        self.ledger.look(device)

    def program(self, device: SimulatedDevice, dice: random.Random, *, durable: bool = True) -> str:
        """One transaction of another program in the device's file."""
        post = self.posting(device, dice)
        batch = [*posting_statements(post), *statements(dice, dice.randint(0, 2))]
        outcome = device.program([(one.sql, one.parameters) for one in batch], durable=durable)
        self.expect(outcome, EXPECTED_SQL | {"no file"}, f"a program on {device.name}")
        self._book(device, post, outcome == OK)
        if outcome == OK and not durable:
            self._unsynced.setdefault(device.name, set()).add(post.label)
        return f"{device.name} {post.label} {[one.sql for one in batch if one.kind not in LEDGER]} {outcome}"

    def seal(self, device: SimulatedDevice) -> str:
        """Sealing finds words for what was written; unless it refuses something, it must not change what is shown."""
        if not device.has_tables:
            return f"{device.name} nothing"
        before, refused = registers(device), device.view(count_refused)
        outcome = self.expect(device.attempt(device.replica.pending), EXPECTED, f"sealing on {device.name}")
        after = registers(device)
        if outcome == OK and before != after and device.view(count_refused) == refused:
            lost, risen = sorted(before - after), sorted(after - before)
            raise Violation(19, f"sealing on {device.name} took away {lost} and brought {risen}")
        return f"{device.name} {outcome}"

    def lose_power(self, device: SimulatedDevice) -> str:
        """The power of a device goes. What was written with synchronous = OFF since its last durable commit is lost."""
        unsynced = self._unsynced.pop(device.name, set())
        before = self.ledger.shown(device)
        if not device.lose_power():
            return f"{device.name} nothing"
        self.coverage.forget(device)
        lost = (before - self.ledger.shown(device)) & unsynced
        self.ledger.power_lost(device, lost)
        self.ledger.look(device)
        return f"{device.name} {sorted(lost)} lost"

    def restore_hub(self) -> str:
        """The hub goes back to its backup. Requests under way are gone, too: they were of the time that is lost."""
        simulation = self.simulation
        if not simulation.hub.has_backup:
            return "nothing"
        simulation.network.underway = []
        for device in simulation.devices.values():
            device.disk.free()
        self.ledger.hub_restored(list(simulation.devices.values()))
        simulation.hub.restore()
        simulation.watch.hub_restored()
        return "ok"

    def sync(self, device: SimulatedDevice) -> str:
        """One sync, with all that is checked after it."""
        outcome = self.expect(device.sync(), EXPECTED, f"a sync of {device.name}")
        if device.has_tables:
            if outcome == OK:
                self.ledger.synced(device)
            self.ledger.look(device)
            if outcome == OK:
                self.simulation.watch.device_synced(device)
        return f"{device.name} {outcome}"


ASKED = ("cancel", "retry", "drop", "edit")
"""Steps in which somebody steers the queue."""
LEDGER = ("entry", "echo", "account")


def registers(device: SimulatedDevice) -> set[str]:
    """Every row that the user tables show, as text: its key and the cells that the last write decides."""
    with device.reading() as db:
        found = read_rows(db, device.schema)
    shown = set()
    for name, rows in found.items():
        columns = device.schema.by_name[name].row_columns
        places = [place for place, column in enumerate(columns) if column.merge == "register"]
        shown |= {f"{name} {[row[place] for place in places]!r}" for row in rows}
    return shown


def count_accounts(db: apsw.Connection) -> int:
    """How many accounts a file shows."""
    found: int = db.execute("SELECT count(*) FROM account").get
    return found


def count_refused(db: apsw.Connection) -> int:
    """How many refused transactions a file keeps."""
    found: int = db.execute("SELECT count(*) FROM holdfast_transaction WHERE state = 'refused'").get
    return found


class Undo(Exception):
    """Raised by the application to roll back."""


def transaction(device: SimulatedDevice, label: str, batch: list[Statement], how: str) -> None:
    """Run the statements in one transaction: "strict" ends it at the first error, "forgiving" goes on after one
    beside the ledger, "savepoint" has those beside the ledger in a savepoint, "undo" rolls all back.
    """
    replica = device.replica
    try:
        with replica.transaction(label):
            for one in batch:
                if one.kind in LEDGER or how == "strict":
                    replica.execute(one.sql, one.parameters)
                else:
                    forgiven(device, one, in_savepoint=how == "savepoint")
            if how == "undo":
                raise Undo
    except Undo:
        raise HoldfastError("internal", "undone") from None


def forgiven(device: SimulatedDevice, one: Statement, *, in_savepoint: bool) -> None:
    """Run a statement; a constraint that refuses it is no reason to stop."""
    try:
        if in_savepoint:
            with device.replica.transaction():
                device.replica.execute(one.sql, one.parameters)
        else:
            device.replica.execute(one.sql, one.parameters)
    except HoldfastError as error:
        if error.details.get("sqlite") != "constraint":
            raise
