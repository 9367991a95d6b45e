"""The first load: cut at any byte it goes on from the last page; it comes by priority; spaces can be left out."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.hub.reading import marked, plan_space
from holdfast.protocol.codec import decode_line, lines
from holdfast.protocol.meter import Meter
from holdfast.testing import LocalTransport
from tests.integration.network.peers import Answer


class City(hf.Table, space="city", key="code", priority=0):
    code: str
    title: str


class Form(hf.Table, space="project:{project}", priority=1):
    project: str
    body: str = ""


class Photo(hf.Table, space="project:{project}", priority=5):
    project: str
    data: str = ""


SCHEMA = hf.Schema(City, Form, Photo)
ACCESS = {"city": "r", "project:1": "rw", "project:2": "rw"}


class Wire:
    """A way to the hub that may cut each answer, and keeps what went over it."""

    def __init__(self, server: hf.Server, user: str, page: int | None = None) -> None:
        self.inner = LocalTransport(server, hf.Identity(user, {**ACCESS, "city": "rw"}))
        self.cuts: list[int] = []
        self.answers: list[bytes] = []
        self.cut_always: int | None = None
        if page is not None:
            self.meter = Meter()
            self.meter._page = page

    def exchange(self, body: bytes) -> Any:
        exchange = self.inner.exchange(body)
        answer = b"".join(exchange.chunks())
        self.answers.append(answer)
        if self.cuts:
            return Answer(exchange.status, [answer[: self.cuts.pop(0)]], broken=True)
        return Answer(exchange.status, [answer])

    def close(self) -> None:
        pass


class Desk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = hf.Server(f"sqlite:///{folder}/hub.db", SCHEMA)
        self.writer = hf.Replica(folder / "writer.db", SCHEMA, transport=Wire(self.server, "writer"))
        with self.writer.transaction():
            for number in range(30):
                for project in ("1", "2"):
                    values = (project, f"{number}" * 40)
                    self.writer.execute("insert into photo (project, data) values (?, ?)", values)
                    self.writer.execute("insert into form (project, body) values (?, ?)", values)
            self.writer.executemany("insert into city (code, title) values (?, 'x')", ((str(n),) for n in range(10)))
        self.writer.sync()
        self.devices = 0

    def device(self, **options: Any) -> tuple[hf.Replica, Wire]:
        self.devices += 1
        wire = Wire(self.server, "anna", 1024)
        return hf.Replica(self.folder / f"{self.devices}.db", SCHEMA, transport=wire, **options), wire

    def same(self, device: hf.Replica) -> None:
        for table in ("city", "form", "photo"):
            sql = f"select * from {table} order by 1"
            assert device.execute(sql) == self.writer.execute(sql)
        for space in ACCESS:
            assert device.digest(space) == self.writer.digest(space)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.writer.close()
    desk.server.close()


def rows_in(answer: bytes) -> list[str]:
    pages = [part for part in map(decode_line, lines([answer])) if hasattr(part, "rows")]
    return [table for page in pages for table in tables_of(page.rows)]


def tables_of(rows: bytes) -> list[str]:
    return [image[0] for image in json.loads(bytes(rows))]


def whole_lines(answer: bytes, cut: int) -> bytes:
    return answer[: answer.rfind(b"\n", 0, cut) + 1]


def test_a_load_cut_at_any_byte_goes_on_from_its_last_page(desk: Desk) -> None:
    reference, wire = desk.device()
    with reference:
        reference.sync()
    (answer,) = wire.answers
    total = len(rows_in(answer))
    ends = [end for end, byte in enumerate(answer) if byte == ord("\n")]
    cuts = {0, 1, len(answer) - 1, *(end + near for end in ends[::9] for near in (-1, 0, 1, 2))}
    cuts |= set(random.Random(7).sample(range(len(answer)), 15))
    for cut in sorted(cuts):
        device, wire = desk.device()
        with device:
            wire.cuts = [cut]
            with pytest.raises(hf.HoldfastError) as raised:
                device.sync()
            assert raised.value.code == "network"
            kept = len(rows_in(whole_lines(answer, cut)))
            device.sync()
            assert len(rows_in(wire.answers[1])) == total - kept, f"cut at {cut}: every whole page was kept"
            desk.same(device)


def test_a_load_that_is_cut_again_and_again_never_begins_anew(desk: Desk) -> None:
    """The hub is written to meanwhile: rows that move on are met again, none is lost."""
    device, wire = desk.device()
    with device:
        for number in range(60):
            wire.cuts = [2_500]
            with suppress(hf.HoldfastError):  # an answer that is shorter is whole
                device.sync()
            if number % 5 == 0:
                desk.writer.execute("update form set body = body || '!' where rowid % 7 = ?", (number % 7,))
                desk.writer.execute("delete from photo where rowid = ?", (number,))
                desk.writer.execute("insert into photo (project, data) values ('1', ?)", (str(number),))
                desk.writer.sync()
        wire.cuts = []
        device.sync()
        desk.writer.sync()
        device.sync()
        desk.same(device)


def test_what_matters_comes_first(desk: Desk) -> None:
    device, wire = desk.device()
    with device:
        device.sync()
        order = rows_in(wire.answers[0])
        assert order == sorted(order, key=["city", "form", "photo"].index)


def test_spaces_come_in_the_order_of_their_priorities(desk: Desk) -> None:
    device, wire = desk.device()
    with device:
        device.subscribe("project:1", priority=9)
        device.subscribe("project:2", priority=-1)
        device.subscribe("city", priority=7)
        device.sync()
        spaces = [part.space for part in map(decode_line, lines([wire.answers[0]])) if hasattr(part, "rows")]
        assert list(dict.fromkeys(spaces)) == ["project:2", "city", "project:1"]


@pytest.mark.parametrize(("priority", "here"), [(0, "city"), (1, "form"), (4, "form"), (5, "photo"), (None, "photo")])
def test_one_can_wait_for_what_matters(desk: Desk, priority: int | None, here: str) -> None:
    reference, wire = desk.device()
    with reference:
        reference.sync()
    answer = wire.answers[0]
    order = ["city", "form", "photo"]
    needed = [end for end, table in page_tables(answer) if order.index(table) > order.index(here)]
    device, wire = desk.device()
    with device:
        with pytest.raises(hf.HoldfastError) as raised:
            device.wait_for_first_sync(priority, timeout=0.01)
        assert raised.value.code == "busy"
        if needed:
            wire.cuts = [needed[0]]
            with pytest.raises(hf.HoldfastError):
                device.sync()
            device.wait_for_first_sync(priority, timeout=1.0)
            assert device.execute(f"select count(*) from {here}")[0][0] in (10, 60)
            with pytest.raises(hf.HoldfastError):
                device.wait_for_first_sync(timeout=0.01)
        device.sync()
        device.wait_for_first_sync(priority, timeout=1.0)
        device.wait_for_first_sync(timeout=1.0)


def page_tables(answer: bytes) -> list[tuple[int, str]]:
    """(end, table of the first row) of each page line."""
    found, end = [], 0
    for line in lines([answer]):
        end += len(line) + 1
        part = decode_line(line)
        if hasattr(part, "rows"):
            found.append((end, tables_of(part.rows)[0]))
    return found


def test_a_space_that_is_not_wanted_leaves_and_its_unsent_edits_go_out(desk: Desk) -> None:
    device, _ = desk.device()
    with device:
        device.sync()
        device.execute("insert into form (project, body) values ('2', 'unsent')")
        device.unsubscribe("project:2")
        device.sync()
        assert device.execute("select count(*) from form where project = '2'") == [(0,)]
        assert device.pending() == []
        assert set(device.status.spaces) == {"city", "project:1"}
        desk.writer.sync()
        assert desk.writer.execute("select count(*) from form where body = 'unsent'") == [(1,)]
        device.subscribe("project:2")
        device.sync()
        desk.same(device)


def test_a_device_may_take_only_what_it_chose(desk: Desk) -> None:
    device, _ = desk.device(spaces="chosen")
    with device:
        device.sync()
        assert device.status.spaces == {}
        device.subscribe("city")
        device.sync()
        assert set(device.status.spaces) == {"city"}
        assert device.execute("select count(*) from city") == [(10,)]


def test_a_subscription_ends_with_its_time(desk: Desk) -> None:
    clock = [217_000_000_000]
    device, _ = desk.device(now=lambda: clock[0])
    with device:
        device.subscribe("project:1", ttl=60.0)
        device.sync()
        assert "project:1" in device.status.spaces
        clock[0] += 61_000
        assert device._exchanges.anything_waits(), "the loop makes a round for it"
        device.sync()
        assert "project:1" not in device.status.spaces
        assert not device._exchanges.anything_waits()
        assert device.execute("select count(*) from form where project = '1'") == [(0,)]


def test_what_a_cursor_says_is_read_no_further(desk: Desk) -> None:
    """Every cursor of a first load by classes leads on to what is still missing, whatever came meanwhile."""
    hub = desk.server.hub
    with hub._store.transaction(write=False) as tx:
        space = tx.spaces(["project:1"])["project:1"]
        readings, known = plan_space(tx, space, None, hub._classes, 0)
        assert not known
        assert [reading.priority for reading in readings] == [0, 1, 5]
        assert [reading.loaded for reading in marked(readings)] == [None, 0, 4]
        later = space._replace(head=space.head + 10)
        end: Callable[[int], str] = lambda number: readings[number].end()  # noqa: E731
        rest, _ = plan_space(tx, space, end(0), hub._classes, 0)
        assert [reading.level for reading in rest] == [2, 3]
        assert readings[2].end().count(".") == 3
        assert plan_space(tx, space, readings[2].end(), hub._classes, 0) == ([], True)
        assert later.head == space.head + 10
