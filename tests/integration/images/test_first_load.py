"""A device that begins with a file is in nothing another one than a device that began with pages."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

import holdfast as hf
from holdfast.schema.emit import postgres
from tests.integration.images.site import PLANS, SCHEMA, Device, Site, site
from tests.postgres import connect, database

BOOKS = ("holdfast_row", "holdfast_unseen", "plan", '"check"', "reading", "private", "holdfast_conflict")


@pytest.fixture
def here(tmp_path: Path):
    with site(tmp_path) as made:
        yield made


def everything(device: Device) -> dict[str, list]:
    """What a device holds, without its own identity and the numbers of its spaces."""
    read = device.replica.execute
    found = {name: [tuple(row) for row in read(f"select * from {name} order by 1, 2")] for name in BOOKS}
    found["spaces"] = [
        tuple(row) for row in read("select name, access, cursor, ready, total from holdfast_space order by name")
    ]
    found["state"] = [tuple(row) for row in read("select hub, user, layout, format, schema_hash from holdfast_state")]
    return found


class NoFiles:
    """A transport that cannot fetch files."""

    def __init__(self, device: Device) -> None:
        self.exchange, self.close = device.way.exchange, device.way.close


@pytest.mark.parametrize("beside", [False, True])
def test_whoever_begins_with_the_file_holds_what_pages_would_have_brought(here: Site, beside: bool) -> None:
    here.make_image("ben")
    with here.device("ben") as file, here.device("ben") as other:
        if beside:  # somebody else has the file open: the rows are copied in, not the pages
            file.replica.execute("select count(*) from plan")
        report = file.replica.sync()
        assert file.taken
        assert report.pulled == 160
        assert file.way.asked == [(file.images[0].name, 0)]
        with hf.Replica(here.folder / "pages.db", SCHEMA, transport=NoFiles(other)) as pages:
            pages.sync()
            assert everything(file) == everything(Device(pages, other.way))
            assert file.replica.device != pages.device
        assert file.replica.verify().ok
        assert file.replica.status.in_sync
        assert file.replica.status.has_synced
        assert file.replica.execute("pragma integrity_check")[0][0] == "ok"
        assert file.replica.execute("pragma journal_mode")[0][0] == "wal"
        assert file.replica.execute("pragma application_id")[0][0] == 0
        assert file.replica.digest("plan:north") == here.root("plan:north")
        assert not [left.name for left in here.folder.iterdir() if "-image" in left.name]


def test_a_hub_on_postgresql(tmp_path: Path) -> None:
    with database() as store:
        with connect(store) as db:
            for statement in postgres.ddl(SCHEMA):
                db.execute(statement.encode())
            db.execute("ALTER TABLE plan ADD COLUMN margin integer NOT NULL DEFAULT 4711")
        with site(tmp_path, store) as made:
            check_on_postgresql(made)


def check_on_postgresql(made: Site) -> None:
    made.make_image("ben")
    with made.device("ben") as ben:
        ben.replica.sync()
        assert ben.taken
        assert len(ben.keys("plan")) == 80
        assert "margin" not in [row[1] for row in ben.replica.execute("pragma table_info(plan)")]
        assert ben.replica.verify().ok
        assert ben.replica.digest("plan:south") == made.root("plan:south")
        ben.replica.execute("update plan set title = 'mine' where id = 'north-0001'")
        assert ben.replica.sync().pushed == 1


def test_edits_go_both_ways_afterwards_and_after_another_start(here: Site) -> None:
    here.make_image("ben")
    with here.device("ben", "tablet") as ben, here.device("anna") as anna:
        ben.replica.sync()
        ben.replica.execute("update plan set title = 'mine' where id = 'north-0001'")
        ben.replica.execute('update "check" set count = count + 2 where id = ?', ("check-north-0001",))
        report = ben.replica.sync()
        assert (report.pushed, report.refused) == (2, [])
        anna.replica.sync()
        found = anna.replica.execute("select title from plan where id = 'north-0001'")
        assert found[0][0] == "mine"
        anna.replica.execute("delete from \"check\" where id = 'check-south-0002'")
        anna.replica.sync()
    with here.device("ben", "tablet") as ben:
        ben.replica.sync()
        assert "check-south-0002" not in ben.keys('"check"')
        assert ben.replica.verify().ok
        assert ben.images == []


def test_two_devices_of_one_image_are_two_devices(here: Site) -> None:
    here.make_image("ben")
    with here.device("ben") as one, here.device("ben") as two:
        for device in (one, two):
            device.replica.sync()
            assert device.taken
        assert one.replica.device != two.replica.device
        one.replica.execute("update plan set rank = 100 where id = 'north-0003'")
        two.replica.execute("update plan set rank = 200 where id = 'north-0003'")
        assert one.replica.sync().pushed == two.replica.sync().pushed == 1
        one.replica.sync()
        assert one.replica.execute("select rank from plan where id = 'north-0003'")[0][0] == 200
        assert len(one.replica.conflicts()) == len(two.replica.conflicts()) == 1
    here.make_image("anna")
    with here.device("anna") as later:
        later.replica.sync()
        assert later.taken
        assert len(later.replica.execute("select * from holdfast_conflict")) == 1
        assert later.replica.verify().ok


def test_what_came_since_the_image_comes_by_the_feed(here: Site) -> None:
    here.make_image("ben")
    with here.device("anna") as anna:
        anna.replica.sync()
        anna.replica.execute("update plan set title = 'later' where id = 'north-0004'")
        anna.replica.execute("insert into plan (id, area, title, tags) values ('north-new', 'north', 'new', '[]')")
        anna.replica.execute("delete from \"check\" where id = 'check-south-0004'")
        anna.replica.sync()
    with here.device("ben") as ben:
        ben.replica.sync()
        assert ben.taken
        assert ben.replica.execute("select title from plan where id = 'north-0004'")[0][0] == "later"
        assert "north-new" in ben.keys("plan")
        assert "check-south-0004" not in ben.keys('"check"')
        assert ben.replica.verify().ok


def test_an_image_that_has_aged_is_made_anew_and_one_that_is_far_behind_is_not_given(here: Site) -> None:
    here.make_image("ben")
    with here.device("anna") as anna:
        anna.replica.sync()
        anna.replica.execute("update plan set rank = rank + 1 where area = 'north'")
        anna.replica.sync()
    names = []
    for _ in range(2):
        with here.device("ben") as ben:
            ben.replica.sync()
            assert ben.taken
            assert ben.replica.verify().ok
            names.append(ben.images[0].name)
        here.wait()
    assert names[0] != names[1], "the first one had aged"
    with here.device("anna") as anna:
        anna.replica.sync()
        for _ in range(8):
            anna.replica.execute("update plan set rank = rank + 1")
            anna.replica.sync()
    with here.device("ben") as ben:
        ben.replica.sync()
        assert ben.images == []
        assert ben.replica.verify().ok


@pytest.mark.parametrize("what", ["row", "write", "index", "subscription", "table"])
def test_a_device_that_holds_something_loses_nothing_of_it(here: Site, what: str) -> None:
    here.make_image("ben")
    with here.device("ben") as ben:
        replica = ben.replica
        if what == "row":
            replica.execute("insert into plan (id, area, title, tags) values ('own', 'north', 'own', '[]')")
        elif what == "write":
            replica.execute("insert into plan (id, area, title, tags) values ('own', 'north', 'own', '[]')")
            replica.execute("delete from plan where id = 'own'")
        elif what == "index":
            replica.execute("create index own on plan (title)")
        elif what == "table":
            replica.execute("create table own (name text)")
            replica.execute("insert into own values ('kept')")
        else:
            replica.subscribe("plan:north", priority=3)
        replica.sync()
        assert ben.taken == (what in ("index", "table", "subscription"))
        assert ("own" in ben.keys("plan")) == (what == "row")
        if what == "index":
            assert replica.execute("select name from sqlite_schema where name = 'own'")
        if what == "table":
            assert replica.execute("select name from own")[0][0] == "kept"
        if what == "subscription":
            assert tuple(replica.execute("select space, priority from holdfast_subscription")[0]) == ("plan:north", 3)
        assert replica.verify().ok
        assert replica.execute("pragma integrity_check")[0][0] == "ok"


def test_a_row_that_is_written_while_the_file_comes_is_kept(here: Site) -> None:
    here.make_image("ben")
    with here.device("ben") as ben:

        def slowly(pieces):
            ben.replica.execute("insert into plan (id, area, title, tags) values ('own', 'north', 'own', '[]')")
            yield from pieces

        ben.way.change = slowly
        ben.replica.sync()
        assert ben.refused == ["image_unfit"]
        assert "own" in ben.keys("plan")
        assert len(ben.keys("plan")) == 81
        assert ben.replica.verify().ok
    with here.device("anna") as anna:
        anna.replica.sync()
        assert "own" in anna.keys("plan")


def test_small_spaces_come_by_pages(here: Site) -> None:
    assert here.server.shelf is not None
    here.access["eve"] = {"plan:west": "rw"}
    with here.device("eve") as eve:
        eve.replica.execute("insert into plan (id, area, title, tags) values ('w', 'west', 'w', '[]')")
        eve.replica.sync()
    for _ in range(2):
        with here.device("eve") as eve:
            eve.replica.sync()
            assert eve.images == []
            assert eve.keys("plan") == ["w"]
    here.wait()
    assert not (here.folder / "images").exists()


def test_the_hub_counts_what_it_makes_and_gives(here: Site) -> None:
    here.make_image("ben")
    with here.device("ben") as ben:
        ben.replica.sync()
        received = ben.images[0].received
    text = here.server.hub.metrics_text()
    assert 'holdfast_image_builds_total{outcome="ok"} 1' in text
    assert 'holdfast_image_offers_total{outcome="offered"} 1' in text
    assert f"holdfast_image_bytes_sent_total {received}" in text


def test_an_image_holds_nothing_of_anybody(here: Site) -> None:
    """Neither the device that made it nor any user; and no page of what was there before."""
    import zstandard

    here.make_image("ben")
    (packed,) = (here.folder / "images").glob("*.zst")
    whole = here.folder / "whole.db"
    whole.write_bytes(zstandard.ZstdDecompressor().stream_reader(packed.read_bytes()).read())
    db = apsw.Connection(str(whole))
    state = db.execute("select device, user, last_synced, verify_due, clock_offset from holdfast_state").get
    assert state == ("", "", None, None, 0)
    assert not db.execute("select * from holdfast_own").fetchall()
    assert db.execute("pragma freelist_count").get == 0
    db.close()
    assert PLANS[2].encode() not in whole.read_bytes()
