"""Random histories: devices that write, hubs that apply, join and answer. Only such states are reachable.

A device reads a hub's row, writes a few operations over it one after the other (each seeing the one before), and
delivers them in order to one hub. Clocks of the devices differ and may be far behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from holdfast.kernel import clock, row, values
from holdfast.kernel.column import default_of
from holdfast.kernel.merges import BY_NAME, started, written
from holdfast.kernel.merges.counter import PENDING


@dataclass(frozen=True)
class Column:
    merge: str
    type: str
    default: Any = None
    element: str = ""

    def accept(self, value: Any) -> Any:
        return None if value is None else values.check(self.type, value, self.element)


@dataclass(frozen=True)
class Table:
    cells: tuple[Column, ...]
    on_delete: str = "keep_edits"


texts = st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
ints = st.integers(-values.MAX_INT, values.MAX_INT)
floats = st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)
decimals = st.decimals(allow_nan=False, allow_infinity=False).map(str).filter(lambda text: len(text) < 60)
json_values = st.recursive(
    st.none() | st.booleans() | ints | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)

# Few, so that devices add and remove the same ones; composed, decomposed, and on both sides of the surrogates.
SOME_TEXTS = ["", "a", "é", "e\u0301", "🏗", "～"]

COLUMNS: dict[str, tuple[Column, st.SearchStrategy[Any]]] = {
    "text": (Column("register", "text", "new"), texts),
    "float": (Column("register", "float", 0.0), floats),
    "json": (Column("register", "json"), json_values),
    "counter": (Column("counter", "int", 0), st.integers(-(2**40), 2**40)),
    "counter with a default": (Column("counter", "int", -3), st.integers(-5, 5)),
    "set": (Column("set", "set", [], "text"), st.lists(st.sampled_from(SOME_TEXTS), max_size=4)),
    "set with a default": (Column("set", "set", [1, 2], "int"), st.lists(st.integers(0, 4), max_size=4)),
    "grow set": (Column("grow_set", "set", [], "decimal"), st.lists(decimals, max_size=3)),
    "earliest": (Column("earliest", "int"), st.none() | ints),
    "latest": (Column("latest", "decimal", "1.50"), decimals),
    "document of text": (Column("text", "text", "Aé"), texts),
    "document of JSON": (Column("json", "json", {"a": 1}), json_values),
    "merged text": (Column("merge_text", "text", "one 🏗"), texts),
    "server wins": (Column("server_wins", "text", ""), texts),
    "review": (Column("review", "text"), st.none() | texts),
    "custom": (Column("custom", "int", 0), ints),
}

ORIGINS = ("a" * 12, "b" * 12, "c" * 12, "d" * 12)
HUBS = ("1" * 12, "2" * 12, "3" * 12)


class World:
    """Some hubs, each with its own state of one row of `table`; devices, each with one origin and its own clock."""

    def __init__(self, table: Table, strategies: list[st.SearchStrategy[Any]], data: st.DataObject) -> None:
        self.table = table
        self._strategies = strategies
        self._data = data
        self.hubs: dict[str, row.Row | None] = dict.fromkeys(HUBS)
        self.states: list[row.Row] = []
        self.outcomes: list[tuple[row.Row | None, row.Op, row.Outcome, str, Table]] = []
        self._hlc = dict.fromkeys(ORIGINS, 0)
        self._visits = 0

    def run(self, steps: int) -> None:
        """Take random steps: most write, some join."""
        for _ in range(steps):
            if self._data.draw(st.integers(0, 3), label="step") == 0:
                self.gossip(self._draw(HUBS), self._draw(HUBS))
            else:
                self.visit(self._draw(ORIGINS), self._draw(HUBS), self._draw(HUBS))

    def gossip(self, source: str, target: str) -> None:
        """One hub gives its row to another."""
        a, b = self.hubs[source], self.hubs[target]
        if a is not None:
            self._keep(target, a if b is None else row.join(self.table, b, a))

    def visit(self, origin: str, read: str, write: str) -> None:
        """A device reads at one hub, writes one to three operations, and delivers them to a hub."""
        seen = self.hubs[read]
        self._visits += 1
        for _ in range(self._data.draw(st.integers(1, 3), label="operations")):
            op = self._write(origin, seen)
            seen = row.apply(self.table, seen, op, PENDING).row
            before = self.hubs[write]
            table = self._schema(before, op)
            try:
                outcome = row.apply(table, before, op, write)
            except values.InvalidValue as refused:
                # It builds on what this hub has not heard of, or on a text which the hub dropped by an older schema.
                assert refused.code in ("document_gap", "edit_misfit"), refused
                return
            self.outcomes.append((before, op, outcome, write, table))
            if outcome.row is not None:
                self._keep(write, outcome.row)

    def _schema(self, before: row.Row | None, op: row.Op) -> Table:
        """The table as the hub knows it: at the first insert perhaps an older one, without the last columns."""
        size = len(self.table.cells)
        if before is None and op.kind == "insert":
            size = self._data.draw(st.integers(0, size), label="columns")
        return Table(self.table.cells[:size], self.table.on_delete)

    def _keep(self, hub: str, state: row.Row) -> None:
        self.hubs[hub] = state
        self.states.append(state)

    def _draw(self, choices: tuple[str, ...]) -> str:
        return self._data.draw(st.sampled_from(choices))

    def _write(self, origin: str, seen: row.Row | None) -> row.Op:
        # The physical clock of the device may stand still, or lie behind what it has seen.
        self._hlc[origin] = clock.tick(self._hlc[origin], self._data.draw(st.integers(0, 5), label="clock"))
        stamp = clock.stamp(self._hlc[origin], origin)
        if seen is None or seen.life % 2 == 0:
            return row.Op("insert", "k", stamp, 0, self._changes(None), {})
        if self._data.draw(st.integers(0, 4), label="kind") == 0:
            return row.Op("delete", "k", stamp, seen.life, {}, list(seen.stamps))
        changes = self._changes(seen)
        base = {slot: seen.stamps[slot] for slot in changes if slot < len(seen.stamps)}
        return row.Op("update", "k", stamp, seen.life, changes, {s: b for s, b in base.items() if b is not None})

    def _changes(self, seen: row.Row | None) -> dict[int, Any]:
        changes = {}
        for slot, column in enumerate(self.table.cells):
            if not self._data.draw(st.booleans(), label=f"slot {slot}"):
                continue
            merge = BY_NAME[column.merge]
            new = self._data.draw(self._strategies[slot], label="value")
            new = column.accept(new) if column.merge != "counter" else new
            if seen is None:
                old, state = merge.empty, started(column, 0)
            elif slot >= len(seen.values):
                old, state = default_of(column, merge.empty), None
            else:
                old, state = seen.values[slot], seen.states.get(slot)
            if column.merge == "counter":
                changes[slot] = new
            else:
                # Who edits a document has seen all that he did to it before: each visit is another writer.
                changes[slot] = written(column, old, state, new, f"{self._visits:012x}")
        return changes


def normal(state: row.Row) -> str:
    """A row as text, to compare two of them: as many stamps as values, members in order."""
    stamps = state.stamps + [None] * (len(state.values) - len(state.stamps))
    states = {str(slot): form for slot, form in state.states.items()}
    return values.canonical_json([state.life, state.values, stamps, states])
