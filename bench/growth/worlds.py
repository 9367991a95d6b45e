"""A hub and two devices of a given size, and what the same work costs there.

Both sides run in this process, so that its processor time is that of both; files and transactions are the real ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple

import holdfast as hf
from holdfast.testing import LocalTransport

CHANGES = 100
"""Rows in a delta, whatever the size."""
ROUNDS = 7
AT_ONCE = 10_000
"""Rows in one transaction while a world is filled."""
EDIT = "UPDATE visit SET number = number + 1, done = NOT done WHERE id = ?"


class Visit(hf.Table, space="site:{site}"):
    """A visit of a site, with notes that fill the row."""

    site: str
    done: bool = False
    number: int = 0
    notes: str = ""


SCHEMA = hf.Schema(Visit, version=1)


class Size(NamedTuple):
    """How much is there: rows in all, the spaces that they are in, devices that the hub knows, bytes of a row."""

    rows: int = 10_000
    spaces: int = 1
    devices: int = 2
    row_bytes: int = 500


class Cost(NamedTuple):
    """Processor time of both sides in milliseconds, the least of `ROUNDS`; bytes of both directions, the same way."""

    ms: float
    bytes: float


class World:
    """One hub with its devices. `anna` writes, `ben` reads."""

    def __init__(self, folder: Path, size: Size, things: ExitStack) -> None:
        self.size, self._folder, self._things = size, folder, things
        self._spaces: dict[str, Literal["r", "rw"]] = {f"site:{number}": "rw" for number in range(size.spaces)}
        self._server = things.enter_context(hf.Server(f"sqlite:///{folder / 'hub.db'}", SCHEMA))
        self.anna = things.enter_context(self._device("anna"))
        self.keys = self._fill()
        self.ben = things.enter_context(self._device("ben"))
        self.ben.sync()
        for number in range(2, size.devices):
            with self._device(f"device{number}") as another:
                another.sync()
        self.anna.sync()

    def _device(self, name: str) -> hf.Replica:
        way = LocalTransport(self._server, hf.Identity(name, self._spaces))
        return hf.Replica(self._folder / f"{name}.db", SCHEMA, transport=way)

    def _fill(self) -> list[str]:
        """All rows, written on a device; gives their keys."""
        random = Random(1)
        keys = [f"{random.getrandbits(64):016x}" for _ in range(self.size.rows)]
        for first in range(0, len(keys), AT_ONCE):
            self.anna.executemany(
                "INSERT INTO visit (id, site, notes) VALUES (?, ?, ?)",
                (
                    (key, str(number % self.size.spaces), random.randbytes(self.size.row_bytes // 2).hex())
                    for number, key in enumerate(keys[first : first + AT_ONCE], first)
                ),
            )
            self.anna.sync()
        return keys


def quiet(world: World) -> Cost:
    """A round that brings nothing."""
    return least(_round(world.ben) for _ in range(ROUNDS))


def sent(world: World) -> Cost:
    """A hundred rows that change on a device, captured, sent and merged; the other device has them after each round."""

    def each() -> Iterator[Cost]:
        for number in range(ROUNDS):
            yield _round(world.anna, lambda number=number: _edit(world, number))  # type: ignore[misc]
            world.ben.sync()

    return least(each())


def received(world: World) -> Cost:
    """The same hundred rows on their way to another device."""

    def each() -> Iterator[Cost]:
        for number in range(ROUNDS):
            _edit(world, number)
            world.anna.sync()
            yield _round(world.ben)

    return least(each())


MEASURES: dict[str, Callable[[World], Cost]] = {
    "a round without news": quiet,
    f"{CHANGES} changes sent": sent,
    f"{CHANGES} changes received": received,
}


def least(costs: Iterator[Cost]) -> Cost:
    """The least of each figure: what disturbs a machine only adds."""
    found = list(costs)
    return Cost(min(cost.ms for cost in found), min(cost.bytes for cost in found))


def _edit(world: World, number: int) -> None:
    """Another hundred rows each time, spread over the keys."""
    count = min(CHANGES, len(world.keys))
    step = max(1, len(world.keys) // count)
    keys = [world.keys[(place * step + number) % len(world.keys)] for place in range(count)]
    world.anna.executemany(EDIT, ((key,) for key in keys))


def _round(device: hf.Replica, before: Callable[[], None] = lambda: None) -> Cost:
    started = time.process_time()
    before()
    report = device.sync()
    return Cost((time.process_time() - started) * 1000, report.bytes_sent + report.bytes_received)
