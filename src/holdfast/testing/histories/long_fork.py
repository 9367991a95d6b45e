"""Long fork: two readers never see two writes in opposite orders.

After Jepsen's `long-fork` test (https://github.com/jepsen-io/jepsen, jepsen/tests/long_fork.clj): each key of a group
is written once, by a device that only writes; devices that only read take the whole group in one statement. Of any
two such reads one must contain the other. One hub gives one order of commits, so its readers may not fork, however
far behind they are. (Devices that write see their own writes first; that is not a fork but the point of working
offline.)
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from holdfast.testing.histories.record import Operation


def check(history: Sequence[Operation]) -> list[str]:
    """What is wrong, a sentence each. `write` has a key, `read` has [group, the keys of it that were there]."""
    groups: dict[str, list[Operation]] = {}
    for operation in history:
        if operation.what == "read" and operation.ending == "ok":
            groups.setdefault(operation.value[0], []).append(operation)
    wrong = []
    for group, reads in sorted(groups.items()):
        # Ordered by size, each must contain the one before it: then any two are comparable.
        by_size = sorted(reads, key=lambda read: len(read.value[1]))
        for less, more in itertools.pairwise(by_size):
            if not set(less.value[1]) <= set(more.value[1]):
                wrong.append(
                    f"{less.device} saw {sorted(less.value[1])} of group {group}, {more.device} {sorted(more.value[1])}"
                )
    written = {operation.value for operation in history if operation.what == "write" and operation.ending == "ok"}
    for read in history:
        if read.what == "read" and read.last and read.ending == "ok":
            missing = {key for key in written if key.startswith(f"{read.value[0]}:")} - set(read.value[1])
            if missing:
                wrong.append(f"{read.device} does not have {sorted(missing)} at the end")
    return wrong
