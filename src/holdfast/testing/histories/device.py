"""A device process: `python -m holdfast.testing.histories.device '{...}'`, with the members of `Orders` as JSON.

It works until standard input says `drain`, sends what it has, says so, waits for `finish`, takes what the others sent,
reads for the last time, and prints its digest. It may be killed at any moment and started again on the same file.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import NamedTuple

from holdfast.errors import HoldfastError
from holdfast.replica.replica import Replica
from holdfast.testing.histories.record import Recorder
from holdfast.testing.histories.workloads import PROFILES, SPACE, Workload, schema

PACE = 0.02
"""Longest pause between two operations, in seconds."""
RETRY = 0.1
"""Pause before a sync that failed is tried again, in seconds."""


class Orders(NamedTuple):
    """What a device process is told. `begin`: make the first rows and end."""

    profile: str
    file: str
    log: str
    url: str
    token: str
    number: int
    life: int
    seed: int
    begin: bool


class Commands:
    """What standard input says, read by a thread of its own."""

    def __init__(self) -> None:
        self.drain = threading.Event()
        self.finish = threading.Event()
        self.gone = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            {"drain": self.drain, "finish": self.finish}[json.loads(line)["do"]].set()
        for event in (self.gone, self.drain, self.finish):  # the parent has gone
            event.set()


def sync_until_done(replica: Replica, commands: Commands) -> None:
    """Sync until nothing waits; a hub that is away is tried again, unless the parent has gone."""
    while True:
        try:
            replica.sync()
            if not replica.pending():
                return
        except HoldfastError:
            if commands.gone.wait(RETRY):
                raise


def work(replica: Replica, workload: Workload, commands: Commands) -> None:
    """Operations, with the loop in the background and stretches without it."""
    offline = 0
    replica.connect()
    while not commands.drain.wait(workload.random.random() * PACE):
        if offline:
            offline -= 1
            if not offline:
                replica.connect()
        elif workload.random.random() < 0.02:
            offline = workload.random.randint(5, 60)
            replica.disconnect()
        workload.step()
    replica.disconnect()


def say(**members: object) -> None:
    """One line to the parent."""
    print(json.dumps(members), flush=True)  # noqa: T201 - that is how the parent hears


def main(orders: Orders) -> None:
    """Live one life of a device."""
    commands = Commands()
    recorder = Recorder(Path(orders.log), f"device-{orders.number}")
    with Replica(orders.file, schema, url=orders.url, token=orders.token) as replica:
        workload = PROFILES[orders.profile](replica, recorder, orders.number, orders.life, orders.seed)
        sync_until_done(replica, commands)
        if orders.begin:
            workload.begin()
            sync_until_done(replica, commands)
        say(ready=True)
        work(replica, workload, commands)
        sync_until_done(replica, commands)
        say(drained=True)
        commands.finish.wait()
        sync_until_done(replica, commands)
        workload.end()
        say(digest=replica.digest(SPACE), refused=len(replica.refused()))
    recorder.close()


if __name__ == "__main__":
    main(Orders(**json.loads(sys.argv[1])))
