"""Counter: every read lies between what was surely added and what may have been added.

After Jepsen's `counter` checker (https://github.com/jepsen-io/jepsen, jepsen/checker.clj), with two changes for devices
that work offline: increments may be negative, so each bound takes those of the sign that widens it least; and a read
need only contain what its own device had acknowledged, until the last reads, which must contain everything.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.testing.histories.record import Operation


def check(history: Sequence[Operation]) -> list[str]:
    """What is wrong, a sentence each. `add` has an increment, `read` the value of the counter."""
    adds = [operation for operation in history if operation.what == "add" and operation.ending != "fail"]
    reads = [operation for operation in history if operation.what == "read" and operation.ending == "ok"]
    wrong = []
    for read in reads:
        low, high = bounds(read, adds)
        if not low <= read.value <= high:
            when = "at the end" if read.last else "while others worked"
            wrong.append(f"{read.device} read {read.value} {when}, which is not within {low} and {high}")
    final = sorted({read.value for read in reads if read.last})
    if len(final) > 1:
        wrong.append(f"the last reads differ: {final}")
    return wrong


def bounds(read: Operation, adds: Sequence[Operation]) -> tuple[int, int]:
    """The least and the greatest value that this read may give."""
    low = high = 0
    for add in adds:
        sure = add.ending == "ok" and add.ended < read.began and (read.last or add.device == read.device)
        possible = add.began < read.ended
        if sure or (possible and add.value < 0):
            low += add.value
        if sure or (possible and add.value > 0):
            high += add.value
    return low, high
