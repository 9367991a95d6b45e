"""Conflicts read and decided at the hub itself, by who has no device: the same choices, the same effect as a device's.

A decision is one transaction under an origin of its own, pushed like any other: permissions, hooks, rules and earlier
answers hold as they do for devices (`spec/merge.md`, section 8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from holdfast.errors import HoldfastError
from holdfast.hub.batch import Outcome, Submission
from holdfast.hub.drain import foreign_operation
from holdfast.hub.identity import Access, Identity
from holdfast.kernel import clock
from holdfast.kernel.column import default_of
from holdfast.kernel.merges import BY_NAME
from holdfast.kernel.row import Op, Row
from holdfast.kernel.stamps import encode_stamps
from holdfast.observe import tracing
from holdfast.protocol import messages as m
from holdfast.protocol.conflicts import Choice, Conflict, Decided, conflict_of, decided, losing_side
from holdfast.protocol.images import row_from_bytes
from holdfast.protocol.members import text_of
from holdfast.schema.built_in import CONFLICTS
from holdfast.schema.model import Schema, Table
from holdfast.schema.rules import CONFLICT_TABLE
from holdfast.stores.base import Span, StoredRow, StoreUnavailable, Transaction

if TYPE_CHECKING:
    from holdfast.hub.hub import Hub

MOST_LISTED = 1_000


class Wish(NamedTuple):
    """Which conflicts are listed: those that wait for a decision, or that do not (None: both); of one table, of one
    space (empty: of all); at most `limit`, after the one with the id `after`."""

    open: bool | None = None
    table: str = ""
    space: str = ""
    after: str = ""
    limit: int = 100


def checked_wish(wish: Wish) -> Wish:
    """The same. Raises `request_malformed` for a limit that is none."""
    if not 0 < wish.limit <= MOST_LISTED:
        raise HoldfastError("request_malformed", f"limit must be a number from 1 to {MOST_LISTED}, not {wish.limit!r}")
    return wish


def listed(tx: Transaction, spaces: Mapping[str, Access], wish: Wish) -> list[Conflict]:
    """The conflicts in these spaces, oldest first."""
    states = {None: ("auto", "open", "resolved"), True: ("open",), False: ("auto", "resolved")}[wish.open]
    wanted = [
        (space, state, *((wish.table,) if wish.table else ()))
        for space in sorted(spaces)
        if wish.space in ("", space)
        for state in states
    ]
    columns = ("space", "state", *(("table_name",) if wish.table else ()))
    keys = tx.children(CONFLICT_TABLE, columns, wanted, Span(wish.after, "", wish.limit)) if wanted else []
    rows = tx.rows([(CONFLICT_TABLE, key) for key in keys])
    found = [_read(rows.get((CONFLICT_TABLE, key)), key, spaces) for key in keys]
    return [conflict for conflict in found if conflict is not None]


def one(tx: Transaction, key: str, spaces: Mapping[str, Access]) -> Conflict:
    """One conflict. Raises `conflict_unknown` when there is none in these spaces."""
    # An id is a stamp; nothing else is looked for in the store, so that no text can offend it.
    rows = tx.rows([(CONFLICT_TABLE, key)]) if clock.is_stamp(key) else {}
    found = _read(rows.get((CONFLICT_TABLE, key)), key, spaces)
    if found is None:
        raise HoldfastError("conflict_unknown", f"you may read no conflict {key[:100]!r}", conflict=key[:100])
    return found


def _read(stored: StoredRow | None, key: str, spaces: Mapping[str, Access]) -> Conflict | None:
    if stored is None or stored.life % 2 == 0 or stored.space not in spaces:
        return None
    row = row_from_bytes(CONFLICTS, stored.image)
    cells = {column.name: value for column, value in zip(CONFLICTS.cells, row.values, strict=True)}
    return conflict_of({"id": key, **cells}, None)


class Naming(NamedTuple):
    """Under which names a decision is written: who decides, under which origin, and when (milliseconds since 2020)."""

    user: str
    origin: str
    now: int


def decision(
    tx: Transaction, schema: Schema, key: str, choice: Choice | None, spaces: Mapping[str, Access], naming: Naming
) -> m.Transaction:
    """The transaction that decides a conflict; `choice` None brings back what lost.

    Raises `HoldfastError`: `conflict_unknown`, `conflict_gone`, `conflict_choice`, `forbidden_space`, or what the
    column refuses.
    """
    conflict = one(tx, key, spaces)
    if spaces[conflict.space] != "rw":
        message = f"{naming.user} may not write in {conflict.space}"
        raise HoldfastError("forbidden_space", message, space=conflict.space)
    table = schema.table(conflict.table)
    row = _row(tx, table, conflict.key)
    alive = row is not None and row.life % 2 == 1
    shown = _shown(table, row) if row is not None and alive else None
    found = decided(schema, conflict, choice if choice is not None else losing_side(conflict), shown)
    first = clock.tick(tx.hub().hlc, naming.now)
    second = clock.tick(first, naming.now)
    answer = {"state": "resolved", "result": text_of(found.result), "resolved_by": naming.user}
    at = clock.stamp(second, naming.origin)
    ops: list[m.AnyOperation] = [*_writes(table, conflict.key, row, found, clock.stamp(first, naming.origin))]
    ops.append(m.Update(CONFLICT_TABLE, key, at, 1, {**answer, "resolved_at": naming.now}, {}))
    label = "resolve a conflict" if choice is not None else "restore a value"
    return m.Transaction(naming.origin, 1, ops, label)


def _row(tx: Transaction, table: Table, key: str) -> Row | None:
    stored = tx.rows([(table.name, key)]).get((table.name, key))
    return None if stored is None else row_from_bytes(table, stored.kept or stored.image)


def _values(table: Table, row: Row) -> list[Any]:
    return [*row.values, *list(_defaults(table).values())[len(row.values) :]]


def _shown(table: Table, row: Row) -> dict[str, Any]:
    return {column.name: value for column, value in zip(table.cells, _values(table, row), strict=True)}


def _writes(table: Table, key: str, row: Row | None, found: Decided, stamp: str) -> Sequence[m.AnyOperation]:
    """The operation that makes the row show what was decided, by a writer who has seen the row as it stands."""
    values: Sequence[Any] | None = None
    if found.effect == "none":
        return []
    if found.effect != "delete":
        cells = _shown(table, row) if row is not None and found.effect == "update" else _defaults(table)
        values = list({**cells, **found.values}.values())
    op = foreign_operation(table, key, row, values, stamp)
    return [] if op is None else [_on_the_wire(table, op)]


def _defaults(table: Table) -> dict[str, Any]:
    return {column.name: default_of(column, BY_NAME[column.merge].empty) for column in table.cells}


def _on_the_wire(table: Table, op: Op) -> m.AnyOperation:
    names = [column.name for column in table.cells]
    changes = {names[slot]: change for slot, change in op.changes.items() if not table.cells[slot].read_only}
    if isinstance(op.base, list):
        return m.Delete(table.name, op.key, op.stamp, op.life, encode_stamps(op.base))
    if op.kind == "insert":
        return m.Insert(table.name, op.key, op.stamp, op.life, changes)
    base = {names[slot]: stamp for slot, stamp in op.base.items()}
    return m.Update(table.name, op.key, op.stamp, op.life, changes, base)


def raise_refusal(outcome: Outcome) -> None:
    """Raise what refused a decision: code, message and place as a device is told. Raises `hub_unavailable` when another
    program holds the row for long."""
    if outcome.held:
        raise HoldfastError("hub_unavailable", "another program holds the row; nothing was decided, try again")
    for result in outcome.results:
        if result.outcome == "refused":
            place = {"table": result.table, "key": result.key, "column": result.column}
            details = {name: value for name, value in place.items() if value}
            raise HoldfastError(result.code, result.message, **{**details, **result.details})


class Desk:
    """Where who has no device reads and decides the conflicts of a hub. `now` and `random_bits` as for the hub."""

    def __init__(self, hub: Hub, now: Callable[[], int], random_bits: Callable[[int], int]) -> None:
        self._hub = hub
        self._now = now
        self._random_bits = random_bits

    def conflicts(self, wish: Wish, identity: Identity | None) -> list[Conflict]:
        """The conflicts in the spaces that somebody may read (None: in all), oldest first."""
        checked_wish(wish)
        with reachable():
            access = self._hub.access_of(identity) if identity is not None else None
            with self._hub.reading() as tx:
                everything: dict[str, Access] = dict.fromkeys(tx.all_spaces(), "r") if access is None else access(tx)
                return listed(tx, everything, wish)

    def decide(self, conflict: str, choice: Choice | None, identity: Identity) -> Conflict:
        """Decide a conflict; `choice` None: bring back what lost. Gives it as it is then.

        Raises what `decision` raises, what refuses the transaction, and `hub_unavailable`."""
        with reachable():
            access = self._hub.access_of(identity)
            naming = Naming(identity.user, clock.new_origin(self._random_bits(48)), self._now())

            def make(tx: Transaction) -> Submission:
                spaces = access(tx)
                sent = decision(tx, self._hub.schema, conflict, choice, spaces, naming)
                return Submission(identity, "", spaces, [sent], tracing.here())

            raise_refusal(self._hub.write(make))
            with self._hub.reading() as tx:
                return one(tx, conflict, access(tx))


@contextmanager
def reachable() -> Iterator[None]:
    """Around what asks the store: raises `hub_unavailable` when it cannot answer."""
    try:
        yield
    except StoreUnavailable as error:
        raise HoldfastError("hub_unavailable", f"the hub's store cannot be asked now: {error}") from error
