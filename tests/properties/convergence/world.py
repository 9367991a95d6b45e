"""A small world to break: a hub on an SQLite file, devices on SQLite files, and a network that loses and repeats.

Nothing here is a mock: hub, devices and stores are the real ones. Only time and the network are held in hand.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import apsw

import holdfast as hf
from holdfast.edge.local import LocalTransport
from holdfast.kernel import digest
from holdfast.schema.model import Schema
from tests.properties.convergence.other_program import other_program
from tests.properties.convergence.statements import Statement

START = 210_000_000_000
"""World time at the beginning, in milliseconds since 2020-01-01 UTC: in the year 2026."""
DAY = 86_400_000
MAX_PASSES = 6


class Watcher(Protocol):
    """Looks at the hub before and after every delivery, and when it has heard of another program's write."""

    def before(self) -> Any: ...

    def after(self, device: Device, body: bytes, answer: bytes, found: Any) -> None: ...

    def declined(self, status: int, answer: bytes, found: Any) -> None: ...

    def heard(self, found: Any) -> None: ...


class Answer:
    """What a transport gives for one round: the hub's body, whole or cut off."""

    def __init__(self, status: int, body: bytes, sent: int, *, cut: bool) -> None:
        self.status, self.bytes_sent, self.bytes_received = status, sent, len(body)
        self._body, self._cut = body, cut

    def chunks(self) -> Iterator[bytes]:
        """The body in small pieces, so that lines are cut anywhere."""
        step = max(1, len(self._body) // 5)
        for start in range(0, len(self._body), step):
            yield self._body[start : start + step]
        if self._cut:
            raise hf.HoldfastError("network", "the response was cut off")

    def close(self) -> None:
        """Nothing is held."""


class Wire:
    """The network between one device and the hub. `fault` is what happens to the next round.

    None: nothing; "lost request", "lost response", "twice" (the same bytes arrive two times), or a number: the
    response is cut after that share of its bytes, in thousandths.
    """

    def __init__(self, world: World, device: Device) -> None:
        self._world, self._device = world, device
        self.fault: str | int | None = None
        self.during: Callable[[], None] | None = None

    def exchange(self, body: bytes) -> Answer:
        """One round through the faulty network."""
        fault, self.fault = self.fault, None
        if fault == "lost request":
            raise hf.HoldfastError("network", "the request was lost")
        self._world.sent.append((self._device, body))
        if fault == "twice":
            self._world.deliver(body, self._device)
        status, answer = self._world.deliver(body, self._device)
        during, self.during = self.during, None
        if during is not None:
            during()
        if fault == "lost response":
            raise hf.HoldfastError("network", "the response was lost")
        if isinstance(fault, int):
            return Answer(status, answer[: len(answer) * fault // 1000], len(body), cut=True)
        return Answer(status, answer, len(body), cut=False)

    def close(self) -> None:
        """Nothing to close."""


class Device:
    """A device file with one or two `Replica` objects on it."""

    def __init__(self, world: World, name: str, user: str) -> None:
        self.world, self.name, self.user = world, name, user
        self.path = world.folder / f"{name}.db"
        self.wire = Wire(world, self)
        self.replicas = [self._open()]

    def _open(self) -> hf.Replica:
        bits = self.world.random.getrandbits
        replica = hf.Replica(self.path, self.world.schema, transport=self.wire, now=self.now, random_bits=bits)
        assert replica.device
        return replica

    def now(self) -> int:
        """What the device's clock shows, in milliseconds since 2020."""
        return self.world.tick() + self.world.skews[self.name]

    @property
    def identity(self) -> hf.Identity:
        """The user with what he may read and write now."""
        return hf.Identity(self.user, self.world.access[self.user])

    def reopen(self) -> None:
        """Close everything and open the file again, as another process would."""
        for replica in self.replicas:
            replica.close()
        self.replicas = [self._open()]

    def another(self) -> None:
        """Let the other process come in: a second object on the same file; both take turns from now on."""
        if len(self.replicas) == 1:
            self.replicas.append(self._open())
        self.replicas.reverse()

    @property
    def replica(self) -> hf.Replica:
        """The object whose turn it is."""
        return self.replicas[0]

    def write(self, statements: Sequence[Statement], how: str) -> None:
        """Run statements: "single" each for itself, "transaction" together, "rollback" in vain, "savepoint" with the
        second half undone, "program" through the standard library. What SQLite refuses is undone by itself."""
        if how == "program":
            self._program(statements)
        elif how == "single":
            for one in statements:
                with refused_by_sqlite():
                    self.replica.execute(*one)
        else:
            self._transaction(statements, how)

    def _transaction(self, statements: Sequence[Statement], how: str) -> None:
        half = len(statements) // 2 if how == "savepoint" else len(statements)
        with refused_by_sqlite(), suppress(Undo), self.replica.transaction("several"):
            for one in statements[:half]:
                self.replica.execute(*one)
            with suppress(Undo), self.replica.transaction():
                for one in statements[half:]:
                    self.replica.execute(*one)
                if how == "savepoint":
                    raise Undo
            if how == "rollback":
                raise Undo

    def _program(self, statements: Sequence[Statement]) -> None:
        other_program().write(self.path, statements, julian(self.now()), foreign_keys=False)

    def sync(self) -> bool:
        """One sync of whoever's turn it is; False when the network failed."""
        try:
            self.replica.sync()
        except hf.HoldfastError as error:
            if error.code not in ("network", "response_incomplete"):
                raise
            return False
        return True

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """All rows of a user table, in order."""
        return self.world.rows(self.path, table)

    def close(self) -> None:
        """Close all objects."""
        for replica in self.replicas:
            replica.close()


class Undo(Exception):
    """Raised to roll back."""


@contextmanager
def refused_by_sqlite() -> Iterator[None]:
    """Let a constraint of SQLite undo the statement, as an application would."""
    try:
        yield
    except hf.HoldfastError as error:
        if error.code != "sql" or error.details.get("sqlite") != "constraint":
            raise


def julian(ms: int) -> float:
    """The julian day of milliseconds since 2020."""
    return ms / DAY + 2458849.5


class World:
    """The hub, the devices and the clock."""

    def __init__(self, folder: Path, schema: Schema, access: Mapping[str, Mapping[str, Any]], seed: int = 0) -> None:
        self.folder, self.schema = folder, schema
        self.access = {user: dict(spaces) for user, spaces in access.items()}
        self.random = random.Random(seed)
        self.time = START
        self.sent: list[tuple[Device, bytes]] = []
        self.watcher: Watcher | None = None
        self._readers: dict[Path, apsw.Connection] = {}
        self.devices: dict[str, Device] = {}
        self.hub_skew = 0
        self.skews: dict[str, int] = {}
        apsw.connection_hooks.append(self._set_clock)
        self.server = self._serve()

    def _set_clock(self, connection: apsw.Connection) -> None:
        """Give each connection to a device file the clock of that device."""
        path = Path(connection.filename)
        if path.parent == self.folder and path.stem in self.skews:
            connection.create_scalar_function("julianday", lambda _: julian(self.tick() + self.skews[path.stem]), 1)

    def _serve(self) -> hf.Server:
        bits = self.random.getrandbits
        store = f"sqlite:///{self.folder}/hub.db"
        server = hf.Server(store, self.schema, now=lambda: self.tick() + self.hub_skew, random_bits=bits)
        # The thread that hears of other programs' writes would come at any moment: `foreign` says when instead.
        assert server.hub._stop_listening is not None
        server.hub._stop_listening()
        return server

    def tick(self) -> int:
        """World time goes on by a millisecond at every look at it."""
        self.time += 1
        return self.time

    def add(self, name: str, user: str) -> Device:
        """A new device of a user."""
        self.skews[name] = 0
        self.devices[name] = Device(self, name, user)
        return self.devices[name]

    def deliver(self, body: bytes, device: Device) -> tuple[int, bytes]:
        """A request arrives at the hub; its whole answer."""
        found = self.watcher.before() if self.watcher is not None else None
        exchange = LocalTransport(self.server, device.identity).exchange(body)
        answer = b"".join(exchange.chunks())
        if self.watcher is not None:
            if exchange.status == 200:
                self.watcher.after(device, body, answer, found)
            else:
                self.watcher.declined(exchange.status, answer, found)
        return exchange.status, answer

    def foreign(self, statements: Sequence[Statement], *, heard: bool = False) -> None:
        """Another program writes in the hub's tables. The hub hears of it at once, or sees it with the next request."""
        other_program().write(self.hub_file, statements, julian(self.time), foreign_keys=True)
        if heard:
            found = self.watcher.before() if self.watcher is not None else None
            self.server.hub._heard()
            if self.watcher is not None:
                self.watcher.heard(found)

    def back_up(self) -> None:
        """Copy the hub's file."""
        (self.folder / "backup.db").unlink(missing_ok=True)
        self.query(self.hub_file, "VACUUM INTO ?", str(self.folder / "backup.db"))

    def restore(self) -> None:
        """Put the copy back; what the hub accepted since is lost there."""
        self.server.close()
        self.forget(self.hub_file)
        for path in self.folder.glob("hub.db*"):
            path.unlink()
        shutil.copy(self.folder / "backup.db", self.folder / "hub.db")
        self.server = self._serve()

    def heal(self) -> None:
        """Everybody syncs until nothing moves any more; it must not take more than `MAX_PASSES` times."""
        for _ in range(MAX_PASSES):
            moved = 0
            for device in self.devices.values():
                report = device.replica.sync()
                moved += report.pushed + report.pulled + len(report.refused)
            if not moved:
                return
        raise AssertionError(f"after {MAX_PASSES} passes the devices still exchange rows")

    def query(self, path: Path, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What a statement finds in a file, read beside everybody else."""
        reader = self._readers.get(path)
        if reader is None:
            reader = self._readers[path] = apsw.Connection(str(path))
            reader.set_busy_timeout(10_000)
        return [tuple(row) for row in reader.execute(sql, parameters)]

    def forget(self, path: Path) -> None:
        """Close what reads the file: it will be replaced."""
        reader = self._readers.pop(path, None)
        if reader is not None:
            reader.close()

    def rows(self, path: Path, table: str) -> list[tuple[Any, ...]]:
        """All rows of a user table in a file, key columns first."""
        columns = ", ".join(f'"{column.name}"' for column in self.schema.by_name[table].row_columns)
        return self.query(path, f'SELECT {columns} FROM "{table}"')

    @property
    def hub_file(self) -> Path:
        """The hub's database."""
        return self.folder / "hub.db"

    def hub_rows(self) -> dict[str, dict[str, list[tuple[Any, ...]]]]:
        """space -> table -> rows of the hub's user tables, by the space in which the feed has them."""
        found: dict[str, dict[str, list[tuple[Any, ...]]]] = {}
        sql = """SELECT t.name, r.key, s.name FROM holdfast_row r JOIN holdfast_space s ON s.id = r.place >> 40
                 JOIN holdfast_table t ON t.id = r.tbl WHERE r.mark = 0 AND r.life % 2 = 1"""
        spaces = {(table, key): space for table, key, space in self.query(self.hub_file, sql)}
        for table in self.schema.tables:
            for row in self.rows(self.hub_file, table.name):
                space = spaces.pop((table.name, key_text(table, row)))
                found.setdefault(space, {}).setdefault(table.name, []).append(row)
        assert not spaces, f"the feed has rows that the hub's tables do not have: {spaces}"
        return found

    def hub_digest(self, space: str) -> str:
        """The digest root of a space at the hub."""
        with self.server.hub._store.transaction(write=False) as tx:
            return digest.root({bucket: total for bucket, (_, total) in tx.digest(space).items()})

    def close(self) -> None:
        """Close everything."""
        apsw.connection_hooks.remove(self._set_clock)
        for path in list(self._readers):
            self.forget(path)
        for device in self.devices.values():
            device.close()
        self.server.close()


def key_text(table: Any, row: Sequence[Any]) -> str:
    """The key as text, written from encoding.md section 2, from SQLite values."""
    import json

    parts = [bool(v) if c.type == "bool" else v for c, v in zip(table.key, row, strict=False)]
    if len(parts) > 1:
        return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return parts[0] if isinstance(parts[0], str) else json.dumps(parts[0])
