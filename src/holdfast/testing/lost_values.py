"""Nothing that a person typed is lost without a word: every value that did not come to stand is in the inbox."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.kernel.values import canonical_json
from holdfast.protocol.conflicts import Conflict
from holdfast.schema.model import Table
from holdfast.schema.rules import WHOLE_MERGES
from holdfast.server import Server
from holdfast.testing.invariants import Violation

PAGE = 1_000


def check_inbox(server: Server, table: Table, keys: tuple[str, ...]) -> None:
    """Whether a conflict tells of every value in the history of these rows that was written and did not come to stand.
    Raises `Violation` 23.
    """
    listed = {
        (one.key, one.column, canonical_json(side))
        for one in _conflicts(server, table.name)
        for side in (one.mine, one.theirs)
    }
    whole = [column.name for column in table.cells if column.merge in WHOLE_MERGES]
    for key in keys:
        for entry in server.history(table.name, key):
            for column in whole if entry.op == "update" else ():
                if column not in entry.changes:
                    continue
                written = entry.changes[column]
                lost = column in entry.kept or entry.after.get(column, written) != written
                if lost and (key, column, canonical_json(written)) not in listed:
                    raise Violation(23, f"{written!r} for {column} of {key} lost, and no conflict tells of it")


def _conflicts(server: Server, table: str) -> Iterator[Conflict]:
    after = ""
    while page := server.conflicts(table=table, after=after, limit=PAGE):
        yield from page
        after = page[-1].id
