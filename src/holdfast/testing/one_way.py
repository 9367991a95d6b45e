"""A run of the simulator in which devices write in spaces that they never read (`direction="upload"`).

Beside the simulation stands what each device has written. A device must show exactly that, whatever the hub and others
do to its rows, until the hub refuses it; the hub must have each transaction once; and no answer may carry a word of
these spaces. A reader with the same schema, who reads them, edits the rows at his desk.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter as Counted
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import apsw

from holdfast.errors import HoldfastError
from holdfast.hub.identity import Access
from holdfast.protocol import messages as m
from holdfast.protocol.codec import decode_line
from holdfast.schema import Counter, Queue, Schema, Table, column, via
from holdfast.testing.clock import HOUR, MINUTE
from holdfast.testing.coverage import Coverage
from holdfast.testing.device import CRASHED, OK, SimulatedDevice
from holdfast.testing.hub import FAULTS
from holdfast.testing.invariants import Violation
from holdfast.testing.network import KINDS, Fault
from holdfast.testing.simulation import Simulation

if TYPE_CHECKING:
    from holdfast.testing.trial import Step

WEIGHTS = {
    "log": 18,
    "count": 18,
    "erase": 5,
    "yard": 6,
    "desk": 8,
    "go up": 24,
    "go up in trouble": 14,
    "go up and die": 5,
    "come again": 3,
    "gate": 5,
    "hub in trouble": 4,
    "second device process": 3,
}
"""Kinds of steps and how often each is done; no other profile has any of them."""
EXPECTED = frozenset((OK, CRASHED, "network", "response_incomplete", "hub_unavailable"))
DRIVERS = {"d0": "ann", "d1": "ben", "d2": "ann"}
READER = "office"
UP = Queue("tracks", direction="upload")


def schema_of(queue: Queue) -> Schema:
    """The same schema whatever the class of the tracks: how a device sends is its own matter."""

    class Yard(Table, key="id", space="yard"):
        """Read and written by all."""

        id: str
        visits: Counter = 0

    class Track(Table, key="id", space="track:{driver}", queue=queue):
        """What a driver records; `remark` is the office's."""

        id: str
        driver: str
        place: str = ""
        stops: Counter = 0
        remark: str = ""

    class Point(Table, key="id", space=via("track"), queue=queue):
        """Lives where its track lives."""

        id: str
        track: str = column(references=Track)

    class Sent(Table, key="label", space="track:{driver}", queue=queue):
        """One row for each transaction: says which had an effect."""

        label: str
        driver: str

    return Schema(Yard, Track, Point, Sent, version=1)


DRIVER, OFFICE = schema_of(UP), schema_of(Queue("tracks"))


class Wrote(NamedTuple):
    """One transaction of a device: `kind` is "log" (a track with points), "count" or "erase" (a point)."""

    label: str
    kind: str
    key: str
    place: str = ""
    stops: int = 0
    points: tuple[str, ...] = ()


class Shown(NamedTuple):
    """Tracks as key -> (place, stops, remark), keys of points, labels."""

    tracks: dict[str, tuple[str, int, str]]
    points: set[str]
    labels: set[str]


def made_of(written: Iterable[Wrote]) -> Shown:
    """What these transactions make, one after the other, on a device to which nothing comes."""
    shown = Shown({}, set(), set())
    for one in written:
        if one.kind == "log":
            shown.tracks[one.key] = (one.place, one.stops, "")
            shown.points.update(one.points)
        elif one.kind == "count" and one.key in shown.tracks:
            shown.tracks[one.key] = (one.place, shown.tracks[one.key][1] + one.stops, "")
        elif one.kind == "erase":
            shown.points.discard(one.key)
        shown.labels.add(one.label)
    return shown


def read_shown(db: apsw.Connection) -> Shown:
    """What the file of a device or of the hub shows."""
    tracks = {key: (place, stops, remark) for key, place, stops, remark in db.execute(
        "SELECT id, place, stops, remark FROM track")}  # fmt: skip
    points, labels = ({key for (key,) in db.execute(sql)} for sql in ("SELECT id FROM point", "SELECT label FROM sent"))
    return Shown(tracks, points, labels)


def read_refused(db: apsw.Connection) -> set[str]:
    """The labels of the transactions that the hub has refused."""
    sql = """SELECT o.key FROM holdfast_operation o JOIN holdfast_transaction t USING (txn)
             JOIN holdfast_table x ON x.id = o.tbl WHERE t.state = 'refused' AND x.name = 'sent'"""
    return {key for (key,) in db.execute(sql)}


class OneWay:
    """Drivers of two users and an office. Its members are those of `Trial`."""

    def __init__(self, seed: int, postgres: str | None = None) -> None:
        dice = random.Random(f"{seed}/world")
        spaces = ("yard", "track:ann", "track:ben")
        access: dict[str, dict[str, Access]] = {user: dict.fromkeys(spaces, "rw") for user in ("ann", "ben", READER)}
        self.seed = seed
        self.simulation = Simulation(
            DRIVER,
            seed=seed,
            devices={**DRIVERS, READER: READER},
            access=access,
            memory=dice.random() < 0.7,
            processes=dice.choice((1, 2)),
            postgres=postgres,
        )
        self.simulation.devices[READER].schema = OFFICE
        self.drivers = [self.simulation.devices[name] for name in DRIVERS]
        for device in self.drivers:
            device.link.heard = self._heard
        self.history: list[str] = []
        self.covered: Counted[str] = Counted()
        self.coverage = Coverage(self.covered)
        self.simulation.on_request = self.coverage.seen
        self.written: dict[str, list[Wrote]] = {name: [] for name in DRIVERS}
        self._labels = 0

    def _heard(self, body: bytes) -> None:
        """An answer to a driver: it must not carry anything of the spaces that only go up."""
        for line in body.splitlines():
            if line.startswith(b'{"same"'):
                continue
            part = decode_line(line)
            named: Iterable[str] = ()
            if isinstance(part, m.Header):
                named = [*part.spaces, *part.reset, *part.behind]
            elif isinstance(part, m.Footer):
                named = [*part.cursors, *part.digests, *part.totals, *part.compared]
            else:
                named = [part.space]
            if told := [name for name in named if name.startswith("track:")]:
                raise Violation(27, f"an answer speaks of {told}, which only go up")

    def play(self, steps: Iterable[Step]) -> None:
        """Do all steps, then let everything settle. Raises `Violation`."""
        for step in steps:
            dice = random.Random(f"{self.seed}/{step.place}")
            self.simulation.time.advance(dice.randrange(MINUTE))
            self.history.append(f"{step.place} {step.kind}: {ACTIONS[step.kind](self, dice)}")
            self.covered[step.kind] += 1
            for device in self.simulation.devices.values():
                self.coverage.seen(device)
            for device in self.drivers:
                self.look(device)
        try:
            rounds = self.simulation.heal()
        except HoldfastError as error:
            raise Violation(18, f"a sync failed although everything works: {error.code}: {error}") from error
        for device in self.drivers:
            self.look(device)
        self._check_hub()
        self.coverage.settled(self.simulation.hub)
        heads = repr(sorted(self.simulation.hub.heads().items()))
        shown = hashlib.blake2s(heads.encode(), digest_size=8).hexdigest()
        self.history.append(f"healed in {rounds} rounds; {shown}")

    def driver(self, dice: random.Random) -> SimulatedDevice:
        """One of the devices that record tracks."""
        return dice.choice(self.drivers)

    def label(self) -> str:
        """A name for the next transaction."""
        self._labels += 1
        return f"t{self._labels}"

    def expect(self, outcome: str, what: str) -> str:
        """The outcome, if it is one of those that may be; else a violation."""
        if outcome not in EXPECTED:
            raise Violation(18, f"{what} ended with {outcome}")
        self.covered[f"outcome {outcome}"] += 1
        return outcome

    def write(self, device: SimulatedDevice, wrote: Wrote, statements: Sequence[tuple[str, tuple[object, ...]]]) -> str:
        """One transaction of the application, with its label."""

        def work() -> None:
            with device.replica.transaction(wrote.label):
                device.replica.execute("INSERT INTO sent VALUES (?, ?)", (wrote.label, device.user))
                for sql, values in statements:
                    device.replica.execute(sql, values)

        outcome = self.expect(device.attempt(work), f"a write on {device.name}")
        self.written[device.name].append(wrote)
        return f"{device.name} {wrote} {outcome}"

    def sync(self, device: SimulatedDevice) -> str:
        """One sync, with what is checked after it."""
        outcome = self.expect(device.sync(), f"a sync of {device.name}")
        if outcome == OK:
            self.simulation.watch.device_synced(device)
        return f"{device.name} {outcome}"

    def standing(self, device: SimulatedDevice) -> list[Wrote]:
        """What the device has written and the hub has not refused."""
        if not device.has_tables:
            return []
        refused = device.view(read_refused)
        return [one for one in self.written[device.name] if one.label not in refused]

    def look(self, device: SimulatedDevice) -> None:
        """A device shows what was written on it and was not refused: no more, no less, and nobody else's."""
        if not device.has_tables:
            return
        shown, wanted = device.view(read_shown), made_of(self.standing(device))
        if shown != wanted:
            raise Violation(27, f"{device.name} shows {shown}; it has written {wanted}")

    def _check_hub(self) -> None:
        """Everything that stands on the devices is at the hub, once; a place may be the office's."""
        rows = self.simulation.hub.user_rows()
        wanted = made_of(one for device in self.drivers for one in self.standing(device))
        tracks = {}
        for key, _, place, stops, _ in rows["track"]:
            own = wanted.tracks.get(key, ("", 0, ""))[0]
            tracks[key] = (own if place == READER else place, stops, "")
        found = Shown(tracks, {row[0] for row in rows["point"]}, {row[0] for row in rows["sent"]})
        if found != wanted:
            raise Violation(27, f"the hub has {found}; the devices have sent {wanted}")
        for label in sorted(found.labels):
            if (effects := len(self.simulation.hub.history("sent", label))) != 1:
                raise Violation(1, f"{label} had {effects} effects on the hub")


def do_log(trial: OneWay, dice: random.Random) -> str:
    """A driver begins a track with its points."""
    device, label = trial.driver(dice), trial.label()
    key, stops = f"{device.name} {label}", dice.randrange(5)
    points = tuple(f"{key}.{number}" for number in range(dice.randrange(3)))
    insert = ("INSERT INTO track (id, driver, place, stops) VALUES (?, ?, ?, ?)", (key, device.user, label, stops))
    rows = [insert, *(("INSERT INTO point VALUES (?, ?)", (point, key)) for point in points)]
    dice.shuffle(rows)
    return trial.write(device, Wrote(label, "log", key, label, stops, points), rows)


def do_count(trial: OneWay, dice: random.Random) -> str:
    """He goes on with one of his tracks."""
    device = trial.driver(dice)
    keys = [one.key for one in trial.written[device.name] if one.kind == "log"]
    if not keys:
        return f"{device.name} nothing"
    key, label, stops = dice.choice(keys), trial.label(), dice.randint(-2, 5)
    change = ("UPDATE track SET place = ?, stops = stops + ? WHERE id = ?", (label, stops, key))
    return trial.write(device, Wrote(label, "count", key, label, stops), [change])


def do_erase(trial: OneWay, dice: random.Random) -> str:
    """He takes a point back."""
    device = trial.driver(dice)
    points = [point for one in trial.written[device.name] for point in one.points]
    if not points:
        return f"{device.name} nothing"
    point, label = dice.choice(points), trial.label()
    return trial.write(device, Wrote(label, "erase", point), [("DELETE FROM point WHERE id = ?", (point,))])


def do_yard(trial: OneWay, dice: random.Random) -> str:
    """Somebody writes where all read."""
    device = dice.choice(list(trial.simulation.devices.values()))
    sql = "INSERT INTO yard VALUES (?, 1) ON CONFLICT DO UPDATE SET visits = visits + 1"
    outcome = device.attempt(lambda: device.replica.execute(sql, (dice.choice("xy"),)))
    return f"{device.name} {trial.expect(outcome, f'a write on {device.name}')}"


def do_desk(trial: OneWay, dice: random.Random) -> str:
    """The office reads the tracks, remarks on them and puts a place right, which no driver ever sees."""
    office = trial.simulation.devices[READER]
    told = trial.sync(office)
    change = f"place = '{READER}'" if dice.random() < 0.4 else "remark = remark || '.'"
    outcome = office.attempt(lambda: office.replica.execute(f"UPDATE track SET {change}"))
    return f"{told}; {change} {trial.expect(outcome, 'a remark')}; {trial.sync(office)}"


def do_go_up(trial: OneWay, dice: random.Random) -> str:
    """A driver syncs."""
    return trial.sync(trial.driver(dice))


def do_trouble(trial: OneWay, dice: random.Random) -> str:
    """A driver syncs over a bad network."""
    device = trial.driver(dice)
    fault = device.link.fault = Fault(dice.choice(KINDS), dice.randrange(1000))
    outcome = trial.sync(device)
    device.link.fault = None
    return f"{fault.kind} {fault.at} {outcome}"


def do_die(trial: OneWay, dice: random.Random) -> str:
    """His process dies at some commit of a sync."""
    device = trial.driver(dice)
    device.disk.crash_at_commit(dice.randint(1, 5))
    outcome = trial.sync(device)
    device.disk.crash_at_commit(None)
    return outcome


def do_come_again(trial: OneWay, dice: random.Random) -> str:
    """An old request arrives once more."""
    told = trial.simulation.network.arrive_late(dice)
    trial.simulation.watch.hub_moved()
    return told


def do_gate(trial: OneWay, dice: random.Random) -> str:
    """A driver may write his tracks, or not any more, or only read them."""
    user = dice.choice(("ann", "ben"))
    right: Access | None = dice.choice(("rw", "rw", "r", None))
    rights = trial.simulation.access[user]
    rights.pop(f"track:{user}", None)
    if right is not None:
        rights[f"track:{user}"] = right
    return f"{user} {right or 'nothing'}"


def do_hub_in_trouble(trial: OneWay, dice: random.Random) -> str:
    """The next write of a hub process ends badly, or it is replaced by a new one."""
    hub = trial.simulation.hub
    if dice.random() < 0.5:
        hub.restart(dice.randrange(len(hub.servers)))
        return "restart"
    fault = dice.choice(FAULTS)
    dice.choice(hub.stores).fault = fault
    return fault


def do_second_process(trial: OneWay, dice: random.Random) -> str:
    """Another process of a driver opens the same file."""
    device = trial.driver(dice)
    trial.simulation.time.advance(dice.randrange(HOUR))
    return trial.expect(device.attempt(device.another_process), f"a second process of {device.name}")


ACTIONS: dict[str, Callable[[OneWay, random.Random], str]] = {
    "log": do_log,
    "count": do_count,
    "erase": do_erase,
    "yard": do_yard,
    "desk": do_desk,
    "go up": do_go_up,
    "go up in trouble": do_trouble,
    "go up and die": do_die,
    "come again": do_come_again,
    "gate": do_gate,
    "hub in trouble": do_hub_in_trouble,
    "second device process": do_second_process,
}
