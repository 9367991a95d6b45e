"""A hub's store in a PostgreSQL database, beside the tables of an application; any number of processes."""

from holdfast.stores.postgres.store import PostgresStore
from holdfast.stores.postgres.transaction import PostgresTransaction

__all__ = ["PostgresStore", "PostgresTransaction"]
