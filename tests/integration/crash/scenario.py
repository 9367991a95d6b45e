"""A working day of one device, written so that its end is known whatever the day was interrupted by."""

from __future__ import annotations

import datetime
import math
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apsw

import holdfast as hf
from holdfast.edge.local import LocalTransport
from holdfast.hub import pull
from holdfast.kernel import digest
from holdfast.protocol.transport import Exchange, Transport
from holdfast.replica import downloads, outbox, stage, sync_log
from tests.integration.crash.points import Points


class Form(hf.Table, space="project:{project_id}", unique=[("project_id", "number")]):
    """Changed by both devices at once."""

    project_id: str
    number: int | None = None
    status: str = "draft"
    crew: hf.Counter = 0
    tags: hf.Set[str]
    seen: hf.GrowSet[str]
    first_on: hf.Earliest[datetime.date] | None = None
    note: str = ""


class Entry(hf.Table, key="name", space="project:{project_id}"):
    """One for each transaction, so that one that is lost or comes twice shows."""

    name: str
    project_id: str


class Site(hf.Table, key="code", space="city"):
    """What the device loads for the first time on this day."""

    code: str
    title: str


SCHEMA = hf.Schema(Form, Entry, Site, version=1)
ANNA = hf.Identity("anna", {"project:1": "rw", "city": "r"})
ANNA_BEFORE = hf.Identity("anna", {"project:1": "rw"})
BEN = hf.Identity("ben", {"project:1": "rw", "city": "rw"})
SITES = 40
ROWS = 30


def small_limits() -> None:
    """Make a short day take every path: several requests, answers with `more`, pages that spill, direct first loads."""
    sync_log.TELL_SECONDS = math.inf  # what depends on how fast the machine is would move the points
    stage.MEMORY_BYTES = 1_000
    downloads.DIRECT_BYTES = 1_200
    pull.PAGE_ROWS = 7
    pull.RESPONSE_BYTES = 2_500
    outbox.BATCH_BYTES = 900


morning = 0
"""When the day begins, by the clocks of `Same`: after the evening before."""


class Same:
    """A clock and dice that say the same on every repetition of a day. The clock begins at `start` and ticks when it is
    read."""

    def __init__(self, start: int, seed: int) -> None:
        self._now = start
        self._dice = random.Random(seed)

    def given(self) -> dict[str, Any]:
        """What a device or a hub takes."""
        return {"now": self._tick, "random_bits": self._dice.getrandbits}

    def _tick(self) -> int:
        self._now += 1
        return self._now


def serve(path: Path, **given: Any) -> hf.Server:
    """The hub; it refuses one status."""
    server = hf.Server(f"sqlite:///{path}", SCHEMA, **given)

    @server.before_write("form")
    def allowed(change: hf.Change, context: hf.Context) -> None:
        if change.new is not None and change.new["status"] == "forbidden":
            raise hf.Refuse("nobody may write this", code="house_rule")

    return server


def prepare(folder: Path) -> None:
    """The evening before: two devices in sync, then apart; Ben has been heard, Anna's last answer was lost."""
    with serve(folder / "hub.db") as server:
        anna = hf.Replica(folder / "anna.db", SCHEMA, transport=LocalTransport(server, ANNA_BEFORE))
        ben = hf.Replica(folder / "ben.db", SCHEMA, transport=LocalTransport(server, BEN))
        with anna, ben:
            add = (
                "insert into form (id, project_id, crew, tags, seen, first_on) values (?, '1', 10, ?, ?, '2024-05-05')"
            )
            anna.executemany(add, [("shared", ["a"], ["anna"]), ("gone", [], []), ("kept", [], [])])
            anna.sync()
            ben.sync()
            with ben.transaction("b1"):
                ben.execute("insert into entry values ('b1', '1')")
                ben.execute(
                    "update form set crew = crew + 5, tags = ?, seen = ? where id = 'shared'", (["b"], ["anna", "ben"])
                )
                ben.execute("update form set first_on = '2024-02-02', note = 'ben' where id in ('shared', 'kept')")
                ben.executemany(
                    "insert into form (id, project_id) values (?, '1')", [(f"ben{i:02}",) for i in range(ROWS)]
                )
                ben.executemany("insert into site values (?, ?)", [(f"s{i:02}", "x" * 40) for i in range(SITES)])
            ben.sync()
            with anna.transaction("a0"):
                anna.execute("insert into entry values ('a0', '1')")
                anna.execute("update form set crew = crew + 1 where id = 'shared'")
            LocalTransport(server, ANNA).exchange(anna.build_request()).close()


class Step(NamedTuple):
    """`label` names the transaction that the step leaves, empty when it leaves none."""

    name: str
    label: str
    run: Callable[[hf.Replica], object]


def _first(anna: hf.Replica) -> None:
    with anna.transaction("a1"):
        anna.execute("insert into entry values ('a1', '1')")
        anna.execute(
            "update form set crew = crew + 3, tags = ?, seen = ? where id = 'shared'", (["a", "x"], ["anna", "cat"])
        )
        anna.execute("insert into form (id, project_id, number, crew) values ('mine', '1', 7, 2)")
        try:
            with anna.transaction():
                anna.execute("insert into form (id, project_id) values ('never', '1')")
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        anna.execute("update form set first_on = '2024-03-03' where id = 'shared'")


def _refused_by_hub(anna: hf.Replica) -> None:
    with anna.transaction("a2"):
        anna.execute("insert into entry values ('a2', '1')")
        anna.execute("update form set crew = crew + 100, status = 'forbidden' where id = 'shared'")


def _refused_by_device(anna: hf.Replica) -> None:
    with anna.transaction("a3"):
        anna.execute("pragma ignore_check_constraints = on")
        anna.execute("insert into entry values ('a3', '1')")
        anna.execute("update form set crew = crew + 1000, tags = 'no json' where id = 'shared'")
        anna.execute("pragma ignore_check_constraints = off")


def _deletes(anna: hf.Replica) -> None:
    with anna.transaction("a4"):
        anna.execute("insert into entry values ('a4', '1')")
        anna.execute("delete from form where id in ('gone', 'kept')")
        anna.execute(
            "insert or replace into form (id, project_id, number, note) values ('other', '1', 7, ?)", ("n" * 300,)
        )


def _last(anna: hf.Replica) -> None:
    with anna.transaction("a5"):
        anna.execute("insert into entry values ('a5', '1')")
        anna.execute("update form set crew = crew + 7, status = 'done' where id = 'shared'")


STEPS = [
    Step("first", "a1", _first),
    Step("refused by hub", "a2", _refused_by_hub),
    Step("refused by device", "a3", _refused_by_device),
    Step("deletes", "a4", _deletes),
    Step("sync", "", lambda anna: anna.sync()),
    Step("last", "a5", _last),
    Step("second sync", "", lambda anna: anna.sync()),
]

EXPECTED_CREW = 10 + 5 + 1 + 3 + 7
EXPECTED_TAGS = '["b","x"]'
EXPECTED_SEEN = '["anna","ben","cat"]'


class PointedTransport:
    """Passes a point before and after each request, and after each line of each answer."""

    def __init__(self, inner: Transport, points: Points) -> None:
        self.inner = inner
        self.points = points

    def exchange(self, body: bytes) -> Exchange:
        self.points.said("before a request")
        exchange = self.inner.exchange(body)
        self.points.said("after a request")
        inner_chunks = exchange.chunks

        def chunks() -> Iterator[bytes]:
            for chunk in inner_chunks():
                for line in chunk.splitlines(keepends=True):
                    yield line
                    self.points.said("after a line of the answer")

        exchange.chunks = chunks  # type: ignore[method-assign]
        return exchange

    def close(self) -> None:
        self.inner.close()


def work(folder: Path, transport: Transport, tell: Callable[[str], None], *, again: bool = False, **given: Any) -> None:
    """The day. `tell` hears of each step once it has returned: from then on it must not be lost.

    With `again`, a step that raises an error with a code is done again, as somebody would who reads it.
    """
    with hf.Replica(folder / "anna.db", SCHEMA, transport=transport, **given) as anna:
        for step in STEPS:
            try:
                step.run(anna)
            except hf.HoldfastError:
                if not again:
                    raise
                if not step.label or step.label not in labels_of(anna):
                    step.run(anna)
            tell(step.name)


def labels_of(anna: hf.Replica) -> set[str]:
    """The transactions that the device has, wherever they are on their way."""
    labels = {waiting.label for waiting in anna.pending()} | {refused.label for refused in anna.refused()}
    return labels | {name for (name,) in anna.execute("select name from entry")}


def intact(path: Path, *, checks: bool = True) -> None:
    """What SQLite itself says of a file. Without `checks` it overlooks what breaks a CHECK, as step a3 does."""
    db = apsw.Connection(str(path))
    db.execute(f"pragma ignore_check_constraints = {'off' if checks else 'on'}")
    assert db.execute("pragma integrity_check").get == "ok"
    db.close()


def recover(folder: Path, transport: Transport, done: list[str]) -> None:
    """Open again, do what is missing, sync until nothing moves. Raises AssertionError when a finished step is gone."""
    intact(folder / "anna.db", checks=False)
    with hf.Replica(folder / "anna.db", SCHEMA, transport=transport) as anna:
        present = labels_of(anna)
        for step in STEPS:
            if step.label and step.label not in present:
                assert step.name not in done, f"{step.name} had returned and is lost"
                step.run(anna)
        for _ in range(10):
            report = anna.sync()
            if not (report.pushed or report.pulled or anna.pending() or report.refused):
                return
        raise AssertionError(f"sync does not come to rest: {report} {anna.pending()}")


def check(folder: Path) -> None:
    """Everything once, everywhere the same."""
    sides = []
    server = serve(folder / "hub.db")
    for name, identity in (("anna", ANNA), ("ben", BEN)):
        intact(folder / f"{name}.db")
        with hf.Replica(folder / f"{name}.db", SCHEMA, transport=LocalTransport(server, identity)) as replica:
            replica.sync()
            if name == "anna":
                refusals(replica)
            at_rest(folder / f"{name}.db")
            sides.append((contents(folder / f"{name}.db"), [replica.digest(space) for space in ("project:1", "city")]))
    with server.hub._store.transaction(write=False) as tx:
        roots = [
            digest.root({b: total for b, (_, total) in tx.digest(space).items()}) for space in ("project:1", "city")
        ]
    server.close()
    intact(folder / "hub.db")
    sides.append((contents(folder / "hub.db"), roots))
    assert sides[0] == sides[1] == sides[2]
    outcome(sides[0][0])
    history_once(folder / "hub.db")


def refusals(anna: hf.Replica) -> None:
    found = sorted((refused.label, refused.code) for refused in anna.refused())
    assert found == [("a2", "house_rule"), ("a3", "value_format")], found


def outcome(tables: dict[str, list[Any]]) -> None:
    assert [row[0] for row in tables["entry"]] == ["a0", "a1", "a4", "a5", "b1"]
    assert len(tables["site"]) == SITES
    forms = {row[0]: row[1:] for row in tables["form"]}
    assert forms.keys() == {"shared", "kept", "other", *(f"ben{i:02}" for i in range(ROWS))}
    shared = ("1", None, "done", EXPECTED_CREW, EXPECTED_TAGS, EXPECTED_SEEN, "2024-02-02", "ben")
    assert forms["shared"] == shared, forms["shared"]


def contents(path: Path) -> dict[str, list[Any]]:
    db = apsw.Connection(str(path))
    columns = {table.name: ", ".join(column.name for column in table.row_columns) for table in SCHEMA.tables}
    found = {name: db.execute(f"select {columns[name]} from {name} order by 1").fetchall() for name in columns}
    db.close()
    return found


def at_rest(path: Path) -> None:
    """Nothing is left over in the engine's own tables."""
    db = apsw.Connection(str(path))
    for table in ("capture", "mark", "base", "stage", "acknowledge"):
        assert db.execute(f"select count(*) from holdfast_{table}").get == 0, table
    assert db.execute("select count(*) from holdfast_transaction where state <> 'refused'").get == 0
    assert db.execute("select applying from holdfast_state").get == 0
    db.close()


def history_once(path: Path) -> None:
    """Each transaction entered the hub's history once."""
    db = apsw.Connection(str(path))
    entries = db.execute(
        "select key, count(*) from holdfast_history where key glob '[ab][0-9]' group by key"
    ).fetchall()
    assert entries == [(label, 1) for label in ("a0", "a1", "a4", "a5", "b1")], entries
    db.close()


def copy(source: Path, target: Path) -> None:
    """A day begins with the files of the evening before."""
    shutil.copytree(source, target)
