"""A hub that keeps file images of small spaces, too, and its users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import holdfast as hf
from holdfast.edge.local import LocalExchange, LocalTransport
from holdfast.hub.identity import Access
from holdfast.kernel import digest
from holdfast.replica.events import ImageEnded

PLANS = ("north", "south", "east")


class Plan(hf.Table, space="plan:{area}", exclude=["margin"]):
    area: str
    title: str
    rank: int = 0
    margin: int = 0
    tags: hf.Set[str]


class Check(hf.Table, space="plan:{area}"):
    area: str
    plan_id: str | None = hf.column(references="plan.id", default=None)
    note: str = ""
    count: hf.Counter = 0


class Reading(hf.Table, space="readings:{device}", queue=hf.Queue("readings", direction="upload")):
    device: str
    value: float


class Private(hf.Table, space="mine:{@user}"):
    text: str = ""


SCHEMA = hf.Schema(Plan, Check, Reading, Private, version=1)


class Watched(LocalTransport):
    """Counts what is fetched as a file, and may change it on its way: `change` gets the bytes from where it begins."""

    def __init__(self, server: hf.Server, identity: hf.Identity | None) -> None:
        super().__init__(server, identity)
        self.asked: list[tuple[str, int]] = []
        self.change: Any = None

    def image(self, name: str, start: int) -> LocalExchange:
        self.asked.append((name, start))
        exchange = super().image(name, start)
        if self.change is not None and exchange.status < 400:
            pieces, change = exchange.chunks(), self.change
            exchange.chunks = lambda: change(pieces)  # type: ignore[method-assign]
        return exchange


class Site:
    """`access` maps user -> space -> access, and may change at any time."""

    def __init__(self, server: hf.Server, folder: Path, access: dict[str, dict[str, Access]]) -> None:
        self.server, self.folder, self.access = server, folder, access
        self._numbers: dict[str, int] = {}

    @contextmanager
    def device(self, user: str, name: str = "", **options: Any) -> Iterator[Device]:
        """A device of that user; a name that was there before is the same file."""
        number = self._numbers[user] = self._numbers.get(user, 0) + 1
        way = Watched(self.server, hf.Identity(user))
        file = self.folder / f"{name or f'{user}{number}'}.db"
        with hf.Replica(file, options.pop("schema", SCHEMA), transport=way, **options) as replica:
            yield Device(replica, way)

    def make_image(self, user: str) -> None:
        """A first device of that user gets pages; then the image is there for the next one."""
        with self.device(user) as first:
            first.replica.sync()
            assert first.images == []
        self.wait()

    def wait(self) -> None:
        """Until everything is made that was wished for."""
        assert self.server.shelf is not None
        assert self.server.shelf.wait(60)

    def root(self, space: str) -> str:
        """The digest of a space at the hub."""
        with self.server.hub.reading() as tx:
            return digest.root({bucket: total for bucket, (_, total) in tx.digest(space).items()})


class Device:
    """A replica, its transport, and the file images that it met."""

    def __init__(self, replica: hf.Replica, way: Watched) -> None:
        self.replica, self.way = replica, way
        self.images: list[ImageEnded] = []
        replica.events.add(lambda event: self.images.append(event) if isinstance(event, ImageEnded) else None)

    @property
    def taken(self) -> bool:
        """Whether the first load came as a file."""
        return [image.error for image in self.images] == [None]

    @property
    def refused(self) -> list[str]:
        """The codes with which images were refused."""
        return [image.error.code for image in self.images if image.error is not None]

    def keys(self, table: str) -> list[str]:
        """What a table holds."""
        return [row[0] for row in self.replica.execute(f"select id from {table} order by id")]


@contextmanager
def site(
    folder: Path, store: str = "", access: Mapping[str, Mapping[str, Access]] | None = None, **images: Any
) -> Iterator[Site]:
    """A hub with images of 20 rows and more, filled by a device of anna."""
    known: dict[str, dict[str, Access]] = {user: dict(spaces) for user, spaces in (access or AREAS).items()}
    server = hf.Server(
        store or f"sqlite:///{folder / 'hub.db'}",
        SCHEMA,
        images=hf.Images(folder / "images", least_rows=20, **images),
        spaces=lambda identity: known[identity.user],
    )
    if store:  # its tables are there already
        server.migrate()
    with server:
        made = Site(server, folder, known)
        fill(made)
        yield made


AREAS: dict[str, dict[str, Access]] = {
    "anna": {f"plan:{area}": "rw" for area in PLANS},
    "ben": {"plan:north": "rw", "plan:south": "r"},
    "cay": {"plan:north": "r", "plan:south": "rw"},
    "dan": {"plan:south": "r", "plan:east": "r"},
}


def fill(made: Site, rows: int = 40) -> None:
    """So many plans and checks in each area."""
    with made.device("anna", "writer") as writer:
        with writer.replica.transaction():
            for area in PLANS:
                for number in range(rows):
                    plan = f"{area}-{number:04d}"
                    values = (plan, area, f"plan {number} of {area}", number, '["a","b"]')
                    writer.replica.execute(
                        "insert into plan (id, area, title, rank, tags) values (?, ?, ?, ?, ?)", values
                    )
                    check = (f"check-{plan}", area, plan, f"note {number}")
                    writer.replica.execute('insert into "check" (id, area, plan_id, note) values (?, ?, ?, ?)', check)
        writer.replica.sync()
