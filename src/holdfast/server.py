"""The server: a hub with its store, its hooks and its doors, made from one line."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from holdfast.errors import HoldfastError
from holdfast.hub.hooks import AfterCommit, BeforeWrite, Hooks
from holdfast.hub.hub import Hub, SpacesOf
from holdfast.hub.identity import Identity
from holdfast.hub.live import LiveChannel
from holdfast.hub.response import Response
from holdfast.schema.model import Schema
from holdfast.stores.base import Store
from holdfast.stores.memory import MemoryStore
from holdfast.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from starlette.applications import Starlette

Authenticate = Callable[[Mapping[str, str]], Identity | None]


def store_for(url: str) -> Store:
    """The store that a URL names: `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://...` (as libpq takes
    it) or `memory:`. Raises `store_open`.
    """
    if url == "memory:":
        return MemoryStore()
    if url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        return SqliteStore(url.removeprefix("sqlite:///"))
    if url.startswith(("postgresql://", "postgres://")):
        return _postgres_store(url)
    message = f"{url!r} names no store; use sqlite:///FILE, postgresql://... or memory:"
    raise HoldfastError("store_open", message, url=url)


def _postgres_store(url: str) -> Store:
    try:
        from holdfast.stores.postgres import PostgresStore
    except ModuleNotFoundError as error:
        message = f'a PostgreSQL store needs the package {error.name}: pip install "holdfast[postgres]"'
        raise HoldfastError("store_open", message, missing=error.name) from error
    return PostgresStore(url)


class Server:
    """A hub over a store, opened at the first use.

    `store` is a URL (see `store_for`) or any `Store`. `authenticate(headers)` tells who asks over HTTP (header names in
    lower case; None: nobody); `spaces(identity)` overrides `identity.spaces`. Further arguments go to `Hub`.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | Store,
        schema: Schema,
        *,
        authenticate: Authenticate | None = None,
        spaces: SpacesOf | None = None,
        **hub_options: Any,
    ) -> None:
        self.schema = schema
        self.authenticate = authenticate
        self._store = store_for(os.fspath(store)) if isinstance(store, (str, os.PathLike)) else store
        self._spaces = spaces
        self._options = hub_options
        self._hooks = Hooks()
        self._opening = threading.Lock()
        self._hub: Hub | None = None
        self._closed = False

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
                self._hub = Hub(self._store, self.schema, hooks=self._hooks, spaces=self._spaces, **self._options)
            return self._hub

    def handle(self, body: bytes, identity: Identity) -> Response:
        """One round: the bytes of a request to the stream of its answer. Bad input gives an error answer, no
        exception.
        """
        return self.hub.handle(body, identity)

    def health(self) -> dict[str, Any]:
        """That the store can be read. Raises `hub_unavailable`."""
        return self.hub.health()

    def asgi(self, *, close: bool = False) -> Starlette:
        """The ASGI application with /v1/sync, /v1/live, /healthz and /openapi.json; mount it anywhere.

        `close` closes the server when the application shuts down. Needs the extra `server`.
        """
        from holdfast.edge.asgi import asgi

        return asgi(self, close=close)

    def live(self, identity: Identity, wake: Callable[[], None]) -> LiveChannel:
        """A new live channel, without its socket; `wake` is called when there may be news for it."""
        return LiveChannel(self.hub, identity, wake)

    def sequence_foreign_writes(self) -> int:
        """Sequence what other programs wrote in the hub's tables; gives the number of rows looked at."""
        return self.hub.sequence_foreign_writes()

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

    def after_commit(self, hook: AfterCommit) -> AfterCommit:
        """Decorator: call `hook(changes, context)` after each transaction of a device that was committed."""
        self._hooks.add_after(hook)
        return hook

    def space_names(self) -> list[str]:
        """Names of all spaces that hold or held rows."""
        return self.hub.space_names()

    def close(self) -> None:
        """Close the store; idempotent."""
        with self._opening:
            if self._hub is not None and not self._closed:
                self._hub.close()
            self._closed = True

    def __enter__(self) -> Server:
        _ = self.hub
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
