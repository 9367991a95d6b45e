"""A device process of the demo: `python -m holdfast.cli.demo.device SCHEMA_MODULE FILE TOKEN`.

It takes one JSON command a line and answers with one JSON line. `accident` makes a sync stop at a named point, say so
(`{"at": ...}`) and wait there: the parent kills it then, really in the middle.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

import apsw

from holdfast.edge.http import HttpExchange, HttpTransport
from holdfast.errors import HoldfastError
from holdfast.replica.replica import Replica

SENT, APPLYING = "request sent, answer not read", "two rows of the answer written, not committed"


class Line:
    """The device's way to the hub, whose address changes when it restarts. It can stop after a request was sent."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._http: HttpTransport | None = None
        self.accident = ""

    def connect(self, url: str, accident: str) -> None:
        """Use the hub at `url` from now on."""
        self.close()
        self._http = HttpTransport(url, self._token)
        self.accident = accident

    def exchange(self, body: bytes) -> HttpExchange:
        """One round. The head of the answer has come when this stops: the hub has committed."""
        if self._http is None:
            raise HoldfastError("no_transport", "this device does not know where the hub is")
        exchange = self._http.exchange(body)
        if self.accident == SENT:
            wait_for_the_end(SENT)
        return exchange

    def close(self) -> None:
        """Close the connection."""
        if self._http is not None:
            self._http.close()
            self._http = None


class DeviceProcess:
    """One device file and the commands that it understands."""

    def __init__(self, schema_module: str, file: str, token: str) -> None:
        self._line = Line(token)
        self._rows = 0
        apsw.connection_hooks.append(self._watch_rows)
        self._replica = Replica(file, importlib.import_module(schema_module).schema, transport=self._line)

    def _watch_rows(self, db: apsw.Connection) -> None:
        """SQLite calls `_row_written` for each row that any connection of this process writes."""
        db.set_update_hook(self._row_written)

    def _row_written(self, _kind: int, _database: str, table: str, _row: int) -> None:
        if self._line.accident == APPLYING and not table.startswith("holdfast_"):
            self._rows += 1
            if self._rows == 2:
                wait_for_the_end(APPLYING)

    def fill(self, sql: str, rows: list[list[Any]]) -> dict[str, Any]:
        """Insert many rows in one transaction."""
        self._replica.executemany(sql, rows)
        return {"rows": len(rows)}

    def edit(self, edits: list[list[Any]]) -> dict[str, Any]:
        """Run transactions: each is a label and a list of statements with parameters."""
        for label, statements in edits:
            with self._replica.transaction(label):
                for sql, parameters in statements:
                    self._replica.execute(sql, parameters)
        return {}

    def sync(self, url: str, accident: str = "") -> dict[str, Any]:
        """Sync with the hub at `url`; with `accident` it never comes back."""
        self._rows = 0
        self._line.connect(url, accident)
        report = self._replica.sync()
        members = report._asdict()
        members["conflicts"] = [conflict._asdict() for conflict in report.conflicts]
        members["refused"] = [refusal._asdict() for refusal in report.refused]
        return members

    def waiting(self) -> dict[str, Any]:
        """What waits for the hub: transactions, and changes in them."""
        pending = self._replica.pending()
        return {"transactions": len(pending), "changes": sum(len(item.operations) for item in pending)}

    def digests(self) -> dict[str, Any]:
        """The digest root of every space that is held here."""
        return {name: self._replica.digest(name) for name in self._replica.status.spaces}

    def close(self) -> None:
        """Close the file."""
        self._replica.close()
        self._line.close()


def say(content: dict[str, Any]) -> None:
    """One line to the parent."""
    print(json.dumps(content), flush=True)


def wait_for_the_end(point: str) -> None:
    """Tell the parent where we are, and stay there until we are killed (or the parent is gone)."""
    say({"at": point})
    sys.stdin.read()
    sys.exit(f"the parent has gone while this process waited: {point}")


def main(schema_module: str, file: str, token: str) -> None:
    """Obey until standard input ends."""
    device = DeviceProcess(schema_module, file, token)
    commands: dict[str, Callable[..., dict[str, Any]]] = {
        "fill": device.fill,
        "edit": device.edit,
        "sync": device.sync,
        "waiting": device.waiting,
        "digests": device.digests,
    }
    say({"ready": True})
    for line in sys.stdin:
        command = json.loads(line)
        try:
            say(commands[command.pop("do")](**command))
        except HoldfastError as error:
            say({"error": [error.code, error.message]})
    device.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
