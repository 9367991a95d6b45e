"""One transaction on the memory store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.stores.base import (
    Aside,
    Batch,
    DirtyRow,
    HistoryEntry,
    HubState,
    Origin,
    RowWrite,
    Space,
    Span,
    StoredResult,
    StoredRow,
)
from holdfast.stores.chain import INITIAL_CHAIN, next_chain
from holdfast.stores.memory.layers import Layers
from holdfast.stores.memory.user_tables import Change, UserTables

MODULUS = 2**128

# The maps of the store. User tables and their unique constraints have maps of their own (`user_tables.py`).
HUB = "hub"  # "state" -> HubState, "mark" -> the latest mark of a note
SPACE = "space"  # name -> Space
ROW = "row"  # (table, key) -> StoredRow
LEFT = "left"  # (table, key, space) -> seq of the leave mark there
COMMIT = "commit"  # (space, head) -> (chain, time)
ORIGIN = "origin"  # origin -> Origin
RESULT = "result"  # (origin, n) -> StoredResult
HISTORY = "history"  # (table, key) -> tuple of HistoryEntry
DIGEST = "digest"  # (space, bucket) -> (count, sum)
LEASE = "lease"  # (table, device) -> (ask, (first, last)), table -> the next key
DIRTY = "dirty"  # (table, key) -> mark
ASIDE = "aside"  # (table, key) -> (mark, reason)


def feed_map(space: str) -> str:
    """Name of the map seq -> (image, patch or None, number that the patch follows) of one space."""
    return f"feed {space}"


class MemoryTransaction:
    """What `stores.base.Transaction` says, on layered dictionaries."""

    def __init__(self, view: Layers, tables: UserTables, new_epoch: Callable[[], str], *, write: bool) -> None:
        self._layers = view
        self._tables = tables
        self._new_epoch = new_epoch
        self._write = write
        self._open = True

    def end(self) -> None:
        """Nothing more can be read or written here."""
        self._open = False

    @property
    def _view(self) -> Layers:
        if not self._open:
            raise HoldfastError("transaction_closed", "This transaction has ended; open another one.")
        return self._layers

    @property
    def _writable(self) -> Layers:
        if not self._write:
            raise HoldfastError("transaction_read_only", "This transaction only reads; open it with write=True.")
        return self._view

    def hub(self) -> HubState:
        """The hub's identity and clock."""
        state: HubState = self._view.get(HUB, "state")
        return state

    def spaces(self, names: Sequence[str]) -> dict[str, Space]:
        """Heads of the named spaces; unknown ones are absent."""
        found = ((name, self._view.get(SPACE, name)) for name in names)
        return {name: space for name, space in found if space is not None}

    def all_spaces(self) -> list[str]:
        """Names of all spaces, in order."""
        return sorted(name for name, _ in self._view.items(SPACE))

    def chain_at(self, space: str, head: int) -> str | None:
        """The chain at that head; None if the space never stood there."""
        if head == 0:
            return None if self._view.get(SPACE, space) is None else INITIAL_CHAIN
        found: tuple[str, int] | None = self._view.get(COMMIT, (space, head))
        return found[0] if found is not None else None

    def origins(self, origins: Sequence[str]) -> dict[str, Origin]:
        """Known origins among those named."""
        found = ((name, self._view.get(ORIGIN, name)) for name in origins)
        return {name: origin for name, origin in found if origin is not None}

    def results(self, origins: Sequence[str]) -> list[StoredResult]:
        """All kept results of the origins, in order of (origin, n)."""
        wanted = set(origins)
        return [result for key, result in sorted(self._view.items(RESULT)) if key[0] in wanted]

    def rows(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredRow]:
        """Feed rows by (table, key), leave marks excluded."""
        found = ((key, self._view.get(ROW, key)) for key in keys)
        return {key: row for key, row in found if row is not None}

    def feed(self, space: str, after: int, until: int, *, patches: bool = False) -> Iterator[tuple[int, bytes]]:
        """(seq, image) with after < seq <= until, in order."""
        known = self._view.get(SPACE, space)
        for seq in range(after + 1, min(until, known.head if known else 0) + 1):
            entry = self._view.get(feed_map(space), seq)
            if entry is not None:
                image, patch, before = entry
                yield seq, patch if patches and patch is not None and before <= after else image

    def history(self, table: str, key: str, *, newest: int | None = None) -> list[HistoryEntry]:
        """Entries of one row, oldest first."""
        found = list(self._view.get(HISTORY, (table, key), ()))
        return found if newest is None else found[-newest:]

    def digest(self, space: str) -> dict[int, tuple[int, int]]:
        """bucket -> (count, sum) of the buckets that are not empty."""
        return {bucket: sums for (name, bucket), sums in self._view.items(DIGEST) if name == space and sums != (0, 0)}

    def has_dirty(self) -> bool:
        """Whether any row waits to be sequenced."""
        return any(True for _ in self._view.items(DIRTY))

    def noted(self, names: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of the rows that wait to be sequenced."""
        return {name for name in names if self._view.get(DIRTY, name) is not None}

    def dirty(self, limit: int) -> list[DirtyRow]:
        """Up to `limit` rows that other programs wrote, oldest note first."""
        notes = sorted((mark, *row) for row, mark in self._view.items(DIRTY))
        return [DirtyRow(table, key, mark, self._native(table, key)) for mark, table, key in notes[:limit]]

    def aside(self) -> list[Aside]:
        """Rows that wait aside, oldest first."""
        waiting = sorted((*found, *row) for row, found in self._view.items(ASIDE) if self._view.get(DIRTY, row) is None)
        return [Aside(table, key, reason) for _, reason, table, key in waiting]

    def _native(self, table: str, key: str) -> tuple[Sequence[Any], Sequence[Any]] | None:
        row = self._view.get(self._tables.by_name[table].map, key)
        return None if row is None else (list(row.key_values), list(row.values))

    def current(self, names: Sequence[tuple[str, str]]) -> list[DirtyRow]:
        """What the user tables hold now of these rows."""
        return [DirtyRow(table, key, 0, self._native(table, key)) for table, key in names]

    def children(
        self, table: str, columns: Sequence[str], values: Sequence[Sequence[Any]], span: Span | None = None
    ) -> list[str]:
        """Keys of the rows that hold one of these value tuples in the columns."""
        wanted = {tuple(one) for one in values}
        user = self._tables.by_name[table]
        found = sorted(key for key, row in self._view.items(user.map) if user.pick(row, columns) in wanted)
        if span is None:
            return found
        return [key for key in found if span.after < key and (not span.before or key < span.before)][: span.limit]

    def keys(self, table: str) -> Iterator[str]:
        """Keys of all rows of a user table."""
        return iter([key for key, _ in self._view.items(self._tables.by_name[table].map)])

    def lease(self, table: str, device: str, ask: str, size: int) -> list[tuple[int, int]]:
        """Keys for a device, above every key that the table has or somebody was given; the same for the same `ask`."""
        view = self._writable
        known = view.get(LEASE, (table, device))
        if known is None or known[0] != ask:
            names = [name for layer in (ROW, DIRTY) for name, _ in view.items(layer)]
            keys = (int(key) for name, key in names if name == table)
            first = max(view.get(LEASE, table, 1), max(keys, default=0) + 1)
            view.put(LEASE, table, first + size)
            known = (ask, (first, first + size - 1))
            view.put(LEASE, (table, device), known)
        return [known[1]]

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part that is undone alone when an exception leaves it."""
        view = self._writable
        view.push()
        try:
            yield
        except BaseException:
            view.undo()
            raise
        view.keep()

    def histories(self, table: str) -> Iterator[HistoryEntry]:
        """Entries of all rows of a table, oldest first."""
        found = [entry for (name, _), entries in self._view.items(HISTORY) if name == table for entry in entries]
        return iter(sorted(found, key=lambda entry: (entry.at, entry.key)))

    def collect(self, space: str, before: int, limit: int) -> int:
        """Forget dead rows, leave marks and chains of before that time; see `stores.base`."""
        view = self._writable
        known: Space | None = view.get(SPACE, space)
        if known is None:
            return 0
        commits = sorted((head, at) for (name, head), (_, at) in view.items(COMMIT) if name == space)[: limit + 1]
        floor = max([known.floor, *(head for head, at in commits if at < before)])
        view.put(SPACE, space, known._replace(floor=floor))
        old = [head for head, _ in commits if head < floor]
        for head in old:
            view.drop(COMMIT, (space, head))
        dead = [row for _, row in view.items(ROW) if row.space == space and row.seq <= floor and row.life % 2 == 0]
        for row in dead[:limit]:
            view.drop(ROW, (row.table, row.key))
            view.drop(feed_map(space), row.seq)
        marks = [(place, seq) for place, seq in view.items(LEFT) if place[2] == space and seq <= floor]
        for place, seq in marks[:limit]:
            view.drop(LEFT, place)
            view.drop(feed_map(space), seq)
        return len(old) + len(dead[:limit]) + len(marks[:limit])

    def forget_history(self, table: str, before: int, limit: int) -> int:
        """Delete some entries of a table from before that time; gives how many."""
        view, gone = self._writable, 0
        for (name, key), entries in list(view.items(HISTORY)):
            old = [place for place, entry in enumerate(entries) if entry.at < before] if name == table else []
            if taken := set(old[: limit - gone]):
                kept = tuple(entry for place, entry in enumerate(entries) if place not in taken)
                view.put(HISTORY, (name, key), kept)
                gone += len(taken)
        return gone

    def forget(self, results: Sequence[tuple[str, int]]) -> None:
        """Delete acknowledged results."""
        for origin, n in results:
            self._writable.drop(RESULT, (origin, n))

    def set_aside(self, notes: Sequence[tuple[DirtyRow, str]]) -> None:
        """These rows wait aside, with the reason."""
        self.clean([note for note, _ in notes])
        for note, reason in notes:
            self._writable.put(ASIDE, (note.table, note.key), (note.mark, reason))

    def look_again(self, names: Sequence[tuple[str, str]]) -> None:
        """These rows wait aside no more: they are noted again."""
        view = self._writable
        for name in names:
            waiting = view.get(ASIDE, name)
            if waiting is not None:
                view.drop(ASIDE, name)
                view.put(DIRTY, name, view.get(DIRTY, name, waiting[0]))

    def note_all(self, tables: Sequence[str]) -> None:
        """Every row of these tables is dirty."""
        view = self._writable
        names = [(name, key) for name in tables for key, _ in view.items(self._tables.by_name[name].map)]
        for name in sorted(names):
            mark = view.get(HUB, "mark") + 1
            view.put(HUB, "mark", mark)
            view.put(DIRTY, name, mark)

    def clean(self, notes: Sequence[DirtyRow]) -> None:
        """Delete these notes, but no newer ones of the same rows."""
        view = self._writable
        for note in notes:
            view.drop(ASIDE, (note.table, note.key))
            if view.get(DIRTY, (note.table, note.key)) == note.mark:
                view.drop(DIRTY, (note.table, note.key))

    def write(self, batch: Batch) -> dict[str, Space]:
        """Write everything or, when a constraint refuses it, nothing; give the new heads of the spaces that changed."""
        with self.savepoint():
            view = self._writable
            self._tables.apply(view, [self._change(row) for row in batch.rows if not row.foreign])
            heads = self._sequence(view, batch.rows)
            self._write_rest(view, batch)
            return {name: self._commit(view, name, head, batch) for name, head in sorted(heads.items())}

    def _change(self, row: RowWrite) -> Change:
        if row.values is None:
            return Change(row.table, row.key, None)
        return Change(row.table, row.key, self._tables.by_name[row.table].row(row.key_values, row.values))

    def _sequence(self, view: Layers, rows: Sequence[RowWrite]) -> dict[str, int]:
        """Put the rows and leave marks into the feeds, one number each; the new head of each space that changed."""
        heads: dict[str, int] = {}

        def take(space: str) -> int:
            known = view.get(SPACE, space)
            heads[space] = heads.get(space, known.head if known else 0) + 1
            return heads[space]

        for row in rows:
            if not row.foreign:
                view.drop(ASIDE, (row.table, row.key))
            before: StoredRow | None = view.get(ROW, (row.table, row.key))
            if before is not None:
                view.drop(feed_map(before.space), before.seq)
            came_back = view.get(LEFT, (row.table, row.key, row.space))
            if came_back is not None:
                view.drop(feed_map(row.space), came_back)
                view.drop(LEFT, (row.table, row.key, row.space))
            seq = take(row.space)
            stored = StoredRow(row.table, row.key, row.space, seq, row.life, row.image, row.kept)
            view.put(ROW, (row.table, row.key), stored)
            view.put(feed_map(row.space), seq, (row.image, row.patch, row.before))
            if row.left is not None:
                self._leave(view, row, take(row.left))
        return heads

    def _leave(self, view: Layers, row: RowWrite, seq: int) -> None:
        place = (row.table, row.key, row.left)
        earlier = view.get(LEFT, place)
        if earlier is not None:
            view.drop(feed_map(str(row.left)), earlier)
        view.put(LEFT, place, seq)
        view.put(feed_map(str(row.left)), seq, (row.left_image or b"", None, 0))

    def _write_rest(self, view: Layers, batch: Batch) -> None:
        for entry in batch.history:
            row = (entry.table, entry.key)
            view.put(HISTORY, row, (*view.get(HISTORY, row, ()), entry))
        for space, buckets in batch.digests.items():
            for bucket, (count, total) in buckets.items():
                old_count, old_total = view.get(DIGEST, (space, bucket), (0, 0))
                view.put(DIGEST, (space, bucket), (old_count + count, (old_total + total) % MODULUS))
        for result in batch.results:
            view.put(RESULT, (result.origin, result.n), result)
        for origin in batch.origins:
            view.put(ORIGIN, origin.origin, origin)
        state: HubState = view.get(HUB, "state")
        view.put(HUB, "state", state._replace(hlc=max(state.hlc, batch.hlc)))

    def _commit(self, view: Layers, name: str, head: int, batch: Batch) -> Space:
        known: Space | None = view.get(SPACE, name)
        before = known.chain if known else INITIAL_CHAIN
        chain = next_chain(before, head, batch.content.get(name, b""))
        space = Space(name, known.epoch if known else self._new_epoch(), head, chain, known.floor if known else 0)
        view.put(SPACE, name, space)
        view.put(COMMIT, (name, head), (chain, batch.now))
        return space
