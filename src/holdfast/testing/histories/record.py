"""What a history is: invocations and completions of operations, written down by the processes that made them.

The form is that of Jepsen's histories (https://jepsen-io.github.io/history/): an operation is invoked, and it ends `ok`
(it happened), `fail` (it did not), or not at all, when its process was killed: then it may or may not have happened.
Times are nanoseconds of the machine's monotonic clock, which its processes share.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

Ending = Literal["ok", "fail", "unknown"]
FOREVER = 2**63 - 1
"""The end of an operation of which no end is known."""


class Operation(NamedTuple):
    """One operation of one device.

    `device` is the session: its file outlives its processes. `value` is what was written, or what was read when
    `ending` is ok. `began` and `ended` are nanoseconds; `ended` is FOREVER for an unknown ending. `last`: it was done
    after everything had been brought in agreement.
    """

    device: str
    what: str
    value: Any
    ending: Ending
    began: int
    ended: int
    last: bool = False


class Recorder:
    """Writes one process's part of a history: a line before an operation and one after it, each with one write.

    What was written survives SIGKILL, because the operating system has it.
    """

    def __init__(self, file: Path, device: str) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._device = device
        self._number = 0

    def invoke(self, what: str, value: Any = None, *, last: bool = False) -> int:
        """An operation begins; gives its number, which `end` wants."""
        self._number += 1
        self._write({"began": self._number, "what": what, "value": value, "last": last})
        return self._number

    def end(self, number: int, ending: Ending, value: Any = None) -> None:
        """An operation has ended. `value` replaces that of the invocation when it is not None."""
        self._write({"ended": number, "ending": ending, "value": value})

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, line: dict[str, Any]) -> None:
        line["device"] = self._device
        line["process"] = os.getpid()
        line["time"] = time.monotonic_ns()
        os.write(self._file, json.dumps(line).encode() + b"\n")


def read(files: Iterable[Path]) -> list[Operation]:
    """The operations of all files, in order of their beginning. A line that was cut counts as not written."""
    operations = []
    for file in files:
        begun: dict[tuple[int, int], dict[str, Any]] = {}
        for line in whole_lines(file):
            if "began" in line:
                begun[line["process"], line["began"]] = line
                continue
            start = begun.pop((line["process"], line["ended"]))
            value = start["value"] if line["value"] is None else line["value"]
            operations.append(
                Operation(
                    start["device"], start["what"], value, line["ending"], start["time"], line["time"], start["last"]
                )
            )
        operations += [
            Operation(start["device"], start["what"], start["value"], "unknown", start["time"], FOREVER, start["last"])
            for start in begun.values()
        ]
    return sorted(operations, key=lambda operation: operation.began)


def whole_lines(file: Path) -> list[dict[str, Any]]:
    """The lines of one file that were written to their end."""
    text = file.read_bytes()
    return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]
