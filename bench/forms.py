"""The workload: form rows of 545 bytes as JSON, 12 columns, random UUID keys. The same seed gives the same rows."""

from __future__ import annotations

import datetime
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from random import Random

import holdfast as hf

SPACE = "project:42"
USER = "anna"
ROW_BYTES = 545
WORDS = re.findall(
    r"\w+",
    """anchor beam bolt brace cable crack crane deck door drain edge exit fence fire floor frame gate girder grate guard
    hatch hoist hose joint ladder lamp latch leak lift loose paint panel pipe plate pump rail ramp roof rope rust
    scaffold screw seal shaft shore sign slab stair steel strap sump tank tarp tile tower truss valve vent wall weld""",
)
STATES = ("draft", "open", "done")


class Form(hf.Table, space="project:{project_id}"):
    """A form that a foreman fills in."""

    project_id: str
    template: str
    status: str
    title: str
    inspector: str
    site: str
    inspected_on: datetime.date
    created_at: datetime.datetime
    score: int
    temperature: float
    notes: str


SCHEMA = hf.Schema(Form, version=1)
COLUMNS = ("id", *(column.name for column in SCHEMA.table("form").cells))
MARKS = ", ".join("?" * len(COLUMNS))
INSERT = f"INSERT INTO form ({', '.join(COLUMNS)}) VALUES ({MARKS})"
RAW_TABLE = (
    "CREATE TABLE form (id TEXT PRIMARY KEY, project_id TEXT, template TEXT, status TEXT, title TEXT, inspector TEXT, "
    "site TEXT, inspected_on TEXT, created_at TEXT, score INTEGER, temperature REAL, notes TEXT) STRICT"
)
"""The plain table that the physical limits are measured on: the same columns, no constraint but the key."""


def server(url: str, images: hf.Images | None = None) -> hf.Server:
    """A hub for everybody: the user that the token names; the bench has no secrets."""

    def anybody(headers: Mapping[str, str]) -> hf.Identity | None:
        user = headers.get("authorization", "").removeprefix("Bearer ")
        return hf.Identity(user, {SPACE: "rw"}) if user else None

    return hf.Server(url, SCHEMA, authenticate=anybody, images=images)


def rows(count: int, seed: int = 1) -> Iterator[tuple[object, ...]]:
    """`count` rows in the order of `COLUMNS`, as SQLite stores them."""
    random = Random(seed)
    start = datetime.datetime(2026, 1, 5, 6, 0, tzinfo=datetime.UTC)
    for number in range(count):
        key = str(uuid.UUID(int=random.getrandbits(128), version=4))
        created = start + datetime.timedelta(seconds=random.randrange(20_000_000))
        row = (
            key,
            "42",
            f"template-{random.randint(1, 20):02}",
            random.choice(STATES),
            " ".join(random.choices(WORDS, k=4)),
            f"inspector-{random.randint(1, 60):02}",
            f"{random.randint(1, 999)} {random.choice(WORDS)} street",
            created.date().isoformat(),
            created.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            random.randint(0, 100),
            round(random.uniform(-20, 45), 2),
        )
        yield (*row, _notes(random, ROW_BYTES - len(json.dumps(dict(zip(COLUMNS, (*row, ""), strict=True)))), number))


def _notes(random: Random, size: int, number: int) -> str:
    """A text of that many characters."""
    text = f"Visit {number}: " + " ".join(random.choices(WORDS, k=size // 4))
    return text[:size]
