"""What comes damaged, cut off or too large is not taken; what is on the shelf can be lost or damaged at any time."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import urllib3
import zstandard

import holdfast as hf
from holdfast.edge.asgi import asgi
from tests.integration.edge.stand_in import serving
from tests.integration.images.site import AREAS, SCHEMA, Device, Site, site

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def here(tmp_path: Path):
    with site(tmp_path) as made:
        made.make_image("ben")
        yield made


def shelf_of(here: Site, pattern: str = "*.zst") -> list[Path]:
    return sorted((here.folder / "images").glob(pattern))


def is_whole(device: Device) -> bool:
    return len(device.keys("plan")) == 80 and device.replica.verify().ok


def flipped(pieces):
    whole = bytearray(b"".join(pieces))
    whole[len(whole) // 2] ^= 1
    yield bytes(whole)


def longer(pieces):
    yield from pieces
    yield b"more"


def other(pieces):
    whole = b"".join(pieces)
    yield zstandard.ZstdCompressor().compress(b"x" * len(whole))[: len(whole)].ljust(len(whole), b"\0")


@pytest.mark.parametrize("damage", [flipped, longer, other])
def test_what_is_damaged_on_its_way_is_refused_and_pages_come(here: Site, damage) -> None:
    with here.device("ben") as ben:
        ben.way.change = damage
        ben.replica.sync()
        assert ben.refused == ["image_damaged"]
        assert is_whole(ben)
        assert len(ben.way.asked) == 1
        assert not [left for left in here.folder.iterdir() if "-image" in left.name]


@pytest.mark.parametrize("again", ["replica", "process"])
def test_what_breaks_off_goes_on_from_where_it_was(here: Site, again: str) -> None:
    def cut(pieces):
        whole = b"".join(pieces)
        yield whole[: len(whole) // 3]
        raise hf.HoldfastError("network", "cut off")

    with here.device("ben", "tablet") as ben:
        ben.way.change = cut
        for _ in range(2):
            with pytest.raises(hf.HoldfastError, match="cut off"):
                ben.replica.sync()
        size = shelf_of(here)[0].stat().st_size
        first, second = size // 3, size // 3 + (size - size // 3) // 3
        assert [start for _, start in ben.way.asked] == [0, first]
        assert ben.keys("plan") == []
        if again == "replica":
            ben.way.change = None
            ben.replica.sync()
            assert [start for _, start in ben.way.asked] == [0, first, second]
            assert ben.taken
            assert ben.images[0].received == size - second
            assert is_whole(ben)
            return
    with here.device("ben", "tablet") as ben:
        ben.replica.sync()
        assert [start for _, start in ben.way.asked] == [second]
        assert ben.taken
        assert is_whole(ben)


def test_a_part_of_another_image_is_thrown_away(here: Site) -> None:
    (here.folder / f"tablet.db-image-{'0' * 64}").write_bytes(b"of something else")
    with here.device("ben", "tablet") as ben:
        ben.replica.sync()
        assert [start for _, start in ben.way.asked] == [0]
        assert ben.taken
    assert not [left for left in here.folder.iterdir() if "-image" in left.name]


def test_an_image_of_another_schema_or_with_other_tables_is_refused(here: Site, monkeypatch) -> None:
    """Whoever offers it: the device compares it with its own file, statement by statement."""
    with here.device("ben") as ben:
        ben.replica.execute("drop index if exists holdfast_operation_row")
        ben.replica.sync()
        assert ben.refused == ["image_unfit"]
        assert is_whole(ben)


def test_a_hub_whose_files_were_damaged_makes_them_anew(here: Site) -> None:
    (packed,) = shelf_of(here)
    here.server.close()
    packed.write_bytes(packed.read_bytes()[:-1] + b"\0")
    images = hf.Images(here.folder / "images", least_rows=20)
    store = f"sqlite:///{here.folder / 'hub.db'}"
    with hf.Server(store, SCHEMA, images=images, spaces=lambda who: here.access[who.user]) as here.server:
        here.make_image("ben")
        with here.device("ben") as ben:
            ben.replica.sync()
            assert ben.taken
            assert is_whole(ben)


def test_images_outlive_a_restart_and_are_shared_by_processes(here: Site) -> None:
    here.server.close()
    images = hf.Images(here.folder / "images", least_rows=20)
    store = f"sqlite:///{here.folder / 'hub.db'}"
    with (
        hf.Server(store, SCHEMA, images=images, spaces=lambda who: here.access[who.user]) as here.server,
        here.device("ben") as ben,
    ):
        ben.replica.sync()
        assert ben.taken


def test_an_image_that_is_gone_between_offer_and_download(here: Site) -> None:
    with here.device("ben") as ben:
        fetch = ben.way.image

        def gone(name: str, start: int):
            for path in shelf_of(here, "*.json"):
                path.unlink()
            return fetch(name, start)

        ben.way.image = gone
        ben.replica.sync()
        assert ben.refused == ["image_unknown"]
        assert is_whole(ben)


def test_the_shelf_keeps_within_its_bound(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        made.make_image("ben")
        (packed,) = shelf_of(made)
        bound = packed.stat().st_size * 5 // 2
    (tmp_path / "again").mkdir()
    with site(tmp_path / "again", most_bytes=bound) as made:
        for user in ("ben", "dan"):
            made.make_image(user)
        old = time.time() - 100
        for number, path in enumerate(sorted(shelf_of(made, "*.json"), key=lambda path: path.read_text())):
            os.utime(path, (old + number, old + number))
        with made.device("ben") as ben:  # the one that is used stays
            ben.replica.sync()
            assert ben.taken
            used = ben.images[0].name
        made.access["eve"] = {"plan:north": "r"}
        made.make_image("eve")
        assert len(shelf_of(made)) == len(shelf_of(made, "*.json")) == 2
        assert [path for path in shelf_of(made) if used in path.name]
        assert sum(path.stat().st_size for path in shelf_of(made)) <= bound


def test_an_image_that_is_larger_than_the_shelf_is_not_kept(tmp_path: Path) -> None:
    with site(tmp_path, most_bytes=100) as made:
        made.make_image("ben")
        assert shelf_of(made, "*") == []
        with made.device("ben") as ben:
            ben.replica.sync()
            assert ben.images == []
            assert is_whole(ben)
        assert 'holdfast_image_builds_total{outcome="failed"} 1' in made.server.hub.metrics_text()


def test_without_a_disk_devices_take_pages(tmp_path: Path) -> None:
    """The folder cannot be made: a file is in its place."""
    (tmp_path / "images").write_text("no folder")
    with site(tmp_path) as made:
        for _ in range(2):
            with made.device("ben") as ben:
                ben.replica.sync()
                assert ben.images == []
                assert is_whole(ben)
            made.wait()


def test_what_a_process_left_that_died_while_it_made_one_is_thrown_away(here: Site) -> None:
    old = time.time() - 10_000
    folder = here.folder / "images"
    for name in ("making-dead", f"{'a' * 32}.{'b' * 64}.zst"):
        path = folder / name
        if name.endswith("dead"):
            path.mkdir()
        else:
            path.write_bytes(b"without a description")
        os.utime(path, (old, old))
    here.make_image("dan")
    assert not (folder / "making-dead").exists()
    assert len(shelf_of(here)) == 2


@pytest.fixture
def url(here: Site):
    users = {f"Bearer {user}": hf.Identity(user) for user in AREAS}
    here.server.authenticate = lambda headers: users.get(headers.get("authorization", ""))
    with serving(asgi(here.server)) as url:
        yield url


def test_over_http_with_ranges_tags_and_lifetimes(here: Site, url: str) -> None:
    (packed,) = shelf_of(here)
    whole, name = packed.read_bytes(), packed.name.split(".")[1]
    assert hashlib.sha256(whole).hexdigest() == name

    def get(user: str = "ben", **headers: str) -> urllib3.BaseHTTPResponse:
        asked = {"Authorization": f"Bearer {user}"} | {key.replace("_", "-"): value for key, value in headers.items()}
        return urllib3.request("GET", f"{url}/v1/images/{name}", headers=asked, retries=False)

    answer = get()
    assert (answer.status, answer.data) == (200, whole)
    assert answer.headers["ETag"] == f'"{name}"'
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert "Content-Encoding" not in answer.headers
    part = get(Range="bytes=100-")
    assert (part.status, part.data) == (206, whole[100:])
    assert part.headers["Content-Range"] == f"bytes 100-{len(whole) - 1}/{len(whole)}"
    assert get(Range="bytes=1-5").data == whole
    assert get(Range=f"bytes={len(whole)}-").status == 416
    assert get(Range="bytes=100-", If_Range='"another"').data == whole
    same = get(If_None_Match=f'"{name}"')
    assert (same.status, same.data) == (304, b"")
    for refused, status in (("dan", 404), ("nobody", 401)):
        assert get(refused).status == status
        assert get(refused, If_None_Match=f'"{name}"').status == status
    assert urllib3.request("GET", f"{url}/v1/images/..%2Fhub.db", headers={"Authorization": "Bearer ben"}).status == 404


@pytest.mark.parametrize("live", [False, True])
def test_a_device_over_http(here: Site, url: str, live: bool) -> None:
    with hf.Replica(here.folder / "far.db", SCHEMA, url=url, token="ben") as replica:
        far = Device(replica, None)
        if live:
            replica.connect()
            replica.wait_for_first_sync()
        report = replica.sync()
        assert far.taken
        assert live or report.bytes_received > shelf_of(here)[0].stat().st_size
        assert len(far.keys("plan")) == 80
        replica.execute("update plan set title = 'far' where id = 'north-0001'")
        replica.sync()
        assert replica.status.in_sync
        if live:
            replica.disconnect()
        assert replica.verify().ok


@pytest.mark.parametrize("way", ["pages", "rows"])
def test_killed_at_each_write_while_it_takes_the_file(here: Site, way: str) -> None:
    """The device is empty, and begins again, or whole: nothing in between. See `killed.py`."""
    here.server.close()
    command = [sys.executable, "-m", "tests.integration.images.killed", str(here.folder), way]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    deaths, empty, whole = map(int, run.stdout.split())
    assert deaths >= 10
    assert empty >= 2
    assert whole >= 1
