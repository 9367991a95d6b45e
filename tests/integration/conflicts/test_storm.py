"""A conflict storm: many devices edit the same rows offline in columns of every kind, and come back in any order.

Beside the engine stands a model: the sequence in which the devices reached the hub, and for each cell a few lines of
the rules. It says what the rows are at the end and which conflicts there must be, with base and both values.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

import holdfast as hf
from holdfast.kernel.values import canonical_json
from tests.integration.conflicts.site import STORES, Site, site

DEVICES, ROWS, EDITS = 100, 50, 3


class Sheet(hf.Table, space="s"):
    title: str = ""
    stage: hf.Review[Literal["a", "b", "c", "d"]] = "a"
    owner: hf.ServerWins[str] = ""
    lines: hf.Custom[str, Literal["lines"]] = ""
    amount: float = 0.0
    done: bool = False
    data: hf.JsonValue | None = None
    hits: hf.Counter = 0
    tags: hf.Set[str]
    best: hf.Latest[int] = 0


SCHEMA = hf.Schema(Sheet)
WHOLE = ("title", "stage", "owner", "lines", "amount", "done", "data")


class Edit(NamedTuple):
    """What a device does to one row: its time, and column -> value (an increment for hits, an element for tags)."""

    at: int
    key: str
    values: dict[str, Any]


class Model:
    """The rows and conflicts that there must be, by the order in which the edits arrive."""

    def __init__(self) -> None:
        start = {"title": "", "stage": "a", "owner": "", "lines": "", "amount": 0.0, "done": False, "data": None}
        self.rows = {f"r{n}": {**start, "hits": 0, "tags": set[str](), "best": 0} for n in range(ROWS)}
        self.times: dict[tuple[str, str], tuple[int, int]] = {}
        self.writers: dict[tuple[str, str], int] = {}
        self.conflicts: list[tuple[Any, ...]] = []

    def arrive(self, device: int, edit: Edit) -> None:
        """An edit reaches the hub; its writer had seen the start only."""
        row = self.rows[edit.key]
        for column, value in edit.values.items():
            if column == "hits":
                row["hits"] += value
            elif column == "tags":
                row["tags"].add(value)
            elif column == "best":
                row["best"] = max(row["best"], value)
            else:
                self._whole(device, edit, column, value)

    def _whole(self, device: int, edit: Edit, column: str, value: Any) -> None:
        row, cell = self.rows[edit.key], (edit.key, column)
        start: Any = {"stage": "a", "amount": 0.0, "done": False, "data": None}.get(column, "")
        current, time = row[column], (edit.at, device)
        if cell in self.times and current != value:
            rule = {"stage": "review", "owner": "server_wins", "lines": "custom:lines"}.get(column, "register")
            later = rule == "register" and time > self.times[cell]
            result = f"{current}|{value}" if column == "lines" else value if later else current
            self.conflicts.append((edit.key, column, rule, start, value, current, f"d{device}", result))
            row[column] = result
            if not later:
                return
        elif cell not in self.times:
            row[column] = value
        if column in ("title", "amount", "done", "data") or cell not in self.times:
            self.times[cell] = max(time, self.times.get(cell, time))


def edits_of(device: int, dice: random.Random) -> list[Edit]:
    """What one device does offline: some rows, some columns of each, each row once."""
    made = []
    for place, number in enumerate(dice.sample(range(ROWS), EDITS)):
        values: dict[str, Any] = {
            "title": f"t{dice.randrange(6)}",
            "stage": dice.choice("bcd"),
            "owner": f"o{dice.randrange(6)}",
            "lines": f"l{device}",
            "amount": dice.randrange(1, 9) / 2,
            "done": True,
            "data": {"by": dice.randrange(4)},
            "hits": dice.randrange(1, 9),
            "tags": f"g{dice.randrange(9)}",
            "best": dice.randrange(99),
        }
        chosen = dice.sample(sorted(values), dice.randint(1, len(values)))
        made.append(Edit(1_000 * device + place, f"r{number}", {name: values[name] for name in chosen}))
    return made


def write(replica: hf.Replica, place: Site, start: int, edit: Edit) -> None:
    place.now = start + edit.at
    for column, value in edit.values.items():
        if column == "hits":
            sql, parameter = "hits = hits + ?", value
        elif column == "tags":
            sql, parameter = "tags = ?", [value]
        elif column == "best":
            sql, parameter = "best = max(best, ?)", value
        else:
            sql, parameter = f"{column} = ?", value
        replica.execute(f"update sheet set {sql} where id = ?", (parameter, edit.key))


@pytest.mark.parametrize("store", STORES)
def test_a_conflict_storm(store: str, tmp_path: Path) -> None:
    dice = random.Random(f"storm {store}")
    with site(store, tmp_path, SCHEMA) as place:
        place.server.merge("lines")(lambda base, local, remote, context: f"{remote}|{local}")
        model, start = Model(), place.now + 60_000
        first = place.device("d-1")
        first.executemany("insert into sheet (id) values (?)", [(key,) for key in model.rows])
        first.sync()
        devices = [place.device(f"d{number}") for number in range(DEVICES)]
        for device in devices:
            device.sync()
        plans = [edits_of(number, dice) for number in range(DEVICES)]
        for number, device in enumerate(devices):
            with device.transaction():
                for edit in plans[number]:
                    write(device, place, start, edit)
        place.now = start + 1_000_000
        order = list(range(DEVICES))
        dice.shuffle(order)
        for number in order:
            devices[number].sync()
            for edit in plans[number]:
                model.arrive(number, edit)
        place.rest(*devices)
        check(devices[0], model)


def check(device: hf.Replica, model: Model) -> None:
    """The rows and the inbox against the model."""
    names = ("id", *WHOLE, "hits", "tags", "best")
    shown = {
        row[0]: dict(zip(names, row, strict=True)) for row in device.execute(f"select {', '.join(names)} from sheet")
    }
    for key, wanted in model.rows.items():
        row = shown[key]
        data = None if row["data"] is None else json.loads(row["data"])
        found = {**row, "done": bool(row["done"]), "data": data, "tags": set(json.loads(row["tags"]))}
        found.pop("id")
        assert found == wanted, key
    inbox = [
        (c.key, c.column, c.rule, c.base, c.mine, c.theirs, c.mine_by.user, c.result)
        if c.mine_by.user != "" and stored_side(device, c)
        else (c.key, c.column, c.rule, c.base, c.theirs, c.mine, c.theirs_by.user, c.result)
        for c in device.conflicts()
    ]
    wanted_inbox = [(*c[:7], None if c[2] == "review" else c[7]) for c in model.conflicts]
    assert sorted(canonical_json(list(c)) for c in inbox) == sorted(canonical_json(list(c)) for c in wanted_inbox)
    assert len(inbox) > 500


def stored_side(device: hf.Replica, conflict: hf.Conflict) -> bool:
    """Whether `mine` is the side of the operation that met the other one."""
    ((user,),) = device.execute("select mine_user from holdfast_conflict where id = ?", (conflict.id,))
    return bool(conflict.mine_by.user == user)
