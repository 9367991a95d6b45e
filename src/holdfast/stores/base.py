"""The store: where a hub keeps its things.

A store is a dumb, transactional keeper. It never merges, never decides a permission and never reads a clock: the hub
hands it finished rows. What it must guarantee is in `contract`, a suite that any implementation can run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

from holdfast.schema.model import Schema


class HubState(NamedTuple):
    """What a hub remembers of itself. `hub` is 12 hexadecimal digits, `hlc` the latest hybrid time it has issued or
    seen. `counts` is the name under which it counts increments: another one after the store has, or may have, lost what
    was committed under the one before.
    """

    hub: str
    hlc: int
    counts: str


class Space(NamedTuple):
    """Head of one feed. `head` is the latest sequence number (0: empty), `chain` the hash over its history up to
    there. Up to `floor` dead rows and leave marks may have been collected: who has not read so far cannot learn from
    the feed what is gone.
    """

    name: str
    epoch: str
    head: int
    chain: str
    floor: int


class StoredRow(NamedTuple):
    """A row of the feed.

    `image` is the wire form (bytes of one JSON array). `kept` is the last whole image of a dead row, None while it
    lives. `seq` is its place in the feed of `space`.
    """

    table: str
    key: str
    space: str
    seq: int
    life: int
    image: bytes
    kept: bytes | None


class Origin(NamedTuple):
    """One incarnation of a device: `last_n` is the last transaction processed, `seen` as `HistoryEntry.at`."""

    origin: str
    device: str
    user: str
    last_n: int
    seen: int


class StoredResult(NamedTuple):
    """A result that is not plain, as the JSON bytes that the device gets, kept until it acknowledges it."""

    origin: str
    n: int
    body: bytes


class RowWrite(NamedTuple):
    """One row, finished.

    `key_values` and `values` are wire forms (`spec/encoding.md`), `values` by slot; `values` is None for a dead row,
    which disappears from its user table. `left` is the space that the row leaves, if it moves: there it gets a leave
    mark (an entry with life 0 and the image `left_image`). `fresh` is True when the feed holds no entry of this key
    yet: a store may then insert without looking. `foreign` is True when the user table already shows the row, because
    another program wrote it; the store then leaves the user table alone. `patch`, if given, is the wire form of what
    changed since the former entry of the row in this space, whose sequence number was `before`.
    """

    table: str
    key: str
    space: str
    life: int
    key_values: Sequence[Any]
    values: Sequence[Any] | None
    image: bytes
    kept: bytes | None
    left: str | None
    left_image: bytes | None
    fresh: bool
    foreign: bool
    patch: bytes | None = None
    before: int = 0


class HistoryEntry(NamedTuple):
    """What one operation did. `at` is in milliseconds since 2020-01-01 UTC; `body` is a JSON object (`op`, `old`,
    `conflicts`).
    """

    space: str
    table: str
    key: str
    stamp: str
    device: str
    user: str
    at: int
    body: bytes


class Span(NamedTuple):
    """Keys after `after` and before `before` (empty: to the end), the first `limit` of them."""

    after: str
    before: str
    limit: int


class Batch(NamedTuple):
    """Everything that one commit of the hub writes.

    `digests` maps space -> bucket -> (change of the row count, change of the sum); sums are integers modulo 2**128,
    their changes may be negative. `content` maps space -> bytes that enter the chain of that space.
    """

    rows: Sequence[RowWrite]
    history: Sequence[HistoryEntry]
    results: Sequence[StoredResult]
    origins: Sequence[Origin]
    digests: Mapping[str, Mapping[int, tuple[int, int]]]
    content: Mapping[str, bytes]
    hlc: int
    now: int


class DirtyRow(NamedTuple):
    """A row that another program wrote. `values` are the key and column values now in the user table as *native* wire
    forms `(key_values, values by slot)`, or None when the row is gone. `mark` identifies the note; clearing it later
    must not clear a newer note of the same row."""

    table: str
    key: str
    mark: int
    values: tuple[Sequence[Any], Sequence[Any]] | None


class Aside(NamedTuple):
    """A row that another program wrote and that cannot be synced as it is, with the reason. It waits until somebody
    writes it again."""

    table: str
    key: str
    reason: str


class Violation(Exception):
    """A constraint of the database refused a batch: permanent, the same batch would be refused again.

    `kind` is "unique", "foreign_key", "check" or "not_null"; `table`, `columns` and `constraint` as far as the database
    tells them, else empty.
    """

    def __init__(
        self, kind: str, message: str, table: str = "", columns: Sequence[str] = (), constraint: str = ""
    ) -> None:
        super().__init__(message)
        self.kind, self.message, self.table, self.columns, self.constraint = (
            kind,
            message,
            table,
            tuple(columns),
            constraint,
        )


class StoreUnavailable(Exception):
    """The store cannot work now (busy, disk full, connection lost): temporary, nothing of the transaction was kept."""


class RowsLocked(StoreUnavailable):
    """Another program's open transaction holds rows of a batch. `names` says which, by (table, key); empty: the store
    cannot tell. What the batch wrote is undone by the savepoint around it: the transaction may go on with other rows.
    """

    def __init__(self, message: str, names: Collection[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.names = frozenset(names)


class StoreConflict(StoreUnavailable):
    """Another process changed the same rows at the same moment. Nothing of the transaction was kept; the same work,
    done again from its reading, may succeed at once.
    """


class NotAtOnce(StoreConflict):
    """What was written all at once cannot be (`Need.at_once`). Nothing of the transaction was kept; the same work, done
    again step by step, finds out why, or succeeds.
    """


class NotRemembered(NotAtOnce):
    """What was decided over what the process remembers (`Need.new`) is not so any more, or it needs more. Nothing was
    kept; the same work, done again without that, asks the store.
    """


class Unforeseen(Exception):
    """A transaction that said that it would ask nothing else (`Need.only`) has asked. Another one is needed."""


class Transaction(Protocol):
    """One transaction on a store. All reads see one snapshot; a write transaction sees its own writes.

    Read methods work in both kinds, those that change something only in a write transaction.
    """

    def hub(self) -> HubState:
        """The hub's identity and clock."""
        ...

    def spaces(self, names: Sequence[str]) -> dict[str, Space]:
        """Heads of the named spaces; a space that was never written is absent."""
        ...

    def all_spaces(self) -> list[str]:
        """Names of all spaces, in order."""
        ...

    def chain_at(self, space: str, head: int) -> str | None:
        """The chain that the space had when its head was `head`; None if it never stood there."""
        ...

    def origins(self, origins: Sequence[str]) -> dict[str, Origin]:
        """Known origins among those named."""
        ...

    def results(self, origins: Sequence[str]) -> list[StoredResult]:
        """All kept results of the origins, in order of (origin, n)."""
        ...

    def rows(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredRow]:
        """Feed rows by (table, key), leave marks excluded. In a write transaction they are locked, in key order."""
        ...

    def feed(self, space: str, after: int, until: int, *, patches: bool = False) -> Iterator[tuple[int, bytes]]:
        """(seq, image) of the space with after < seq <= until, in order of seq, leave marks included; streamed.

        With `patches` the patch stands in place of the image, where there is one and its `before` is not beyond
        `after`. Only a reader who has the space as it stood when its head was `after` may ask for them: one who stopped
        on the way has passed the places of rows that had moved on already.
        """
        ...

    def history(self, table: str, key: str, *, newest: int | None = None) -> list[HistoryEntry]:
        """Entries of one row, oldest first; with `newest` only so many, the latest ones."""
        ...

    def histories(self, table: str) -> Iterator[HistoryEntry]:
        """Entries of all rows of a table, oldest first; streamed."""
        ...

    def digest(self, space: str) -> dict[int, tuple[int, int]]:
        """bucket -> (count, sum modulo 2**128) of the buckets that are not empty."""
        ...

    def has_dirty(self) -> bool:
        """Whether any row waits to be sequenced."""
        ...

    def noted(self, names: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of the rows, by (table, key), that wait to be sequenced. Who has asked may write the others: `write`
        raises `StoreConflict` if another program was faster with one of them."""
        ...

    def dirty(self, limit: int) -> list[DirtyRow]:
        """Up to `limit` rows that other programs wrote, oldest note first, with what the user tables hold now.

        A row that does not fit the schema is left out, and a write transaction sets it aside; there fewer than `limit`
        are all that there are."""
        ...

    def aside(self) -> list[Aside]:
        """Rows that wait aside and were not written again since, oldest first."""
        ...

    def current(self, names: Sequence[tuple[str, str]]) -> list[DirtyRow]:
        """What the user tables hold now of these rows, by (table, key), as notes with the mark 0; a row that does not
        fit the schema, or whose key is none, is left out."""
        ...

    def children(
        self, table: str, columns: Sequence[str], values: Sequence[Sequence[Any]], span: Span | None = None
    ) -> list[str]:
        """Keys of the rows that a user table holds now with one of these value tuples (wire forms) in the columns, and
        that fit the schema. `span`, of a table whose key is one text: a part in order, no more is read for a tuple."""
        ...

    def write(self, batch: Batch) -> dict[str, Space]:
        """Write everything and give the new heads of the spaces that changed. A row that waited aside does so no more.

        User tables first (inserts and updates, parents or deferral so that foreign keys hold at the end), then the
        counters of the spaces in name order, then feed, history, digests, results, origins, chain. Each row of the
        batch (and each leave mark) takes one sequence number, in the order given. Raises `Violation`; what was written
        before is undone by the savepoint or transaction around it; and so `RowsLocked`, when another program's
        transaction holds a row for longer than the store waits while others want to write.
        """
        ...

    def lease(self, table: str, device: str, ask: str, size: int) -> list[tuple[int, int]]:
        """Keys for a device: about `size` numbers as ranges (first, last), in order, that no row has, that nobody was
        given and that the database will give to nobody else. The same `ask` of a device gets what it got before, as
        long as it has not asked anew. What is undone after it was given is lost, never given twice.
        """
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """A part that is undone alone when an exception leaves it; the exception goes on."""
        ...

    def forget_history(self, table: str, before: int, limit: int) -> int:
        """Delete up to `limit` entries of a table with `at` < `before` (milliseconds since 2020); gives how many."""
        ...

    def collect(self, space: str, before: int, limit: int) -> int:
        """Forget dead rows and leave marks of a space, and the chain at its heads, that were committed before that time
        (milliseconds since 2020-01-01 UTC): about `limit` of each. The floor rises to the last head of before that time
        among the oldest `limit` ones; the chain at the floor stays. Gives how many records went: 0 when none is left.
        """
        ...

    def forget(self, results: Sequence[tuple[str, int]]) -> None:
        """Delete acknowledged results; unknown ones are ignored."""
        ...

    def set_aside(self, notes: Sequence[tuple[DirtyRow, str]]) -> None:
        """These dirty rows cannot be sequenced, for the reason given with each: they wait aside, and for nothing else,
        until they are written again. Newer notes stay as they are."""
        ...

    def look_again(self, names: Sequence[tuple[str, str]]) -> None:
        """These rows, by (table, key), wait aside no more: they are dirty again. Rows that do not wait aside stay as
        they are."""
        ...

    def clean(self, notes: Sequence[DirtyRow]) -> None:
        """The dirty rows are sequenced: delete these notes."""
        ...


class Store(Protocol):
    """Where a hub keeps its things."""

    def open(self, schema: Schema) -> dict[str, list[str]]:
        """Create or check what the store needs for the schema (idempotent) and give the layout: column names by slot
        for each table. Rows that user tables already hold are noted as dirty. Raises `HoldfastError` with a code when
        the tables do not fit the schema; `schema_changed` when it has its columns in other slots (`stores.slots`)."""
        ...

    def transaction(self, *, write: bool) -> AbstractContextManager[Transaction]:
        """A transaction: commits on leaving, rolls back on an exception. Writers wait for one another; readers do
        not.
        """
        ...

    def close(self) -> None:
        """Release everything; idempotent."""
        ...


class Need(NamedTuple):
    """What will be asked of a transaction first. It need not be right: what is asked beside it costs an exchange more.

    `origins` and `rows` as in `Transaction.origins` and `rows`; `spaces` are names of spaces; `after` maps some of them
    to the cursors that will be read on from, as (seq, head). `only`: nothing else will be asked of a snapshot; what is
    asked nevertheless raises `Unforeseen`. `at_once`: of a writer that writes only in `spaces`, one batch, mostly. What
    `write` gives is then how it will be, and what stands in the way raises `NotAtOnce`, at the commit at the latest.
    `dirty`: of a writer that will first ask for so many rows of other programs. `new`: nobody is expected to have
    written one of the `rows` before, so that a store may answer from what it remembers of the last writes, and find out
    with the commit whether that is so: `NotRemembered`. `then` is what a snapshot will be asked for right behind the
    commit of a writer; it is read with it, `found_behind` gives it, and it is `found` in the need of that snapshot.
    `heads`: of which heads of spaces the chains will be asked by a writer.
    """

    origins: Sequence[str] = ()
    rows: Sequence[tuple[str, str]] = ()
    spaces: Sequence[str] = ()
    after: Mapping[str, tuple[int, int]] = {}
    only: bool = False
    at_once: bool = False
    dirty: int = 0
    new: bool = False
    then: Need | None = None
    found: object = None
    heads: Sequence[tuple[str, int]] = ()


class Foreseeing(Protocol):
    """A store to which every question is a journey: it takes those that will come along with the first one."""

    def transaction_for(self, need: Need, *, write: bool) -> AbstractContextManager[Transaction]:
        """As `Store.transaction`; what `need` names is read at its beginning."""
        ...


def begin(store: Store, need: Need, *, write: bool) -> AbstractContextManager[Transaction]:
    """A transaction on any store, which is told what it will be asked for if it cares."""
    if foresees(store):
        return cast(Foreseeing, store).transaction_for(need, write=write)
    return store.transaction(write=write)


def found_behind(transaction: Transaction) -> object:
    """What was read right behind the commit of a writer that has ended, for `Need.found`; None: nothing."""
    return getattr(transaction, "behind", None)


def foresees(store: Store) -> bool:
    """Whether the store is a `Foreseeing` one. `isinstance` looks at every method: that costs as much as a small
    transaction."""
    return hasattr(store, "transaction_for")


@runtime_checkable
class Announcing(Protocol):
    """A store that several processes share and that tells each of them when another one has written."""

    def listen(self, heard: Callable[[], None], beat: Callable[[], None]) -> Callable[[], None]:
        """Call `heard` in a thread of the store's own after each commit of another process, several at once for one,
        and whenever some may have been missed; and `beat` about once a second, for what another process began and did
        not end. Gives the function that ends it (idempotent; waits for a call under way)."""
        ...


class Question(NamedTuple):
    """A query of the application: who may read what. `pieces` are text, parameter, text, ..., text; `names` the
    parameters, each once; `tables` those that it reads beside those that the database can tell; `watched` says whether
    changes of them shall be heard.
    """

    pieces: tuple[str, ...]
    names: tuple[str, ...]
    tables: tuple[str, ...]
    watched: bool


class AnsweringTransaction(Protocol):
    """What a transaction of an `Answering` store can do beside the rest."""

    def answer(self, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows that the question gives for these parameters, in the snapshot of the transaction.

        Raises `HoldfastError` `membership_failed`.
        """
        ...

    def access_version(self) -> int:
        """A number that is another one when a table that the question reads may have changed; always 0 where changes
        are announced (`Announcing`)."""
        ...


@runtime_checkable
class Answering(Protocol):
    """A store whose database the application can be asked in."""

    def ask(self, question: Question) -> None:
        """Set the question, before `open`, which checks it and watches the tables that it reads. `open` then raises
        `HoldfastError` `membership_invalid` too."""
        ...


@runtime_checkable
class Telling(Protocol):
    """A store that carries short messages between the processes that share it. They may be lost; none is stored."""

    def tell(self, text: str) -> None:
        """Say `text` (up to 6,000 bytes) to the other processes. Raises `StoreUnavailable`."""
        ...

    def hear(self, heard: Callable[[str, str], None]) -> Callable[[], None]:
        """Call `heard(voice, text)` for what other processes say, in a thread of the store's own; `voice` names the
        process. Gives the function that ends it (idempotent)."""
        ...


@runtime_checkable
class Checking(Protocol):
    """A store whose tables others may alter while it is open."""

    def problems(self) -> list[str]:
        """What somebody has changed behind the hub's back, each with the remedy; empty when all is as it was opened.
        Raises `StoreUnavailable`."""
        ...
