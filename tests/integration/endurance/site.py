"""Three versions of one application: columns renamed, split in two, of another type, dropped, and added."""

from __future__ import annotations

from pathlib import Path

import holdfast as hf
from holdfast.kernel import digest
from holdfast.testing import LocalTransport

ANN = hf.Identity("ann", spaces={"site": "rw"})


class Visit1(hf.Table, name="visit", space="site"):
    name: str
    crew: hf.Counter = 0
    tags: hf.Set[str]
    hours: str = "0"
    memo: str
    status: str = "open"


class Visit2(hf.Table, name="visit", space="site"):
    status: str = "open"
    weather: str | None = None
    first: str
    last: str
    team: hf.Counter = 0
    tags: hf.Set[str]
    hours: str = "0"


class Photo(hf.Table, space="site"):
    visit_id: str
    caption: str = ""


class Visit3(hf.Table, name="visit", space="site"):
    first: str
    last: str
    team: hf.Counter = 0
    labels: hf.Set[str]
    minutes: int = 0
    status: str = "open"
    weather: str | None = None


def split(name: str) -> tuple[str, str]:
    """A name as first and last name."""
    first, _, last = name.partition(" ")
    return first, last


def joined(first: str, last: str) -> str:
    """The name again."""
    return f"{first} {last}"


FIRST = hf.migrate(
    1, 2, hf.rename("visit", "crew", "team"), hf.lens("visit", "name", ["first", "last"], split, joined),
    hf.drop("visit", "memo", fill="(none)"),
)  # fmt: skip
SECOND = hf.migrate(
    2, 3, hf.rename("visit", "tags", "labels"),
    hf.lens("visit", "hours", "minutes", lambda hours: int(hours or 0) * 60, lambda minutes: str(minutes // 60)),
)  # fmt: skip
V1 = hf.Schema(Visit1, version=1)
V2 = hf.Schema(Visit2, Photo, version=2, migrations=[FIRST])
V3 = hf.Schema(Visit3, Photo, version=3, migrations=[FIRST, SECOND])


def device(folder: Path, name: str, schema: hf.Schema, server: hf.Server) -> hf.Replica:
    """A device of that version."""
    return hf.Replica(folder / f"{name}.db", schema, transport=LocalTransport(server, ANN))


def same(server: hf.Server, *devices: hf.Replica) -> None:
    """The hub and every device hold the same, by digest."""
    with server.hub.reading() as tx:
        ours = digest.root({bucket: total for bucket, (_, total) in tx.digest("site").items()})
    assert [one.digest("site") for one in devices] == [ours] * len(devices)
