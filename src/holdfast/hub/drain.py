"""Rows that other programs wrote in the hub's tables: compared with the feed, stamped by the hub, sequenced."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from holdfast.hub.fresh import fresh_rows
from holdfast.hub.hooks import Context
from holdfast.hub.identity import Identity
from holdfast.hub.inbox import follow
from holdfast.hub.lenses import settle
from holdfast.hub.moves import Moves
from holdfast.hub.operations import Refusal, null_refused
from holdfast.hub.orphans import take_up
from holdfast.hub.placing import content_of
from holdfast.hub.record import history_entry
from holdfast.hub.workspace import RowName, Standing, Workspace, edits_of
from holdfast.kernel import clock
from holdfast.kernel.merges import BY_NAME, started, written
from holdfast.kernel.row import Op, Row, apply
from holdfast.kernel.values import InvalidValue
from holdfast.protocol.messages import Transaction as WireTransaction
from holdfast.schema.model import Schema, Table
from holdfast.stores.base import Batch, DirtyRow, HistoryEntry, RowsLocked, Transaction, Violation

log = logging.getLogger("holdfast.hub")

BATCH = 1_000
HUB_USER = "(database)"


class Step(NamedTuple):
    """What the write of another program comes to."""

    name: RowName
    op: Op
    before: Row | None
    row: Row


class Drain:
    """Sequences the writes of other programs, as the hub's own writes that have seen everything."""

    def __init__(self, schema: Schema, origin: str, counts: str = "") -> None:
        self._schema = schema
        self._origin = origin
        self._fresh = fresh_rows(schema)
        self.more = False
        self.spaces: set[str] = set()
        """Where the rows went that were sequenced."""
        self._counts = counts

    def run(self, tx: Transaction, now: int) -> int:
        """Sequence up to 1,000 rows in the given write transaction. Gives the number of notes taken; `more` says
        whether some may be left, or have come by it."""
        self.more = False
        notes = tx.dirty(BATCH)
        if not notes:
            return 0
        self._reasons: dict[RowName, str] = {}
        self._waiting: set[RowName] = set()
        self._arrived: set[RowName] = set()
        self._part(tx, notes, now)
        taken = [note for note in notes if (note.table, note.key) not in self._waiting]
        self._settle(tx, taken)
        taken_up = take_up(tx, self._schema, self._arrived)
        # Fewer than asked for may be rows that were set aside: hence the half. What is written from now on is not
        # waited for: programs may never stop writing.
        self.more = bool(taken) and (taken_up or len(notes) > BATCH // 2)
        return len(taken)

    def _settle(self, tx: Transaction, notes: Sequence[DirtyRow]) -> None:
        """Their work is done: no note of them stays but of those that cannot be sequenced as they are."""
        aside = [
            (note, self._reasons[note.table, note.key]) for note in notes if (note.table, note.key) in self._reasons
        ]
        for note, reason in aside:
            log.error("%s %r was written by another program and is not synced: %s", note.table, note.key, reason)
        tx.clean([note for note in notes if (note.table, note.key) not in self._reasons])
        if aside:
            tx.set_aside(aside)

    def _part(self, tx: Transaction, notes: Sequence[DirtyRow], now: int) -> None:
        """Sequence these rows. If the database refuses to show what merging made of them, find the row that it refuses;
        that one is set aside, all others go through. A row that another program's transaction holds waits for its end.
        """
        notes = [note for note in notes if (note.table, note.key) not in self._waiting]
        if not notes:
            return
        try:
            with tx.savepoint():
                self._sequence(tx, notes, now)
        except RowsLocked as locked:
            held = {(note.table, note.key) for note in notes} & locked.names
            self._waiting |= held or ({(notes[0].table, notes[0].key)} if len(notes) == 1 else set())
            self._halves(tx, notes, now, whole=bool(held))
        except Violation as violation:
            if len(notes) == 1:
                self._leave(notes[0].table, notes[0].key, violation.message)
            else:
                self._halves(tx, notes, now)

    def _halves(self, tx: Transaction, notes: Sequence[DirtyRow], now: int, *, whole: bool = False) -> None:
        middle = 0 if whole else len(notes) // 2
        for part in (notes[:middle], notes[middle:]):
            self._part(tx, part, now)

    def _leave(self, table: str, key: str, reason: str) -> None:
        self._reasons[table, key] = reason

    def _sequence(self, tx: Transaction, notes: Sequence[DirtyRow], now: int) -> None:
        state = tx.hub()
        self._hub, self._hlc, self._now = state.hub, state.hlc, now
        self._counting = self._counts or state.counts
        for note in notes:
            self._reasons.pop((note.table, note.key), None)  # of an attempt that was undone
        workspace = Workspace(tx, self._schema, [(note.table, note.key) for note in notes])
        moves = Moves(tx, self._schema, workspace)
        steps: list[Step] = []
        rows: dict[RowName, Standing] = {}
        asked: set[RowName] = set()
        fresh = list(notes)
        while fresh:
            for note in fresh:
                self._row(workspace, note, steps, rows)
            # Parents that no feed has yet, because their notes come later, are sequenced with their children.
            wanted = moves.parents(rows) - asked
            asked |= wanted
            workspace.load(wanted)
            missing = sorted(name for name in wanted if workspace.stored(name) is None)
            fresh = [note for note in tx.current(missing) if note.values is not None] if missing else []
        settled = moves.settle(rows, None)
        for name, problem in settled.unplaced.items():
            # A row that names none, a space without a name: it must not hold up the other rows, nor any round.
            self._leave(*name, problem.message)
        merged = {step.name for step in steps}
        for name in [name for name in rows if name not in merged and name in settled.rows]:
            if settled.rows[name].space == rows[name].space:
                del settled.rows[name]
        workspace.accept({**settled.rows, **follow(tx, workspace, settled.rows, {}, self._stamp)})
        self._arrived |= {name for name in settled.rows if workspace.stored(name) is None}
        history = [self._entry(step, settled.rows) for step in steps if step.name in settled.rows]
        writes = workspace.writes()
        if writes:
            digests = workspace.digest_changes(writes, self._hub.encode())
            self.spaces |= set(tx.write(Batch(writes, history, [], [], digests, content_of(writes), self._hlc, now)))

    def _stamp(self) -> str:
        """A stamp of this hub's own."""
        self._hlc = clock.tick(self._hlc, self._now)
        return clock.stamp(self._hlc, self._origin)

    def _row(self, workspace: Workspace, note: DirtyRow, steps: list[Step], rows: dict[RowName, Standing]) -> None:
        """Merge what another program wrote in one row; its space is found when all rows are known."""
        table = self._schema.by_name[note.table]
        name: RowName = (note.table, note.key)
        before = workspace.standing(table, name)
        self._hlc = clock.tick(self._hlc, self._now)
        stamp = clock.stamp(self._hlc, self._origin)
        if before.row is None and note.values is not None:
            made = self._fresh.foreign(note.table, note.values[1], stamp)
            if made is not None:
                rows[name] = Standing(made, before.space, True)
                insert = Op("insert", note.key, stamp, 0, dict(enumerate(made.values)), {})
                steps.append(Step(name, insert, None, made))
                return
        try:
            op = foreign_operation(table, note.key, before.row, note.values[1] if note.values else None, stamp)
            if op is None:
                if before.row is not None and before.row.life % 2 == 1:
                    # Nothing is new, but the schema may have another rule for its space now.
                    rows[name] = before._replace(foreign=True)
                return
            row = apply(table, before.row, op, self._counting).row
            assert row is not None
            since = before.row if op.kind == "update" else None
            row, derived = settle(self._schema, table, note.key, since, row, self._counting)
            _refuse_nulls(table, op, row)
            op = op._replace(changes={**op.changes, **derived})
        except (InvalidValue, Refusal) as error:
            # A counter beyond its range: it must not hold up the other rows, nor any round.
            self._leave(*name, error.message)
            return
        shown = note.values is not None and list(note.values[1]) == list(row.values)
        gone = note.values is None and row.life % 2 == 0
        # A merge type may have kept its own value: nothing is new in the feed then, but the user table must show it.
        rows[name] = Standing(row, before.space, shown or gone, not (shown or gone), edits_of(table, op))
        steps.append(Step(name, op, before.row, row))

    def _entry(self, step: Step, settled: Mapping[RowName, Standing]) -> HistoryEntry:
        context = Context(Identity(HUB_USER), "", settled[step.name].space, self._now)
        nameless = WireTransaction(self._origin, 0, [])
        table = self._schema.by_name[step.name[0]]
        return history_entry(table, step.op, step.before, step.row, [], nameless, context)


def _refuse_nulls(table: Table, op: Op, row: Row) -> None:
    """Raise `Refusal` for a null that the program has written where devices of no version could read it."""
    for slot in op.changes if row.life % 2 else ():
        if row.values[slot] is None and table.cells[slot].required:
            raise null_refused(table, op.key, table.cells[slot].name)


def foreign_operation(table: Table, key: str, row: Row | None, values: Sequence[Any] | None, stamp: str) -> Op | None:
    """The operation that leads from the feed's row to what the table holds now; None when nothing differs."""
    alive = row is not None and row.life % 2 == 1
    if values is None:
        return Op("delete", key, stamp, row.life, {}, list(row.stamps)) if row is not None and alive else None
    if row is None or not alive:
        changes, life = {}, row.life if row is not None else 0
        for slot, column in enumerate(table.cells):
            # What only earlier versions have, the program need not know.
            value = column.default if values[slot] is None and column.required else values[slot]
            if column.merge == "register":
                changes[slot] = value
                continue
            changes[slot] = written(column, BY_NAME[column.merge].empty, started(column, life), value, stamp[15:])
        return Op("insert", key, stamp, life, changes, {})
    current = [*row.values, *(column.default for column in table.cells[len(row.values) :])]
    changes = {
        slot: written(column, current[slot], row.states.get(slot), values[slot], stamp[15:])
        for slot, column in enumerate(table.cells)
        if current[slot] != values[slot] or type(current[slot]) is not type(values[slot])
    }
    if not changes:
        return None
    stamps = {slot: row.stamps[slot] for slot in changes if slot < len(row.stamps)}
    base = {slot: stamp for slot, stamp in stamps.items() if stamp is not None}
    return Op("update", key, stamp, row.life, changes, base)
