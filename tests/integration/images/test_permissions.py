"""A file image is never given to who may not read all of it, and never has in it what its reader would not get."""

from __future__ import annotations

from pathlib import Path

import pytest

import holdfast as hf
from holdfast.hub.imaging import Image
from tests.integration.images.site import PLANS, SCHEMA, Check, Device, Private, Reading, Site, Watched, site


@pytest.fixture
def here(tmp_path: Path):
    with site(tmp_path) as made:
        yield made


def areas(device: Device) -> list[str]:
    """The areas of which a device has plans."""
    return [row[0] for row in device.replica.execute("select distinct area from plan order by area")]


def image_of(here: Site, user: str) -> Image:
    """The image that a new device of the user takes."""
    with here.device(user) as device:
        device.replica.sync()
        assert device.taken
        assert here.server.shelf is not None
        found = here.server.shelf.named(device.images[0].name)
        assert found is not None
        return found


def test_users_of_overlapping_rights_get_each_his_own(here: Site) -> None:
    for user in ("ben", "dan", "anna"):
        here.make_image(user)
    images = {user: image_of(here, user) for user in ("anna", "ben", "cay", "dan")}
    assert images["ben"] == images["cay"], "the same spaces: one image, whatever they may write"
    assert len({image.name for image in images.values()}) == 3
    for user, image in images.items():
        assert sorted(image.spaces) == sorted(here.access[user])
        with here.device(user) as device:
            device.replica.sync()
            assert device.taken
            assert [f"plan:{area}" for area in areas(device)] == sorted(here.access[user])
            assert device.replica.spaces() == here.access[user]
            assert device.replica.verify().ok


def test_who_may_not_read_all_of_an_image_is_told_nothing_of_it(here: Site) -> None:
    here.make_image("anna")
    here.make_image("ben")
    of_all, of_two = image_of(here, "anna"), image_of(here, "ben")
    for user, image in (("ben", of_all), ("dan", of_all), ("dan", of_two)):
        refused = Watched(here.server, hf.Identity(user)).image(image.name, 0)
        unknown = Watched(here.server, hf.Identity(user)).image("0" * 64, 0)
        assert refused.status == unknown.status == 404
        assert b"".join(refused.chunks()) == b"".join(unknown.chunks())
    assert Watched(here.server, None).image(of_two.name, 0).status == 401
    assert Watched(here.server, hf.Identity("anna")).image(of_two.name, 0).status == 200


@pytest.mark.parametrize("when", ["before", "between", "within"])
def test_a_right_that_is_taken_away(here: Site, when: str) -> None:
    """Before the request, between offer and download, and while it is on its way."""
    here.make_image("ben")

    def revoke() -> None:
        here.access["ben"] = {"plan:north": "rw"}

    with here.device("ben") as ben:
        if when == "before":
            revoke()
        elif when == "between":
            take = ben.way.image
            ben.way.image = lambda name, start: (revoke(), take(name, start))[1]  # type: ignore[method-assign]
        else:

            def cut(pieces):
                revoke()
                yield from pieces

            ben.way.change = cut
        ben.replica.sync()
        assert areas(ben) == ["north"]
        assert ben.replica.spaces() == {"plan:north": "rw"}
        assert ben.refused == (["image_unknown"] if when == "between" else [])
        assert ben.replica.verify().ok
        assert b"plan 7 of south" not in b"".join(
            path.read_bytes() for path in here.folder.glob("ben2.db*") if when != "within"
        )


def test_a_granted_space_is_not_in_the_image_of_those_before(here: Site) -> None:
    here.make_image("ben")
    here.access["ben"]["plan:east"] = "r"
    with here.device("ben") as ben:
        ben.replica.sync()
        assert ben.images == []
        assert areas(ben) == sorted(PLANS)
    here.wait()
    assert sorted(image_of(here, "ben").spaces) == sorted(here.access["ben"])


def test_what_only_the_server_has_is_in_no_image(here: Site) -> None:
    """A column that is declared, and excluded: the hub's own database has it, no device."""
    here.make_image("ben")
    with here.device("ben") as ben:
        ben.replica.sync()
        assert ben.taken
        assert "margin" not in [row[1] for row in ben.replica.execute("pragma table_info(plan)")]
    assert "margin" not in [column.name for column in SCHEMA.by_name["plan"].columns]


def test_spaces_that_only_go_up_are_in_no_image(here: Site) -> None:
    for user in ("ben", "dan"):
        here.access[user]["readings:7"] = "rw"
        with here.device(user) as one:
            for number in range(30):
                one.replica.execute(
                    "insert into reading (id, device, value) values (?, '7', ?)", (f"{user}{number}", 1.5)
                )
            one.replica.sync()
    here.make_image("ben")
    image = image_of(here, "ben")
    assert image.spaces == ("plan:north", "plan:south")
    with here.device("ben") as ben:
        ben.replica.sync()
        assert ben.taken
        assert ben.keys("reading") == []
        ben.replica.execute("insert into reading (id, device, value) values ('new', '7', 2.5)")
        assert ben.replica.sync().pushed == 1
        assert ben.keys("reading") == ["new"]


def test_spaces_of_one_user_are_in_his_image_only(here: Site) -> None:
    for user in ("ben", "cay"):
        here.access[user] = {"plan:north": "r", f"mine:{user}": "rw"}
        with here.device(user) as device:
            with device.replica.transaction():
                for number in range(30):
                    device.replica.execute("insert into private (id, text) values (?, ?)", (f"{user}{number:02}", user))
            device.replica.sync()
        here.make_image(user)
    for user in ("ben", "cay"):
        with here.device(user) as device:
            device.replica.sync()
            assert device.taken
            assert {row[0] for row in device.replica.execute("select text from private")} == {user}
            assert device.replica.verify().ok


def test_who_wants_some_spaces_gets_an_image_of_these(here: Site) -> None:
    here.make_image("anna")
    for taken in (False, True):
        with here.device("anna", spaces="chosen") as anna:
            anna.replica.subscribe("plan:south")
            anna.replica.sync()
            assert anna.taken == taken
            assert areas(anna) == ["south"]
            assert anna.replica.verify().ok
        here.wait()


def test_devices_of_another_version_get_an_image_of_their_version(here: Site, tmp_path: Path) -> None:
    here.make_image("ben")

    class Later(hf.Table, name="plan", space="plan:{area}", exclude=["margin"]):
        area: str
        title: str
        rank: int = 0
        margin: int = 0
        colour: str = "red"
        tags: hf.Set[str]

    old = here.server
    later = hf.Schema(Later, Check, Reading, Private, version=2)
    old.close()
    shelf = hf.Images(tmp_path / "images", least_rows=20)
    with hf.Server(
        f"sqlite:///{tmp_path / 'hub.db'}", later, images=shelf, spaces=lambda who: here.access[who.user]
    ) as here.server:
        for schema, has in ((SCHEMA, False), (later, True)):
            for taken in (False, True):
                with here.device("ben", schema=schema) as ben:
                    ben.replica.sync()
                    columns = [row[1] for row in ben.replica.execute("pragma table_info(plan)")]
                    assert ("colour" in columns) == has
                    assert ben.taken in (taken, True)
                    assert ben.replica.verify().ok
                    ben.replica.execute("update plan set rank = rank + 1 where id = 'north-0009'")
                    assert ben.replica.sync().pushed == 1
                here.wait()
