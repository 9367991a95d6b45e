"""A building site with classes of every kind, its hub, and devices beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import holdfast as hf


class Form(hf.Table, key="id", space="site", queue=hf.Queue(priority=1)):
    """What a foreman fills in: urgent."""

    id: str
    title: str = ""
    visits: hf.Counter = 0
    data: hf.JsonValue | None = None


class Album(hf.Table, key="id", space="site", unique=[("name",)], queue=hf.Queue("slow", priority=9)):
    """A parent in a slow class, with a unique name."""

    id: str
    name: str | None = None


class Photo(hf.Table, key="id", space="site", queue=hf.Queue("slow", priority=9)):
    """A picture: it can wait."""

    id: str
    album: str | None = hf.column(default=None, references=Album)
    note: str = ""


class Caption(hf.Table, key="id", space="site", queue=hf.Queue(priority=2)):
    """An urgent child of a slow parent."""

    id: str
    album: str = hf.column(references=Album)


class Sample(hf.Table, key="id", space="lab", queue=hf.Queue(batch_size=2, direction="upload_first")):
    """Two at once, and before anything large comes down."""

    id: str
    value: int = 0


class Fragile(hf.Table, key="id", space="lab", queue=hf.Queue(retries=1, coalesce=False)):
    """The hub of these tests fails when it is told to."""

    id: str
    value: int = 0


SCHEMA = hf.Schema(Form, Album, Photo, Caption, Sample, Fragile, version=1)
IDENTITY = hf.Identity("anna", {"site": "rw", "lab": "rw"})


class Gate:
    """A gateway before the hub that does not let a request pass which contains `dislikes`, as firewalls do. `broken`:
    nothing passes. `most`: more requests than these are a mistake.
    """

    def __init__(self, way: Any) -> None:
        self._way = way
        self.dislikes = b""
        self.broken = False
        self.requests = self.stopped = 0
        self.most = 100_000
        self.limits: list[int | None] = []

    def exchange(self, body: bytes) -> Any:
        self.requests += 1
        assert self.requests <= self.most
        self.limits.append(json.loads(body).get("limit"))
        if self.broken or (self.dislikes and self.dislikes in body):
            self.stopped += 1
            return Stopped(len(body))
        return self._way.exchange(body)

    def close(self) -> None:
        pass


class Stopped:
    """The gateway's own answer."""

    status = 403
    bytes_received = 0

    def __init__(self, bytes_sent: int) -> None:
        self.bytes_sent = bytes_sent

    def chunks(self) -> Iterator[bytes]:
        yield b"<html>blocked</html>"

    def close(self) -> None:
        pass


class Site:
    """A hub, and the way to it; `sent` holds the requests in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub = hf.Server(f"sqlite:///{folder / 'hub.db'}", SCHEMA)
        self.way = Gate(hf.testing.LocalTransport(self.hub, IDENTITY))
        self.now = 0

    def device(self, name: str = "device", **options: Any) -> hf.Replica:
        return hf.Replica(self.folder / f"{name}.db", SCHEMA, transport=self.way, **options)

    def order(self, device: hf.Replica) -> list[str]:
        """The keys in the order of the next request."""
        request = json.loads(device.build_request())
        return [op["key"] for transaction in request.get("transactions", []) for op in transaction["ops"]]

    def rows(self, table: str) -> list[Any]:
        """What a fresh device sees of a table."""
        with self.device(f"look{self.now}") as other:
            self.now += 1
            other.sync()
            return other.execute(f"SELECT * FROM {table} ORDER BY id")

    def lose(self) -> None:
        """The hub begins anew, with nothing in it."""
        self.hub.close()
        self.hub = hf.Server(f"sqlite:///{self.folder / 'new.db'}", SCHEMA)
        self.way._way = hf.testing.LocalTransport(self.hub, IDENTITY)

    def close(self) -> None:
        self.hub.close()
