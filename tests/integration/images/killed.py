"""A device that is killed while it takes over a file image: `python -m tests.integration.images.killed FOLDER WAY`.

First it lives to the end, and its writes are counted; then it dies before, or in the middle of, one after the other.
Each time what it left is looked at: an empty device, or a whole one. Then it syncs, and has everything.
Prints how many deaths there were, and how many left an empty device and a whole one.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import apsw

import holdfast as hf
from holdfast.edge.local import LocalTransport
from tests.integration.crash.nursery import child, killed
from tests.integration.crash.points import Points
from tests.integration.images.site import AREAS, SCHEMA

MOST = int(os.environ.get("HOLDFAST_IMAGE_KILLS", "10"))


def live(folder: Path, way: str, points: Points | None) -> None:
    """The first load of a device whose file is there already."""
    images = hf.Images(folder / "images", least_rows=20)
    with hf.Server(
        f"sqlite:///{folder / 'hub.db'}", SCHEMA, images=images, spaces=lambda who: AREAS[who.user]
    ) as server:
        transport = LocalTransport(server, hf.Identity("ben"))
        _ = server.hub
        if points is not None:
            points.install()
        with hf.Replica(folder / "victim.db", SCHEMA, transport=transport) as victim:
            if way == "rows":  # another connection has the file open
                victim.execute("select 1 from plan")
            _ = victim.device
            if points is not None:
                points.arm()
            victim.sync()
            if points is not None:
                points.armed = False
            assert len(victim.execute("select id from plan")) == 80
            assert victim.verify().ok


def left(folder: Path) -> int:
    """How many plans are there, none or all, in a sound file."""
    with closing(apsw.Connection(str(folder / "victim.db"))) as db:
        assert db.execute("pragma integrity_check").get == "ok"
        plans, rows, hub = db.execute(
            "select (select count(*) from plan), (select count(*) from holdfast_row), hub <> '' from holdfast_state"
        ).get
    assert (plans, rows, hub) in ((0, 0, 0), (80, 160, 1)), (plans, rows, hub)
    return int(plans)


def main(folder: Path, way: str) -> None:
    """All deaths."""
    with hf.Replica(folder / "victim.db", SCHEMA) as made:
        _ = made.device
    fresh = (folder / "victim.db").read_bytes()

    def again(chosen: int) -> bool:
        for path in folder.glob("victim.db*"):
            path.unlink()
        (folder / "victim.db").write_bytes(fresh)
        points = Points("files", chosen, folder / "points", "victim.db")
        return killed(child(partial(live, folder, way, points)))

    assert not again(0)
    names = (folder / "points").read_text().splitlines()
    deaths, empty, whole = 0, 0, 0
    for chosen in range(1, len(names) + 1, max(1, len(names) // MOST)):
        deaths += again(chosen)
        found = left(folder)
        empty, whole = empty + (not found), whole + bool(found)
        # In a process of its own again: the one that watches must stay as it was.
        assert not killed(child(partial(live, folder, way, None)))
        assert left(folder) == 80
    print(deaths, empty, whole)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
