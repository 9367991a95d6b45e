"""What processes use while something is measured: processor time, average and peak memory, seen from outside. Linux."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
EVERY_SECONDS = 0.02
MIB = 1024 * 1024


class Used(NamedTuple):
    """Seconds of processor time; average and peak memory in MiB."""

    cpu: float
    average: float
    peak: float


class Observed:
    """`with Observed({"hub": pid}) as seen:`; `seen.used["hub"]` after it. A process counts with all its children.

    Memory is the proportional share (PSS), so that what PostgreSQL's processes share counts once. It is looked at every
    20 milliseconds, at the beginning and at the end; the looking itself runs in this process, which is not measured.
    """

    def __init__(self, processes: Mapping[str, int]) -> None:
        self._processes = dict(processes)
        self._memory: dict[str, list[float]] = {name: [] for name in processes}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.used: dict[str, Used] = {}

    def __enter__(self) -> Observed:
        self._look()
        self._before = {name: processor_seconds(pid) for name, pid in self._processes.items()}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        after = {name: processor_seconds(pid) for name, pid in self._processes.items()}
        self._stopping.set()
        self._thread.join()
        self._look()
        for name, sizes in self._memory.items():
            before = self._before[name]
            cpu = sum(seconds - before.get(thread, 0.0) for thread, seconds in after[name].items())
            self.used[name] = Used(cpu, statistics.mean(sizes), max(sizes))

    def _watch(self) -> None:
        while not self._stopping.wait(EVERY_SECONDS):
            self._look()

    def _look(self) -> None:
        for name, pid in self._processes.items():
            self._memory[name].append(sum(map(memory, family(pid))) / MIB)


def family(pid: int) -> list[int]:
    """The process and all that came from it."""
    found = [pid]
    with suppress(FileNotFoundError, ProcessLookupError):
        children = (PROC / f"{pid}/task/{pid}/children").read_text("utf-8").split()
        found += [one for child in children for one in family(int(child))]
    return found


def memory(pid: int) -> int:
    """Bytes; 0 for a process that has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        lines = (PROC / f"{pid}/smaps_rollup").read_text("utf-8").splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return 0


def processor_seconds(pid: int) -> dict[str, float]:
    """What each living thread of the process and its children has used so far, to the nanosecond."""
    found = {}
    for one in family(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            for thread in (PROC / f"{one}/task").iterdir():
                with suppress(FileNotFoundError, ProcessLookupError):
                    found[thread.name] = int((thread / "schedstat").read_text("utf-8").split()[0]) / 1e9
    return found
