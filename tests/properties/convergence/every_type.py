"""One row of every merge type, three devices that write without seeing each other, and what must come of it.

The model knows nothing of the engine: a plan of writes, and for each type a line or two of what it promises. Run as a
program it prints the fingerprint of a fixed plan, so that two processes can be compared.
"""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, NamedTuple

import holdfast as hf
from holdfast.edge.local import LocalExchange, LocalTransport

START = 210_000_000_000
"""Milliseconds since 2020-01-01 UTC."""
DEVICES = ("ann", "ben", "cay")
LETTERS = "abcdefghijklmnopq"
FIRST: dict[str, Any] = {
    "title": "first",
    "hits": 10,
    "tags": ["x", "y"],
    "seen": [0],
    "first": 50,
    "best": 50,
    "body": LETTERS,
    "memo": LETTERS,
    "setup": {"a": 1, "b": {"c": 1}, "list": [1]},
    "owner": "first",
    "stage": "open",
    "lines": "",
}


class Sheet(hf.Table, space="s"):
    title: str = ""
    hits: hf.Counter = 0
    tags: hf.Set[str]
    seen: hf.GrowSet[int]
    first: hf.Earliest[int] = 0
    best: hf.Latest[int] = 0
    body: hf.Text
    memo: hf.MergeText = ""
    setup: hf.Json = {}  # noqa: RUF012
    owner: hf.ServerWins[str] = ""
    stage: hf.Review[str] = ""
    lines: hf.Custom[str, Literal["union"]] = ""


SCHEMA = hf.Schema(Sheet)


class Write(NamedTuple):
    """A write of one column; `value` is what the column's type needs to know (see `_statement`)."""

    at: int
    column: str
    value: Any


Plan = dict[str, list[Write]]


class Way(NamedTuple):
    """How a plan travels: the order of the devices, how many writes go into one transaction, how many bytes into one
    request, and how often each request arrives.
    """

    order: tuple[str, ...]
    grouped: int
    batch: int
    times: int


def plan_of(seed: int) -> Plan:
    """What the three devices write, at times that all differ."""
    dice = random.Random(f"every type {seed}")
    times = iter(dice.sample(range(1, 100_000), 100))
    plan: Plan = {}
    for number, device in enumerate(DEVICES):
        writes: list[tuple[str, Any]] = []
        letters = dice.sample(LETTERS, 6)
        for column in ("body", "memo"):
            writes += [(column, ("type", letter, f"<{number}{place}>")) for place, letter in enumerate(letters[:2])]
            writes += [(column, ("delete", letter, "")) for letter in letters[4:]]
        writes += [("title", f"{device} 🏗 {place}") for place in range(2)]
        writes += [("hits", dice.randint(-9, 9)) for _ in range(2)]
        writes += [("tags", ("add", tag)) for tag in dice.sample(["é", "e\u0301", "z", "w"], 2)]
        writes += [("tags", ("remove", tag)) for tag in ("x", "y") if dice.random() < 0.3]
        writes += [("seen", dice.randint(1, 5)), ("first", dice.randint(0, 99)), ("best", dice.randint(0, 99))]
        writes += [("setup", (f"$.own{number}", f"{device}{place}")) for place in range(2)]
        writes += [("setup", (dice.choice(["$.a", "$.b.c", "$.list[0]"]), 100 + number))]
        writes += [("owner", f"{device} {place}") for place in range(dice.randint(0, 2))]
        writes += [("stage", f"{device} {place}") for place in range(dice.randint(0, 2))]
        writes += [("lines", f"{device}{place}") for place in range(dice.randint(0, 2))]
        dice.shuffle(writes)
        plan[device] = [Write(at, *one) for at, one in zip(sorted(next(times) for _ in writes), writes, strict=True)]
    return plan


class Repeating:
    """A way to the hub on which every request arrives several times; the last answer counts."""

    def __init__(self, way: LocalTransport, times: int) -> None:
        self._way, self._times = way, times
        self.sent: list[bytes] = []

    def exchange(self, body: bytes) -> LocalExchange:
        """One round."""
        for _ in range(self._times - 1):
            b"".join(self._way.exchange(body).chunks())
        self.sent.append(body)
        return self._way.exchange(body)

    def again(self) -> None:
        """Every request so far arrives once more, the latest first."""
        for body in reversed(self.sent):
            b"".join(self._way.exchange(body).chunks())

    def close(self) -> None:
        """Nothing to close."""


def played(plan: Plan, way: Way, url: str, folder: Path) -> dict[str, Any]:
    """Play a plan on a hub at `url`; gives what every device shows: row, conflicts, stamps."""
    folder.mkdir(parents=True, exist_ok=True)
    bits = random.Random("bits").getrandbits
    clock = [START]
    with ExitStack() as stack:
        server = stack.enter_context(hf.Server(url, SCHEMA, now=lambda: clock[0], random_bits=bits))
        server.merge("union")(union)
        ways, devices = {}, {}
        for user in DEVICES:
            ways[user] = Repeating(LocalTransport(server, hf.Identity(user, {"s": "rw"})), way.times)
            path = folder / f"{user}.db"
            replica = hf.Replica(path, SCHEMA, transport=ways[user], now=lambda: clock[0], random_bits=bits)
            devices[user] = stack.enter_context(replica)
        names = ", ".join(FIRST)
        marks = ", ".join("?" * len(FIRST))
        devices["ann"].execute(f"insert into sheet (id, {names}) values ('k', {marks})", tuple(FIRST.values()))
        for user in DEVICES:
            devices[user].sync()
        for user in DEVICES:
            for start in range(0, len(plan[user]), way.grouped):
                with devices[user].transaction():
                    for write in plan[user][start : start + way.grouped]:
                        clock[0] = START + 1_000 + write.at
                        _write(devices[user], write)
        clock[0] = START + 1_000_000
        for user in way.order:
            devices[user].sync()
        for user in (*reversed(way.order), *way.order):
            ways[user].again()
            devices[user].sync()
        shown = [_shown(devices[user]) for user in DEVICES]
        assert shown[0] == shown[1] == shown[2]
        assert len({devices[user].digest("s") for user in DEVICES}) == 1
        return shown[0]


def union(base: str, local: str, remote: str, context: Any) -> str:
    """A merge function: what either side has."""
    return " ".join(sorted({*local.split(), *remote.split()}))


def _write(replica: hf.Replica, write: Write) -> None:
    column, value = write.column, write.value
    if column in ("body", "memo"):
        kind, letter, token = value
        new = letter + token if kind == "type" else ""
        sql = f"update sheet set {column} = replace({column}, ?, ?)"
        if column == "body" and write.at % 2:
            text = replica.document("sheet", "k", "body")
            at = str(text).index(letter)
            del text[at : at + (kind == "delete")]
            text.insert(at + (kind == "type"), token)
        else:
            replica.execute(sql, (letter, new))
    elif column == "hits":
        replica.execute("update sheet set hits = hits + ?", (value,))
    elif column in ("tags", "seen"):
        elements = set(json.loads(replica.execute(f"select {column} from sheet")[0][0]))
        kind, element = value if column == "tags" else ("add", value)
        changed = elements | {element} if kind == "add" else elements - {element}
        replica.execute(f"update sheet set {column} = ?", (sorted(changed),))
    elif column == "setup":
        replica.execute("update sheet set setup = json_set(setup, ?, ?)", value)
    elif column == "lines":
        replica.execute("update sheet set lines = trim(lines || ' ' || ?)", (value,))
    else:
        replica.execute(f"update sheet set {column} = ?", (value,))


def _shown(replica: hf.Replica) -> dict[str, Any]:
    (row,) = replica.execute(f"select {', '.join(FIRST)} from sheet")
    stored = replica.execute("select * from holdfast_conflict order by id")
    stamps = replica.execute("select life, stamps from holdfast_row where key = 'k'")
    return {"row": list(row), "conflicts": [list(one) for one in stored], "stamps": list(stamps[0])}


def check_lattices(plan: Plan, row: dict[str, Any]) -> None:
    """What must hold whatever the order in which the writes arrive."""
    writes = sorted((write for one in plan.values() for write in one), key=lambda write: write.at)
    of = {column: [write.value for write in writes if write.column == column] for column in FIRST}
    assert row["title"] == of["title"][-1]
    assert row["hits"] == 10 + sum(of["hits"])
    gone = {tag for kind, tag in of["tags"] if kind == "remove"}
    added = {tag for kind, tag in of["tags"] if kind == "add"}
    assert json.loads(row["tags"]) == sorted(({"x", "y"} - gone) | added)
    assert json.loads(row["seen"]) == sorted({0, *of["seen"]})
    assert row["first"] == min(50, *of["first"])
    assert row["best"] == max(50, *of["best"])
    check_text(row["body"], of["body"])
    check_text(row["memo"], of["memo"])
    setup = json.loads(row["setup"])
    for number in range(len(DEVICES)):
        assert setup[f"own{number}"] == [value for where, value in of["setup"] if where == f"$.own{number}"][-1]
    for path, shown, start in (
        ("$.a", setup["a"], 1),
        ("$.b.c", setup["b"]["c"], 1),
        ("$.list[0]", setup["list"][0], 1),
    ):
        written = [value for where, value in of["setup"] if where == path]
        assert shown in (written or [start])


def check_text(text: str, edits: Sequence[tuple[str, str, str]]) -> None:
    """Letters that somebody deleted are gone, all others stand in their order, and every token stands whole where it
    was typed."""
    gone = {letter for kind, letter, _ in edits if kind == "delete"}
    rest = text
    for kind, letter, token in edits:
        if kind == "type":
            assert rest.count(token) == 1
            rest = rest.replace(token, "")
            before, after = (part for part in text.split(token))
            assert all(one in after or one in gone for one in LETTERS if one > letter)
            assert all(one in before or one in gone for one in LETTERS if one <= letter)
    assert rest == "".join(letter for letter in LETTERS if letter not in gone)


def check_decided(plan: Plan, order: Sequence[str], row: dict[str, Any]) -> None:
    """What the order of arrival decides."""
    for column in ("owner", "stage"):
        written = [[write.value for write in plan[user] if write.column == column] for user in order]
        first = next((values for values in written if values), [FIRST[column]])
        assert row[column] == first[-1]
    lines = {write.value for one in plan.values() for write in one if write.column == "lines"}
    assert set(row["lines"].split()) == lines


def fingerprint(outcome: dict[str, Any]) -> str:
    """A short name of everything that is shown."""
    return hashlib.blake2s(json.dumps(outcome, sort_keys=True).encode(), digest_size=8).hexdigest()


FIXED = Way(("cay", "ann", "ben"), 2, 2**22, 1)


def fixed() -> Iterator[str]:
    """The fingerprints of a few fixed plans."""
    for seed in range(2):
        with tempfile.TemporaryDirectory() as folder:
            yield fingerprint(played(plan_of(seed), FIXED, "memory:", Path(folder)))


if __name__ == "__main__":
    print(" ".join(fixed()))
