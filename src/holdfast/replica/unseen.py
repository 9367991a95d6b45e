"""Rows of tables that this version of the schema does not have: their names and stamps are kept, so that the digest of
this copy stays comparable; their values come when the application knows the table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import apsw

from holdfast.kernel import values
from holdfast.protocol import messages as m


def unseen_key(image: m.Image, keys: int) -> str:
    """The key of a row of such a table, whose key has so many columns (`spec/encoding.md`, section 2)."""
    if keys > 1:
        return values.canonical_json(image.values[:keys])
    (value,) = image.values[:1]
    return value if isinstance(value, str) else values.canonical_json(value)


def unseen_values(key: str, keys: int) -> list[Any]:
    """Values that have this key, of such a table."""
    return list(json.loads(key)) if keys > 1 else [key]


def write_unseen(db: apsw.Connection, keys: int, images: Sequence[m.Image], space: int) -> None:
    """Note rows of one such table, and forget those that have left the space."""
    rows = [(image.table, unseen_key(image, keys), space, image.life, image.stamps) for image in images if image.life]
    db.executemany(
        "INSERT OR REPLACE INTO holdfast_unseen (tbl, key, space, life, stamps) VALUES (?, ?, ?, ?, ?)", rows
    )
    left = [(image.table, unseen_key(image, keys), space) for image in images if not image.life]
    db.executemany("DELETE FROM holdfast_unseen WHERE tbl = ? AND key = ? AND space = ?", left)


def unseen_rows(db: apsw.Connection, space: str) -> Iterator[tuple[str, str, int, str]]:
    """(table, key, life, stamps) of the living ones of a space."""
    sql = """SELECT tbl, key, life, stamps FROM holdfast_unseen
             WHERE life & 1 AND space = (SELECT id FROM holdfast_space WHERE name = ?)"""
    found: Any = db.execute(sql, (space,))
    yield from found
