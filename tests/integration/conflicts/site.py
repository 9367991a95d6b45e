"""A hub on any store and devices around it, for tests of conflicts, policies, history and undo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import apsw
import psycopg

import holdfast as hf
from holdfast.hub.identity import Access
from holdfast.schema.model import Schema
from holdfast.testing import LocalTransport
from tests.postgres import database

STORES = ("memory", "sqlite", "postgres")
START = 200_000_000_000
"""Milliseconds since 2020: some day in 2026."""


class Site:
    """One hub and its devices on one clock that the test moves."""

    def __init__(self, store: str, url: str, folder: Path, server: hf.Server) -> None:
        self.store, self.url = store, url
        self.folder = folder
        self.server = server
        self.now = START
        self.stack = ExitStack()

    def device(self, user: str, *, name: str = "", access: Access = "rw", spaces: str = "s") -> hf.Replica:
        """A device of a user; it is opened again if it was closed."""
        identity = hf.Identity(user, dict.fromkeys(spaces.split(), access))
        way = LocalTransport(self.server, identity)
        path = self.folder / f"{name or user}.db"
        return self.stack.enter_context(hf.Replica(path, self.server.schema, transport=way, now=lambda: self.now))

    def foreign(self, table: str, key: str, column: str, value: str) -> None:
        """Another program writes a text into a row of the hub's tables."""
        if self.store == "memory":
            store: Any = self.server._store
            keys, values = store.table(table)[key]
            slot = self.server.schema.by_name[table].slot[column]
            store.foreign_write(table, keys, [*values[:slot], value, *values[slot + 1 :]])
            return
        sql = f"UPDATE {table} SET {column} = '{value}' WHERE id = '{key}'"
        if self.store == "postgres":
            with psycopg.connect(self.url) as db:
                db.execute(sql.encode())
            return
        with apsw.Connection(self.url.removeprefix("sqlite:///")) as file:
            file.execute(sql)
        file.close()

    def later(self, ms: int = 1_000) -> None:
        """Time goes on."""
        self.now += ms

    def rest(self, *devices: hf.Replica) -> None:
        """Sync until everybody has everything, and check that all show the same."""
        for _ in range(2):
            for device in devices:
                device.sync()
        tables = [table.name for table in self.server.schema.tables]
        shown = [{t: sorted(map(repr, d.execute(f"select * from {t}"))) for t in tables} for d in devices]
        assert all(one == shown[0] for one in shown)
        for device in devices:
            assert device.pending() == []


@contextmanager
def site(store: str, folder: Path, schema: Schema, **options: Any) -> Iterator[Site]:
    """A hub on the named kind of store."""
    with ExitStack() as stack:
        if store == "postgres":
            url = stack.enter_context(database())
        else:
            url = "memory:" if store == "memory" else f"sqlite:///{folder}/hub.db"
        made: list[Site] = []
        server = hf.Server(url, schema, now=lambda: made[0].now, **options)
        made.append(Site(store, url, folder, server))
        with server, made[0].stack:
            yield made[0]
