"""`direction="upload"`: what a device writes there goes up, and nothing of these spaces comes down."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf

UP = hf.Queue("tracks", direction="upload")


class Site(hf.Table, space="site"):
    name: str = ""


class Track(hf.Table, space="track:{driver}", queue=UP):
    driver: str
    place: str = ""
    stops: hf.Counter = 0


class Point(hf.Table, space=hf.via("track_id"), queue=UP):
    track_id: str = hf.column(references=Track)
    at: int = 0


SCHEMA = hf.Schema(Site, Track, Point)
ALL = {"site": "rw", "track:anna": "rw", "track:ben": "rw"}


class Desk:
    """A hub and devices that share every right."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = hf.Server(f"sqlite:///{folder}/hub.db", SCHEMA)
        self.devices: list[hf.Replica] = []
        self.rights: dict[str, Any] = dict(ALL)

    def device(self, name: str, schema: hf.Schema = SCHEMA) -> hf.Replica:
        """A device of the user with that name."""
        way = hf.testing.LocalTransport(self.server, hf.Identity(name, self.rights))
        self.devices.append(hf.Replica(self.folder / f"{name}.db", schema, transport=way))
        return self.devices[-1]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    for device in desk.devices:
        device.close()
    desk.server.close()


def track(device: hf.Replica, key: str, driver: str) -> None:
    with device.transaction():
        device.execute("insert into track (id, driver, place, stops) values (?, ?, 'north', 2)", (key, driver))
        device.execute("insert into point (id, track_id, at) values (?, ?, 7)", (f"p{key}", key))


def placed(desk: Desk, key: str) -> str:
    """Where the hub has that row."""
    row = desk.server.as_of("track", key, datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1))
    assert row is not None
    return str(row["place"])


def test_rows_go_up_stay_here_and_come_to_nobody(desk: Desk) -> None:
    anna, ben = desk.device("anna"), desk.device("ben")
    anna.execute("insert into site (id, name) values ('s', 'yard')")
    track(anna, "t1", "anna")
    report = anna.sync()
    assert (report.pushed, report.refused, anna.pending()) == (2, [], [])
    ben.sync()
    track(ben, "t2", "ben")
    for device in (ben, anna, ben):
        device.sync()
    assert ben.execute("select name from site")[0][0] == "yard"
    assert [row[0] for row in ben.execute("select id from track")] == ["t2"]
    assert [row[0] for row in ben.execute("select id from point")] == ["pt2"]
    assert [tuple(row) for row in anna.execute("select id, place, stops from track")] == [("t1", "north", 2)]
    assert [entry.key for entry in desk.server.export_history("track")] == ["t1", "t2"]


def test_edits_go_up_after_the_first_answer_and_count_once(desk: Desk) -> None:
    anna = desk.device("anna")
    track(anna, "t1", "anna")
    anna.sync()
    anna.execute("update track set place = 'south', stops = stops + 3 where id = 't1'")
    anna.sync()
    anna.execute("delete from point where id = 'pt1'")
    anna.sync()
    assert placed(desk, "t1") == "south"
    assert [tuple(row) for row in anna.execute("select place, stops from track")] == [("south", 5)]
    assert anna.execute("select * from point") == []


def test_verify_and_status_do_not_miss_what_is_never_read(desk: Desk) -> None:
    anna = desk.device("anna")
    anna.execute("insert into site (id) values ('s')")
    track(anna, "t1", "anna")
    anna.sync()
    found = anna.verify()
    assert (found.ok, found.spaces, found.lost, found.repaired) == (True, 1, [], [])
    assert anna.status.in_sync
    anna.wait_for_first_sync(timeout=0.1)


def test_what_others_change_at_the_hub_leaves_the_own_row_alone(desk: Desk) -> None:
    anna = desk.device("anna")
    track(anna, "t1", "anna")
    anna.sync()
    reader = hf.Replica(
        desk.folder / "office.db",
        hf.Schema(*(without_queue(table) for table in (Site, Track, Point))),
        transport=hf.testing.LocalTransport(desk.server, hf.Identity("office", desk.rights)),
    )
    desk.devices.append(reader)
    reader.sync()
    assert [row[0] for row in reader.execute("select id from track")] == ["t1"]
    reader.execute("update track set place = 'office', stops = stops + 10 where id = 't1'")
    reader.sync()
    anna.execute("update track set place = 'mine' where id = 't1'")
    report = anna.sync()
    assert report.refused == []
    assert [tuple(row) for row in anna.execute("select place, stops from track")] == [("mine", 2)]
    assert anna.pending() == []
    reader.sync()
    assert [tuple(row) for row in reader.execute("select place, stops from track")] == [("mine", 12)]


def without_queue(table: type[hf.Table]) -> type[hf.Table]:
    """The same table, read as well as written: how a class is sent is no part of a schema's hash."""
    options = table.__holdfast_options__
    space = options.space
    body = {"__annotations__": dict(table.__dict__["__holdfast_annotations__"]), "__module__": __name__}
    body |= {name: value for name, value in vars(table).items() if name in body["__annotations__"]}
    if table is Point:
        body["track_id"] = hf.column(references="track")
    return type(table.__name__, (hf.Table,), body, space=space)


def test_a_refusal_takes_the_row_back(desk: Desk) -> None:
    anna = desk.device("anna")
    track(anna, "t9", "carl")  # nobody gave anna track:carl
    report = anna.sync()
    assert [refusal.code for refusal in report.refused] == ["forbidden_space"]
    assert anna.execute("select * from track") == []
    assert len(anna.refused()) == 1


def test_rights_that_go_leave_what_was_written(desk: Desk) -> None:
    anna = desk.device("anna")
    track(anna, "t1", "anna")
    anna.sync()
    desk.rights.clear()
    anna.sync()
    assert [row[0] for row in anna.execute("select id from track")] == ["t1"]


def test_the_direction_may_be_taken_away_and_given(desk: Desk) -> None:
    both = hf.Schema(*(without_queue(table) for table in (Site, Track, Point)))
    anna, ben = desk.device("anna"), desk.device("ben")
    track(anna, "t1", "anna")
    track(ben, "t2", "ben")
    anna.sync()
    ben.sync()
    ben.close()
    ben = desk.device("ben", both)
    ben.sync()
    assert [row[0] for row in ben.execute("select id from track order by id")] == ["t1", "t2"]
    assert ben.verify().ok
    ben.close()
    ben = desk.device("ben")
    ben.sync()
    ben.execute("update track set place = 'kept' where id = 't2'")
    ben.sync()
    assert [row[0] for row in ben.execute("select id from track order by id")] == ["t1", "t2"]
    assert placed(desk, "t2") == "kept"
    assert ben.verify().ok


def test_what_made_room_stays_away_and_says_so(tmp_path: Path) -> None:
    class Log(hf.Table, space="track:{driver}", queue=UP, evictable=True):
        driver: str
        text: str

    schema, now = hf.Schema(Log), [10**11]
    with hf.Server(f"sqlite:///{tmp_path}/hub.db", schema, now=lambda: now[0]) as server:
        way = hf.testing.LocalTransport(server, hf.Identity("anna", {"track:anna": "rw"}))
        room = hf.Storage(total="100 kB")
        with hf.Replica(tmp_path / "anna.db", schema, transport=way, storage=room, now=lambda: now[0]) as anna:
            for key in range(40):
                anna.execute("insert into log (id, driver, text) values (?, 'anna', ?)", (str(key), "x" * 5000))
            anna.sync()
            now[0] += 3_600_000
            anna.prune()
            assert anna.storage.tables["log"].evicted > 0
            assert (anna.sync().refused, anna.verify().ok) == ([], True)
            with pytest.raises(hf.HoldfastError, match="only writes its space") as raised:
                anna.fetch("log", "0")
            assert raised.value.code == "space_unknown"
        assert len(list(server.export_history("log"))) == 40


def test_a_template_that_is_not_of_the_schema_is_refused_and_nothing_is_stored(desk: Desk) -> None:
    body = b'{"protocol":1,"device":"d","schema":{"version":1,"hash":"%s"},"clock":0,"want":{"upload":["{a}x{b}"]}}'
    answer = desk.server.handle(body % SCHEMA.hash.encode(), hf.Identity("anna", ALL))
    assert answer.status == 400
    assert b"want.upload" in b"".join(answer)


def test_a_space_is_read_as_a_whole_or_not_at_all() -> None:
    class Log(hf.Table, space="log:{car}", queue=hf.Queue(direction="upload")):
        car: str

    class Same(hf.Table, space="log:{car}"):
        car: str

    class Wider(hf.Table, space="lo{any_text}"):
        any_text: str

    class Child(hf.Table, space=hf.via("log_id")):
        log_id: str = hf.column(references=Log)

    class Refers(hf.Table, space="elsewhere"):
        log_id: str = hf.column(references=Log)

    for other in (Same, Wider, Child, Refers):
        with pytest.raises(hf.HoldfastError, match='log has direction="upload"') as caught:
            hf.Schema(Log, other)
        assert caught.value.code == "schema_invalid"

    class Apart(hf.Table, space="car:{car}"):
        car: str

    assert hf.Schema(Log, Apart).by_name["log"].queue.direction == "upload"
