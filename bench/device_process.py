"""A device in a process of its own: `python -m bench.device_process FILE URL USER ROWS [ROWS_A_TRANSACTION]`.

It writes so many form rows in transactions of 100 (or as many as it is told), if any, then syncs, and tells seconds,
bytes and its peak memory.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path

import holdfast as hf
from bench import forms
from bench.child import Child, usage

ROWS_A_TRANSACTION = 100


def sync_in_process(
    file: Path, url: str, user: str, rows: int = 0, together: int = ROWS_A_TRANSACTION
) -> dict[str, float]:
    """What a device in another process tells of its sync: seconds, sent, received, pulled, pushed, peak, cpu."""
    with Child("bench.device_process", file, url, user, rows, together) as child:
        pass
    return child.result


def main(file: str, url: str, user: str, rows: int, together: int) -> None:
    """Write, sync, tell."""
    with hf.Replica(file, forms.SCHEMA, url=url, token=user) as device:
        written = forms.rows(rows)
        while batch := list(itertools.islice(written, together)):
            device.executemany(forms.INSERT, batch)
        start = time.perf_counter()
        report = device.sync()
        seconds = time.perf_counter() - start
    told = {"seconds": seconds, "sent": report.bytes_sent, "received": report.bytes_received}
    print("done")
    print(json.dumps(told | {"pulled": report.pulled, "pushed": report.pushed} | usage()._asdict()))


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))
