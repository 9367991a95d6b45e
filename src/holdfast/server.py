"""The server: a hub with its store, its hooks and its doors, made from one line."""

from __future__ import annotations

import datetime
import hmac
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from holdfast.errors import HoldfastError
from holdfast.hub.compacting import Collected
from holdfast.hub.deciding import Wish
from holdfast.hub.history import milliseconds
from holdfast.hub.hooks import AfterCommit, BeforeWrite, Hooks
from holdfast.hub.hub import Hub, SpacesOf
from holdfast.hub.identity import Identity
from holdfast.hub.imaging import Image, bytes_of, permitted
from holdfast.hub.live import LiveChannel
from holdfast.hub.membership import Membership
from holdfast.hub.merging import MergeFunction, MergeFunctions
from holdfast.hub.news import NewsChannel
from holdfast.hub.proving import HubReport, prove
from holdfast.hub.response import Response
from holdfast.hub.serving import Serving
from holdfast.images.shelf import Images, Shelf
from holdfast.protocol.conflicts import Conflict, chosen
from holdfast.protocol.happened import Happened
from holdfast.replica.documents import require_library
from holdfast.schema.model import Schema
from holdfast.stores.base import Aside, Store, StoreUnavailable
from holdfast.stores.memory import MemoryStore
from holdfast.stores.migrating import Migrating, Phase, Step
from holdfast.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from starlette.applications import Starlette

Authenticate = Callable[[Mapping[str, str]], Identity | None]


def store_for(url: str, **options: Any) -> Store:
    """The store that a URL names: `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://...` (as libpq takes
    it) or `memory:`. `options` are those of `PostgresStore`; the other stores have none. Raises `store_open`.
    """
    if url.startswith(("postgresql://", "postgres://")):
        return _postgres_store(url, options)
    if options:
        message = f"{', '.join(sorted(options))}: only a PostgreSQL store has such an option, and {url!r} names none"
        raise HoldfastError("store_open", message, url=url)
    if url == "memory:":
        return MemoryStore()
    if url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        return SqliteStore(url.removeprefix("sqlite:///"))
    message = f"{url!r} names no store; use sqlite:///FILE, postgresql://... or memory:"
    raise HoldfastError("store_open", message, url=url)


def _postgres_store(url: str, options: Mapping[str, Any]) -> Store:
    try:
        from holdfast.stores.postgres import PostgresStore
    except ModuleNotFoundError as error:
        message = f'a PostgreSQL store needs the package {error.name}: pip install "holdfast[postgres]"'
        raise HoldfastError("store_open", message, missing=error.name) from error
    return PostgresStore(url, **options)


def _store_of(store: str | os.PathLike[str] | Store, **options: Any) -> Store:
    given = {name: value for name, value in options.items() if value is not None}
    if isinstance(store, (str, os.PathLike)):
        return store_for(os.fspath(store), **given)
    if given:
        message = f"{', '.join(sorted(given))}: give such options to the store itself"
        raise HoldfastError("store_open", message)
    return store


class Server:
    """A hub over a store, opened at the first use.

    `store` is a URL (see `store_for`) or any `Store`. `authenticate(headers)` tells who asks over HTTP (header names in
    lower case; None: nobody). `spaces` overrides `identity.spaces`: a function of the identity, or `hf.sql(query)`.
    Further arguments go to `Hub`.

    `metrics_token` lets who sends it as `Authorization: Bearer` read `/metrics`, which names spaces and counts what
    they hold. Without one nobody may; with "" everybody who reaches the hub.

    `images` is a folder for file images, with which empty devices begin (or `hf.Images(folder, most_bytes=,
    least_rows=)`); several processes of one hub may share it. None: devices begin with pages.

    For PostgreSQL: behind a pooler in transaction mode `listen` is a connection string that leads around it, for LISTEN
    needs a session; `install` says whether the hub may make the database ready when it opens (None: only where no table
    of an application is concerned; True: always; False: never), otherwise `migrate` does.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | Store,
        schema: Schema,
        *,
        authenticate: Authenticate | None = None,
        spaces: SpacesOf | Membership | None = None,
        metrics_token: str | None = None,
        listen: str | None = None,
        install: bool | None = None,
        images: str | os.PathLike[str] | Images | None = None,
        **hub_options: Any,
    ) -> None:
        self.schema = schema
        self._images = images if isinstance(images, Images) or images is None else Images(images)
        self._shelf: Shelf | None = None
        self.authenticate = authenticate
        self._metrics_token = metrics_token
        self._store = _store_of(store, listen=listen, install=install)
        if isinstance(spaces, Membership):
            spaces.prepare(self._store)
        self._spaces = spaces
        self._options = hub_options
        self._hooks = Hooks()
        self._functions = MergeFunctions()
        self._opening = threading.Lock()
        self._hub: Hub | None = None
        self._closed = False
        self._keeps_house = False

    @property
    def hub(self) -> Hub:
        """The hub's core. Raises a clear error when the store cannot be opened."""
        hub = self._hub
        if hub is not None:
            return hub
        with self._opening:
            if self._closed:
                raise HoldfastError("closed", "the server was closed")
            if self._hub is None:
                options = {"spaces": self._spaces, **self._options}
                require_library(self.schema)
                self._hub = Hub(self._store, self.schema, hooks=self._hooks, functions=self._functions, **options)
                if self._images is not None:
                    self._hub.images = self._shelf = Shelf(self._hub, self._images)
                if self._keeps_house:
                    self._hub.keep_house()
            return self._hub

    @property
    def shelf(self) -> Shelf | None:
        """The file images of this hub; None when it keeps none."""
        _ = self.hub
        return self._shelf

    def image(self, name: str, identity: Identity) -> Image:
        """The file image with that name, for who may read all that is in it. Raises `image_unknown`."""
        return permitted(self.hub, name, identity)

    def image_bytes(self, name: str, start: int) -> Iterator[bytes]:
        """Its compressed bytes from there on. Raises `image_unknown`."""
        return bytes_of(self.hub, name, start)

    def handle(self, body: bytes, identity: Identity) -> Response:
        """One round: the bytes of a request to the stream of its answer. Bad input gives an error answer, no
        exception.
        """
        return self.hub.handle(body, identity)

    def health(self) -> dict[str, Any]:
        """That the store can be read. Raises `hub_unavailable`."""
        return self.hub.health()

    def metrics(self, headers: Mapping[str, str]) -> str:
        """What `/metrics` shows to who sends these headers. Raises `unauthenticated`."""
        if self._metrics_token is None:
            message = "this hub shows its metrics to nobody: give the server metrics_token="
            raise HoldfastError("unauthenticated", message)
        given = headers.get("authorization", "").removeprefix("Bearer ").encode()
        if self._metrics_token and not hmac.compare_digest(given, self._metrics_token.encode()):
            raise HoldfastError("unauthenticated", "metrics are shown to who has the token that metrics_token= names")
        return self.hub.metrics_text()

    def asgi(self, *, close: bool = False) -> Starlette:
        """The ASGI application with /v1/sync, /v1/live, /healthz and /openapi.json; mount it anywhere.

        `close` closes the server when the application shuts down. Needs the extra `server`.
        """
        from holdfast.edge.asgi import asgi

        self.keep_house()
        return asgi(self, close=close)

    def live(self, identity: Identity, wake: Callable[[], None]) -> LiveChannel:
        """A new live channel, without its socket; `wake` is called when there may be news for it."""
        return LiveChannel(self.hub, identity, wake)

    def news(self, identity: Identity, wake: Callable[[], None]) -> NewsChannel:
        """A new channel that only says when there is news."""
        return NewsChannel(self.hub, identity, wake)

    def sequence_foreign_writes(self) -> int:
        """Sequence what other programs wrote in the hub's tables; gives the number of rows looked at."""
        return self.hub.sequence_foreign_writes()

    def plan(self, *, grant: str | None = None) -> list[Step]:
        """What `migrate` would do, in order, with the very SQL in `statements`; see `Migrating`. A store that makes
        itself ready when it opens has nothing to do."""
        return self._store.plan(self._all_versions(), grant) if isinstance(self._store, Migrating) else []

    def _all_versions(self) -> Schema:
        """The schema with the columns of every version that the hub has run."""
        return Serving(self._store, self.schema).schema

    def migrate(
        self,
        *,
        phases: Collection[Phase] = ("before", "after"),
        grant: str | None = None,
        done: Callable[[Step], None] = lambda _: None,
    ) -> int:
        """Make the database ready for the schema and this release, then sequence the rows that it already holds.

        `phases`: "before" a deployment, while processes of the former release or schema still run; "after" it, when
        none is left. `grant` names a role that gets the rights of a hub. `done` is called after each step. Gives the
        number of rows sequenced. It may be run any number of times, also after it was interrupted. Raises
        `HoldfastError`: `store_open`, `store_format`, `schema_mismatch_table`, `schema_changed`, `migrate_locked`.
        """
        if isinstance(self._store, Migrating):
            self._store.migrate(self._all_versions(), phases, grant, done)
        if self._hub is not None:
            return self._settle(self._hub, phases)
        hub = Hub(self._store, self.schema, listens=False)
        try:
            return self._settle(hub, phases)
        finally:
            hub.close()

    def _settle(self, hub: Hub, phases: Collection[Phase]) -> int:
        """Sequence what the tables hold; after a deployment derive what hubs of the version before did not know of."""
        rows = hub.sequence_foreign_writes() if "before" in phases else 0
        if "after" in phases:
            hub.fill()
        return rows

    def removal(self) -> list[Step]:
        """What `remove` would do, with the very SQL."""
        return self._migrating().removal()

    def remove(self) -> list[Step]:
        """Take everything of Holdfast out of the database again and leave the tables and their rows as they are.

        Feeds, history and results are gone then: devices that come back later load everything anew. Stop every hub
        before. Raises `store_open`, `migrate_locked`.
        """
        store = self._migrating()
        self.close()
        return store.remove()

    def script(self, steps: Sequence[Step]) -> str:
        """The steps as SQL text, transaction by transaction."""
        return self._migrating().script(steps)

    def _migrating(self) -> Migrating:
        if isinstance(self._store, Migrating):
            return self._store
        message = "only a PostgreSQL hub can be taken out of its database; another one has a file of its own"
        raise HoldfastError("store_open", message)

    def verify(self, *spaces: str, after: str = "", pause: Callable[[], None] = lambda: None) -> Iterator[HubReport]:
        """Whether the hub is whole: what its store says twice is compared. A report after each space, the last one of
        all. It reads only; other programs' writes are sequenced first.

        Of each space, in a snapshot of its own: the stored digest and the rows, the feed by number and by key, head and
        chain, and the user tables and the feed. No space named: all, or those behind `after` in order of names, where a
        run that broke off goes on. `pause` is called between pieces of 500 rows. Raises `space_unknown`.
        """
        known = self.hub.space_names()
        unknown = sorted(set(spaces) - set(known))
        if unknown:
            raise HoldfastError("space_unknown", f"this hub has no space {unknown[0]}", space=unknown[0])
        names = sorted(spaces) or [name for name in known if name > after]
        return prove(self.hub.reading, self.hub.schema, names, pause)

    def problems(self) -> list[str]:
        """What somebody has changed in the database behind the hub's back: dropped columns, other types, triggers that
        are gone or disabled; each with the remedy. Empty when all is well."""
        return self.hub.problems()

    def aside(self) -> list[Aside]:
        """The rows that other programs wrote and that cannot be synced as they are: table, key, reason."""
        return self.hub.aside()

    def before_write(self, *tables: str) -> Callable[[BeforeWrite], BeforeWrite]:
        """Decorator: call `hook(change, context)` for each row that a device writes in the tables (none: in every
        table).

        The hook may raise `Refuse(reason, code=)`; the whole transaction is refused then. It may be called more than
        once for one write, when the hub has to find out which of several transactions the database refuses.
        """
        for table in tables:
            self.schema.table(table)

        def register(hook: BeforeWrite) -> BeforeWrite:
            self._hooks.add_before(tables, hook)
            return hook

        return register

    def merge(self, name: str) -> Callable[[MergeFunction], MergeFunction]:
        """Decorator: `fn(base, local, remote, context) -> value` merges the columns declared `hf.Custom[type, name]`.

        Values are in wire form. It may raise `NeedsReview`; if it fails, or gives a value that the column does not
        take, a person decides, too, and the conflict says why. It must give the same for the same: a hub may ask again.
        """
        if not any(column.function == name for table in self.schema.declared for column in table.columns):
            raise HoldfastError(
                "schema_invalid", f"no column names the merge function {name!r}: hf.Custom[str, {name!r}]"
            )

        def register(function: MergeFunction) -> MergeFunction:
            self._functions.add(name, function)
            return function

        return register

    def after_commit(self, hook: AfterCommit) -> AfterCommit:
        """Decorator: call `hook(changes, context)` after each transaction of a device that was committed."""
        self._hooks.add_after(hook)
        return hook

    def history(self, table: str, key: str) -> list[Happened]:
        """What happened to a row, oldest first: who changed what, when, from what, by which rule."""
        self.schema.table(table)
        return self.hub.history(table, key)

    def as_of(self, table: str, key: str, time: datetime.datetime | int) -> dict[str, Any] | None:
        """The row as it was at that time (a datetime, or milliseconds since 2020-01-01 UTC): column -> wire value.

        None when it was not there. What happened before the kept history is not known: then its oldest state is given.
        """
        return self.hub.as_of(self.schema.table(table), key, milliseconds(time))

    def export_history(self, *tables: str) -> Iterator[Happened]:
        """The history of the tables (none named: of all), table by table, oldest first; streamed."""
        names = tables or tuple(table.name for table in self.schema.declared)
        for name in names:
            self.schema.table(name)
        return self.hub.export_history(names)

    def conflicts(
        self,
        identity: Identity | None = None,
        *,
        open: bool | None = None,  # noqa: A002 (the word of the state)
        table: str = "",
        space: str = "",
        after: str = "",
        limit: int = 100,
    ) -> list[Conflict]:
        """Conflicts at the hub, oldest first: those that wait for a decision (`open=True`), those that do not, or both;
        of one table, of one space; at most `limit` (up to 1,000), after the one with the id `after`.

        `identity` sees those in the spaces that he may read; None: all. `mine` is the value that lost. Raises
        `request_malformed`, `hub_unavailable`.
        """
        return self.hub.desk.conflicts(Wish(open, table, space, after, limit), identity)

    def resolve(self, conflict: Conflict | str, choice: Any, identity: Identity) -> Conflict:
        """Decide a conflict (or the one with that id) in the name of `identity`, who needs no device: "mine", "theirs"
        as `conflicts` shows them here, or a value for the column (`protocol.conflicts.Other(value)` for the texts
        "mine" and "theirs"). Devices get it as they get an answer of another device.

        Raises `conflict_unknown`, `conflict_gone`, `conflict_choice`, `forbidden_space`, what the column or a hook
        refuses, `hub_unavailable`.
        """
        key = conflict if isinstance(conflict, str) else conflict.id
        return self.hub.desk.decide(key, chosen(choice), identity)

    def restore(self, conflict: Conflict | str, identity: Identity) -> Conflict:
        """Bring back the value that lost, in the name of `identity`. Raises as `resolve` does."""
        return self.hub.desk.decide(conflict if isinstance(conflict, str) else conflict.id, None, identity)

    def collect(self) -> int:
        """Forget the history that is older than its table keeps (`history=`), and the decided conflicts with it.

        Gives the number of conflicts that went. `compact` does it, too.
        """
        return self.hub.collect()

    def compact(self, *, days: float | None = None) -> Collected:
        """Collect what is behind the horizon: rows that were deleted, or left a space, more than `days` days ago (None:
        the `horizon_days` of the server, 90), and the history that its table keeps no longer.

        It goes in short steps, so a hub at work is not kept waiting. A device that was away for longer compares its
        copy with the hub when it comes back. Raises `hub_unavailable`.
        """
        try:
            return self.hub.compact(days=days)
        except StoreUnavailable as error:
            raise HoldfastError("hub_unavailable", f"the hub's store cannot be written: {error}") from None

    def keep_house(self) -> None:
        """From now on `compact` in quiet time, in a thread of the hub; a server with an ASGI application does it by
        itself."""
        self._keeps_house = True
        if self._hub is not None:
            self._hub.keep_house()

    def space_names(self) -> list[str]:
        """Names of all spaces that hold or held rows."""
        return self.hub.space_names()

    def close(self) -> None:
        """Close the store; idempotent."""
        with self._opening:
            if self._hub is not None and not self._closed:
                if self._shelf is not None:
                    self._shelf.close()
                self._hub.close()
            self._closed = True

    def __enter__(self) -> Server:
        _ = self.hub
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
