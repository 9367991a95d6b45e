"""What noticing a conflict costs the hub: the same updates, once following and once concurrent."""

from __future__ import annotations

import time
from collections.abc import Callable

import holdfast as hf
from bench.measure import Bar, Figure, Scenario, Settings
from holdfast.testing import LocalTransport

RECORDS = 1_000


class Note(hf.Table, space="all"):
    """A row with one column that two devices write."""

    title: str = ""


class Setup(hf.Table, space="all"):
    """A row with a JSON document of twenty members, of which two devices write one."""

    config: hf.Json = {f"group{place % 4}": {f"m{number}": 0 for number in range(5)} for place in range(4)}  # noqa: RUF012


SCHEMA = hf.Schema(Note, Setup)
WRITES = {
    "updates": ("note", "title = 'a'", "title = 'b'"),
    "writes of a member of JSON": (
        "setup",
        "config = json_set(config, '$.group1.m1', 1)",
        "config = json_set(config, '$.group1.m1', 2)",
    ),
}


def run(settings: Settings) -> list[Figure]:
    """Milliseconds a record of the sync that brings them, without and with a conflict each."""
    return [figure for kind in WRITES for figure in _measured(settings, kind)]


def _measured(settings: Settings, kind: str) -> list[Figure]:
    table, first, second = WRITES[kind]
    plain, met = [], []
    for number in range(settings.runs):
        with hf.Server(f"sqlite:///{settings.folder}/{table}{number}.db", SCHEMA) as server:

            def device(user: str, server: hf.Server = server, number: int = number) -> hf.Replica:
                way = LocalTransport(server, hf.Identity(user, {"all": "rw"}))
                return hf.Replica(settings.folder / f"{user}-{table}{number}.db", SCHEMA, transport=way)

            with device("ann") as ann, device("ben") as ben:
                keys = [f"k{place}" for place in range(RECORDS)]
                ann.executemany(f"insert into {table} (id) values (?)", [(key,) for key in keys])
                ann.sync()
                ben.sync()
                ann.execute(f"update {table} set {first}")
                plain.append(1000 * timed(ann.sync) / RECORDS)
                ben.execute(f"update {table} set {second}")
                met.append(1000 * timed(ben.sync) / RECORDS)
                if len(ben.conflicts()) != RECORDS:
                    raise RuntimeError(f"{len(ben.conflicts())} conflicts instead of {RECORDS}")
    extra = [max(0.0, after - before) for before, after in zip(plain, met, strict=True)]
    limit = f"the same {kind} without a conflict"
    return [
        Figure(f"{RECORDS:,} concurrent {kind}, a record", "ms", met, limit, plain),
        Figure(f"of that for the conflict of {kind}, a record", "ms", extra, limit, plain, (Bar("at most", 1.0),)),
    ]


def timed(work: Callable[[], object]) -> float:
    """Seconds of a call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


SCENARIO = Scenario("conflicts", "conflicts", run)
