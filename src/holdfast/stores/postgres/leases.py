"""Keys for devices, from the sequences of the application."""

from __future__ import annotations

import json
from collections.abc import Iterable

from holdfast.errors import HoldfastError
from holdfast.schema.emit.postgres_text import qualified, quote
from holdfast.schema.model import Table
from holdfast.stores.postgres.exchange import Connection
from holdfast.stores.postgres.queries import QUERIES

_TRIES = 1_000
"""So many blocks are thrown away, all of whose numbers rows have already, before a person is asked."""

Ranges = list[tuple[int, int]]


def lease(db: Connection, table: Table, within: str, number: int, device: str, ask: str, size: int) -> Ranges:
    """See `stores.base.Transaction.lease`. `number` is that of the table. Raises `HoldfastError` `store_failed`."""
    known = db.execute(QUERIES["lease"], (number, device)).fetchall()
    if known and known[0][0] == ask:
        return [(first, last) for first, last in json.loads(known[0][1])]
    target, column = qualified(within, table.name), table.key[0].name
    ((sequence,),) = db.execute(QUERIES["sequence"], (target, column, target, column)).fetchall()
    if sequence is None:
        raise HoldfastError("store_failed", f"no sequence gives {table.name}.{column} its values any more")
    taken = f"SELECT {quote(column)} FROM {target} WHERE {quote(column)} = ANY (%s::bigint[])".encode()
    for _ in range(_TRIES):
        numbers = {found for (found,) in db.execute(QUERIES["take_keys"], (sequence, size))}
        # Whoever loaded rows with their keys may have left the sequence behind them.
        numbers.difference_update(found for (found,) in db.execute(taken, (sorted(numbers),)))
        if numbers:
            break
    else:
        message = f"the sequence of {table.name}.{column} is far behind the keys of its rows; set it with setval"
        raise HoldfastError("store_failed", message, table=table.name)
    ranges = ranges_of(sorted(numbers))
    db.execute(QUERIES["put_lease"], (number, device, ask, json.dumps(ranges)))
    return ranges


def ranges_of(numbers: Iterable[int]) -> Ranges:
    """Rising numbers as ranges (first, last)."""
    ranges: Ranges = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges
