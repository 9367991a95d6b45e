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


SCHEMA = hf.Schema(Note)


def run(settings: Settings) -> list[Figure]:
    """Milliseconds a record of the sync that brings them, without and with a conflict each."""
    plain, met = [], []
    for number in range(settings.runs):
        with hf.Server(f"sqlite:///{settings.folder}/conflicts{number}.db", SCHEMA) as server:

            def device(user: str, server: hf.Server = server, number: int = number) -> hf.Replica:
                way = LocalTransport(server, hf.Identity(user, {"all": "rw"}))
                return hf.Replica(settings.folder / f"{user}{number}.db", SCHEMA, transport=way)

            with device("ann") as ann, device("ben") as ben:
                keys = [f"k{place}" for place in range(RECORDS)]
                ann.executemany("insert into note (id) values (?)", [(key,) for key in keys])
                ann.sync()
                ben.sync()
                ann.execute("update note set title = 'a'")
                plain.append(1000 * timed(ann.sync) / RECORDS)
                ben.execute("update note set title = 'b'")
                met.append(1000 * timed(ben.sync) / RECORDS)
                if len(ben.conflicts()) != RECORDS:
                    raise RuntimeError(f"{len(ben.conflicts())} conflicts instead of {RECORDS}")
    extra = [max(0.0, after - before) for before, after in zip(plain, met, strict=True)]
    limit = "the same updates without a conflict"
    return [
        Figure(f"{RECORDS:,} concurrent updates, a record", "ms", met, limit, plain),
        Figure("of that for the conflict, a record", "ms", extra, limit, plain, (Bar("at most", 1.0),)),
    ]


def timed(work: Callable[[], object]) -> float:
    """Seconds of a call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


SCENARIO = Scenario("conflicts", "conflicts", run)
