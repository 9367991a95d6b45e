"""A whole world in one thread: devices, hub, network, disks and clocks, all from one seed.

    with Simulation(schema, seed=7, devices=3, spaces={"project:42": "rw"}) as simulation:
        for _ in range(100):
            device = simulation.any_device()
            device.attempt(lambda: device.replica.execute("update ..."))
            simulation.trouble()
            device.sync()
        simulation.heal()

Everything that runs is real: `Replica` on SQLite files, `Server` on its store. Only time, randomness, the network and
the ends of processes are in the simulation's hand. The same seed makes the same history, byte for byte, as long as the
caller takes all chance from `simulation.random` and all keys from `simulation.new_id()`.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from holdfast.errors import HoldfastError
from holdfast.hub.identity import Access
from holdfast.kernel.clock import EPOCH_MS
from holdfast.protocol.transport import Exchange
from holdfast.schema.model import Schema
from holdfast.testing.clock import DAY, HOUR, MINUTE, YEAR, PartyClock, WorldTime
from holdfast.testing.device import SimulatedDevice, has_waiting
from holdfast.testing.disk import Disks
from holdfast.testing.hub import SimulatedHub
from holdfast.testing.hub_places import InFile, InMemory, InPostgres, Place
from holdfast.testing.invariants import Violation, Watch
from holdfast.testing.network import KINDS, Fault, Network
from holdfast.testing.ordering import SendingOrder

MAX_ROUNDS = 12
MAX_EXCHANGES = 1_000
MEMORY_FOLDER = Path("/dev/shm")
JUMPS = (-YEAR, -DAY, -HOUR, -MINUTE, MINUTE, HOUR, DAY, YEAR)


class Simulation:
    """`devices` is their number, or a mapping device -> user. `spaces` is what every user may do where, or `access`
    maps user -> space -> "r" or "rw" (and may be changed at any time).

    `memory` chooses the hub's store (False: an SQLite file), `processes` how many hub processes share it. `postgres`
    names an empty PostgreSQL database for it instead, whose role may create others beside it. The files
    live in a folder of their own, in memory where the system has such a place: a sync of the disk costs nothing there.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        seed: int = 0,
        devices: int | Mapping[str, str] = 3,
        spaces: Mapping[str, Access] | None = None,
        access: Mapping[str, Mapping[str, Access]] | None = None,
        memory: bool = True,
        processes: int = 1,
        postgres: str | None = None,
    ) -> None:
        self.schema, self.seed = schema, seed
        self.random = random.Random(f"{seed}/choices")
        self._entropy = random.Random(f"{seed}/entropy")
        named = devices if isinstance(devices, Mapping) else {f"d{n}": f"user{n}" for n in range(devices)}
        given = access or {user: spaces or {} for user in named.values()}
        self.access: dict[str, dict[str, Access]] = {user: dict(found) for user, found in given.items()}
        parent = MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-", dir=parent))
        self.time = WorldTime()
        self.network = Network()
        self.poison: bytes | None = None
        """A request in which this stands is refused on its way, as by a proxy that does not like it."""
        self.on_request: Callable[[SimulatedDevice], None] | None = None
        """Told when a request arrives at the hub, with the device that sent it."""
        self.requests = 0
        """So many arrived at the hub."""
        self._disks = Disks()
        self._disks.start()
        entropy = random.Random(f"{seed}/hub")
        place = self._place(entropy, postgres, memory=memory)
        self.hub = SimulatedHub(schema, place, PartyClock(self.time), entropy, self.access, processes=processes)
        self.watch = Watch(self.hub)
        self.order = SendingOrder(schema)
        self.devices: dict[str, SimulatedDevice] = {}
        for name, user in named.items():
            self.add_device(name, user)

    def _place(self, entropy: random.Random, postgres: str | None, *, memory: bool) -> Place:
        if postgres is not None:
            return InPostgres(postgres, entropy)
        return InMemory(entropy) if memory else InFile(self._disks.disk(self.folder / "hub.db"), entropy)

    def add_device(self, name: str, user: str) -> SimulatedDevice:
        """A new device of a user whom `access` knows."""
        link = self.network.link(name, lambda body: self._reach(name, body))
        disk = self._disks.disk(self.folder / f"{name}.db")
        entropy = random.Random(f"{self.seed}/{name}")
        device = SimulatedDevice(name, user, self.schema, disk, PartyClock(self.time), entropy, link)
        self.devices[name] = device
        return device

    def _reach(self, name: str, body: bytes) -> Exchange:
        if self.network.links[name].exchanges > MAX_EXCHANGES:
            raise Violation(17, f"a sync of {name} does not come to its end")
        self.requests += 1
        self.time.advance(self._entropy.randrange(1, 200))
        if self.on_request is not None:
            self.on_request(self.devices[name])
        if self.poison is not None and self.poison in body:
            raise HoldfastError("hub_error", "something on the way refuses the request", status=413)
        process = self._entropy.randrange(len(self.hub.servers))
        self.order.sent(name, body)
        try:
            exchange = self.hub.reach(process, self.devices[name].user, body)
            if exchange.status == 500:
                raise Violation(18, f"the hub made a mistake: {b''.join(exchange.chunks())!r}")
            return exchange
        finally:
            self.watch.hub_moved()

    @property
    def events(self) -> int:
        """Commits in the devices' files, and requests that arrived at the hub."""
        return self.requests + sum(device.disk.commits for device in self.devices.values())

    def keep_images(self) -> None:
        """From now on devices with nothing may begin with a file."""
        self.hub.keep_images(self.folder / "images")
        for name in self.devices:
            self._join_images(name)

    def _join_images(self, name: str) -> None:
        link, user = self.network.links[name], self.devices[name].user

        def fetch(image: str, start: int) -> Exchange:
            return self.hub.reach_image(self._entropy.randrange(len(self.hub.servers)), user, image, start)

        link.image = link.image_over(fetch)

    def newcomer(self, name: str, user: str) -> SimulatedDevice:
        """A new device that may begin with a file."""
        device = self.add_device(name, user)
        self._join_images(name)
        return device

    def any_device(self) -> SimulatedDevice:
        """One of the devices, by the simulation's own dice."""
        return self.random.choice(list(self.devices.values()))

    def new_id(self) -> str:
        """A UUIDv7 made of simulated time and the seed: use it for keys instead of `holdfast.new_id()`."""
        number = (self.time.now + EPOCH_MS) << 80 | self._entropy.getrandbits(80)
        return str(uuid.UUID(int=number & ~(0xF << 76) & ~(0x3 << 62) | (7 << 76) | (2 << 62)))

    def trouble(self) -> str:
        """Something goes wrong with the network, a clock or a device; says what. Time goes on."""
        self.time.advance(self.random.randrange(MINUTE))
        device = self.any_device()
        kind = self.random.choice(("network", "network", "late", "crash", "restart", "clock", "offline"))
        if kind == "network":
            device.link.fault = Fault(self.random.choice(KINDS), self.random.randrange(1000))
        elif kind == "late" and self.network.underway:
            self.network.arrive(self.random.randrange(len(self.network.underway)))
        elif kind == "crash":
            device.disk.crash_at_commit(self.random.randrange(1, 6))
        elif kind == "restart":
            device.restart()
        elif kind == "clock":
            device.clock.jump(self.random.choice(JUMPS))
        elif kind == "offline":
            self.time.advance(self.random.randrange(30 * DAY))
        return f"{kind} {device.name}"

    def heal(self) -> int:
        """Everything works again: all devices sync until nothing moves, then every invariant of rest is checked.

        Gives the number of rounds it took. Raises `Violation`: number 17 when it takes more than 12 rounds.
        """
        self.network.heal()
        self.poison = None
        for device in self.devices.values():
            device.disk.crash_at_commit(None)
            device.disk.free()
        self.hub.heal()
        for done in range(1, MAX_ROUNDS + 1):
            if not self._round():
                self.check_rest()
                return done
        raise Violation(17, f"after {MAX_ROUNDS} rounds the devices still exchange something")

    def _round(self) -> bool:
        """Everybody syncs once; whether anything moved."""
        moved = 0
        for device in self.devices.values():
            self.time.advance(1000)
            device.link.exchanges = 0
            report = device.replica.sync()
            moved += report.pushed + report.pulled + len(report.refused) + self._look_after(device)
            self.watch.device_synced(device)
        return moved > 0

    def _look_after(self, device: SimulatedDevice) -> int:
        """What is held back waits long enough, and somebody has what is parked tried again; gives how many wait."""
        waiting = device.replica.pending() if device.view(has_waiting) else []
        for item in waiting:
            if item.state == "parked":
                device.replica.retry(item.txn)
        if waiting:
            self.time.advance(2 * HOUR)
        return len(waiting)

    def check_rest(self) -> None:
        """What must hold when everybody is in sync. Raises `Violation`."""
        self.watch.check_hub()
        digests = {space: self.hub.digest(space) for space in self.hub.heads()}
        for device in self.devices.values():
            readable = {space: digests.get(space, "") for space in self.access[device.user]}
            self.watch.check_rest(device, readable)

    def close(self) -> None:
        """Close everything and delete the files."""
        for device in self.devices.values():
            device.disk.abandon()
            device.close()
        self.hub.close()
        self._disks.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
