"""The PostgreSQL store: any number of processes on one database, readers on snapshots, writers by row locks."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from holdfast.errors import HoldfastError
from holdfast.schema.model import Schema
from holdfast.stores.base import Need, NotAtOnce, NotRemembered, Question, StoreUnavailable
from holdfast.stores.kept import Kept
from holdfast.stores.migrating import Phase, Step
from holdfast.stores.postgres.adopt import adopt
from holdfast.stores.postgres.ahead import PLACE, Ahead
from holdfast.stores.postgres.at_once import at_once
from holdfast.stores.postgres.exchange import Connection, exchange, keep_session
from holdfast.stores.postgres.failures import refused_open, translate
from holdfast.stores.postgres.install import Installer, remove, script
from holdfast.stores.postgres.listener import Listener
from holdfast.stores.postgres.looking import drift, place_again, watch_over
from holdfast.stores.postgres.memory import Memory
from holdfast.stores.postgres.plan import Plan, removal
from holdfast.stores.postgres.queries import QUERIES
from holdfast.stores.postgres.transaction import PostgresTransaction
from holdfast.stores.postgres.undo import roll_back
from holdfast.stores.postgres.writing import PROGRAMS, Catalog

logger = logging.getLogger("holdfast.stores")

_CLOCK_SLOT_BITS = 6
_RECONNECT = 2
"""Seconds for which a pool tries to connect by itself; after that every transaction that is asked for tries anew."""


class PostgresStore:
    """Keeps everything of a hub in the PostgreSQL database `dsn`, in a schema `holdfast` beside the user tables.

    Any thread may use it, and any number of processes the same database. The user tables are those of the PostgreSQL
    schema `within`. `random(bits)` gives a random integer of that many bits and names the hub and its spaces.
    `patience` is how long, in seconds, a writer waits for another one, for a connection, or for a row that another
    program holds, before it gives up with `StoreUnavailable`. `readers` is how many snapshots may be open at once: a
    device that downloads slowly holds one. Behind a pooler in transaction mode `listen` names a way around it for
    LISTEN, which needs a session; nothing else of a session is used then, prepared statements neither.
    `install`: what `open` may do to make the database ready: None: everything on a database of the hub's own, nothing
    to tables of an application; True: everything; False: nothing.
    """

    def __init__(
        self,
        dsn: str,
        *,
        random: Callable[[int], int] = secrets.randbits,
        patience: float = 30.0,
        readers: int = 16,
        within: str = "public",
        listen: str | None = None,
        install: bool | None = None,
    ) -> None:
        self._dsn = dsn
        self._random = random
        self._patience = patience
        self._within = within
        # Behind a pooler in transaction mode the next transaction runs in another session, which has not prepared it.
        self._prepares = listen is None
        self._listen_dsn = listen or dsn
        self._install = install
        self._question: Question | None = None
        self._name = _shown(dsn)
        self._slot = random(_CLOCK_SLOT_BITS)
        self._voice = f"{random(48):012x}"
        self._hearing: list[Callable[[str, str], None]] = []
        self._turn = Lock()
        self._readers = self._pool("readers", readers)
        self._writers = self._pool("writers", 1)
        self._catalog: Catalog | None = None
        self._memory = Memory()
        self._closed = False

    def ask(self, question: Question) -> None:
        """Set the question that the application answers; see `stores.base.Answering`."""
        self._question = question

    def _installer(self, db: Connection, schema: Schema, grant: str | None = None) -> Installer:
        plan = partial(Plan, db, schema, self._within, self._name, grant, question=self._question)
        return Installer(db, self._name, plan)

    def _options(self) -> dict[str, Any]:
        return {
            "autocommit": True,  # every transaction is begun by name
            "prepare_threshold": None,  # see `keep_session`
            "client_encoding": "utf8",
            "application_name": f"holdfast {os.getpid()}",  # tells who holds a lock
        }

    def _pool(self, name: str, size: int) -> ConnectionPool[Connection]:
        return ConnectionPool(
            self._dsn,
            kwargs=self._options(),
            configure=partial(keep_session, patience=self._patience) if self._prepares else None,
            min_size=1,
            max_size=size,
            timeout=self._patience,
            name=f"holdfast {name}",
            # Without it the pause before the next try to connect grows to minutes: the server would be back for long.
            reconnect_timeout=_RECONNECT,
            open=False,
        )

    def open(self, schema: Schema) -> dict[str, list[str]]:
        """Check everything that the schema needs and give the layout; nothing is changed when this raises.

        On a database of its own the store creates what is missing; where tables of an application are concerned it
        raises `store_migrate`, as `install` says. Raises `HoldfastError`: `store_open`, `store_format`,
        `store_migrate`, `schema_mismatch_table`, `schema_changed`.
        """
        with self._taking_turns():
            if self._closed:
                # psycopg's pools cannot be opened twice.
                self._readers, self._writers = self._pool("readers", self._readers.max_size), self._pool("writers", 1)
                self._closed = False
            with self._alone() as connection:
                connection.execute(QUERIES["begin_write"])
                self._installer(connection, schema).start(self._install)
                catalog, layout = adopt(connection, schema, self._within)
                self._memory.forget()
                place_again(connection, schema, self._within)
                for table in schema.tables:
                    watch_over(connection, table, self._within)
                connection.execute(b"COMMIT")
                self._catalog = catalog._replace(question=self._question, tells_place=self._tells_place(connection))
            self._readers.open()
            self._writers.open()
        return layout

    def versions(self) -> list[Kept]:
        """The versions of the schema that were kept; see `stores.kept`. Raises `store_open`."""
        with self._alone() as connection:
            if not connection.execute(QUERIES["has_versions"]).fetchall()[0][0]:
                return []
            return [Kept.of(body, self._name) for (body,) in connection.execute(QUERIES["versions"]).fetchall()]

    def keep_version(self, kept: Kept) -> Kept:
        """Keep a version of the schema; see `stores.kept`. Raises `store_open`."""
        number = kept.schema.version
        with self._alone() as connection, connection.transaction():
            if connection.execute(QUERIES["keep_version"], (number, kept.text())).rowcount:
                return kept
            # Another hub was the first; its record is locked until the end of this transaction.
            ((body,),) = connection.execute(QUERIES["kept_version"], (number,)).fetchall()
            now = kept.after(Kept.of(body, self._name))
            connection.execute(QUERIES["keep_version_again"], (now.text(), number))
            return now

    def _tells_place(self, connection: Connection) -> bool:
        """Whether the server says on which timeline it is."""
        try:
            connection.execute(b"SELECT " + PLACE + b" FROM holdfast.hub h")
        except psycopg.Error as error:
            logger.warning("%s does not tell its timeline: only devices notice a failover (%s)", self._name, error)
            return False
        return True

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        """A connection outside the pools. Raises `store_open`."""
        try:
            connection: Connection
            with psycopg.connect(self._dsn, **self._options()) as connection:
                yield connection
        except psycopg.Error as error:
            raise refused_open(error, self._name) from error

    def plan(self, schema: Schema, grant: str | None = None) -> list[Step]:
        """What is still to be done for the schema; see `stores.migrating.Migrating`."""
        with self._alone() as connection:
            return self._installer(connection, schema, grant).plan().steps

    def migrate(
        self, schema: Schema, phases: Collection[Phase], grant: str | None, done: Callable[[Step], None]
    ) -> None:
        """Take the steps of these phases; see `stores.migrating.Migrating`. Raises `store_open`, `store_format`,
        `schema_mismatch_table`, `schema_changed`, `migrate_locked`."""
        with self._alone() as connection:
            self._installer(connection, schema, grant).migrate(phases, done)

    def script(self, steps: Sequence[Step]) -> str:
        """The steps as SQL for `psql`."""
        return script(steps)

    def removal(self) -> list[Step]:
        """The step that takes everything of Holdfast out; see `stores.migrating.Migrating`."""
        with self._alone() as connection:
            return removal(connection)

    def remove(self) -> list[Step]:
        """Take everything of Holdfast out; see `stores.migrating.Migrating`. Raises `store_open`, `migrate_locked`."""
        with self._alone() as connection:
            return remove(connection, self._name)

    def _new_name(self) -> str:
        return f"{self._random(48):012x}"

    @contextmanager
    def _taking_turns(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=self._patience):
            raise StoreUnavailable(f"another writer has held {self._name} for more than {self._patience:g} seconds")
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeout as error:
            raise translate(self._why_none(error), self._name) from error
        except (psycopg.Error, PoolClosed) as error:
            raise translate(error, self._name) from error

    def _why_none(self, error: PoolTimeout) -> Exception:
        """Why a pool had no connection: the server's own words if it takes none, else that all are in use."""
        try:
            psycopg.connect(self._dsn, connect_timeout=_RECONNECT).close()
        except psycopg.Error as reason:
            return reason
        return error

    def _opened(self) -> Catalog:
        if self._catalog is None:
            raise HoldfastError("store_closed", f"The store {self._name} is not open; call open(schema) first.")
        return self._catalog

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[PostgresTransaction]:
        """A transaction: commits on leaving, rolls back on an exception.

        Raises `StoreUnavailable` when the server is away, busy or full, `StoreConflict` when another process changed
        the same rows at the same moment: nothing of it was kept.
        """
        with self.transaction_for(Need(), write=write) as transaction:
            yield transaction

    @contextmanager
    def transaction_for(self, need: Need, *, write: bool) -> Iterator[PostgresTransaction]:
        """As `transaction`; see `stores.base.Foreseeing`."""
        with self._write(need) if write else self._read(need) as transaction:
            try:
                yield transaction
            finally:
                transaction.end()

    @contextmanager
    def _write(self, need: Need) -> Iterator[PostgresTransaction]:
        with self._taking_turns(), self._translated(), self._remembering(need):
            catalog = self._opened()
            patience = f"{int(self._patience * 1000)}ms"
            settings = (f"{PROGRAMS}ms" if need.at_once else patience, patience)
            ahead = self._ahead(need, settings)
            with self._begun(self._writers, ahead) as connection:
                transaction = PostgresTransaction(
                    connection, catalog, self._new_name, self._translated, patience, ahead, write=True
                )
                yield transaction
                transaction.end()
                if ahead.remembered:
                    if not transaction.wrote:
                        raise NotRemembered("nothing was written that would find out whether all is as remembered")
                elif connection.info.transaction_status != pq.TransactionStatus.INTRANS:
                    message = (
                        "A statement of this transaction failed and was not undone by a savepoint: nothing was kept."
                    )
                    raise HoldfastError("store_failed", message, database=self._name)
                self._commit(connection, transaction, ahead, need)
                transaction.remember(self._memory)

    def _ahead(self, need: Need, settings: tuple[str, str] | None = None) -> Ahead:
        """What is read of it at its beginning; `settings` are those of a writer."""
        catalog, memory = self._opened(), self._memory if settings is not None else None
        known = (catalog.tables, catalog.ids, catalog.busy, settings, memory)
        return Ahead(need, *known, tells_place=catalog.tells_place)

    @contextmanager
    def _remembering(self, need: Need) -> Iterator[None]:
        """What a writer that fails, or goes its way step by step, leaves behind is not known; one that was decided in
        vain makes those after it ask first for a while."""
        if not need.at_once:
            self._memory.forget()
        try:
            yield
        except NotRemembered:
            self._memory.failed()
            raise
        except BaseException:
            self._memory.forget()
            raise

    def _commit(self, connection: Connection, transaction: PostgresTransaction, ahead: Ahead, need: Need) -> None:
        """Send what waits and commit, and read behind it what is asked then, in one exchange."""
        # A session of our own waits for no lock without end, also behind the commit (`keep_session`).
        behind = self._ahead(need.then) if need.then is not None and self._prepares else None
        committed = looked = None
        try:
            with at_once(need.at_once), exchange(connection) as to:
                if ahead.remembered:
                    ahead.send_begin(to)
                transaction.send_last(to, self._slot, self._voice)
                committed = to.execute(b"COMMIT")
                if behind is not None and behind.is_look:
                    looked = behind.look(to)
        except (psycopg.Error, NotAtOnce) as error:
            if committed is None or committed.result is None:
                if not ahead.remembered:
                    raise
                raise NotRemembered(f"it is done again, and asks first: {error}") from error
        if ahead.remembered:
            self._memory.proved()
        if behind is not None and looked is not None and looked.result is not None:
            behind.take_look(looked)
            transaction.behind = behind

    @contextmanager
    def _read(self, need: Need) -> Iterator[PostgresTransaction]:
        with self._translated():
            catalog = self._opened()
            ahead = need.found if isinstance(need.found, Ahead) else self._ahead(need)
            with self._begun(self._readers, ahead) as connection:
                yield PostgresTransaction(
                    connection, catalog, self._new_name, self._translated, "0", ahead, write=False
                )
                if not need.only:
                    connection.execute(b"COMMIT", prepare=False)

    @contextmanager
    def _begun(self, pool: ConnectionPool[Connection], ahead: Ahead) -> Iterator[Connection]:
        """A connection in a transaction that has begun and was asked what is foreseen.

        A connection that broke while it lay idle is replaced here: nothing was sent on it yet.
        """
        for attempt in range(pool.max_size + 1):
            connection = pool.getconn(self._patience)
            try:
                with at_once(ahead.at_once):
                    ahead.begin(connection)
                break
            except BaseException as error:
                lost = isinstance(error, psycopg.OperationalError) and connection.broken
                roll_back(connection)
                pool.putconn(connection)
                if not lost or attempt == pool.max_size:
                    raise
        else:
            raise AssertionError("the loop above ends by break or raise")
        try:
            yield connection
        except BaseException:
            roll_back(connection)
            raise
        finally:
            pool.putconn(connection)

    def problems(self) -> list[str]:
        """Synced tables whose columns or triggers are not what they were; see `stores.base.Checking`.

        Where triggers may have been off since the last look, every row is compared with the feed."""
        catalog = self._opened()
        found = []
        with self._translated(), self._readers.connection(self._patience) as connection:
            for user in catalog.tables.values():
                wrong = drift(connection, user.table, self._within)
                found += wrong
                if not wrong:
                    watch_over(connection, user.table, self._within)
        return found

    def listen(self, heard: Callable[[], None], beat: Callable[[], None]) -> Callable[[], None]:
        """Call `heard` after commits of other hubs and of other programs; see `stores.base.Announcing`."""
        self._opened()
        return Listener(self._listen_dsn, self._voice, heard, self._tell, beat).stop

    def tell(self, text: str) -> None:
        """Say something short to the other processes; see `stores.base.Telling`."""
        with self._translated(), self._readers.connection(self._patience) as connection:
            connection.execute(QUERIES["tell"], (f"{self._voice} {text}",))

    def hear(self, heard: Callable[[str, str], None]) -> Callable[[], None]:
        """Call `heard(voice, text)` for what others say, in the thread of `listen`; see `stores.base.Telling`."""
        self._hearing.append(heard)
        return self._hearing.clear

    def _tell(self, payload: str) -> None:
        voice, _, text = payload.partition(" ")
        for heard in self._hearing:
            heard(voice, text)

    def close(self) -> None:
        """Close all connections; idempotent. Waits for the writer; a reader under way ends its own."""
        with self._taking_turns():
            self._catalog = None
            if not self._closed:
                self._closed = True
                self._readers.close()
                self._writers.close()


def _shown(dsn: str) -> str:
    """The database as messages name it: without the password."""
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.Error:
        return "postgresql"
    host, port, database = (parts.get(name) or "" for name in ("host", "port", "dbname"))
    return f"postgresql://{host}{f':{port}' if port else ''}/{database}"
