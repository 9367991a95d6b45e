"""Child processes of the bench: a module that prints one line when it is ready and one line of JSON at its end."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Usage(NamedTuple):
    """What a process used: peak resident memory in bytes, processor time in seconds."""

    peak: int
    cpu: float


def usage() -> Usage:
    """Of this process. On Linux the peak is VmHWM: `ru_maxrss` starts with what the parent had when it forked."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status")
    lines = status.read_text("utf-8").splitlines() if status.exists() else []
    kib = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return Usage((kib[0] if kib else used.ru_maxrss) * 1024, used.ru_utime + used.ru_stime)


class Child:
    """`with Child("bench.hub_process", store) as child:`; `ready` is its first line, `result` its last one as JSON."""

    def __init__(self, module: str, *arguments: object) -> None:
        self._command = [sys.executable, "-m", module, *map(str, arguments)]
        self.result: dict[str, Any] = {}

    def __enter__(self) -> Child:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        self._input, self._output = self._process.stdin, self._process.stdout
        assert self._input is not None
        assert self._output is not None
        self.ready = self._output.readline().strip()
        return self

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def say(self, line: str) -> str:
        """Say a line to a child that takes commands, and give the line that it answers. Raises `RuntimeError`."""
        assert self._input is not None
        self._input.write(line + "\n")
        self._input.flush()
        return self.heard()

    def heard(self) -> str:
        """The next line that it says. Raises `RuntimeError` when it has ended."""
        assert self._output is not None
        line = self._output.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self._command)} has ended")
        return line

    def wait(self, seconds: float) -> None:
        """Until it has ended by itself. Raises `TimeoutExpired`."""
        self._process.wait(seconds)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._input is not None
        assert self._output is not None
        self._input.close()
        with self._output:
            out = self._output.read()
        code = self._process.wait(timeout=300)
        if error is None:
            if code != 0:
                raise RuntimeError(f"{' '.join(self._command)} ended with {code}")
            self.result = json.loads(out)


def at_end_of_input(action: Callable[[], None]) -> None:
    """In a child: call `action` when the parent closes the standard input."""

    def wait() -> None:
        sys.stdin.read()
        action()

    threading.Thread(target=wait, daemon=True).start()
