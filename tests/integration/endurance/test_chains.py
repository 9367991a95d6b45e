"""Any chain of versions, old and new devices editing the same rows: all converge, and nobody loses a field he knows."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

import holdfast as hf
from holdfast.kernel import digest
from holdfast.schema import migrations
from holdfast.schema.migrations import Step
from holdfast.schema.model import Column, Schema, Table
from holdfast.schema.space import SpaceRule
from holdfast.stores.memory import MemoryStore
from holdfast.testing import LocalTransport
from tests.examples import MEMORY, examples

ANN = hf.Identity("ann", spaces={"s": "rw"})
KINDS = ("rename", "split", "merge", "convert", "add", "counter", "drop")


def up(text: str) -> int:
    """A number for a text; every text has one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else len(text)


class Chain:
    """Versions of one table, each a step from the one before. What a field says is followed through its names: `same`
    maps the columns of a version to those of the next one that say the same, letter for letter."""

    def __init__(self, kinds: list[str]) -> None:
        self.columns: dict[str, Column] = {
            "a": Column("a", "text", default=""),
            "b": Column("b", "text", default=""),
            "n": Column("n", "int", default=0, merge="counter"),
        }
        self.migrations: list[migrations.Migration] = []
        self.schemas: list[Schema] = []
        self._keep(())
        for number, kind in enumerate(kinds, 2):
            self._keep(self._step(kind, number))

    def _keep(self, steps: tuple[Step, ...]) -> None:
        version = len(self.schemas) + 1
        if version > 1:
            self.migrations.append(hf.migrate(version - 1, version, *steps))
        table = Table("t", (Column("id", "text"), *self.columns.values()), ("id",), SpaceRule("s"))
        self.schemas.append(Schema(version, (table,), tuple(self.migrations)))

    def _texts(self) -> list[str]:
        return [name for name, column in self.columns.items() if column.type == "text"]

    def _step(self, kind: str, number: int) -> tuple[Step, ...]:
        texts, columns = self._texts(), self.columns
        if kind == "rename" and columns:
            old = sorted(columns)[number % len(columns)]
            columns[f"r{number}"] = rename(columns.pop(old), f"r{number}")
            return (hf.rename("t", old, f"r{number}"),)
        if kind == "split" and texts:
            old = texts[number % len(texts)]
            forward = taking(halves, columns.pop(old))
            for name in (f"x{number}", f"y{number}"):
                columns[name] = Column(name, "text")
            return (hf.lens("t", old, [f"x{number}", f"y{number}"], forward, whole),)
        if kind == "merge" and len(texts) > 1:
            first, second = texts[:2]
            forward = taking(whole, columns.pop(first), columns.pop(second))
            columns[f"m{number}"] = Column(f"m{number}", "text")
            return (hf.lens("t", [first, second], f"m{number}", forward, halves),)
        if kind == "convert" and texts:
            old = texts[-1]
            forward = taking(lambda text: {"v": text}, columns.pop(old))
            columns[f"c{number}"] = Column(f"c{number}", "json")
            return (hf.lens("t", old, f"c{number}", forward, lambda form: str(form.get("v", ""))),)
        if kind == "drop" and texts:
            del columns[texts[0]]
            return (hf.drop("t", texts[0], fill="gone"),)
        if kind == "counter":
            columns[f"k{number}"] = Column(f"k{number}", "int", default=0, merge="counter")
            return ()
        columns[f"z{number}"] = Column(f"z{number}", "text", nullable=True, default=None)
        return ()


def rename(column: Column, name: str) -> Column:
    """The same column under another name."""
    return Column(name, column.type, nullable=column.nullable, default=column.default, merge=column.merge)


def halves(text: str) -> tuple[str, str]:
    """A text in two, without loss."""
    first, _, second = text.partition("|")
    return first, second


def whole(first: str, second: str) -> str:
    """The two as one; what stands before the first bar is the first."""
    return f"{first.replace('|', '/')}|{second}"


def taking(function: migrations.Function, *columns: Column) -> migrations.Function:
    """The function for just what these columns take: a null is an empty text where a column is optional, and is an
    error where it is not, for no lens may ever be given that."""

    def forward(*texts: str | None) -> Any:
        for text, column in zip(texts, columns, strict=True):
            assert text is not None or column.nullable, f"{column.name} is never null"
        return function(*(text or "" for text in texts))

    return forward


Edit = tuple[int, int, int, str]


def edit(replica: hf.Replica, edit: Edit) -> None:
    """One write: a row, a column of this version, a value."""
    _, row, place, text = edit
    cells = replica.schema.by_name["t"].cells
    column = cells[place % len(cells)]
    key = f"row{row}"
    if not replica.execute("select 1 from t where id = ?", (key,)):
        open_cells = [c for c in cells if not isinstance(c.default, str) and c.merge == "register" and not c.nullable]
        required = {c.name: "new" if c.type == "text" else '{"v":"new"}' for c in open_cells}
        names = ", ".join(["id", *required])
        marks = ", ".join("?" * (1 + len(required)))
        replica.execute(f"insert into t ({names}) values ({marks})", (key, *required.values()))
    if column.merge == "counter":
        replica.execute(f"update t set {column.name} = {column.name} + 1 where id = ?", (key,))
    else:
        value: Any = migrations.carried(lambda: {"v": text}, (), (column,))[0] if column.type == "json" else text
        sql_value = value if isinstance(value, str) else '{"v":"' + text + '"}'
        replica.execute(f"update t set {column.name} = ? where id = ?", (sql_value, key))


TEXT = st.text("ab|1 ", max_size=4)
EDITS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 9), TEXT), min_size=1, max_size=6)


class World:
    """One hub that is deployed anew with each version, and three devices that follow when they like."""

    def __init__(self, folder: Path, kinds: list[str], stack: ExitStack) -> None:
        self.chain, self.folder, self.stack = Chain(kinds), folder, stack
        self.store = MemoryStore()
        self.versions = [0, 0, 0]
        self.hub = 0
        self.deploy(0)

    server: hf.Server

    def deploy(self, version: int) -> None:
        """The hub runs that version from now on; who would be too old for it follows."""
        if version:
            self.server.close()
        self.hub = version
        self.server = hf.Server(self.store, self.chain.schemas[version])
        self.versions = [max(one, version - 2) for one in self.versions]

    def device(self, number: int) -> hf.Replica:
        """A device, opened by the application that it has."""
        schema = self.chain.schemas[self.versions[number]]
        return hf.Replica(self.folder / f"{number}.db", schema, transport=LocalTransport(self.server, ANN))

    def work(self, step: int, edits: list[Edit]) -> None:
        """Edits on devices, of which some sync, and some are updated."""
        for one in edits:
            number = one[0]
            with self.device(number) as replica:
                edit(replica, one)
                if (step + one[2]) % 2:
                    replica.sync()
            if (step + one[2]) % 3 == 0 and self.versions[number] < self.hub:
                self.versions[number] += 1

    def settle(self) -> None:
        """Everybody syncs until nothing is new; then all copies are equal, and so is what several versions know."""
        with ExitStack() as open_now:
            devices = [open_now.enter_context(self.device(number)) for number in range(3)]
            for replica in (*devices, *devices):
                replica.sync()
            with self.server.hub.reading() as tx:
                ours = digest.root({bucket: total for bucket, (_, total) in tx.digest("s").items()})
            assert [replica.digest("s") for replica in devices] == [ours] * 3
            assert all(replica.refused() == [] for replica in devices)
            shown = [self.shown(number, replica) for number, replica in enumerate(devices)]
            for mine in shown:
                for theirs in shown:
                    both = mine.keys() & theirs.keys()
                    assert {name: mine[name] for name in both} == {name: theirs[name] for name in both}
            for replica in devices:
                assert replica.verify().repaired == []
            self.keeps(devices)

    def shown(self, number: int, replica: hf.Replica) -> dict[tuple[str, str], Any]:
        """(key, the hub's name of a column) -> value, of what a device shows."""
        view = self.server.hub.serving.views[self.chain.schemas[self.versions[number]].version]
        names = view.to_hub.get("t", {})
        columns = [column.name for column in view.schema.by_name["t"].cells]
        found = {}
        for row in replica.execute(f"select id, {', '.join(columns)} from t order by id"):
            found.update({(row["id"], names.get(name, name)): row[name] for name in columns})
        return found

    def keeps(self, devices: list[hf.Replica]) -> None:
        """What a device writes in a field that its version knows is still there after everybody has had the row."""
        for writer in devices:
            texts = [c.name for c in writer.schema.by_name["t"].cells if c.type == "text"]
            if not texts or not writer.execute("select 1 from t where id = 'row0'"):
                continue
            values = [f"kept {place}" for place in range(len(texts))]
            sets = ", ".join(f"{name} = ?" for name in texts)
            writer.execute(f"update t set {sets} where id = 'row0'", values)
            writer.sync()
            for replica in devices:
                replica.sync()
                replica.execute("update t set id = id where id = 'row0'")
            (row,) = writer.execute(f"select {', '.join(texts)} from t where id = 'row0'")
            assert list(row) == values


@examples(8)
@example(["rename", "split", "merge"], [[(0, 0, 0, "a|b"), (1, 0, 1, "x")], [(2, 0, 0, "q"), (0, 0, 1, "|")]])
@example(["merge", "split", "rename", "convert"], [[(0, 0, 0, "a"), (1, 0, 2, "")], [(1, 1, 0, "b"), (2, 0, 3, "1")]])
@example(["add", "merge", "split"], [[(0, 0, 1, "a"), (1, 1, 2, "b|1")], [(2, 0, 0, "|"), (1, 0, 3, "q")]])
@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4), st.lists(EDITS, min_size=1, max_size=4))
def test_any_chain_of_versions(kinds: list[str], days: list[list[Edit]]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, ExitStack() as stack:
        world = World(Path(folder), kinds, stack)
        stack.callback(world.server.close)
        for step in range(max(len(kinds) + 1, len(days))):
            if 0 < step <= len(kinds):
                world.deploy(step)
            world.work(step, days[step % len(days)])
            world.settle()
