"""Rows of a copy that are not what the hub has, found among many: exchanges, bytes, and seconds."""

from __future__ import annotations

import math
import random
import time
from pathlib import Path

import apsw

import holdfast as hf
from bench.measure import Bar, Figure, Scenario, Settings
from holdfast.testing import LocalTransport

SIZES, WRONG = (10_000, 100_000, 1_000_000), (1, 100, 1_000)
AT_ONCE = 100_000


class Reading(hf.Table, space="site:{site}"):
    """A small row: what is compared are hashes, whatever the rows are."""

    site: str = "1"
    value: int = 0


SCHEMA = hf.Schema(Reading)
ANNA = hf.Identity("anna", {"site:1": "rw"})


def run(settings: Settings) -> list[Figure]:
    """For each size, copies with so many wrong rows; each is right again before the next."""
    figures: list[Figure] = []
    for size in SIZES:
        with hf.Server(f"sqlite:///{settings.folder}/verification{size}.db", SCHEMA) as server:
            way = LocalTransport(server, ANNA)
            path = settings.folder / f"verification{size}-device.db"
            with hf.Replica(path, SCHEMA, transport=way) as replica:
                for first in range(0, size, AT_ONCE):
                    rows = ((f"r{n:07}", n) for n in range(first, min(first + AT_ONCE, size)))
                    replica.executemany("insert into reading (id, value) values (?, ?)", rows)
                    replica.sync(timeout=600)
                for wrong in WRONG:
                    figures += measured(replica, path, size, wrong)
    return figures


def measured(replica: hf.Replica, path: Path, size: int, wrong: int) -> list[Figure]:
    """One comparison: half of the wrong rows are missing, the others older than the hub's."""
    keys = [f"r{n:07}" for n in random.Random(wrong).sample(range(size), wrong)]
    damage(path, keys[: wrong // 2], keys[wrong // 2 :])
    start = time.perf_counter()
    report = replica.verify(timeout=600)
    seconds = time.perf_counter() - start
    if not report.ok or {row.key for row in report.repaired} != set(keys):
        raise RuntimeError(f"{len(report.repaired)} rows were repaired instead of {wrong}")
    bits = (math.lgamma(size + 1) - math.lgamma(wrong + 1) - math.lgamma(size - wrong + 1)) / math.log(2)
    name = f"{wrong:,} of {size:,} rows"
    bound = 2_000 + 100 * wrong * math.log(size, 16)
    found, limit = [float(report.bytes_compared)], "the bits that name so many of so many"
    return [
        Figure(f"bytes to find {name}", "bytes", found, limit, [bits / 8], (Bar("at most", bound),)),
        Figure(f"exchanges to find {name}", "exchanges", [report.found_in], bars=(Bar("at most", 3),)),
        Figure(f"verify, {name}", "s", [seconds]),
    ]


def damage(path: Path, missing: list[str], older: list[str]) -> None:
    """Change the copy past Holdfast."""
    db = apsw.Connection(str(path))
    with db:
        db.execute("update holdfast_state set applying = 1")
        for key in missing:
            db.execute("delete from reading where id = ?", (key,))
            db.execute("delete from holdfast_row where key = ?", (key,))
        for key in older:
            db.execute("update reading set value = -1 where id = ?", (key,))
            sql = "update holdfast_row set stamps = replace(stamps, substr(stamps, 1, 14), ?) where key = ?"
            db.execute(sql, ("0" * 13 + "1", key))
        db.execute("update holdfast_state set applying = 0")
    db.close()


SCENARIO = Scenario("verification", "wrong rows of a copy, found and repaired", run)
