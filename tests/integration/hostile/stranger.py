"""Another program: a process of its own that writes a file through Python's ordinary sqlite3 module.

It reads pickled commands from its standard input and writes what they gave, or the name and text of their error.
"""

from __future__ import annotations

import pickle
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any


class StrangerError(Exception):
    """SQLite refused what the other program tried; the text begins with the name of the error."""


class Stranger:
    """The other program, seen from the test. It keeps one connection to each file until it is told to close it."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).resolve())]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    @property
    def pid(self) -> int:
        return self._process.pid

    def execute(self, path: Path, sql: str, parameters: Any = ()) -> list[Any]:
        """One statement on the open connection; its rows."""
        return self._ask("execute", str(path), sql, parameters)  # type: ignore[no-any-return]

    def write(self, path: Path, *statements: str, checks: bool = True, parameters: Any = ()) -> None:
        """A transaction; `parameters` go to the statements with a question mark. Without `checks` past all CHECKs."""
        self.execute(path, f"pragma ignore_check_constraints = {'off' if checks else 'on'}")
        self.execute(path, "begin immediate")
        try:
            for statement in statements:
                self.execute(path, statement, parameters if "?" in statement else ())
        except BaseException:
            self.execute(path, "rollback")
            raise
        self.execute(path, "commit")

    def leave(self, path: Path) -> None:
        """Close the connection."""
        self._ask("leave", str(path), "", ())

    def _ask(self, *command: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump(command, self._process.stdin)
        self._process.stdin.flush()
        good, answer = pickle.load(self._process.stdout)
        if not good:
            raise StrangerError(answer)
        return answer

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def serve() -> None:
    """The program."""
    connections: dict[str, sqlite3.Connection] = {}
    while True:
        try:
            command, path, sql, parameters = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            if command == "leave":
                connections.pop(path).close()
                answer: tuple[bool, Any] = True, None
            else:
                if path not in connections:
                    connections[path] = sqlite3.connect(path, isolation_level=None, timeout=10)
                answer = True, connections[path].execute(sql, parameters).fetchall()
        except (sqlite3.Error, OverflowError) as error:
            answer = False, f"{type(error).__name__}: {error}"
        pickle.dump(answer, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()
