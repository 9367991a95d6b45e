"""Writing a batch with the commit, in one exchange: all that could stand in the way is an error of the database.

The counters are taken as they were read before anything was locked. They are locked last, as ever, and if one of them
has moved by then, or another program has noted one of the rows, the database itself breaks off: nothing behind it is
done, the commit neither. The hub then does its work again, step by step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from holdfast.stores.base import Batch, NotAtOnce, Space
from holdfast.stores.postgres.feeds import Feeds, Spaces
from holdfast.stores.postgres.memory import Expected
from holdfast.stores.postgres.queries import QUERIES
from holdfast.stores.postgres.statements import Statement
from holdfast.stores.postgres.user_tables import as_json, text_array
from holdfast.stores.postgres.writing import Writing, changes_of, note_rewritten, spaces_of, statements_of

_NOT_THE_WRITE = ("08", "42", "53", "57", "58", "XX")
"""Classes of errors that are not of what was written: connection, rights and altered tables, resources, shutdown."""


def write_at_once(writing: Writing, batch: Batch, counters: Spaces, expected: Expected) -> dict[str, Space] | None:
    """Let a batch wait for the commit, and give the heads that it leaves; None when it is not one for this way: one
    that goes into a space of which no counter was read, or that writes where notes of other programs are taken.
    `expected` was not read but remembered: it must be so still, and no row may wait aside."""
    names = spaces_of(batch)
    changes = changes_of(writing.catalog.tables, batch.rows)
    known = writing.known_marks
    if not names or known is None or (known and changes) or not counters.keys() >= set(names):
        return None
    waiting = writing.waiting
    if changes:
        # One row alone needs no order among constraints.
        alone = len(batch.rows) == 1
        waiting.add(*statements_of(changes, ())[1 if alone else 0 :])
    rows = [{"tbl": row.table, "key": row.key} for row in batch.rows if not row.foreign]
    chains = [{"id": counters[name][0], "chain": counters[name][1].chain} for name in names]
    origins = [{"origin": o.origin, "device": o.device, "u": o.user, "n": o.last_n} for o in expected.origins]
    others = [(number, space) for number, space in expected.spaces if space.name not in names and space.head]
    stood = [{"id": number, "head": space.head, "chain": space.chain} for number, space in others]
    remembered = (len(origins), as_json(origins), as_json(stood))
    unchanged = (len(names), as_json(rows), *remembered, text_array(names), as_json(chains))
    waiting.add(Statement(QUERIES["lock_unchanged"], unchanged))
    waiting.add(*note_rewritten(writing.catalog, batch.rows))
    feeds = Feeds(writing.catalog.ids, counters)
    heads = feeds.write(batch)
    waiting.add(feeds.together)
    return heads


@contextmanager
def at_once(asked: bool) -> Iterator[None]:
    """Raise `NotAtOnce` for an error of the database that is one of what was written, if that was `asked`."""
    try:
        yield
    except psycopg.Error as error:
        if asked and error.sqlstate is not None and error.sqlstate[:2] not in _NOT_THE_WRITE:
            raise NotAtOnce(f"it is done again step by step: {error}") from error
        raise
