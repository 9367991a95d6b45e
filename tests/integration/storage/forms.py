"""Tables whose rows may leave a device, on a real hub and real files."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import holdfast as hf
from holdfast.schema.model import Schema
from holdfast.schema.retention import ALL
from holdfast.testing import LocalTransport

DAY = 24 * 3_600_000
START = 2_000 * DAY
"""2025-06-23, in milliseconds since 2020-01-01 UTC."""
ANNA = hf.Identity("anna", {"site": "rw"})


class Project(hf.Table, space="site", evictable=True):
    """What forms refer to."""

    title: str


class Form(hf.Table, space="site", keep="30 days", storage="forms"):
    """Rows that grow old."""

    project: str | None = hf.column(default=None, references=Project)
    visited_on: datetime.date
    title: str = ""
    crew: hf.Counter = 0
    tags: hf.Set[str]
    notes: hf.Text = ""


class Photo(hf.Table, space="site", evictable=True, storage="photos"):
    """Large rows."""

    form: str | None = hf.column(default=None, references=Form)
    body: bytes


class Visit(hf.Table, space="site", key=("day", "place"), keep_last=3):
    """A composite key; the newest three stay."""

    day: datetime.date
    place: str
    remark: str = ""


class Log(hf.Table, space="site"):
    """Rows that stay."""

    line: str


SCHEMA = hf.Schema(Project, Form, Photo, Visit, Log)


class Clock:
    """A clock that is set by hand, in milliseconds since 2020-01-01 UTC."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    def day(self, days: int) -> str:
        """The date so many days from the start."""
        return (datetime.date(2020, 1, 1) + datetime.timedelta(days=START // DAY + days)).isoformat()


def opened(path: Path, server: hf.Server, clock: Callable[[], int], storage: hf.Storage | None = None) -> hf.Replica:
    """A device on a file."""
    return hf.Replica(path, SCHEMA, transport=LocalTransport(server, ANNA), now=clock, storage=storage)


def agree(replica: hf.Replica, server: hf.Server) -> bool:
    """Whether device and hub have one digest, by the comparison that is also made in the field."""
    report = replica.verify()
    return report.ok and not report.repaired and not report.lost


def keeping() -> Schema:
    """The same tables with nothing that may leave: to the hub it is one schema."""
    return Schema(SCHEMA.version, tuple(replace(table, retention=ALL) for table in SCHEMA.declared))
