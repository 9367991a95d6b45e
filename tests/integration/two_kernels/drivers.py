"""The kernel of each language as a process that answers lines."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from holdfast.kernel.values import canonical_json

ROOT = Path(__file__).parents[3]
CLIENT = ROOT / "web" / "packages" / "client"
BUILT = CLIENT / "dist" / "kernel-driver.js"
COMMANDS = {
    "python": [sys.executable, "-m", "holdfast.testing.kernel_driver"],
    "typescript": ["node", str(BUILT)],
}

Call = tuple[str, dict[str, Any]]


def stale_sources() -> list[str]:
    """Sources of the TypeScript driver that are newer than what was built of them."""
    sources = [path for folder in ("src", "tools") for path in (CLIENT / folder).rglob("*.ts")]
    built = BUILT.stat().st_mtime
    return [str(path.relative_to(ROOT)) for path in sources if path.stat().st_mtime > built]


class Driver:
    """One language. Answers come as the text of the line, so that they can be compared byte for byte."""

    def __init__(self, language: str) -> None:
        self._process = subprocess.Popen(COMMANDS[language], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pipe("stdin").close()
        self._process.wait(30)
        self._pipe("stdout").close()

    def start(self, calls: list[Call]) -> Answers:
        """Send calls; the answers are read later, so that both languages work at once."""
        return Answers(calls, self._pipe("stdin"), self._pipe("stdout"))

    def _pipe(self, name: str) -> BinaryIO:
        pipe: BinaryIO = getattr(self._process, name)
        return pipe


class Answers:
    """The answers to calls that were sent. Writing is a thread of its own: both pipes may be full."""

    def __init__(self, calls: list[Call], stdin: BinaryIO, stdout: BinaryIO) -> None:
        # What canonical JSON has no place for (unpaired surrogates, 1.0) is there for the kernels to refuse.
        lines = "".join([json.dumps({"do": name, "in": form}) + "\n" for name, form in calls]).encode()
        self._stdout, self._count = stdout, len(calls)
        self._writer = threading.Thread(target=self._write, args=(stdin, lines))
        self._writer.start()

    def read(self) -> list[str]:
        """One text an answer; "" for those that a process which ended did not give."""
        answers = [self._stdout.readline().decode().rstrip("\n") for _ in range(self._count)]
        self._writer.join()
        return answers

    @staticmethod
    def _write(stdin: BinaryIO, lines: bytes) -> None:
        stdin.write(lines)
        stdin.flush()


def shown(call: Call) -> str:
    """A call as it can be sent again by hand, or become a vector."""
    return canonical_json({"do": call[0], "in": call[1]})
