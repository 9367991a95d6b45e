"""The schema on which the contract is tested, and short ways to write rows and batches of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.schema.key import key_text
from holdfast.schema.model import Column, ForeignKey, Schema, SpaceRule, Table
from holdfast.stores.base import Batch, HistoryEntry, Origin, RowWrite, StoredResult

SPACE = SpaceRule("contract")

PLACE = Table(
    "place",
    (
        Column("id", "text"),
        Column("name", "text", default="unnamed"),
        Column("code", "text", nullable=True, default=None),
        Column("street", "text", nullable=True, default=None),
        Column("number", "int", nullable=True, default=None),
    ),
    ("id",),
    SPACE,
    unique=(("code",), ("street", "number")),
)
ITEM = Table(
    "item",
    (
        Column("id", "text"),
        Column("place", "text", nullable=True, default=None),
        Column("place_code", "text", nullable=True, default=None),
        Column("status", "text", default="draft", choices=("draft", "sent")),
        Column("label", "text", default=""),
    ),
    ("id",),
    SPACE,
    foreign_keys=(ForeignKey(("place",), "place", ("id",)), ForeignKey(("place_code",), "place", ("code",))),
)
BADGE = Table(
    "badge",
    (Column("crew", "text"), Column("active", "bool"), Column("number", "int"), Column("big", "bigint")),
    ("crew", "number", "active", "big"),
    SPACE,
)
TYPES = ("text", "int", "bigint", "float", "bool", "bytes", "date", "datetime", "decimal", "uuid", "json", "set")
READING = Table(
    "reading",
    (
        Column("id", "int"),
        *(Column(f"a_{name}", name, nullable=True, default=None) for name in TYPES[:-1]),
        Column("a_set", "set", "text", default=[], merge="set"),
    ),
    ("id",),
    SPACE,
)


def contract_schema() -> Schema:
    """Two tables with unique constraints and foreign keys, one with a composite key only, one with a column a type."""
    return Schema(1, (PLACE, ITEM, BADGE, READING))


def image(table: Table, life: int, key_values: Sequence[Any], values: Sequence[Any] | None, note: str = "") -> bytes:
    """Something like an image; `note` tells images of one row apart."""
    return json.dumps([table.name, life, [*key_values, *(values or ())], note]).encode()


def row(
    table: Table,
    key: str | Sequence[Any],
    values: Sequence[Any] | None,
    space: str = "a",
    *,
    life: int | None = None,
    kept: bytes | None = None,
    left: str | None = None,
    fresh: bool = True,
    foreign: bool = False,
    note: str = "",
) -> RowWrite:
    """A row as the hub would write it; `values` None for a dead one. A text as `key` stands for the one key column."""
    key_values = [key] if isinstance(key, str) else list(key)
    life = life if life is not None else 2 if values is None else 1
    mark = image(table, 0, key_values, None) if left is not None else None
    form = image(table, life, key_values, values, note)
    text = key_text(table, key_values)
    return RowWrite(table.name, text, space, life, key_values, values, form, kept, left, mark, fresh, foreign)


def place(key: str, code: str | None = None, space: str = "a", **options: Any) -> RowWrite:
    """A living row of `place`."""
    return row(PLACE, key, [f"place {key}", code, None, None], space, **options)


def item(key: str, parent: str | None, space: str = "a", **options: Any) -> RowWrite:
    """A living row of `item` that names its place by id."""
    return row(ITEM, key, [parent, None, "draft", ""], space, **options)


def gone(table: Table, key: str, space: str = "a", **options: Any) -> RowWrite:
    """A dead row that the feed has already."""
    return row(table, key, None, space, fresh=False, **options)


def again(write: RowWrite) -> RowWrite:
    """The same row when the feed has it already."""
    return write._replace(fresh=False)


def batch(
    *rows: RowWrite,
    history: Sequence[HistoryEntry] = (),
    results: Sequence[StoredResult] = (),
    origins: Sequence[Origin] = (),
    digests: Mapping[str, Mapping[int, tuple[int, int]]] | None = None,
    content: Mapping[str, bytes] | None = None,
    hlc: int = 1,
    now: int = 1_000,
) -> Batch:
    """A batch; everything but the rows may be left out."""
    return Batch(rows, history, results, origins, digests or {}, content or {}, hlc, now)
