"""The fixed SQL of the SQLite store, by name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import apsw


def _read(text: str) -> dict[str, str]:
    queries = {}
    for part in text.split("-- name: ")[1:]:
        name, _, body = part.partition("\n")
        lines = [line for line in body.splitlines() if not line.startswith("--")]
        queries[name.strip()] = "\n".join(lines).strip()
    return queries


QUERIES: dict[str, str] = _read((files(__package__) / "queries.sql").read_text(encoding="utf-8"))
"""Name -> statement, from `queries.sql`."""

TABLES: str = (files(__package__) / "tables.sql").read_text(encoding="utf-8")
"""The tables of a hub's file, each created if it is absent."""


def fetch(connection: apsw.Connection, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of a statement. What their columns hold is known to who wrote it, not to the type checker."""
    return connection.execute(sql, tuple(values)).fetchall()
