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
    due: hf.Earliest[int] = 100
    seen: hf.GrowSet[str]
    story: hf.Text = "once 🏗 upon"
    memo: hf.MergeText = "the crane stands"
    setup: hf.Json = {"a": 0, "b": {"c": 0}}  # noqa: RUF012 (a declaration)


SCHEMA = hf.Schema(Sheet)
WHOLE = ("title", "stage", "owner", "lines", "amount", "done", "data")
PATHS = ("/a", "/b/c")


class Edit(NamedTuple):
    """What a device does to one row: its time, and column -> value: an increment for hits, an element for tags and
    seen, what is put before the text for story, for memo the same or a word instead of "crane", for setup a path with
    its value.
    """

    at: int
    key: str
    values: dict[str, Any]


class Model:
    """The rows and conflicts that there must be, by the order in which the edits arrive."""

    def __init__(self) -> None:
        start = {"title": "", "stage": "a", "owner": "", "lines": "", "amount": 0.0, "done": False, "data": None}
        self.rows = {f"r{n}": {**start, **fresh()} for n in range(ROWS)}
        self.times: dict[tuple[str, str], tuple[int, int]] = {}
        self.writers: dict[tuple[str, str], int] = {}
        self.conflicts: list[tuple[Any, ...]] = []

    def arrive(self, device: int, edit: Edit, shown: Any) -> None:
        """An edit reaches the hub; its writer had seen the start only. `shown` is the JSON that came of it: who wins
        there is for the document to say.
        """
        row = self.rows[edit.key]
        for column, value in edit.values.items():
            if column == "hits":
                row["hits"] += value
            elif column == "tags":
                row["tags"].add(value)
            elif column == "best":
                row["best"] = max(row["best"], value)
            elif column == "due":
                row["due"] = min(row["due"], value)
            elif column in ("seen", "story"):
                row[column].add(value)
            elif column == "memo":
                self._memo(device, edit.key, *value)
            elif column == "setup":
                self._setup(device, edit.key, *value, shown)
            else:
                self._whole(device, edit, column, value)

    def _memo(self, device: int, key: str, word: str, instead: bool) -> None:
        """Everything stays, in the order of arrival; who replaces the word that another one has replaced meets him."""
        row = self.rows[key]
        before = memo_text(row["memo"], row["words"])
        met = instead and bool(row["words"])
        (row["words"] if instead else row["memo"]).append(word)
        if met:
            mine, after = memo_text([], [word]), memo_text(row["memo"], row["words"])
            start = memo_text([], [])
            self.conflicts.append((key, "memo", "merge_text", start, mine, before, f"d{device}", after))

    def _setup(self, device: int, key: str, path: str, value: int, shown: Any) -> None:
        """Of two values of one member one stands."""
        current = self.rows[key]["setup"]
        found = shown["a"] if path == "/a" else shown["b"]["c"]
        if path not in current:
            assert found == value
        elif current[path] != value:
            assert found in (current[path], value)
            self.conflicts.append((key, f"setup{path}", "json", 0, value, current[path], f"d{device}", found))
        current[path] = found

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


def fresh() -> dict[str, Any]:
    """What the columns hold of which all writers keep something."""
    sets = {"tags": set[str](), "seen": set[str](), "story": set[str]()}
    return {"hits": 0, "best": 0, "due": 100, "memo": [], "words": [], "setup": {}, **sets}


def memo_text(before: list[str], words: list[str]) -> str:
    """The memo with that put before it, and those words instead of one."""
    return f"{''.join(before)}the {''.join(words) or 'crane'} stands"


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
            "due": dice.randrange(99),
            "seen": f"s{dice.randrange(9)}",
            "story": f"<é{device}>",
            "memo": (f"[m{device}]", dice.random() < 0.5),
            "setup": (dice.choice(PATHS), dice.randrange(1, 5)),
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
        elif column in ("best", "due"):
            sql, parameter = f"{column} = {'max' if column == 'best' else 'min'}({column}, ?)", value
        elif column == "seen":
            sql, parameter = "seen = ?", [value]
        elif column == "story":
            sql, parameter = "story = ? || story", value
        elif column == "memo":
            word, instead = value
            sql = "memo = replace(memo, 'crane', ?)" if instead else "memo = ? || memo"
            parameter = word
        elif column == "setup":
            path, parameter = value
            sql = f"setup = json_set(setup, '${path.replace('/', '.')}', ?)"
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
                ((setup,),) = devices[number].execute("select setup from sheet where id = ?", (edit.key,))
                model.arrive(number, edit, json.loads(setup))
        place.rest(*devices)
        check(devices[0], model)


def check(device: hf.Replica, model: Model) -> None:
    """The rows and the inbox against the model."""
    names = ("id", *WHOLE, "hits", "tags", "best", "due", "seen", "story", "memo", "setup")
    shown = {
        row[0]: dict(zip(names, row, strict=True)) for row in device.execute(f"select {', '.join(names)} from sheet")
    }
    for key, wanted in model.rows.items():
        row = shown[key]
        data = None if row["data"] is None else json.loads(row["data"])
        sets = {name: set(json.loads(row[name])) for name in ("tags", "seen")}
        found = {**row, "done": bool(row["done"]), "data": data, "setup": json.loads(row["setup"]), **sets}
        found.pop("id")
        story, tokens = found.pop("story"), wanted["story"]
        assert sorted(story.removesuffix("once 🏗 upon").replace("><", "> <").split()) == sorted(tokens), key
        paths = wanted["setup"]
        setup = {"a": paths.get("/a", 0), "b": {"c": paths.get("/b/c", 0)}}
        whole = {**wanted, "memo": memo_text(wanted["memo"], wanted["words"]), "setup": setup}
        assert found == {name: whole[name] for name in found}, key
    inbox = [
        (c.key, c.column + c.path, c.rule, c.base, c.mine, c.theirs, c.mine_by.user, c.result)
        if c.mine_by.user != "" and stored_side(device, c)
        else (c.key, c.column + c.path, c.rule, c.base, c.theirs, c.mine, c.theirs_by.user, c.result)
        for c in device.conflicts()
    ]
    wanted_inbox = [(*c[:7], None if c[2] == "review" else c[7]) for c in model.conflicts]
    assert sorted(canonical_json(list(c)) for c in inbox) == sorted(canonical_json(list(c)) for c in wanted_inbox)
    assert len(inbox) > 500


def stored_side(device: hf.Replica, conflict: hf.Conflict) -> bool:
    """Whether `mine` is the side of the operation that met the other one."""
    ((user,),) = device.execute("select mine_user from holdfast_conflict where id = ?", (conflict.id,))
    return bool(conflict.mine_by.user == user)
