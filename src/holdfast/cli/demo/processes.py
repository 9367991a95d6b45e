"""The demo's other processes, from its own side: start, ask, kill, and leave none behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from holdfast.errors import HoldfastError


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and termination back until the end: a process must not start without anybody who will stop it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals arrive in the main thread only
        return
    arrived: list[int] = []
    before = {
        number: signal.signal(number, lambda n, _: arrived.append(n)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for missed in arrived:
            signal.raise_signal(missed)


class Child:
    """A process that says one JSON line when it is ready and one for each command."""

    def __init__(self, name: str, log: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=os.environ | (environment or {}),
                start_new_session=True,  # Ctrl-C is for the demo; it ends the others itself
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def answer(self) -> dict[str, Any]:
        """The next line. Raises `demo_process` when the process has ended, and the error that it answers."""
        stream = self._process.stdout
        line = stream.readline() if stream is not None and not stream.closed else b""
        if not line:
            self._process.wait()
            last = self._log.read_text("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise HoldfastError("demo_process", f"the process of {self.name} ended: {last[0]}", log=str(self._log))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            code, message = answer["error"]
            raise HoldfastError(code, f"{self.name}: {message}")
        return answer

    def tell(self, do: str, **arguments: Any) -> None:
        """Send a command without waiting."""
        stream = self._process.stdin
        if stream is None or stream.closed:
            raise HoldfastError("demo_process", f"the process of {self.name} takes no commands")
        try:
            stream.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            stream.flush()
        except BrokenPipeError:
            self.answer()  # says why it ended

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and wait for its answer. Raises what `answer` raises."""
        self.tell(do, **arguments)
        return self.answer()

    def kill(self) -> None:
        """SIGKILL, at once; idempotent."""
        self._process.kill()
        self.stop()

    def dismiss(self) -> None:
        """Tell it that no more commands come: it ends by itself. Idempotent."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                pass  # it has ended, with a command unread

    def stop(self) -> None:
        """Let it end by itself, 10 seconds at most; idempotent."""
        self.dismiss()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
