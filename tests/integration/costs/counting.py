"""What an operation costs, in figures that are the same on every machine: requests, bytes, statements, rows, steps."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import apsw

from holdfast.edge.local import LocalExchange, LocalTransport

Side = Literal["device", "hub"]
Cost = dict[str, int]
"""Name of a figure -> how often or how much, as `expected.json` has it."""


class SqliteCounts:
    """Counts on every SQLite connection of this process that is opened inside `installed`.

    A file named hub.db is the hub's, every other one a device's. For each side:
    - `statements`: run by the program itself, those of each row of an `executemany` singly;
    - `triggered`: lines of triggers that ran;
    - `read`: rows that a statement gave to the program;
    - `written`: rows that were inserted, updated or deleted, by triggers, too;
    - `steps`: instructions of SQLite's virtual machine. They differ between releases of SQLite: to be compared within
      one run only.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[Side, str]] = Counter()
        self._began: dict[tuple[Side, int], int] = {}
        # Entered anew where collecting garbage ends a statement in the midst of counting.
        self._lock = threading.RLock()

    @contextmanager
    def installed(self) -> Iterator[SqliteCounts]:
        """See every connection that is opened until the end of the block."""
        apsw.connection_hooks.append(self._watch)
        try:
            yield self
        finally:
            apsw.connection_hooks.remove(self._watch)

    def _watch(self, db: apsw.Connection) -> None:
        side: Side = "hub" if Path(db.filename).name == "hub.db" else "device"

        def traced(event: dict[str, Any]) -> None:
            with self._lock:
                self._note(side, event)

        db.trace_v2(apsw.SQLITE_TRACE_STMT | apsw.SQLITE_TRACE_ROW | apsw.SQLITE_TRACE_PROFILE, traced)

    def _note(self, side: Side, event: dict[str, Any]) -> None:
        if event["code"] == apsw.SQLITE_TRACE_ROW:
            self.counts[side, "read"] += 1
        elif event["code"] == apsw.SQLITE_TRACE_PROFILE:
            began = self._began.pop((side, event["id"]), None)
            if began is not None:
                self.counts[side, "written"] += event["total_changes"] - began
                self.counts[side, "steps"] += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]
        elif event["trigger"]:
            # The first line that is told of a trigger is its name.
            self.counts[side, "triggered"] += not event["sql"].startswith("TRIGGER ")
        else:
            self.counts[side, "statements"] += 1
            self._began[side, event["id"]] = event["total_changes"]


class CountedWay:
    """The way of a device to a hub in this process. Bytes are those of the plain bodies, without compression and what
    HTTP adds: these do not depend on a library's version.
    """

    def __init__(self, inner: LocalTransport) -> None:
        self._inner = inner
        self.requests = self.sent = 0
        self._answers: list[LocalExchange] = []

    @property
    def received(self) -> int:
        """Bytes of all answers."""
        return sum(answer.bytes_received for answer in self._answers)

    def exchange(self, body: bytes) -> LocalExchange:
        """Carry a round."""
        self.requests += 1
        self.sent += len(body)
        self._answers.append(self._inner.exchange(body))
        return self._answers[-1]

    def close(self) -> None:
        """The hub belongs to somebody else."""
