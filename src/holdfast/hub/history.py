"""Reading the history: what became of a row, how it was at an earlier time, and what is old enough to go."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any, NamedTuple

from holdfast.hub.placing import content_of
from holdfast.hub.record import decode_record, recalled
from holdfast.hub.workspace import RowName, Standing, Workspace
from holdfast.kernel import clock
from holdfast.kernel.row import Row
from holdfast.protocol import messages as m
from holdfast.protocol.happened import Happened
from holdfast.schema.built_in import CONFLICTS
from holdfast.schema.key import key_values
from holdfast.schema.model import MISSING, Schema, Table
from holdfast.schema.rules import CONFLICT_TABLE
from holdfast.stores.base import Batch, HistoryEntry, Span, Transaction

DAY = 24 * 60 * 60 * 1000
MOST_ENTRIES = 1_000
"""So many of the latest entries of a row are sent to a device."""
READ_AT_ONCE = (16, 128, MOST_ENTRIES)
TOLD_BYTES = 4 * 1024 * 1024
"""The entries of one answer have about so many bytes together."""
COLLECTED = 1_000
"""So many entries, and so many conflicts, are deleted in one transaction."""


def happened(entry: HistoryEntry) -> Happened:
    """An entry as people read it."""
    record = decode_record(entry.body)
    decisions = [{"id": d.conflict, "rule": d.rule, "winner": d.winner, "column": d.column} for d in record.conflicts]
    return Happened(
        table=entry.table,
        key=entry.key,
        at=entry.at,
        user=entry.user,
        device=entry.device,
        op=record.op,
        changes=record.set,
        old=record.old,
        was_there=record.life[0] % 2 == 1,
        is_there=record.life[1] % 2 == 1,
        label=record.label,
        conflicts=decisions,
        kept=record.kept,
        after={name: value for name, (value, _) in record.after.items()},
        space=entry.space,
        stamp=entry.stamp,
    )


def told(tx: Transaction, schema: Schema, asked: Collection[tuple[str, str]], spaces: Collection[str]) -> list[m.Told]:
    """What a device gets to know of rows: what happened to them in the spaces that it may read."""
    answer, left = [], TOLD_BYTES
    for table, key in asked:
        entries, size = _latest(tx, table, key, left) if table in schema.by_name else ([], 0)
        left = max(left - size, 0)
        seen = [happened(entry)._asdict() for entry in entries if entry.space in spaces]
        answer.append(m.Told(table, key, seen))
    return answer


def _latest(tx: Transaction, table: str, key: str, most: int) -> tuple[list[HistoryEntry], int]:
    """The latest entries of a row, at least one and together about `most` bytes at most, oldest first; and how many
    bytes they have. A few are read first: entries of large values are large."""
    entries: list[HistoryEntry] = []
    for number in READ_AT_ONCE:
        entries = tx.history(table, key, newest=number)
        if len(entries) < number or sum(len(entry.body) for entry in entries) > most:
            break
    size, first = 0, len(entries)
    while first and (size + len(entries[first - 1].body) <= most or first == len(entries)):
        first -= 1
        size += len(entries[first].body)
    return entries[first:], size


def milliseconds(moment_or_ms: datetime.datetime | int) -> int:
    """A time as the hub counts it: milliseconds since 2020-01-01 UTC; a datetime without a zone is UTC."""
    if isinstance(moment_or_ms, int):
        return moment_or_ms
    zoned = moment_or_ms if moment_or_ms.tzinfo is not None else moment_or_ms.replace(tzinfo=datetime.UTC)
    return int(zoned.timestamp() * 1000) - clock.EPOCH_MS


def as_of(tx: Transaction, schema: Schema, table: Table, key: str, at: int) -> dict[str, Any] | None:
    """The row as it was at that time, column -> wire value; None when it was not there."""
    stored = tx.rows([(table.name, key)]).get((table.name, key))
    if stored is None:
        return None
    row = Workspace(tx, schema, [(table.name, key)]).standing(table, (table.name, key)).row
    assert row is not None, "a stored row can be read"
    values, life = _named(table, row), row.life
    for entry in reversed(tx.history(table.name, key)):
        if entry.at <= at:
            break
        record = decode_record(entry.body)
        for name, kept in record.old.items():
            values[name] = recalled(table.column(name), kept, values[name])
        life = record.life[0]
    if life % 2 == 0:
        return None
    return {**dict(zip(table.key_names, key_values(table, key), strict=True)), **values}


def _named(table: Table, row: Row) -> dict[str, Any]:
    values = {column.name: None if column.default is MISSING else column.default for column in table.cells}
    values.update({column.name: value for column, value in zip(table.cells, row.values, strict=False)})
    return values


class Forgotten(NamedTuple):
    """How many entries and conflicts went in one step."""

    entries: int
    conflicts: int


def collect(tx: Transaction, schema: Schema, table: Table, now: int) -> Forgotten:
    """Forget a piece of what is older than the table keeps: entries, and conflicts that are decided, as rows that die;
    up to 1,000 of each. The caller goes on until nothing goes any more.
    """
    if not table.history:
        return Forgotten(0, 0)
    before = now - table.history * DAY
    entries = tx.forget_history(table.name, before, COLLECTED)
    wanted = [(table.name, state) for state in ("auto", "resolved")]
    # The key of a conflict is its stamp: keys stand in the order of time.
    end = clock.stamp(clock.wall(max(before, 0)), "0" * 12)
    keys = tx.children(CONFLICT_TABLE, ("table_name", "state"), wanted, Span("", end, COLLECTED))
    old = [(CONFLICT_TABLE, key) for key in keys]
    state = tx.hub()
    workspace = Workspace(tx, schema, old)
    hlc = clock.tick(state.hlc, now)
    dead: dict[RowName, Standing] = {}
    for name in old:
        standing = workspace.standing(CONFLICTS, name)
        if standing.row is not None and standing.row.life % 2 == 1:
            row = standing.row.copy()
            row.life += 1
            dead[name] = standing._replace(row=row)
    workspace.accept(dead)
    writes = workspace.writes()
    if writes:
        digests = workspace.digest_changes(writes, state.hub.encode())
        tx.write(Batch(writes, [], [], [], digests, content_of(writes), hlc, now))
    return Forgotten(entries, len(writes))
