"""A hub, devices, and networks that fail in one chosen way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw

import holdfast as hf
from holdfast.edge.local import LocalTransport
from holdfast.errors import HoldfastError
from holdfast.kernel import digest

ANNA = hf.Identity("anna", {"project:1": "rw", "city": "rw"})
BEN = hf.Identity("ben", {"project:1": "rw", "city": "rw"})


class Form(hf.Table, space="project:{project_id}"):
    """A form."""

    project_id: str
    status: str = "draft"
    crew: hf.Counter = 0
    tags: hf.Set[str]


class Site(hf.Table, key="code", space="city"):
    """Shared."""

    code: str
    title: str


SCHEMA = hf.Schema(Form, Site, version=1)


class Answer:
    """An answer in the given pieces; with `broken` the connection breaks after them."""

    def __init__(self, status: int, pieces: list[bytes], *, broken: bool = False) -> None:
        self.status, self.bytes_sent, self.bytes_received = status, 0, 0
        self.pieces, self.broken = pieces, broken

    def chunks(self) -> Iterator[bytes]:
        for piece in self.pieces:
            self.bytes_received += len(piece)
            yield piece
        if self.broken:
            raise HoldfastError("network", "the connection broke")

    def close(self) -> None:
        pass


class Network:
    """Carries rounds to a server. Each of `faults` gives one answer, as `fault(body, carry)`; after them it works."""

    def __init__(self, server: hf.Server, identity: hf.Identity) -> None:
        self.inner = LocalTransport(server, identity)
        self.faults: list[Callable[[bytes, Callable[[bytes], tuple[int, bytes]]], Answer]] = []
        self.requests: list[bytes] = []
        self.answers: list[bytes] = []

    def carry(self, body: bytes) -> tuple[int, bytes]:
        """What the hub answers, whole."""
        exchange = self.inner.exchange(body)
        return exchange.status, b"".join(exchange.chunks())

    def exchange(self, body: bytes) -> Answer:
        self.requests.append(body)
        if self.faults:
            return self.faults.pop(0)(body, self.carry)
        status, answer = self.carry(body)
        self.answers.append(answer)
        return Answer(status, [answer])

    def close(self) -> None:
        pass


def cut_after(size: int) -> Callable[[bytes, Callable[[bytes], tuple[int, bytes]]], Answer]:
    """The hub hears the request; the connection breaks after so many bytes of its answer."""

    def fault(body: bytes, carry: Callable[[bytes], tuple[int, bytes]]) -> Answer:
        status, answer = carry(body)
        return Answer(status, [answer[:size]], broken=True)

    return fault


def cut_at(share: float) -> Callable[[bytes, Callable[[bytes], tuple[int, bytes]]], Answer]:
    """As `cut_after`, at a share of the answer from 0 to 1."""

    def fault(body: bytes, carry: Callable[[bytes], tuple[int, bytes]]) -> Answer:
        status, answer = carry(body)
        return Answer(status, [answer[: int(len(answer) * share)]], broken=True)

    return fault


def whole(body: bytes, carry: Callable[[bytes], tuple[int, bytes]]) -> Answer:
    """No fault."""
    status, answer = carry(body)
    return Answer(status, [answer])


def unheard(body: bytes, carry: Callable[[bytes], tuple[int, bytes]]) -> Answer:
    """The request is lost on its way."""
    raise HoldfastError("network", "no route")


def twice(body: bytes, carry: Callable[[bytes], tuple[int, bytes]]) -> Answer:
    """The request arrives twice; the second answer is the one that comes back."""
    carry(body)
    status, answer = carry(body)
    return Answer(status, [answer])


def device(folder: Path, name: str, transport: Any) -> hf.Replica:
    """The device of that name, made if it is not there."""
    return hf.Replica(folder / f"{name}.db", SCHEMA, transport=transport)


def hub_server(folder: Path) -> hf.Server:
    """A hub that refuses one status."""
    server = hf.Server(f"sqlite:///{folder / 'hub.db'}", SCHEMA)

    @server.before_write("form")
    def allowed(change: hf.Change, context: hf.Context) -> None:
        if change.new is not None and change.new["status"] == "forbidden":
            raise hf.Refuse("nobody may write this", code="house_rule")

    return server


def rows(path: Path) -> dict[str, list[Any]]:
    """User tables of a file."""
    db = apsw.Connection(str(path))
    tables = {table.name: ", ".join(c.name for c in table.row_columns) for table in SCHEMA.tables}
    found = {name: db.execute(f"select {tables[name]} from {name} order by 1").fetchall() for name in tables}
    db.close()
    return found


def roots(server: hf.Server) -> dict[str, str]:
    """Digest roots of the hub."""
    with server.hub._store.transaction(write=False) as tx:
        names = tx.all_spaces()
        return {n: digest.root({b: total for b, (_, total) in tx.digest(n).items()}) for n in names}


def same_everywhere(folder: Path, server: hf.Server, *replicas: hf.Replica) -> None:
    """All copies are equal, by rows and by digests, and nothing waits any more."""
    at_hub = rows(folder / "hub.db")
    for replica in replicas:
        assert replica.pending() == []
        assert rows(Path(replica.path)) == at_hub
        assert {name: replica.digest(name) for name in roots(server)} == roots(server)
