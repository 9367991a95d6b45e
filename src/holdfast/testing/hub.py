"""The hub of a simulation: one store, one or more processes of the real server over it, and ways to hurt them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from holdfast.edge.local import LocalTransport
from holdfast.errors import HoldfastError
from holdfast.hub.identity import Access, Identity
from holdfast.hub.merging import NeedsReview
from holdfast.images.shelf import Images, Shelf
from holdfast.kernel import digest
from holdfast.protocol.messages import Image
from holdfast.protocol.transport import Exchange
from holdfast.schema.key import key_text
from holdfast.schema.model import Schema, Table
from holdfast.server import Server
from holdfast.stores.base import HistoryEntry, Need, Space, Store, StoreUnavailable, Transaction, begin
from holdfast.stores.kept import Keeping, Kept
from holdfast.testing.clock import PartyClock
from holdfast.testing.disk import Crash
from holdfast.testing.hub_places import Place, UserRows

StoreFault = Literal["crash before commit", "crash after commit", "unavailable"]
FAULTS: tuple[StoreFault, ...] = ("crash before commit", "crash after commit", "unavailable")


class FragileStore:
    """A store whose next write transaction may end badly, as `fault` says (once)."""

    def __init__(self, inner: Store, *, shared: bool) -> None:
        self.inner = inner
        self.fault: StoreFault | None = None
        self._shared = shared

    def open(self, schema: Schema) -> dict[str, list[str]]:
        """As the inner store."""
        return self.inner.open(schema)

    def transaction(self, *, write: bool) -> AbstractContextManager[Transaction]:
        """As the inner store, with the fault."""
        return self.transaction_for(Need(), write=write)

    @contextmanager
    def transaction_for(self, need: Need, *, write: bool) -> Iterator[Transaction]:
        """As the inner store, with the fault: raises `Crash` before or after the commit, or `StoreUnavailable`."""
        fault = self.fault if write else None
        if fault is not None:
            self.fault = None
        if fault == "unavailable":
            raise StoreUnavailable("simulated")
        with begin(self.inner, need, write=write) as tx:
            yield tx
            if fault == "crash before commit":
                raise Crash
        if fault == "crash after commit":
            raise Crash

    def versions(self) -> list[Kept]:
        """As the inner store."""
        return self.inner.versions() if isinstance(self.inner, Keeping) else []

    def keep_version(self, kept: Kept) -> Kept:
        """As the inner store."""
        return self.inner.keep_version(kept) if isinstance(self.inner, Keeping) else kept

    def close(self) -> None:
        """Close the inner store, unless other processes use the same object."""
        if not self._shared:
            self.inner.close()


MOST_WORDS = 6


def words_of_both(base: Any, local: Any, remote: Any, context: Any) -> Any:
    """The merge function of every `Custom` column at a simulated hub: the words of both sides, and of many of them it
    leaves the choice to a person. The simulation gives another one with `Server.merge`.
    """
    del base, context
    words = sorted({*str(local).split(), *str(remote).split()})
    if len(words) > MOST_WORDS:
        raise NeedsReview("too many words")
    return " ".join(words)


class SimulatedHub:
    """`processes` servers at one `place`, with one clock.

    `access` maps user -> space -> "r" or "rw" and may be changed at any time. `users` maps a device's name to its user.
    """

    def __init__(
        self,
        schema: Schema,
        place: Place,
        clock: PartyClock,
        entropy: random.Random,
        access: Mapping[str, Mapping[str, Access]],
        *,
        processes: int = 1,
    ) -> None:
        self.schema, self.clock, self.access = schema, clock, access
        self.place = place
        self._entropy = entropy
        self._images: Path | None = None
        self.down: set[int] = set()
        """Processes that are not there: nobody answers their requests."""
        self.servers: list[Server] = []
        self.stores: list[FragileStore] = []
        for _ in range(processes):
            self._start()

    def _start(self, number: int | None = None, fault: StoreFault | None = None) -> None:
        store = FragileStore(self.place.store(), shared=self.place.shared)
        store.fault = fault
        server = Server(store, self.schema, spaces=self._spaces, now=self.clock, random_bits=self._entropy.getrandbits)
        for name in sorted({column.function for table in self.schema.tables for column in table.columns} - {""}):
            server.merge(name)(words_of_both)
        try:
            self._give_shelf(server)
            _ = server.hub
        except BaseException:
            server.close()
            raise
        if number is None:
            self.stores.append(store)
            self.servers.append(server)
        else:
            self.stores[number], self.servers[number] = store, server

    def _spaces(self, identity: Identity) -> Mapping[str, Access]:
        return self.access[identity.user]

    def reach(self, process: int, user: str, body: bytes) -> Exchange:
        """Send a request of `user` to one process. One that dies over it is started again; raises `network` then, and
        when it is down.
        """
        if process in self.down:
            raise HoldfastError("network", "nobody listens at this address of the simulated hub")
        try:
            return LocalTransport(self.servers[process], Identity(user)).exchange(body)
        except Crash:
            self.restart(process)
            raise HoldfastError("network", "the simulated hub process died") from None

    def keep_images(self, folder: Path) -> None:
        """From now on devices with nothing may begin with a file, of three rows and more."""
        self._images = folder
        for server in self.servers:
            self._give_shelf(server)

    def _give_shelf(self, server: Server) -> None:
        if self._images is not None:
            server.hub.images = Shelf(server.hub, Images(self._images, least_rows=3), threaded=False)

    @property
    def keeps_images(self) -> bool:
        """Whether `keep_images` was called."""
        return self._images is not None

    def make_images(self) -> int:
        """Make the files that were wished for; gives how many there are."""
        for server in self.servers:
            shelf = server.hub.images
            if isinstance(shelf, Shelf):
                shelf.make_wished()
        return 0 if self._images is None else len(list(self._images.glob("*.json")))

    def reach_image(self, process: int, user: str, name: str, start: int) -> Exchange:
        """Fetch a file image as a user from one process. Raises `network` when it is down."""
        if process in self.down:
            raise HoldfastError("network", "nobody listens at this address of the simulated hub")
        return LocalTransport(self.servers[process], Identity(user)).image(name, start)

    def restart(self, process: int) -> None:
        """End one process and start another one in its place."""
        self.servers[process].close()
        self._start(process)

    def deploy(self, schema: Schema, fault: StoreFault | None = None) -> bool:
        """Replace all processes by ones of another version of the schema. With a `fault`, the first write of the first
        one ends so; gives whether that was while it opened: it begins again.
        """
        self._stop()
        self.schema, died = schema, False
        for process in range(len(self.servers)):
            try:
                self._start(process, fault)
            except (Crash, StoreUnavailable):
                died = True
                self._start(process)
            fault = None
        return died

    @property
    def whole_schema(self) -> Schema:
        """The schema with the columns of all versions that the hub has run."""
        return self.servers[0].hub.schema

    def heal(self) -> None:
        """Every process is there again and everything works."""
        self.down.clear()
        self.place.free()
        for store in self.stores:
            store.fault = None

    def back_up(self) -> None:
        """Copy the whole store."""
        if self.place.alone_for_backup:
            self._stop()
        self.place.back_up()
        if self.place.alone_for_backup:
            self._start_again()

    @property
    def has_backup(self) -> bool:
        """Whether there is a copy to go back to."""
        return self.place.has_backup

    def restore(self) -> None:
        """Put the copy back in place of the store: what was accepted since is lost there."""
        self._stop()
        self.place.restore()
        self._start_again()

    def _stop(self) -> None:
        for server in self.servers:
            server.close()

    def _start_again(self) -> None:
        for process in range(len(self.servers)):
            self._start(process)

    def foreign_write(self, table: Table, key_values: Sequence[Any], values: Sequence[Any] | None) -> bool:
        """Another program writes a row (wire forms) or deletes it; False when the database refuses it."""
        return self.place.foreign_write(table, key_values, values)

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A snapshot of the store, past every fault."""
        with self.stores[0].inner.transaction(write=False) as tx:
            yield tx

    def heads(self) -> dict[str, Space]:
        """Every space with its head."""
        with self.reading() as tx:
            return tx.spaces(tx.all_spaces())

    def feed(self, space: str, until: int) -> dict[int, bytes]:
        """seq -> image of a space, up to `until`."""
        with self.reading() as tx:
            return dict(tx.feed(space, 0, until))

    def history(self, table: str, key: str) -> list[HistoryEntry]:
        """Entries of one row, oldest first."""
        with self.reading() as tx:
            return tx.history(table, key)

    def key_of(self, row: Image) -> str:
        """The key text of a row from its image."""
        table = self.schema.by_name[row.table]
        return key_text(table, row.values[: len(table.key)])

    def digest(self, space: str) -> str:
        """The stored digest root of a space."""
        with self.reading() as tx:
            return digest.root({bucket: total for bucket, (_, total) in tx.digest(space).items()})

    def sequence(self) -> None:
        """Give what other programs wrote its place in the feeds, if the store lets us."""
        try:
            with suppress(StoreUnavailable):
                self.servers[0].hub.sequence_foreign_writes()
        except Crash:
            self.restart(0)

    def user_rows(self) -> UserRows:
        """table -> rows of the user tables as wire values (key columns, then cells by slot), in order of their text."""
        found = self.place.user_rows(self.whole_schema)
        return {name: sorted(rows, key=repr) for name, rows in found.items()}

    def close(self) -> None:
        """Close all processes."""
        for server in self.servers:
            server.close()
        self.place.close()
