"""A schema with everything in it, and the two SQLite libraries that the tests run against."""

from __future__ import annotations

import datetime
import decimal
import enum
import sqlite3
import typing
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apsw

import holdfast.schema as hf


class Trade(enum.Enum):
    ROOFING = "roofing"
    STEEL = "steel's"


class Submission(
    hf.Table, space="project:{project_id}", unique=[("project_id", "number")], indexes=[("status", "due")]
):
    project_id: str = hf.column(references="Project", on_delete="cascade")
    number: int | None = None
    status: str = "it's a draft"
    crew_size: hf.Counter = 0
    tags: hf.Set[str]
    seen: hf.GrowSet[hf.BigInt] = frozenset({3, -1})
    inspected_on: hf.Earliest[datetime.date] | None = None
    due: datetime.datetime | None = None
    trade: Trade = Trade.ROOFING
    grade: typing.Literal[1, 2] | None = None
    extra: hf.JsonValue | None = None
    settings: hf.JsonValue = hf.column(default={"b": [1, 2.5], "a": "x"})
    hours: float = 0.5
    cost: decimal.Decimal = decimal.Decimal("1.50")
    big: hf.BigInt = -(2**63)
    open: bool = True
    photo: bytes = b"\x00\xff"
    ref: uuid.UUID = hf.column(default=hf.new_id, unique=True)


class Project(hf.Table, space="project:{id}", on_delete="delete", priority=2):
    name: str


class Reading(hf.Table, key=("place", "at", "big", "good", "n"), space="user:{@user}"):
    place: str
    at: datetime.datetime
    big: hf.BigInt
    good: bool
    n: int
    parent: str | None = hf.column(default=None, references=Project, on_delete="set_null")


schema = hf.Schema(Submission, Project, Reading, version=3)

Rows = list[tuple[Any, ...]]
Execute = Callable[..., Rows]
LIBRARIES = ("apsw", "sqlite3")
Refused = (apsw.Error, sqlite3.Error)
"""What both libraries raise when SQLite refuses."""


@contextmanager
def database(library: str, path: str = ":memory:") -> Iterator[Execute]:
    """`execute(sql, parameters)` on a database, in autocommit mode."""
    connection: Any = apsw.Connection(path) if library == "apsw" else sqlite3.connect(path, isolation_level=None)

    def execute(sql: str, parameters: Sequence[Any] = ()) -> Rows:
        return [tuple(row) for row in connection.execute(sql, tuple(parameters))]

    execute("pragma synchronous = off")
    try:
        yield execute
    finally:
        connection.close()
