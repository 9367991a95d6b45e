"""Thirty days of twenty devices: three versions of the application, a hub restored from a backup, clocks wrong by up
to a year that jump, full disks, an absence of four weeks. Nothing that was written is lost, nothing counts twice.

    python -m tests.integration.endurance.thirty_days FOLDER [SEED]
"""

from __future__ import annotations

import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import apsw

import holdfast as hf
from holdfast.errors import HoldfastError
from holdfast.protocol.transport import Exchange
from holdfast.testing import LocalTransport
from holdfast.testing.faulty_disk import FaultyDisk
from tests.integration.endurance.site import ANN, V1, V2, V3, same

DAYS, DEVICES = 30, 20
DAY = 24 * 60 * 60 * 1000
YEAR = 365 * DAY
BEGIN = 5 * YEAR
VERSIONS = {0: V1, 10: V2, 20: V3}
"""Day of the deployment -> schema."""
RESTORED = 15
"""On that day the answers of the hub are lost, and in the evening it comes back as it was in the morning."""
AWAY = {0: range(2, 29), 1: range(5, 17), 2: range(8, 24)}
FULL = {7: (6, 21), 13: (12, 25)}
"""Device -> days on which its disk is full."""


class Cut:
    """An answer that never arrives, after the hub has done everything."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.status = exchange.status
        self.bytes_sent, self.bytes_received = exchange.bytes_sent, 0

    def chunks(self) -> Iterator[bytes]:
        """The hub works, then the network breaks."""
        for _ in self._exchange.chunks():
            pass
        raise HoldfastError("network", "the answer was lost")
        yield b""

    def close(self) -> None:
        """Give back what the answer holds."""
        self._exchange.close()


class Way:
    """A way to whatever hub there is; `loses` answers."""

    def __init__(self, days: ThirtyDays) -> None:
        self._days = days
        self.loses = False

    def exchange(self, request: bytes) -> Exchange:
        """One round."""
        found = LocalTransport(self._days.server, ANN).exchange(request)
        return Cut(found) if self.loses else found

    def close(self) -> None:
        """Nothing is held."""


class ThirtyDays:
    """The whole story, with what must be there at its end."""

    def __init__(self, folder: Path, seed: int, disk: FaultyDisk) -> None:
        self.folder, self.disk, self.random = folder, disk, random.Random(seed)
        self.now = BEGIN
        self.way = Way(self)
        self.schemas = [V1] * DEVICES
        self.offsets = [self.random.randint(-YEAR, YEAR) if n % 3 else 0 for n in range(DEVICES)]
        self.replicas: list[hf.Replica | None] = [None] * DEVICES
        self.kept: set[str] = set()
        self.crew: Counter[str] = Counter()
        self.facts: Counter[str] = Counter()
        self.deploy(V1)

    def deploy(self, schema: hf.Schema) -> None:
        """A hub of that version, on the same file."""
        self.server = hf.Server(f"sqlite:///{self.folder}/hub.db", schema, now=lambda: self.now, horizon_days=9)
        self.server.migrate()
        self.facts["deployments"] += 1

    def device(self, number: int) -> hf.Replica:
        """A device, as its application is now."""
        found = self.replicas[number]
        if found is not None and found.schema is not self.schemas[number]:
            found.close()
            found = None
            self.facts["upgrades"] += 1
        if found is None:
            path = self.folder / f"d{number:02}.db"
            clock = lambda number=number: max(0, self.now + self.offsets[number])  # noqa: E731
            found = hf.Replica(path, self.schemas[number], transport=self.way, now=clock)
            self.replicas[number] = found
        return found

    def day(self, day: int) -> None:
        """Everybody works; some sync."""
        if day in VERSIONS and day:
            self.server.close()
            self.deploy(VERSIONS[day])
        if day == RESTORED:
            self.server.close()
            shutil.copy(self.folder / "hub.db", self.folder / "morning.db")
            self.deploy(V2)
            self.way.loses = True
        for number in range(DEVICES):
            self.now += DAY // DEVICES // 2
            self.update(number, day)
            self.work(number, day)
            if day not in AWAY.get(number, ()) and self.random.random() < 0.6:
                self.sync(number)
        if day == RESTORED:
            self.server.close()
            shutil.copy(self.folder / "morning.db", self.folder / "hub.db")
            self.deploy(V2)
            self.way.loses = False
            self.facts["restores"] += 1
        self.facts["collected"] += self.server.compact().records
        self.now += DAY // 2

    def update(self, number: int, day: int) -> None:
        """Applications are updated some days after the hub; one clock jumps by a year and back."""
        for deployed, schema in VERSIONS.items():
            if day == deployed + number % 7 and day not in AWAY.get(number, ()) and number > 2:
                self.schemas[number] = schema
        if number == 5 and day in (12, 13):
            self.offsets[number] += YEAR if day == 12 else -2 * YEAR

    def work(self, number: int, day: int) -> None:
        """A new visit, people who come, a name, a deletion; on a full disk the first try fails whole."""
        replica = self.device(number)
        replica.execute("select 1")
        if day in FULL.get(number, ()):
            self.disk.fail(1, "full", times=60)
            try:
                with replica.transaction():
                    self.write(replica, number, day)
            except HoldfastError as error:
                self.facts[error.code] += 1
            finally:
                self.disk.heal()
        with replica.transaction():
            self.write(replica, number, day)
        mine = f"d{number:02}-{day:02}"
        self.kept.add(mine)
        self.crew[mine] += 1 + number

    def write(self, replica: hf.Replica, number: int, day: int) -> None:
        """The writes of one day, in the words of the device's version."""
        one = replica.schema is V1
        crew = "crew" if one else "team"
        keys = f"d{number:02}-{day:02}", f"x{number:02}-{day:02}"
        for key in keys:
            if one:
                replica.execute("insert into visit (id, name, memo) values (?, ?, 'm')", (key, f"Ann {key}"))
            else:
                replica.execute("insert into visit (id, first, last) values (?, 'Ann', ?)", (key, key))
        replica.execute(f"update visit set {crew} = {crew} + ? where id = ?", (1 + number, keys[0]))
        replica.execute("delete from visit where id = ?", (f"x{number:02}-{day - 2:02}",))
        others = [row["id"] for row in replica.execute("select id from visit where id like 'd%' order by id")]
        chosen = self.random.choice(others)
        name = "name = 'Bea ' || id" if one else "first = 'Bea'"
        replica.execute(f"update visit set {name}, status = ? where id = ?", (f"day {day}", chosen))

    def sync(self, number: int) -> None:
        """One sync; what stands in the way today is tried again another day."""
        try:
            self.facts["refused"] += len(self.device(number).sync().refused)
            self.facts["syncs"] += 1
        except HoldfastError as error:
            self.facts[error.code] += 1

    def end(self) -> None:
        """Everybody is back, in whatever version he is: all copies are equal, and hold everything."""
        for number in [*range(DEVICES), *range(DEVICES)]:
            self.sync(number)
        devices = [self.device(number) for number in range(DEVICES)]
        same(self.server, *devices)
        for replica in devices:
            crew = "crew" if replica.schema is V1 else "team"
            found = dict(tuple(row) for row in replica.execute(f"select id, {crew} from visit where id like 'd%'"))
            assert found == self.crew, "a visit is missing, or counts twice"
            assert replica.status.pending_count == replica.status.refused_count == 0
            assert replica.execute("select count(*) from visit where id like 'x%'")[0][0] == 2 * DEVICES
        versions = Counter(replica.schema.version for replica in devices)
        assert versions.keys() == {1, 2, 3} or versions.keys() == {1, 3}
        skews = [abs(replica.status.clock_offset or 0) for replica in devices]
        self.facts["largest skew in days"] = max(skews) // DAY


def run(folder: Path, seed: int) -> Counter[str]:
    """The thirty days; gives what happened in them."""
    plain = apsw.vfs_names()[0]
    disk = FaultyDisk("thirty-days")
    days = ThirtyDays(folder, seed, disk)
    try:
        for day in range(DAYS):
            days.day(day)
        days.end()
    finally:
        for replica in days.replicas:
            if replica is not None:
                replica.close()
        days.server.close()
        apsw.set_default_vfs(plain)
    return days.facts


if __name__ == "__main__":
    began = time.process_time()
    facts = run(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    print(f"{dict(facts)}, {time.process_time() - began:.1f} s of processor time")
