"""The memory store: dictionaries, no SQLite, nothing kept after `close`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.schema.key import key_text
from holdfast.schema.model import Schema
from holdfast.stores.base import HubState, StoreUnavailable
from holdfast.stores.kept import Kept
from holdfast.stores.memory.layers import Layers, Maps, fold
from holdfast.stores.memory.transaction import DIRTY, HUB, MemoryTransaction
from holdfast.stores.memory.user_tables import Change, UserTables
from holdfast.stores.slots import renamings, with_added


class MemoryStore:
    """Keeps everything of a hub in dictionaries.

    `random(bits)` gives a random integer of that many bits and names the hub and its spaces: pass a seeded one to
    repeat a simulation. `patience` is how long a writer waits for another one, in seconds, before it gives up with
    `StoreUnavailable`.
    """

    def __init__(self, *, random: Callable[[int], int] = secrets.randbits, patience: float = 30.0) -> None:
        self._random = random
        self._patience = patience
        self._writer = Lock()
        self._mutex = Lock()
        self._base: Maps = {}
        self._readers: dict[int, int] = {}
        self._schema: Schema | None = None
        self._layout: dict[str, list[str]] = {}
        self._tables: UserTables | None = None
        self._kept: dict[int, Kept] = {}

    def versions(self) -> list[Kept]:
        """The versions of the schema that were kept; see `stores.kept`."""
        return [self._kept[number] for number in sorted(self._kept)]

    def keep_version(self, kept: Kept) -> Kept:
        """Keep a version of the schema; see `stores.kept`."""
        with self._turn():
            now = self._kept[kept.schema.version] = kept.after(self._kept.get(kept.schema.version))
            return now

    def open(self, schema: Schema) -> dict[str, list[str]]:
        """Take the schema and give the layout. A later call may bring another schema: its new columns get new slots,
        and rows whose space has another rule are dirty."""
        with self._turn():
            before = self._schema
            layout = {name: list(names) for name, names in self._layout.items()}
            for table in schema.tables:
                names = layout.get(table.name, [])
                for old, new in renamings(table, names, schema.renames):
                    names[names.index(old)] = new
            self._layout = layout | {t.name: with_added(t, layout.get(t.name, ())) for t in schema.tables}
            self._schema = schema
            self._tables = UserTables(schema, self._layout)
            if HUB not in self._base:
                self._base[HUB] = {"state": HubState(hub := self._name(), 0, hub), "mark": 0}
        known = before.by_name if before is not None else {}
        if moved := [t.name for t in schema.tables if t.name in known and known[t.name].space != t.space]:
            with self._write() as tx:
                tx.note_all(moved)
        return {table.name: list(self._layout[table.name]) for table in schema.tables}

    def _name(self) -> str:
        return f"{self._random(48):012x}"

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._writer.acquire(timeout=self._patience):
            raise StoreUnavailable(f"another writer has held the store for more than {self._patience:g} seconds")
        try:
            yield
        finally:
            self._writer.release()

    def _opened(self) -> UserTables:
        if self._tables is None:
            raise HoldfastError("store_closed", "The store is not open; call open(schema) first.")
        return self._tables

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[MemoryTransaction]:
        """A transaction: commits on leaving, rolls back on an exception."""
        with self._write() if write else self._read() as transaction:
            try:
                yield transaction
            finally:
                transaction.end()

    @contextmanager
    def _read(self) -> Iterator[MemoryTransaction]:
        tables = self._opened()
        with self._mutex:
            base = self._base
            self._readers[id(base)] = self._readers.get(id(base), 0) + 1
        try:
            yield MemoryTransaction(Layers(base), tables, self._name, write=False)
        finally:
            with self._mutex:
                self._readers[id(base)] -= 1
                if not self._readers[id(base)]:
                    del self._readers[id(base)]

    @contextmanager
    def _write(self) -> Iterator[MemoryTransaction]:
        with self._turn():
            view = Layers(self._base)
            view.push()
            yield MemoryTransaction(view, self._opened(), self._name, write=True)
            with self._mutex:
                # The base that readers hold stays as it is; they keep it alive, so its id is not given to another one.
                self._base = fold(self._base, view.changes(), shared=id(self._base) in self._readers)

    def close(self) -> None:
        """Forget the schema; what was stored is kept as long as this object, and `open` gives it back."""
        self._tables = None

    def copy(self) -> MemoryStore:
        """An independent store with all that this one holds now: what a backup of it would bring back."""
        twin = MemoryStore(random=self._random, patience=self._patience)
        with self._turn(), self._mutex:
            twin._base = {name: dict(values) for name, values in self._base.items()}
            twin._kept = dict(self._kept)
            twin._layout = {name: list(columns) for name, columns in self._layout.items()}
            state: HubState = twin._base[HUB]["state"]
            twin._base[HUB]["state"] = state._replace(counts=self._name())
        return twin

    def table(self, name: str) -> dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]]:
        """What a user table shows now: key text -> (key values, values by slot), as wire forms."""
        with self._mutex:
            base = self._base
            rows = dict(base.get(self._opened().by_name[name].map, {}))
        return {key: (row.key_values, row.values) for key, row in rows.items()}

    def foreign_write(self, table: str, key_values: Sequence[Any], values: Sequence[Any] | None) -> None:
        """Play another program: put this row (wire forms, by slot) into the user table, or delete it, and note it.

        Raises `Violation` like a database would.
        """
        tables = self._opened()
        if self._schema is None:
            raise HoldfastError("store_closed", "The store is not open; call open(schema) first.")
        key = key_text(self._schema.table(table), key_values)
        row = None if values is None else tables.by_name[table].row(key_values, values)
        with self._turn():
            view = Layers(self._base)
            view.push()
            tables.apply(view, [Change(table, key, row)])
            mark = view.get(HUB, "mark") + 1
            view.put(HUB, "mark", mark)
            view.put(DIRTY, (table, key), mark)
            with self._mutex:
                self._base = fold(self._base, view.changes(), shared=id(self._base) in self._readers)
