"""A hub of each kind with devices, for the tests of spaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import apsw

import holdfast as hf
from holdfast.edge.local import LocalTransport
from holdfast.protocol import messages as m
from holdfast.stores.memory import MemoryStore
from tests.postgres import connect, database


class Submission(hf.Table, space="project:{project}"):
    project: str
    title: str = ""


class Answer(hf.Table, space=hf.via("submission")):
    submission: str = hf.column(references=Submission, on_delete="cascade")
    text: str = ""
    stars: hf.Counter = 0


class Photo(hf.Table, space=hf.via("answer")):
    answer: str = hf.column(references=Answer, on_delete="cascade")
    name: str = ""


class Folder(hf.Table, space=hf.via("parent", root="project:{project}")):
    project: str = "1"
    parent: str | None = hf.column(default=None, references="folder")


class Diary(hf.Table, space="user:{@user}"):
    title: str = ""


class Leaf(hf.Table, space=hf.via("diary")):
    diary: str = hf.column(references=Diary)
    text: str = ""


class Shelf(hf.Table, space=hf.via("above", root="user:{@user}")):
    above: str | None = hf.column(default=None, references="shelf")


class Street(hf.Table, space="city", key=("town", "number")):
    town: str
    number: int


class House(
    hf.Table,
    space=hf.via("number", "town"),
    foreign_keys=[hf.ForeignKey(("number", "town"), Street, ("number", "town"))],
):
    number: int
    town: str


SCHEMA = hf.Schema(Photo, Answer, Submission, Folder, Diary, Leaf, Shelf, Street, House)
BOTH = {"project:1": "rw", "project:2": "rw"}


class World:
    """A hub on the store of that kind: memory, sqlite or postgres."""

    def __init__(self, kind: str, folder: Path, things: ExitStack, schema: hf.Schema = SCHEMA) -> None:
        self.kind = kind
        self.folder = folder
        self.schema = schema
        self.access: dict[str, Mapping[str, str]] = {}
        self.things = things
        self.memory = MemoryStore()
        self.dsn = things.enter_context(database()) if kind == "postgres" else f"sqlite:///{folder}/hub.db"
        self.server = self.serve()

    def serve(self, **options: Any) -> hf.Server:
        """A server on the store; `access` says what each user may do."""
        store: Any = self.memory if self.kind == "memory" else self.dsn
        options = options or {"spaces": lambda identity: self.access[identity.user]}
        return self.things.enter_context(hf.Server(store, self.schema, **options))

    def device(self, user: str, access: Mapping[str, str] = BOTH, **claims: Any) -> hf.Replica:
        """The device of a user who has this access."""
        self.access[user] = access
        transport = LocalTransport(self.server, hf.Identity(user, claims=claims))
        return self.things.enter_context(hf.Replica(self.folder / f"{user}.db", self.schema, transport=transport))

    def run(self, *statements: str) -> None:
        """What another program does on the hub, in one transaction."""
        if self.kind == "postgres":
            with connect(self.dsn) as connection, connection.transaction():
                for statement in statements:
                    connection.execute(statement.encode())
        else:
            db = apsw.Connection(str(self.folder / "hub.db"))
            with db:
                for statement in statements:
                    db.execute(statement)
            db.close()

    def spaces(self, table: str) -> dict[str, str]:
        """Key -> space of the living rows of a table, as the hub's feeds have them."""
        self.server.sequence_foreign_writes()
        found = {}
        with self.server.hub._store.transaction(write=False) as tx:
            for name, space in tx.spaces(tx.all_spaces()).items():
                for _, image in tx.feed(name, 0, space.head):
                    row = m.decode_image(image)
                    if row.table == table and row.life % 2:
                        found[str(row.values[0])] = name
        return found

    def hub_digest(self, space: str) -> str:
        """The root that the hub keeps of a space."""
        from holdfast.kernel import digest

        with self.server.hub._store.transaction(write=False) as tx:
            return digest.root({bucket: total for bucket, (_, total) in tx.digest(space).items()})

    def agree(self, *devices: hf.Replica) -> None:
        """Sync until nothing is new, then compare rows and digests with the hub."""
        for _ in range(2):
            for device in devices:
                device.sync()
        for device in devices:
            assert device.pending() == []
            for space in device.status.spaces:
                assert device.digest(space) == self.hub_digest(space), space


def keys(device: hf.Replica, table: str) -> list[str]:
    """The keys that a device shows."""
    return sorted(row[0] for row in device.execute(f"select id from {table}"))


def refusals(device: hf.Replica) -> list[tuple[str, str, str]]:
    """(code, table, key) of what was refused."""
    return [(one.code, one.table, one.key) for one in device.refused()]


def write_past_constraints(device: hf.Replica, *statements: str) -> None:
    """Another program on the device, whose connection does not check foreign keys."""
    db = apsw.Connection(device.path)
    with db:
        for statement in statements:
            db.execute(statement)
    db.close()


def family(device: hf.Replica, project: str = "1", names: Sequence[str] = ("a",)) -> None:
    """A submission s with an answer of each name, and a photo of each answer."""
    with device.transaction():
        device.execute("insert into submission (id, project) values ('s', ?)", (project,))
        for name in names:
            device.execute("insert into answer (id, submission) values (?, 's')", (name,))
            device.execute("insert into photo (id, answer) values (?, ?)", (f"photo of {name}", name))
