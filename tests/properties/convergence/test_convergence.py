"""Several devices, a hub, random SQL, a network that loses, cuts and repeats: in the end all copies are equal."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdfast.hub import pull
from holdfast.replica import downloads, lost, outbox, stage
from tests.examples import MEMORY, examples
from tests.properties.convergence.judge import Judge
from tests.properties.convergence.statements import Statement, statements
from tests.properties.convergence.tables import SCHEMA
from tests.properties.convergence.world import DAY, World

ACCESS: dict[str, dict[str, Any]] = {
    "ann": {"p:1": "rw", "p:2": "rw", "shared": "rw", "user:ann": "rw"},
    "ben": {"p:1": "rw", "p:2": "rw", "shared": "rw", "user:ben": "rw"},
    "cay": {"p:1": "rw", "shared": "r", "user:cay": "rw"},
}
DEVICES = {"a": "ann", "b": "ben", "c": "cay", "d": "ann"}
HOW = st.sampled_from(["single", "single", "transaction", "transaction", "rollback", "savepoint", "program"])
FAULTS = st.none() | st.sampled_from(["lost request", "lost response", "twice"]) | st.integers(0, 999)
NAMES = st.sampled_from(["a", "b", "c"])
FIRST = [
    *(Statement("INSERT INTO form (id) VALUES (?)", (key,)) for key in ("a", "b")),
    Statement("INSERT INTO entry (project, number, good) VALUES ('1', 1, 1)", ()),
    Statement("INSERT INTO code (number, label) VALUES (1, 'l'), (2, 'm')", ()),
    Statement("INSERT INTO owner (id, name) VALUES ('x', 'ann'), ('y', 'bob')", ()),
    Statement("INSERT INTO pet (id, owner) VALUES ('p', 'x')", ()),
    Statement("INSERT INTO toy (id, lent) VALUES ('t', 'y')", ()),
]


class Convergence(RuleBasedStateMachine):
    """Anything may happen, and afterwards everybody agrees.

    What a restored hub has lost stays lost here: the judge's model knows transactions, not copies of rows. That they
    come back is the matter of the simulator's ledger.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gone = pytest.MonkeyPatch()
        self.gone.setattr(lost.Lost, "compare", lambda *_, **__: set())
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-", dir=MEMORY))
        self.world = World(self.folder, SCHEMA, ACCESS)
        self.judge = self.world.watcher = Judge(self.world)
        self.backed_up = False

    @initialize()
    def start(self) -> None:
        for name in ("a", "b", "c"):
            self.world.add(name, DEVICES[name])
        self.world.devices["a"].write(FIRST, "transaction")
        self.heal()

    @rule(name=NAMES, batch=st.lists(statements(), min_size=2, max_size=5), how=HOW)
    def write(self, name: str, batch: list[Statement], how: str) -> None:
        """Somebody writes on a device."""
        self.world.devices[name].write(batch, how)

    @rule(name=NAMES, batch=st.lists(statements(tables=("form", "entry")), min_size=2, max_size=4), how=HOW)
    def write_more(self, name: str, batch: list[Statement], how: str) -> None:
        """The same again, so that writes are frequent."""
        self.world.devices[name].write(batch, how)

    @rule(name=NAMES, batch=st.lists(statements(tables=("code", "code", "owner")), min_size=2, max_size=4), how=HOW)
    def write_unique(self, name: str, batch: list[Statement], how: str) -> None:
        """Writes where rows push each other out by their unique values; what was captured must say so."""
        self.world.devices[name].write(batch, how)
        self.judge.look(self.world.devices[name])

    @rule(name=NAMES)
    def plain_sync(self, name: str) -> None:
        """A device syncs without a fault."""
        self.sync(name, None)

    @rule(name=NAMES, fault=FAULTS, looks=st.booleans())
    def sync(self, name: str, fault: str | int | None, looks: bool = True) -> None:
        """A device syncs; the network may fail."""
        device = self.world.devices[name]
        device.wire.fault = fault
        done = device.sync()
        assert done or fault is not None
        if done:
            self.judge.settled(device)
        if looks:
            self.judge.look(device)

    @rule(name=NAMES, batch=st.lists(statements(), min_size=1, max_size=3), how=HOW, fault=FAULTS)
    def write_during_sync(self, name: str, batch: list[Statement], how: str, fault: str | int | None) -> None:
        """Somebody writes on a device while the hub answers it."""
        device = self.world.devices[name]
        device.wire.during = lambda: device.write(batch, how)
        self.sync(name, fault)
        device.wire.during = None

    @rule(name=NAMES)
    def look(self, name: str) -> None:
        """Visible = confirmed + pending on a device."""
        self.judge.look(self.world.devices[name])

    @precondition(lambda self: self.world.sent)
    @rule(data=st.data())
    def old_request_again(self, data: st.DataObject) -> None:
        """A request of the past arrives once more; nobody reads the answer."""
        device, body = data.draw(st.sampled_from(self.world.sent[-8:]))
        self.world.deliver(body, device)

    @rule(
        name=NAMES,
        kind=st.sampled_from(["reopen", "another process", "clock", "access", "new device", "hub"]),
        data=st.data(),
    )
    def event(self, name: str, kind: str, data: st.DataObject) -> None:
        """Something happens beside the writing; one rule, so that most steps write and sync."""
        device = self.world.devices[name]
        if kind == "reopen":
            device.reopen()
        elif kind == "another process":
            device.another()
        elif kind == "clock":
            self.world.skews[name] = data.draw(st.sampled_from([-30, -1, 0, 1, 30])) * DAY
        elif kind == "new device":
            if "d" not in self.world.devices:
                self.world.add("d", DEVICES["d"])
        elif kind == "access":
            self.change_access(device.user, data)
        else:
            self.back_up_or_restore()

    def change_access(self, user: str, data: st.DataObject) -> None:
        """A permission is granted, changed or revoked."""
        space = data.draw(st.sampled_from(["p:1", "p:2", "shared"]))
        right = data.draw(st.sampled_from(["rw", "rw", "r", ""]))
        self.world.access[user].pop(space, None)
        if right:
            self.world.access[user][space] = right

    def back_up_or_restore(self) -> None:
        """The hub's file is copied, and the next time put back."""
        if self.backed_up:
            self.world.restore()
            self.judge.restore()
        else:
            self.world.back_up()
            self.judge.back_up()
        self.backed_up = not self.backed_up

    @rule(
        batch=st.lists(statements(tables=("form", "entry", "code", "owner", "bare")), min_size=1, max_size=3),
        heard=st.booleans(),
    )
    def foreign_write(self, batch: list[Statement], heard: bool) -> None:
        """Another program writes in the hub's database."""
        self.world.foreign(batch, heard=heard)

    @rule()
    def heal(self) -> None:
        """The network is good for a while."""
        check_healed(self.world)
        self.judge.account()
        for device in self.world.devices.values():
            self.judge.settled(device)
            self.judge.look(device)

    @invariant()
    def hub_is_sound(self) -> None:
        """Foreign keys hold on the hub, and its file is whole."""
        assert self.world.query(self.world.hub_file, "PRAGMA foreign_key_check") == []

    def teardown(self) -> None:
        try:
            self.heal()
        finally:
            self.gone.undo()
            self.world.close()
            shutil.rmtree(self.folder)


def check_healed(world: World) -> None:
    """Let everybody sync until quiet; then all copies are equal and nothing is left over."""
    world.heal()
    hub = world.hub_rows()
    for device in world.devices.values():
        readable = world.access[device.user]
        for table in SCHEMA.tables:
            wanted = [row for space, tables in hub.items() if space in readable for row in tables.get(table.name, [])]
            assert sorted(map(repr, device.rows(table.name))) == sorted(map(repr, wanted)), (device.name, table.name)
        for space in readable:
            assert device.replica.digest(space) == world.hub_digest(space), (device.name, space)
        assert device.replica.pending() == []
        for left in ("holdfast_capture", "holdfast_base", "holdfast_stage", "holdfast_mark"):
            assert world.query(device.path, f"SELECT * FROM {left}") == [], (device.name, left)
    for path in (world.hub_file, *(device.path for device in world.devices.values())):
        assert world.query(path, "PRAGMA integrity_check") == [("ok",)]


class SmallPages(Convergence):
    """The same with pages, answers, requests and memory so small that every round has several of each."""

    def __init__(self) -> None:
        self.patches = pytest.MonkeyPatch()
        self.patches.setattr(pull, "PAGE_ROWS", 2)
        self.patches.setattr(pull, "RESPONSE_BYTES", 700)
        self.patches.setattr(outbox, "BATCH_BYTES", 400)
        self.patches.setattr(downloads, "DIRECT_BYTES", 300)
        self.patches.setattr(stage, "MEMORY_BYTES", 300)
        super().__init__()

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            self.patches.undo()


TestConvergence = Convergence.TestCase
TestSmallPages = SmallPages.TestCase
TestConvergence.settings = examples(30, stateful_step_count=25)
TestSmallPages.settings = TestConvergence.settings
