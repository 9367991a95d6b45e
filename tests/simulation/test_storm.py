"""500 devices lose their hub at one moment: their attempts are spread out, and all are in sync in the end."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from pathlib import Path

import holdfast as hf
from holdfast.errors import HoldfastError
from holdfast.replica.schedule import Schedule
from holdfast.testing import LocalTransport

DEVICES = 500
DOWN_SECONDS = 30.0


class Note(hf.Table, space="team"):
    body: str


SCHEMA = hf.Schema(Note)


def test_a_hub_that_restarts_meets_no_storm(tmp_path: Path) -> None:
    server = hf.Server("memory:", SCHEMA)
    way = LocalTransport(server, hf.Identity("all", {"team": "rw"}))
    with hf.Replica(tmp_path / "writer.db", SCHEMA, transport=way) as writer:
        writer.execute("insert into note (body) values ('written before')")
        writer.sync()
    replicas = [hf.Replica(tmp_path / f"{number}.db", SCHEMA, transport=way) for number in range(DEVICES)]
    schedules = [Schedule(1, random.Random(number).random, 0.0) for number in range(DEVICES)]
    attempts: Counter[int] = Counter()
    waiting = [(0.0, number) for number in range(DEVICES)]
    lost = HoldfastError("network", "the hub restarts")
    done = 0
    while waiting:
        now, number = heapq.heappop(waiting)
        schedule = schedules[number]
        assert schedule.choose(now) == 0
        attempts[int(now)] += 1
        if now < DOWN_SECONDS:
            schedule.failed(0, now, lost)
            heapq.heappush(waiting, (schedule.next_at(), number))
            continue
        with replicas[number] as replica:
            assert replica.sync().pulled == 1
            assert replica.execute("select body from note") == [("written before",)]
        schedule.succeeded(0, now)
        done += 1
    assert done == DEVICES
    back = [count for second, count in attempts.items() if second >= DOWN_SECONDS]
    assert max(back) < DEVICES / 10, "never a tenth of them within one second"
    assert max(second for second in attempts) < DOWN_SECONDS + 61.0
    assert sum(attempts.values()) < DEVICES * 12
    server.close()
