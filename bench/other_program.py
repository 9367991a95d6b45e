"""Another program that writes into a device's file: Python's sqlite3 in a process of its own, without Holdfast.

`python -m bench.other_program FILE ROWS` inserts that many rows, each in a durable transaction, and tells the seconds.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from pathlib import Path

from bench import forms
from bench.child import Child

SEED = 11


def seconds_of_another_program(file: Path, rows: int) -> list[float]:
    """Seconds of each durable insert by a program that knows nothing of Holdfast."""
    with Child("bench.other_program", file, rows) as child:
        pass
    return [float(seconds) for seconds in child.result["seconds"]]


def main(file: str, rows: int) -> None:
    """Write and tell."""
    db = sqlite3.connect(file, isolation_level=None)
    db.execute("PRAGMA synchronous = FULL")
    seconds = []
    for row in forms.rows(rows, SEED):
        start = time.perf_counter()
        db.execute(forms.INSERT, row)
        seconds.append(time.perf_counter() - start)
    db.close()
    print("done")
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
