"""A device of the tasks data model in a process of its own: `python -m bench.task_device FILE URL USER`.

It says "ready", takes commands as lines of JSON, `[name, arguments...]`, and answers each with a line of JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import holdfast as hf
from bench import tasks
from bench.child import Child, usage
from holdfast.replica.events import RoundEnded, SyncEvent

PATIENCE = 120.0


class TaskDevice(Child):
    """A device in another process, for the `with` block."""

    def __init__(self, file: Path, url: str, user: str = tasks.USER) -> None:
        super().__init__("bench.task_device", file, url, user)

    def __enter__(self) -> TaskDevice:
        super().__enter__()
        return self

    def tell(self, *command: Any) -> Any:
        """Say a command and give its answer."""
        return json.loads(self.say(json.dumps(command)))


class Commands:
    """What a device is told to do."""

    def __init__(self, device: hf.Replica) -> None:
        self._device = device
        self._arrived = threading.Semaphore(0)
        self._at = 0.0
        self._rounds: list[RoundEnded] = []
        device.events.add(self._note)

    def _note(self, event: SyncEvent) -> None:
        if isinstance(event, RoundEnded):
            self._rounds.append(event)
            if event.rows:
                self._at = time.monotonic()
                self._arrived.release()

    def sync(self) -> dict[str, float]:
        """One sync, to the first answer of a query."""
        start = time.perf_counter()
        report = self._device.sync(timeout=PATIENCE)
        found = self._device.execute("SELECT count(*) FROM tasks")[0][0]
        took = (time.perf_counter() - start) * 1000
        if report.refused or report.conflicts:
            raise RuntimeError(f"{report.refused} {report.conflicts}")
        told = {"sent": report.bytes_sent, "received": report.bytes_received, "requests": report.rounds}
        return {"ms": took, "tasks": found, "pushed": report.pushed, **told}

    def rename(self, count: int, title: str) -> int:
        """Give the first tasks new titles, a transaction each."""
        for number in range(1, count + 1):
            self._device.execute(tasks.RENAME, (f"{title} {number}", tasks.task_id(number)))
        return count

    def connect(self) -> bool:
        """Keep in sync from now on."""
        self._device.connect()
        self._device.sync(timeout=PATIENCE)
        while self._arrived.acquire(blocking=False):
            pass
        self._rounds.clear()
        return True

    def gone(self, project: str) -> float:
        """Wait until a project's tasks are not here any more; gives when that was."""
        sql = "SELECT EXISTS (SELECT 1 FROM tasks WHERE project_id = ?)"
        until = time.monotonic() + PATIENCE
        while self._device.execute(sql, (project,))[0][0]:
            if time.monotonic() > until:
                raise RuntimeError(f"the tasks of {project} stay")
            time.sleep(0.0002)
        return time.monotonic()

    def write(self, title: str) -> float:
        """Rename one task; gives when it began, on the clock that all processes share."""
        began = time.monotonic()
        self._device.execute(tasks.RENAME, (title, tasks.task_id(1)))
        return began

    def arrived(self, title: str) -> float:
        """Wait until the title is here; gives when it was."""
        while True:
            if not self._arrived.acquire(timeout=PATIENCE):
                raise RuntimeError(f"{title!r} did not arrive")
            at = self._at
            if self._device.execute("SELECT title FROM tasks WHERE id = ?", (tasks.task_id(1),))[0][0] == title:
                return at

    def carried(self) -> dict[str, int]:
        """Rounds and bytes since it was asked last, while connected."""
        rounds, self._rounds = self._rounds, []
        return {
            "requests": len(rounds),
            "sent": sum(one.sent for one in rounds),
            "received": sum(one.received for one in rounds),
        }

    def query(self, sql: str, values: list[Any], times: int) -> list[float]:
        """Milliseconds of each of so many runs of a query."""
        found = []
        for _ in range(times):
            start = time.perf_counter()
            rows = self._device.execute(sql, values)
            found.append((time.perf_counter() - start) * 1000)
            if not rows:
                raise RuntimeError(f"nothing found: {sql}")
        return found


def main(file: str, url: str, user: str) -> None:
    """Do what is said until the standard input ends."""
    with hf.Replica(file, tasks.SCHEMA, url=url, token=user) as device:
        commands = Commands(device)
        print("ready", flush=True)
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            print(json.dumps(getattr(commands, name)(*arguments)), flush=True)
    print(json.dumps(usage()._asdict()))


if __name__ == "__main__":
    main(*sys.argv[1:4])
