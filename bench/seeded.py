"""Hubs with the rows of the tasks data model: seeded once by another program, then copied for each run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

import apsw
import psycopg

from bench import tasks
from bench.postgres_server import fresh_database, postgres_server
from holdfast.schema.emit import postgres, sqlite

Kind = Literal["PostgreSQL", "SQLite"]
KINDS: tuple[Kind, ...] = ("PostgreSQL", "SQLite")
_numbers = itertools.count()


class Seeded:
    """A store with rows. `postmaster` is the process id of PostgreSQL; None on SQLite."""

    def __init__(self, place: Path | str, server: str, postmaster: int | None) -> None:
        self._place, self._server = place, server
        self.postmaster = postmaster

    def copy(self) -> str:
        """A copy of its own, as `hub_process` takes it."""
        if isinstance(self._place, str):
            return fresh_database(self._server, like=self._place)
        name = self._place.with_name(f"{self._place.stem}-{next(_numbers)}.db")
        source, target = apsw.Connection(str(self._place)), apsw.Connection(str(name))
        with target.backup("main", source, "main") as backup:
            backup.step()
        target.close()
        source.close()
        return str(name)


@contextmanager
def seeded(folder: Path, kind: Kind, shape: tasks.Shape) -> Iterator[Seeded]:
    """A store of that kind with the rows, until the end of the block."""
    if kind == "SQLite":
        file = folder / f"tasks{next(_numbers)}.db"
        fill_file(file, shape)
        sequence(f"sqlite:///{file}", shape)
        yield Seeded(file, "", None)
        return
    with postgres_server() as server:
        url = fresh_database(server)
        with psycopg.connect(url) as db:
            backend = db.execute("SELECT pg_backend_pid()").fetchone()
            for statement in postgres.ddl(tasks.SCHEMA):
                db.execute(statement.encode())
            for table, rows in tasks.rows(shape):
                names = ", ".join(tasks.COLUMNS[table])
                with db.cursor().copy(f"COPY {table} ({names}) FROM STDIN".encode()) as copying:
                    for row in rows:
                        copying.write_row(row)
            assert backend is not None
            postmaster = int(Path(f"/proc/{backend[0]}/stat").read_text("utf-8").rpartition(")")[2].split()[1])
        sequence(url, shape)
        yield Seeded(url, server, postmaster)


def fill_file(file: Path, shape: tasks.Shape) -> None:
    """The tables as the schema declares them, without Holdfast, and the rows: also the physical limit of a device."""
    db = apsw.Connection(str(file))
    db.execute("PRAGMA journal_mode = WAL").fetchall()
    db.execute("PRAGMA synchronous = FULL")
    for statement in sqlite.ddl(tasks.SCHEMA):
        db.execute(statement)
    db.execute("BEGIN IMMEDIATE")
    for table, rows in tasks.rows(shape):
        marks = ", ".join("?" * len(tasks.COLUMNS[table]))
        db.executemany(f"INSERT INTO {table} ({', '.join(tasks.COLUMNS[table])}) VALUES ({marks})", rows)
    db.execute("COMMIT")
    db.close()


def sequence(url: str, shape: tasks.Shape) -> None:
    """Put the rows that are there into the feed."""
    with closing(tasks.server(url)) as server:
        server.migrate()
        if len(server.space_names()) != shape.organizations * (1 + shape.projects):
            raise RuntimeError(f"the hub knows the spaces {server.space_names()}")
