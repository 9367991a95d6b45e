"""The default store of a hub: one SQLite file, any number of threads and processes."""

from holdfast.stores.sqlite.store import SqliteStore
from holdfast.stores.sqlite.transaction import SqliteTransaction

__all__ = ["SqliteStore", "SqliteTransaction"]
