"""What a demo is made of: a schema, the rows to begin with, the devices, and what each of them does offline.

All of it is data that goes to the device processes as plain SQL; `forms.py` and `inspections.py` each make one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from holdfast.schema.model import Schema

Access = Literal["r", "rw"]
OFFICE = "office"
"""The device that loads the first rows and may read and write every space."""


class Fill(NamedTuple):
    """Rows to begin with: one statement for many rows."""

    table: str
    sql: str
    rows: list[list[Any]]


class Statement(NamedTuple):
    """One SQL statement. Parameters are what JSON can carry."""

    sql: str
    parameters: Sequence[Any] = ()


class Edit(NamedTuple):
    """One transaction of a device."""

    label: str
    statements: list[Statement]


class Device(NamedTuple):
    """A device, the user who carries it, and what he may read and write."""

    name: str
    spaces: dict[str, Access]
    edits: list[Edit]


class Expected(NamedTuple):
    """What must hold on the hub at the end: `sql` gives one value, which is `value`; `what` says it for people."""

    what: str
    sql: str
    parameters: list[Any]
    value: Any


class World(NamedTuple):
    """A demo. `schema_module` is where a process imports `schema` from; `devices[0]` is the office."""

    title: str
    note: str
    schema_module: str
    schema: Schema
    fill: list[Fill]
    devices: list[Device]
    shared: str
    expected: list[Expected]

    @property
    def rows(self) -> int:
        """How many rows there are to begin with."""
        return sum(len(fill.rows) for fill in self.fill)
