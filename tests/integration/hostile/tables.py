"""A schema with a column of every type, and a row of it."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any, Literal

import holdfast as hf


class Every(hf.Table, space="project:{project_id}"):
    """One column of each type."""

    project_id: str
    text: str = ""
    number: int | None = None
    big: hf.BigInt = 0
    ratio: float = 0.0
    flag: bool = False
    photo: bytes = b""
    day: datetime.date | None = None
    moment: datetime.datetime | None = None
    price: decimal.Decimal | None = None
    ref: uuid.UUID | None = None
    extra: hf.JsonValue | None = None
    trade: Literal["roofing", "steel"] = "roofing"
    tally: hf.Counter = 0
    tags: hf.Set[str]
    seen: hf.GrowSet[int]
    first: hf.Earliest[datetime.date] | None = None


class Reading(hf.Table, key=("place", "at"), space="city"):
    """A composite key."""

    place: str
    at: int
    value: float = 0.0


SCHEMA = hf.Schema(Every, Reading, version=1)
ANNA = hf.Identity("anna", {"project:1": "rw", "city": "rw"})


def full_row() -> dict[str, Any]:
    """Changes of an insert, in wire form."""
    return {"project_id": "1", "text": "x", "number": 5, "tally": 2, "tags": {"add": ["a"]}, "seen": {"add": [1]}}
