"""Found by reading what a device does with its queue and with its callers."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.testing import LocalTransport

ANN = hf.Identity("ann", spaces={"site": "rw"})


class Note(hf.Table, space="site"):
    title: str = ""
    body: hf.Text = ""
    settings: hf.Json
    plan: hf.MergeText = ""
    tags: hf.Set[str]


class Day(hf.Table, space="site", key=["day", "shift"]):
    day: datetime.date
    shift: uuid.UUID
    report: hf.Text = ""


SCHEMA = hf.Schema(Note, Day)


class Site:
    """A hub that refuses what it is told to, and a device."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.server = stack.enter_context(hf.Server(f"sqlite:///{folder}/hub.db", SCHEMA))
        self.refuses = True
        self.device = stack.enter_context(
            hf.Replica(folder / "tablet.db", SCHEMA, transport=LocalTransport(self.server, ANN))
        )

        @self.server.before_write("note")
        def refuse(change: Any, context: Any) -> None:
            if self.refuses:
                raise hf.Refuse("not today")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path, stack)


@pytest.mark.parametrize(
    ("column", "value"), [("body", "AAAA"), ("settings", {"a": 1}), ("plan", "new"), ("tags", ["x"])]
)
def test_what_goes_out_as_a_change_is_not_edited_as_a_value(site: Site, column: str, value: Any) -> None:
    device = site.device
    device.execute("insert into note (id, body, settings, plan, tags) values ('n', 'b', '{}', 'p', '[\"t\"]')")
    device.sync()
    (refused,) = device.refused()
    with pytest.raises(hf.HoldfastError, match="write the change again") as raised:
        device.edit(refused.txn, "note", "n", **{column: value})
    assert raised.value.code == "not_editable"
    site.refuses = False
    device.edit(refused.txn, "note", "n", title="good")
    device.retry(refused.txn)
    assert device.sync().pushed == 1
    shown = [tuple(row) for row in device.execute("select title, body, settings, plan, tags from note")]
    assert shown == [("good", "b", "{}", "p", '["t"]')]


def test_a_key_may_be_named_by_the_values_that_statements_take(site: Site) -> None:
    device, key = site.device, (datetime.date(2020, 2, 1), uuid.UUID(int=7))
    device.execute("insert into day (day, shift) values (?, ?)", key)
    device.touch("day", key)
    with device.transaction():
        device.document("day", key, "report").insert(0, "dry")
    assert [row["report"] for row in device.fetch("day", key, ["2020-02-01", str(uuid.UUID(int=7))])] == ["dry"] * 2


@pytest.mark.parametrize("key", [b"x", (datetime.date(2020, 2, 1),), None, "x", {"day": 1}, ("2020-02-30", "x")])
def test_what_is_no_key_is_told_so(site: Site, key: Any) -> None:
    with pytest.raises(hf.HoldfastError, match="day: ") as raised:
        site.device.fetch("day", key)
    assert raised.value.code.startswith("value_")
    with site.device.transaction(), pytest.raises(hf.HoldfastError, match="day: "):
        site.device.document("day", key, "report")
