"""Rows that come back to a hub that has lost them: what a device says of one, checked (`spec/protocol.md`, 16)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, cast

from holdfast.hub.batch import Outcome, Submission
from holdfast.hub.cursor import is_ours, parse_cursor
from holdfast.hub.identity import Access, Identity
from holdfast.hub.operations import MAX_LIFE, Refusal
from holdfast.kernel import clock
from holdfast.kernel.column import Cell, default_of
from holdfast.kernel.merges import BY_NAME
from holdfast.kernel.row import Op, Row
from holdfast.kernel.stamps import decode_stamps
from holdfast.kernel.values import InvalidValue, same
from holdfast.protocol import messages as m
from holdfast.schema.key import key_values
from holdfast.schema.model import Column, Table
from holdfast.stores.base import Transaction

PLAIN = ("register", "server_wins", "review", "custom", "earliest", "latest")
"""The merge types whose changes are values."""


class Copy(NamedTuple):
    """A copy of a row as the kernel takes it, and the operation as which hooks and history see it."""

    row: Row
    op: Op


def lost_spaces(tx: Transaction, cursors: Mapping[str, str], spaces: Collection[str]) -> list[str]:
    """Those of the spaces of which a device has read what this hub does not know: it was put back from a backup."""
    named = sorted(cursors.keys() & set(spaces))
    heads = tx.spaces(named) if named else {}
    return [name for name in named if not is_ours(parse_cursor(cursors[name]), heads.get(name), tx)]


def submission_of(
    rows: Sequence[m.Restore], identity: Identity, device: str, spaces: Mapping[str, Access], origin: str
) -> Submission:
    """The rows as one transaction each, under an origin that nobody else has: each is taken or refused by itself."""
    transactions = [m.Transaction(origin, n, [cast(Any, row)], "restored") for n, row in enumerate(rows, 1)]
    return Submission(identity, device, spaces, transactions)


def kept_of(outcome: Outcome, rows: Sequence[m.Restore]) -> list[m.Kept]:
    """The rows that were refused, and why."""
    refused = [result for result in outcome.results if result.outcome == "refused"]
    return [m.Kept(rows[r.n - 1].table, rows[r.n - 1].key, r.code, r.message) for r in refused]


def copy_of(table: Table, given: m.Restore, limit: int) -> Copy:
    """The row that a device brings back. No stamp may be beyond the hybrid time `limit`. Raises `Refusal`.

    A cell is believed when it is what its merge type makes of itself: value and state belong together then.
    """
    cells = table.cells
    try:
        key_values(table, given.key)
        seen = decode_stamps(given.seen)
        row = Row(given.life, [], [], {})
        if given.life % 2 == 0:
            # What a row without values holds, should it be revived: the same as a device takes for it.
            row.stamps = seen
            row.values = [default_of(column, BY_NAME[column.merge].empty) for column in cells[: len(seen)]]
        else:
            for slot, column in enumerate(cells[: _size(table, given)]):
                _put(row, slot, column, _cell(column, given.set.get(column.name)))
    except InvalidValue as error:
        raise Refusal(error.code, f"{table.name}: {error.message}", table.name, given.key) from None
    if given.life > MAX_LIFE or len(row.stamps) > len(cells) or (given.life % 2 == 0 and given.set):
        raise _malformed(table, given)
    newest = max((stamp for stamp in row.stamps if stamp is not None), default="")
    if newest and clock.hlc_of(newest) > limit:
        raise Refusal("operation_malformed", "a row comes back with a stamp of the future", table.name, given.key)
    changes = {slot: row.values[slot] for slot, stamp in enumerate(row.stamps) if stamp and slot < len(row.values)}
    stamp = newest or clock.stamp(0, "0" * 12)
    return Copy(row, Op("restore", given.key, stamp, given.life, changes, list(row.stamps)))


def latest_of(now: int, hlc: int, ahead: int) -> int:
    """The latest hybrid time that a stamp may have. A hub whose clock was set back goes on from its hybrid time, and so
    do the stamps that it has given since. `now` and `ahead` in milliseconds."""
    return max(clock.wall(now), hlc) + clock.wall(ahead)


def refuse_stranger(table: Table, row: Row | None, copy: Row, key: str) -> None:
    """Raise `Refusal` when a leased key was given again since the loss: two rows, never two versions of one."""
    if not table.key[0].block or row is None or row.life % 2 == 0 or copy.life % 2 == 0:
        return
    if set(row.stamps).isdisjoint(stamp for stamp in copy.stamps if stamp is not None):
        raise Refusal("key_taken", f"{table.name} has another row with the key {key} now", table.name, key)


def _size(table: Table, given: m.Restore) -> int:
    """One more than the last slot that was written. Raises `Refusal`."""
    unknown = sorted(given.set.keys() - table.slot.keys())
    if unknown:
        message = f"the hub's table {table.name} has no column {unknown[0]}"
        raise Refusal("unknown_column", message, table.name, given.key, unknown[0])
    return 1 + max((table.slot[name] for name in given.set), default=-1)


def _cell(column: Column, given: list[Any] | None) -> Cell:
    merge = BY_NAME[column.merge]
    if given is None:
        return Cell(default_of(column, merge.empty), None)
    value, stamp, state = given if len(given) == 3 else (*given, None)
    if not isinstance(stamp, str) or not clock.is_stamp(stamp):
        raise InvalidValue("value_format", f"{column.name} has no stamp")
    if column.merge in PLAIN:
        value = merge.check(column, value)
    elif column.merge in ("set", "grow_set"):
        merge.check(column, {"add": value})
    cell = Cell(value, stamp, state)
    try:
        again = merge.join(column, cell, cell)
        if column.merge == "merge_text" and not isinstance(value, str):
            raise TypeError(value)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise InvalidValue("value_format", f"{column.name} is no {column.merge}: {error}") from None
    if not same(again.value, value) or again.stamp != stamp or not _states_agree(again.state, state):
        raise InvalidValue("value_format", f"the value of {column.name} is not that of its state")
    return again


def _states_agree(one: Any, other: Any) -> bool:
    """Whether two states are the same; that of a document counts by what it makes (its value was compared)."""
    return one == other or (isinstance(one, list) and isinstance(other, list) and one[:1] == other[:1])


def _put(row: Row, slot: int, column: Column, cell: Cell) -> None:
    row.values.append(cell.value if not column.read_only else None)
    row.stamps.append(cell.stamp if not column.read_only else None)
    if cell.state is not None:
        row.states[slot] = cell.state


def _malformed(table: Table, given: m.Restore) -> Refusal:
    return Refusal("operation_malformed", "a row comes back in a form that no hub sends", table.name, given.key)
