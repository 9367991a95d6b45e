"""A day in the field on one device: `python -m bench.field_day FILE URL USER MODE`.

The device has its rows already. It opens its file, writes 200 times, each a transaction of its own, and syncs after
every fifth: 40 rounds. Then it tells processor seconds, wake-ups (voluntary context switches) and bytes of all that.
With MODE "disk" it counts the syncs of the disk instead, which needs a layer between SQLite and the files that costs
time of its own.
"""

from __future__ import annotations

import json
import resource
import sys
from collections import Counter

import holdfast as hf
from bench import forms
from bench.child import Child, usage
from holdfast.testing.faulty_disk import FaultyDisk

WRITES, ROUNDS = 200, 40
UPDATE = "UPDATE form SET status = ?, score = score + 1 WHERE id = ?"


def field_day(file: object, url: str, user: str, mode: str) -> dict[str, float]:
    """What a device in another process tells of its day: cpu, wakeups, bytes, rounds; or syncs."""
    with Child("bench.field_day", file, url, user, mode) as child:
        pass
    return {name: float(value) for name, value in child.result.items()}


def main(file: str, url: str, user: str, mode: str) -> None:
    """Live the day, and tell."""
    counts: Counter[str] = Counter()
    disk = None  # SQLite uses it while somebody holds it
    if mode == "disk":
        disk = FaultyDisk("counting", record=lambda operation: counts.update([operation.rpartition(": ")[2]]))
    before, switches = usage().cpu, resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    with hf.Replica(file, forms.SCHEMA, url=url, token=user) as device:
        keys = [row["id"] for row in device.execute("SELECT id FROM form LIMIT ?", (WRITES,))]
        sent = rounds = 0
        for number, key in enumerate(keys, 1):
            device.execute(UPDATE, (f"seen {number}", key))
            if number % (WRITES // ROUNDS) == 0:
                report = device.sync()
                sent, rounds = sent + report.bytes_sent + report.bytes_received, rounds + report.rounds
        pending = device.status.pending_count
    told = {"cpu": usage().cpu - before, "bytes": sent, "rounds": rounds, "pending": pending}
    told["wakeups"] = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - switches
    print("done")
    print(json.dumps(told | {"syncs": counts["sync"] if disk is not None else 0}))


if __name__ == "__main__":
    main(*sys.argv[1:5])
