"""The schema of the convergence machines: every column type, every merge type, every kind of key, both delete policies.

Rows of the spaces `p:1` and `p:2` may move between the two; `code` has a secondary UNIQUE, `owner` too, and children by
several foreign keys; `mine` belongs to whoever writes it.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Literal

import holdfast as hf


class Form(hf.Table, key="id", space="p:{project}"):
    """Every column type and every merge type."""

    id: str
    project: str = "1"
    title: str = "new"
    whole: int = 0
    big: hf.BigInt = 0
    real: float = 0.0
    yes: bool = False
    raw: bytes = b""
    day: datetime.date = datetime.date(2026, 1, 1)
    moment: datetime.datetime = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    price: decimal.Decimal = decimal.Decimal("1.50")
    ref: uuid.UUID | None = None
    extra: hf.JsonValue | None = None
    maybe: int | None = None
    state: Literal["draft", "sent", "closed"] = "draft"
    crew: hf.Counter = 0
    stock: hf.Counter = 5
    tags: hf.Set[str]
    seen: hf.GrowSet[int]
    first: hf.Earliest[datetime.date] | None = None
    last: hf.Latest[decimal.Decimal] | None = None


class Entry(hf.Table, key=("project", "number", "good"), space="p:{project}", on_delete="delete"):
    """A composite key, which holds the space; a deletion wins."""

    project: str
    number: int
    good: bool
    note: str | None = None
    amount: hf.Counter = 0
    tags: hf.Set[int]


class Code(hf.Table, key="number", space="shared", unique=[("label",), ("level", "part")]):
    """An int key and two secondary UNIQUE constraints."""

    number: int
    label: str | None = None
    level: int | None = None
    part: str | None = None
    hits: hf.Counter = 0


class Owner(hf.Table, key="id", space="p:{project}", unique=[("name",)]):
    """A parent, with a unique name."""

    id: str
    project: str = "1"
    name: str | None = None
    points: hf.Counter = 0


class Pet(hf.Table, key="id", space="p:{project}", on_delete="delete"):
    """A child that goes with its parent."""

    id: str
    project: str = "1"
    owner: str | None = hf.column(default=None, references=Owner, on_delete="cascade")
    note: str = ""


class Toy(hf.Table, key="id", space="p:{project}"):
    """A child that its parent cannot leave behind, and a reference that is emptied."""

    id: str
    project: str = "1"
    owner: str | None = hf.column(default=None, references=Owner)
    lent: str | None = hf.column(default=None, references=Owner, on_delete="set_null")


class Mine(hf.Table, key="id", space="user:{@user}"):
    """Rows of one user."""

    id: str
    note: str = ""
    day: hf.Latest[int] | None = None


class Bare(hf.Table, key=("project", "id"), space="p:{project}"):
    """Only a key."""

    project: str
    id: str


SCHEMA = hf.Schema(Form, Entry, Code, Owner, Pet, Toy, Mine, Bare, version=1)
