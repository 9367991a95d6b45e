"""Another program: a process with the standard library's sqlite3, which writes in the files of devices and hub.

It must be another process. Two copies of SQLite in one process lose each other's POSIX locks on a file
(https://sqlite.org/howtocorrupt.html section 2.2.1), and this one is not the copy in APSW.
"""

from __future__ import annotations

import atexit
import functools
import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any


class OtherProgram:
    """A child process that runs statements on request, one transaction for each request."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__))]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        atexit.register(self.close)

    def write(self, path: Path, statements: Sequence[tuple[str, Any]], julian: float, *, foreign_keys: bool) -> None:
        """Run the statements in one transaction; those that break a constraint are left out, or all if the end of the
        transaction breaks one. `julian` is the time that the program's SQLite tells.
        """
        assert self._child.stdin is not None and self._child.stdout is not None
        pickle.dump((str(path), [tuple(one) for one in statements], julian, foreign_keys), self._child.stdin)
        self._child.stdin.flush()
        error = pickle.load(self._child.stdout)
        if error:
            raise AssertionError(f"the other program failed: {error}")

    def close(self) -> None:
        """End the process."""
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait()
        self._child.stdout.close()


@functools.cache
def other_program() -> OtherProgram:
    """The one other program of this test process."""
    return OtherProgram()


def _write(path: str, statements: Sequence[tuple[str, Any]], julian: float, foreign_keys: bool) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.create_function("julianday", 1, lambda _: julian)
        db.execute(f"PRAGMA foreign_keys = {foreign_keys}")
        for sql, parameters in statements:
            with suppress(sqlite3.IntegrityError):
                db.execute(sql, parameters)
        with suppress(sqlite3.IntegrityError):
            db.commit()


def _serve() -> None:
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        error = ""
        try:
            _write(*request)
        except (sqlite3.Error, OSError, TypeError, ValueError) as problem:
            error = repr(problem)
        pickle.dump(error, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _serve()
