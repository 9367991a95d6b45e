"""New rows go a short way through device and hub. It leaves the same as the long way, to the last byte."""

from __future__ import annotations

import datetime
import decimal
import tempfile
import uuid
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

import holdfast as hf
from holdfast.hub import push
from holdfast.replica import tables
from holdfast.testing.clock import PartyClock, WorldTime
from tests.examples import MEMORY, examples
from tests.properties.convergence.statements import value_for


class Plain(hf.Table, key=("project", "number"), space="p:{project}"):
    """Registers of every type, with and without default, and a key that holds the space."""

    project: str
    number: int
    title: str
    whole: int = 0
    big: hf.BigInt = 0
    real: float = 0.5
    yes: bool = False
    raw: bytes = b""
    day: datetime.date = datetime.date(2026, 1, 1)
    moment: datetime.datetime = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    price: decimal.Decimal = decimal.Decimal("1.50")
    ref: uuid.UUID | None = None
    extra: hf.JsonValue | None = None
    state: Literal["draft", "sent"] = "draft"


SCHEMA = hf.Schema(Plain)
TABLE = SCHEMA.by_name["plain"]
RANDOM = ("digest", "hub", "space", "state", "log")
"""Tables with an identity that a hub chooses by chance, and what is computed from it."""
IDENTITY = hf.Identity("anna", {"p:1": "rw", "p:2": "rw", "p:3": "r"})


@st.composite
def inserts(draw: st.DrawFn) -> list[tuple[str, tuple[Any, ...]]]:
    """Statements that insert rows, some of them twice, some where the user may not write."""
    found = []
    for number in range(draw(st.integers(1, 6))):
        cells = draw(st.lists(st.sampled_from(TABLE.cells[1:]), max_size=4, unique_by=lambda c: c.name))
        names = ["project", "number", "title", *(c.name for c in cells)]
        values = (
            draw(st.sampled_from(("1", "1", "2", "3"))),
            draw(st.sampled_from((number, number, 0))),
            *(draw(value_for(TABLE, c)) for c in (TABLE.cells[0], *cells)),
        )
        marks = ", ".join("?" * len(names))
        found.append((f"INSERT INTO plain ({', '.join(names)}) VALUES ({marks})", values))
    return found


class Nothing:
    """No short way."""

    def decide(self, ops: object, user: str) -> dict[Any, Any]:
        """Never."""
        return {}


def left(
    statements: list[tuple[str, tuple[Any, ...]]], ahead: int, together: bool, *, short: bool
) -> dict[str, list[Any]]:
    """Everything that stands in the files of device and hub in the end."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(dir=MEMORY) as name:
        if not short:
            patch.setattr(push, "fresh_rows", lambda schema: Nothing())
            patch.setattr(tables, "fresh_form", None)
            real = tables.UserTable.__init__

            def without(self: Any, *given: Any) -> None:
                patch.setattr(tables, "fresh_form", lambda cell: cell)
                real(self, *given)
                self.fresh_forms = None

            patch.setattr(tables.UserTable, "__init__", without)
        folder, time = Path(name), WorldTime()
        bits = iter(range(1, 10_000))
        clocks = {"now": PartyClock(time, skew=ahead), "random_bits": lambda n: next(bits) % 2**n}
        hub = hf.Server(f"sqlite:///{folder / 'hub.db'}", SCHEMA, now=PartyClock(time), random_bits=lambda n: 7)
        way = hf.testing.LocalTransport(hub, IDENTITY)
        with hub, hf.Replica(folder / "a.db", SCHEMA, transport=way, **clocks) as device:  # type: ignore[arg-type]
            with device.transaction() if together else nullcontext():
                for sql, values in statements:
                    try:
                        device.execute(sql, values)
                    except hf.HoldfastError as error:
                        assert error.code == "sql"  # a key that is there, or a CHECK
            device.sync()
        chosen = hub_of(folder / "a.db")
        return {
            f"{file} {table}": [row.replace(chosen, "the hub") for row in rows]
            for file in ("hub", "a")
            for table, rows in contents(folder / f"{file}.db")
        }


def hub_of(file: Path) -> str:
    """The name of the hub that a device has met."""
    db = apsw.Connection(str(file))
    name: str = db.execute("SELECT hub FROM holdfast_state").get
    db.close()
    return name


def contents(file: Path) -> list[tuple[str, list[str]]]:
    """The rows of every table of a file, as text."""
    db = apsw.Connection(str(file))
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")]
    names = [name for name in names if not name.startswith("sqlite_")]
    found = [(name, sorted(map(repr, db.execute(f'SELECT * FROM "{name}"')))) for name in names]
    db.close()
    return found


@examples(40)
@given(inserts(), st.sampled_from((0, 0, 0, 3_600_000, -3_600_000)), st.booleans())
def test_the_short_way_leaves_the_same(
    statements: list[tuple[str, tuple[Any, ...]]], ahead: int, together: bool
) -> None:
    shortly, wholly = (left(statements, ahead, together, short=short) for short in (True, False))
    assert shortly.keys() == wholly.keys()
    for name, rows in wholly.items():
        if name.partition("holdfast_")[2] not in RANDOM:
            assert shortly[name] == rows, name
