"""Runs the shared vectors of the kernel (spec/vectors). The TypeScript kernel runs the same files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from holdfast.kernel import causality, clock, digest, row, stamps, values
from holdfast.kernel.column import Cell
from holdfast.kernel.merges import BY_NAME

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
AREAS = ("values", "stamps", "merges", "rows", "digests", "clock", "causality")


@dataclass(frozen=True)
class Column:
    merge: str
    type: str
    element: str
    default: Any
    nullable: bool

    def accept(self, value: Any) -> Any:
        return None if value is None and self.nullable else values.check(self.type, value, self.element)


@dataclass(frozen=True)
class Table:
    cells: tuple[Column, ...]
    on_delete: str


def load() -> list[Any]:
    return [
        pytest.param(path.stem, case, id=f"{area}/{path.stem}: {case['name']}")
        for area in AREAS
        for path in sorted((VECTORS / area).glob("*.json"))
        for case in json.loads(path.read_text())["cases"]
    ]


def read_cell(form: dict[str, Any]) -> Cell:
    return Cell(form["value"], form["stamp"], form["state"])


def write_cell(cell: Cell) -> dict[str, Any]:
    return {"value": cell.value, "stamp": cell.stamp, "state": cell.state}


def by_slot(form: dict[str, Any]) -> dict[int, Any]:
    return {int(slot): value for slot, value in form.items()}


def read_row(form: dict[str, Any] | None) -> row.Row | None:
    if form is None:
        return None
    return row.Row(form["life"], form["values"], stamps.decode_stamps(form["stamps"]), by_slot(form["states"]))


def write_row(result: row.Row | None) -> dict[str, Any] | None:
    if result is None:
        return None
    states = {str(slot): result.states[slot] for slot in sorted(result.states)}
    text = stamps.encode_stamps(result.stamps)
    return {"life": result.life, "values": result.values, "stamps": text, "states": states}


def read_op(form: dict[str, Any]) -> row.Op:
    base: Any = form["base"]
    base = stamps.decode_stamps(base) if isinstance(base, str) else by_slot(base)
    changes = by_slot(form["changes"])
    return row.Op(form["kind"], form["key"], form["stamp"], form["life"], changes, base, form.get("named", ""))


def named_slots(form: Any) -> Any:
    return {str(slot): value for slot, value in form.items()} if isinstance(form, dict) else form


def write_conflict(conflict: row.Conflict) -> list[Any]:
    mine, theirs = conflict.mine, conflict.theirs
    if conflict.slot is None:
        mine, theirs = named_slots(mine), named_slots(theirs)
    return [conflict.slot, conflict.rule, mine, theirs, conflict.winner]


def read_table(case: dict[str, Any]) -> Table:
    return Table(tuple(Column(**column) for column in case["columns"]), case["on_delete"])


def row_apply(case: dict[str, Any]) -> Any:
    outcome = row.apply(read_table(case), read_row(case["row"]), read_op(case["op"]), case["hub"])
    conflicts = [write_conflict(conflict) for conflict in outcome.conflicts]
    return {"row": write_row(outcome.row), "status": outcome.status, "conflicts": conflicts}


def row_join(case: dict[str, Any]) -> Any:
    a, b = read_row(case["a"]), read_row(case["b"])
    assert a is not None and b is not None
    return write_row(row.join(read_table(case), a, b))


def merge_call(case: dict[str, Any]) -> Any:
    column = Column(**case["column"])
    merge = BY_NAME[column.merge]
    if case["call"] == "apply":
        cell = read_cell(case["cell"])
        return write_cell(merge.apply(column, cell, case["change"], case["stamp"], case["dot"], case["hub"]))
    if case["call"] == "join":
        return write_cell(merge.join(column, read_cell(case["a"]), read_cell(case["b"])))
    if case["call"] == "check":
        return merge.check(column, case["change"])
    return merge.difference(column, case["old_value"], case["old_state"], case["new_value"])


def read_sums(case: dict[str, Any]) -> dict[int, int]:
    return {int(bucket): int(total, 16) for bucket, total in case["sums"].items()}


def hexadecimal(number: int) -> str:
    return f"{number:032x}"


def digest_leaf(c: dict[str, Any]) -> str:
    key = bytes.fromhex(c["digest_key"])
    return hexadecimal(digest.leaf(key, c["table"], c["key"], c["life"], c["stamps"]))


CALLS: dict[str, dict[str, Callable[[dict[str, Any]], Any]]] = {
    "values": {
        "check": lambda c: values.check(c["type"], c["value"], c.get("element", "")),
        "canonical_json": lambda c: values.canonical_json(json.loads(c["json"])),
        "same": lambda c: values.same(c["a"], c["b"]),
        "compare": lambda c: values.compare(c["type"], c["a"], c["b"]),
    },
    "clock": {
        "pack": lambda c: clock.pack(c["ms"], c["counter"]),
        "unpack": lambda c: list(clock.unpack(c["hlc"])),
        "wall": lambda c: clock.wall(c["ms"]),
        "tick": lambda c: clock.tick(c["last"], c["ms"]),
        "stamp": lambda c: clock.stamp(c["hlc"], c["origin"]),
        "after": lambda c: clock.after(c["stamp"], c["origin"]),
        "hlc_of": lambda c: clock.hlc_of(c["stamp"]),
        "origin_of": lambda c: clock.origin_of(c["stamp"]),
        "new_origin": lambda c: clock.new_origin(c["bits"]),
        "is_stamp": lambda c: clock.is_stamp(c["text"]),
        "is_origin": lambda c: clock.is_origin(c["text"]),
    },
    "causality": {
        "compare": lambda c: causality.compare(c["a"], c["b"]),
        "join": lambda c: causality.join(c["a"], c["b"]),
        "increment": lambda c: causality.increment(c["vector"], c["replica"]),
    },
    "stamps": {
        "encode": lambda c: stamps.encode_stamps(c["stamps"]),
        "decode": lambda c: stamps.decode_stamps(c["text"]),
    },
    "merges": dict.fromkeys(("apply", "join", "difference", "check"), merge_call),
    "rows": {
        "apply": row_apply,
        "join": row_join,
        "follows": lambda c: row.follows(c["current"], c["base"], c["stamp"]),
    },
    "digests": {
        "bucket": lambda c: digest.bucket(c["table"], c["key"]),
        "leaf": digest_leaf,
        "add": lambda c: hexadecimal(digest.add(int(c["total"], 16), int(c["leaf"], 16))),
        "sub": lambda c: hexadecimal(digest.sub(int(c["total"], 16), int(c["leaf"], 16))),
        "branch": lambda c: hexadecimal(digest.branch(read_sums(c), c["number"])),
        "root": lambda c: digest.root(read_sums(c)),
    },
}


@pytest.mark.parametrize(("file", "case"), load())
def test_vector(file: str, case: dict[str, Any], request: pytest.FixtureRequest) -> None:
    area = request.node.callspec.id.partition("/")[0]
    call = CALLS[area][case["in"]["call"]]
    before = json.dumps(case["in"])
    if "error" in case:
        with pytest.raises(values.InvalidValue) as refusal:
            call(case["in"])
        assert refusal.value.code == case["error"], file
        assert refusal.value.message
    else:
        found = call(case["in"])
        assert values.canonical_json(found) == values.canonical_json(case["out"]), found
    assert json.dumps(case["in"]) == before, "the input was changed"


def test_the_manifest_names_every_file() -> None:
    manifest = json.loads((VECTORS / "manifest.json").read_text())["files"]
    for area in AREAS:
        for path in (VECTORS / area).glob("*.json"):
            assert manifest[f"{area}/{path.name}"] == json.loads(path.read_text())["description"]
