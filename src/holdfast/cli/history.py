"""`holdfast history`: what happened to rows, out of the hub's store, as JSON lines for other tools."""

from __future__ import annotations

import json
import sys
from typing import Annotated

from cyclopts import Parameter

from holdfast.cli.failures import Exit
from holdfast.cli.loading import load
from holdfast.cli.terminal import moment
from holdfast.errors import HoldfastError
from holdfast.protocol.happened import Happened
from holdfast.server import Server

HubFile = Annotated[str, Parameter(help="FILE or FILE:NAME. A Python file that defines `server` (an hf.Server).")]
TableName = Annotated[str | None, Parameter(help="A table; without it all of them.")]
RowKey = Annotated[str | None, Parameter(help="The key of a row; without it all rows of the table.")]


def history(hub: HubFile, table: TableName = None, key: RowKey = None, /) -> int:
    """Print what happened to rows, one JSON object a line, oldest first: who, when, what, from what, by which rule.

    Example: holdfast history hub.py submission > submission.jsonl
    """
    name, server = load(hub, ("server",))
    if not isinstance(server, Server):
        raise HoldfastError("name_missing", f"{name} of {hub} is not an hf.Server")
    with server:
        entries = server.history(table, key) if table and key else server.export_history(*([table] if table else []))
        for entry in entries:
            sys.stdout.write(json.dumps(as_line(entry), ensure_ascii=False) + "\n")
    return Exit.OK


def as_line(entry: Happened) -> dict[str, object]:
    """An entry for machines: the time as ISO 8601 text."""
    return entry._asdict() | {"at": moment(entry.at)}
