"""A device on a disk that is too small for everything: `python small_disk.py HUB_FOLDER DISK_FOLDER PAGES`.

The second folder is a small file system (PAGES 0), or the device's file may have so many pages. Prints a line of JSON:
what happened, and how everything stands at the end.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import apsw

import holdfast as hf
from holdfast.testing import LocalTransport
from tests.integration.storage.forms import ANNA, SCHEMA

PHOTOS = 120
BYTES = 50_000
A_SYNC = 5
"""Photos between two syncs."""


def limit(db: apsw.Connection, quota: int) -> None:
    """Let the device's file have so many pages at most."""
    if db.filename.endswith("tablet.db"):
        db.execute(f"pragma max_page_count = {quota}").fetchall()


def main(hub: Path, folder: Path, quota: int) -> None:
    """Take many photos, sync now and then, and see that none is lost."""
    if quota:
        apsw.connection_hooks.append(lambda db: limit(db, quota))
    failures: list[str] = []
    freed = 0
    with (
        hf.Server(f"sqlite:///{hub}/hub.db", SCHEMA) as server,
        hf.Replica(folder / "tablet.db", SCHEMA, transport=LocalTransport(server, ANNA)) as tablet,
    ):
        for number in range(PHOTOS):
            for _ in range(3):
                try:
                    with tablet.transaction():
                        insert = "insert into photo (id, body) values (?, ?)"
                        tablet.execute(insert, (f"p{number:03}", bytes([number]) * BYTES))
                    break
                except hf.HoldfastError as error:
                    failures.append(error.code)
                    freed += error.details.get("freed", 0)
                    tablet.sync()
            else:
                raise RuntimeError(f"photo {number} could not be written: {failures}")
            if number % A_SYNC == 0:
                tablet.sync()
        tablet.sync()
        pending, here = len(tablet.pending()), tablet.execute("select count(*) from photo")[0][0]
        ok = tablet.verify().ok
        oldest = bytes(tablet.fetch("photo", "p000")[0]["body"]) == bytes(BYTES)
    with hf.Replica(
        hub / "other.db", SCHEMA, transport=LocalTransport(hf.Server(f"sqlite:///{hub}/hub.db", SCHEMA), ANNA)
    ) as other:
        other.sync()
        there = other.execute("select count(distinct body) from photo where length(body) = ?", (BYTES,))[0][0]
    db = apsw.Connection(str(folder / "tablet.db"))
    sound = db.execute("pragma integrity_check").get
    db.close()
    print(
        json.dumps(
            {
                "failures": sorted(set(failures)),
                "freed": freed,
                "pending": pending,
                "here": here,
                "there": there,
                "verified": ok,
                "oldest": oldest,
                "sound": sound,
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
