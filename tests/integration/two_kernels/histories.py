"""Random histories of rows: each call builds on what the kernels made of the one before."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

from holdfast.kernel import operational, values
from holdfast.kernel.merges import BY_NAME
from holdfast.kernel.stamps import decode_stamps, encode_stamps
from holdfast.testing.kernel_driver import DriverColumn
from tests.integration.two_kernels import draws
from tests.integration.two_kernels.drivers import Call

HUBS = ("111111111111", "222222222222", "~")
MERGES = tuple(name for name in BY_NAME if name not in ("text", "json"))
"""Not the documents: `test_two_document_libraries` compares them, by updates that a library made."""
ORDERED = ("int", "bigint", "float", "decimal", "date", "datetime", "text", "uuid", "bytes", "bool")


def valid(rng: random.Random, type_name: str, element: str = "") -> Any:
    """A canonical value of the type."""
    return first_valid(lambda: values.check(type_name, draws.near(rng, type_name, element), element))


def first_valid(draw: Callable[[], Any]) -> Any:
    """What a draw gives that is not refused; draws that nearly all are refused test nothing."""
    for _ in range(1000):
        with contextlib.suppress(values.InvalidValue):
            return draw()
    raise AssertionError("1,000 draws were refused")


def column(rng: random.Random) -> DriverColumn:
    merge = rng.choice(MERGES)
    if merge == "counter":
        return DriverColumn(merge, "int", "", rng.choice((0, 5, -5, 2**53 - 1)), False)
    if merge in ("set", "grow_set"):
        element = rng.choice(values.SCALAR_TYPES)
        default = [] if rng.random() < 0.5 else valid(rng, "set", element)
        return DriverColumn(merge, "set", element, default, False)
    if merge == "merge_text":
        return DriverColumn(merge, "text", "", rng.choice(("", valid(rng, "text"))), False)
    type_name, element = (rng.choice(ORDERED), "") if merge in ("earliest", "latest") else draws.type_of(rng)
    default = None if rng.random() < 0.6 else valid(rng, type_name, element)
    return DriverColumn(merge, type_name, element, default, True)


def edit(rng: random.Random, state: Any, value: str) -> Any:
    """An edit of a merged text, of the text that stands or of another, by somebody who had seen it or had not."""
    seen = value if rng.random() < 0.7 else valid(rng, "text")
    if rng.random() < 0.8:
        change: dict[str, Any] = {"op": operational.between(seen, valid(rng, "text"))}
    else:
        parts: list[Any] = [rng.randrange(4), draws.near(rng, "text"), {"d": draws.near(rng, "text")}, draws.small(rng)]
        change = {"op": rng.sample(parts, rng.randint(0, len(parts)))}
    if rng.random() < 0.8:
        versions = [state[1], *(entry[0] for entry in state[2])] if state else []
        change["after"] = rng.choice((*versions[-1:] * 3, *versions, draws.stamp(rng)))
    if rng.random() < 0.6:
        change["text"] = seen
    return change


def foreign_change(rng: random.Random, of: DriverColumn, state: Any, value: Any = None) -> Any:
    """A change as a peer may send it, good or bad; removals name dots that the state has, or others."""
    if rng.random() < 0.03:
        return draws.json_value(rng)
    if of.merge == "counter":
        return draws.integer(rng) if rng.random() < 0.3 else rng.randint(-5, 5)
    if of.merge == "merge_text":
        return edit(rng, state, value or "")
    if of.merge not in ("set", "grow_set"):
        return None if rng.random() < 0.1 else draws.near(rng, of.type, of.element)
    change: dict[str, Any] = {}
    if rng.random() < 0.7:
        change["add"] = [draws.near(rng, of.element) for _ in range(rng.randrange(4))]
    if of.merge == "set" and rng.random() < 0.5:
        known = [*state[1], *state[2]] if state else []
        others = [[draws.near(rng, of.element), [rng.choice(("=", draws.stamp(rng)))]] for _ in range(rng.randrange(2))]
        change["remove"] = [*rng.sample(known, min(len(known), 2)), *others]
    return change


def change(rng: random.Random, of: DriverColumn, state: Any, value: Any = None) -> Any:
    """A change in canonical form."""
    return first_valid(lambda: BY_NAME[of.merge].check(of, foreign_change(rng, of, state, value)))


class History:
    """One row at several replicas. The stamps that were seen at any time serve as bases, so that all rules meet."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._columns = [column(rng) for _ in range(rng.randint(1, 5))]
        self._table = {"columns": [vars(of) for of in self._columns], "on_delete": rng.choice(("keep_edits", "delete"))}
        self._rows: list[Any] = [None, None, None]
        self._at = 0
        self._seen = [draws.stamp(rng) for _ in range(3)]
        self._clock = 10

    def next(self) -> Call:
        """An operation at one of the replicas, or a join of two of them."""
        self._at = self._rng.randrange(len(self._rows))
        row = self._rows[self._at]
        if row is not None and self._rng.random() < 0.05:
            row = self._older(row)
        other = self._rng.choice(self._rows)
        if row is not None and other is not None and self._rng.random() < 0.2:
            return "rows.join", {**self._table, "a": row, "b": other}
        hub = self._rng.choice(HUBS)
        return "rows.apply", {**self._table, "row": row, "op": self._operation(row), "hub": hub}

    def take(self, answer: dict[str, Any]) -> None:
        """Go on from an answer; a refusal changes nothing."""
        out = answer.get("out")
        row = out["row"] if out is not None and "row" in out else out
        if row is not None:
            self._rows[self._at] = row
            self._seen += [stamp for stamp in decode_stamps(row["stamps"]) if stamp][:2]

    def _older(self, row: Any) -> dict[str, Any]:
        """The row as it would be if its last columns had been added later, and one cell never been written."""
        size = self._rng.randint(0, len(row["values"]))
        stamps = decode_stamps(row["stamps"])[:size]
        unwritten = self._rng.randrange(len(stamps)) if stamps else -1
        if unwritten >= 0:
            stamps[unwritten] = None
        states = {slot: state for slot, state in row["states"].items() if int(slot) < size and int(slot) != unwritten}
        return {"life": row["life"], "values": row["values"][:size], "stamps": encode_stamps(stamps), "states": states}

    def _operation(self, row: Any) -> dict[str, Any]:
        rng = self._rng
        life = row["life"] if row else 0
        current = decode_stamps(row["stamps"]) if row else []
        kind = rng.choice(
            ("insert", "delete", "update", "update", "update", "update") if row else ("insert",) * 5 + ("update",)
        )
        slots = rng.sample(range(len(self._columns)), rng.randint(0, len(self._columns)))
        states, shown = (row["states"], dict(enumerate(row["values"]))) if row else ({}, {})
        # Integer-like names have one order in JavaScript, so the operation has it from the start.
        changes = {
            str(slot): change(rng, self._columns[slot], states.get(str(slot)), shown.get(slot))
            for slot in sorted(slots)
        }
        op = {
            "kind": kind,
            "key": "k",
            "stamp": self._stamp(),
            "life": rng.choice((life, life, max(0, life - 1), life + 1)),
            "changes": {} if kind == "delete" else changes,
            "base": self._base(kind, current),
        }
        if rng.random() < 0.1:
            op["named"] = rng.choice(self._seen)
        return op

    def _stamp(self) -> str:
        self._clock += self._rng.randint(0, 2)
        if self._rng.random() < 0.3:
            return self._rng.choice((draws.stamp(self._rng), self._rng.choice(self._seen)))
        return f"{self._clock:014x}-{self._rng.choice(draws.ORIGINS)}"

    def _base(self, kind: str, current: list[str | None]) -> Any:
        """Mostly what the row has, sometimes what it had, or nothing."""
        seen = [stamp if self._rng.random() < 0.6 else self._rng.choice((None, *self._seen)) for stamp in current]
        if kind == "delete":
            return encode_stamps(seen[: self._rng.randint(0, len(seen))] if self._rng.random() < 0.2 else seen)
        return {str(slot): stamp for slot, stamp in enumerate(seen) if stamp is not None} if kind == "update" else {}
