"""Conflicts become rows of `holdfast_conflict`, in the space of the row that they are about (`spec/merge.md`, 8)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from holdfast.hub.answers import Answer, replaces
from holdfast.hub.hooks import Context
from holdfast.hub.json_meetings import Met, Past, met_members
from holdfast.hub.merging import MergeContext, MergeFunctions
from holdfast.hub.policies import Mend
from holdfast.hub.record import Decision
from holdfast.hub.trace import NOBODY, Seen, Trace, Writer, moment
from holdfast.hub.workspace import Draft, RowName, Standing, Workspace
from holdfast.kernel import clock
from holdfast.kernel.column import Cell, default_of
from holdfast.kernel.documents.content import NOTHING, decoded
from holdfast.kernel.merges import BY_NAME
from holdfast.kernel.row import Conflict, Op, Row
from holdfast.kernel.values import canonical_json
from holdfast.protocol.members import ABSENT, text_of
from holdfast.schema.built_in import CONFLICTS
from holdfast.schema.model import Column, Table
from holdfast.schema.rules import CONFLICT_TABLE
from holdfast.stores.base import Transaction


class Meeting(NamedTuple):
    """An operation that may have met something: the row before it, the row that the kernel made, where it lives, and
    the conflicts that its transaction answers."""

    table: Table
    op: Op
    before: Row | None
    after: Row
    context: Context
    answers: Sequence[Answer] = ()


class Case(NamedTuple):
    """One conflict before it is written. Values are wire values; `base` only counts if `known`."""

    column: str
    rule: str
    state: str
    winner: str
    known: bool
    base: Any
    mine: Any
    theirs: Any
    result: Any
    theirs_by: Writer
    error: str = ""


class Inbox:
    """Writes the conflicts of one batch. `origin` is that of this hub process: it names the rows and their stamps."""

    def __init__(self, trace: Trace, functions: MergeFunctions, origin: str) -> None:
        self._trace = trace
        self._functions = functions
        self._origin = origin

    def _members(self, meeting: Meeting) -> list[tuple[Column, Met]]:
        """The members of JSON documents that the operation and somebody else wrote, neither of whom had seen the other;
        without those in which a later answer to a conflict replaces an earlier one.
        """
        table, op, before, after = meeting.table, meeting.op, meeting.before, meeting.after
        found: list[tuple[Column, Met]] = []
        for slot in op.changes if op.kind in ("insert", "update") else ():
            column = table.cells[slot]
            if column.merge != "json" or before is None or not _met_document(op, before, after, slot):
                continue
            past = Past(self._trace.edits(table, op.key, column), _default_update(column))
            update = decoded(op.changes[slot])
            states = _document(before, slot), _document(after, slot)
            found += [
                (column, met)
                for met in met_members(states[0], update, states[1], after.values[slot], past)
                if not any(replaces(answer, (table.name, op.key), column.name, met) for answer in meeting.answers)
            ]
        return found

    def decide(
        self, meeting: Meeting, conflicts: tuple[Conflict, ...], draft: Draft, hlc: int
    ) -> tuple[Row, list[Decision], int]:
        """Write a row for each conflict, and for each member of JSON that met another one, into the draft. Gives the
        row, which a merge function may have changed, what the history shall say, and the latest hybrid time.
        """
        row, decisions = meeting.after, []
        for conflict in conflicts:
            hlc = clock.tick(hlc, meeting.context.now)
            stamp = clock.stamp(hlc, self._origin)
            if conflict.slot is None:
                case = self._life(meeting, conflict)
            else:
                row, case = self._cell(meeting, conflict, conflict.slot, row, stamp)
            self.write(meeting.table.name, meeting.op, case, meeting.context, draft, stamp)
            decisions.append(Decision(stamp, case.rule, case.winner, case.column))
        for column, met in self._members(meeting):
            hlc = clock.tick(hlc, meeting.context.now)
            stamp = clock.stamp(hlc, self._origin)
            case = _member_case(column, met)
            self.write(meeting.table.name, meeting.op, case, meeting.context, draft, stamp)
            decisions.append(Decision(stamp, case.rule, case.winner, case.column))
        return row, decisions, hlc

    def mended(self, mend: Mend, meeting: Meeting, draft: Draft, stamp: str) -> None:
        """Write a conflict about a row that a policy changed: the transaction's own row lost, or another one to it."""
        table, before, after = meeting.table, meeting.before, meeting.after
        assert before is not None, "a mended row was there"
        state = "open" if mend.waits else "auto"
        if mend.values:
            slot = min(mend.values)
            column, lost, shown = table.cells[slot].name, before.values[slot], after.values[slot]
        else:
            image = {column.name: value for column, value in zip(table.cells, before.values, strict=False)}
            column, lost, shown = "", image if mend.kind == "cascade" else None, None
        mine, theirs, winner = (lost, shown, "theirs") if mend.own else (shown, lost, "mine")
        if mend.kind == "revive":
            mine, theirs, winner = (None, {}, "theirs") if mend.own else ({}, None, "mine")
        result = {"alive": True} if mend.kind == "revive" else shown
        known, base = mend.kind == "cascade", lost if mend.kind == "cascade" else None
        error = f"another row: {mend.other}" if mend.kind == "rename" else f"related row: {mend.other}"
        case = Case(column, mend.rule, state, winner, known, base, mine, theirs, result, NOBODY, error)
        self.write(table.name, meeting.op, case, meeting.context, draft, stamp)

    def write(self, table: str, op: Op, case: Case, context: Context, draft: Draft, stamp: str) -> None:
        """Put a new conflict into the draft, as a row whose key and stamps are `stamp`."""
        values: dict[str, Any] = {
            "state": case.state,
            "result": None if case.state == "open" else text_of(case.result),
            "space": "",
            "table_name": table,
            "row_key": op.key,
            "column_name": case.column,
            "rule": case.rule,
            "winner": case.winner,
            "base": text_of(case.base) if case.known else None,
            "mine": text_of(case.mine),
            "mine_user": context.identity.user,
            "mine_device": context.device,
            "mine_at": moment(op.stamp),
            "theirs": text_of(case.theirs),
            "theirs_user": case.theirs_by.user,
            "theirs_device": case.theirs_by.device,
            "theirs_at": case.theirs_by.at,
            "error": case.error,
        }
        cells = [values.get(column.name) for column in CONFLICTS.cells]
        # Its space is known when all rows of the transaction are: `follow`.
        draft.rows[(CONFLICT_TABLE, stamp)] = Standing(Row(1, cells, [stamp] * len(cells)), "")

    def _cell(self, meeting: Meeting, conflict: Conflict, slot: int, row: Row, stamp: str) -> tuple[Row, Case]:
        table, op, before, column = meeting.table, meeting.op, meeting.before, meeting.table.cells[slot]
        assert before is not None, "a conflict needs something to meet"
        current = before.stamps[slot] if slot < len(before.stamps) else None
        if op.kind == "update":
            base: Any = op.base
            seen = self._trace.cell(table, op.key, slot, base.get(slot), current)
        else:
            # Two inserts of one key: neither writer had seen a row.
            seen = self._trace.cell(table, op.key, slot, None, current)._replace(known=False, base=None)
        if column.merge == "merge_text":
            seen = _text_seen(op.changes[slot], seen)
        mine, theirs = conflict.mine, conflict.theirs
        if column.merge == "custom":
            return self._custom(meeting, conflict, slot, row, stamp, seen)
        state = "open" if column.merge == "review" else "auto"
        rule, result = conflict.rule, row.values[slot]
        winner = conflict.winner
        return row, Case(column.name, rule, state, winner, seen.known, seen.base, mine, theirs, result, seen.writer)

    def _custom(
        self, meeting: Meeting, conflict: Conflict, slot: int, row: Row, stamp: str, seen: Seen
    ) -> tuple[Row, Case]:
        """Ask the application's function; its value is the hub's own write, so that what either writer did unseen since
        then meets it again."""
        table, op, column = meeting.table, meeting.op, meeting.table.cells[slot]
        shown = {c.name: value for c, value in zip(table.cells, row.values, strict=False)}
        local_by = Writer(meeting.context.identity.user, meeting.context.device, moment(op.stamp))
        context = MergeContext(table.name, op.key, column.name, shown, local_by, seen.writer, seen.known)
        merged = self._functions.merge(column, seen.base, conflict.mine, conflict.theirs, context)
        rule = f"custom:{column.function}"
        sides = (seen.known, seen.base, conflict.mine, conflict.theirs)
        if not merged.decided:
            return row, Case(column.name, rule, "open", "theirs", *sides, None, seen.writer, merged.error)
        if merged.value is not conflict.theirs:
            row = row.copy()
            put(row, slot, Cell(merged.value, stamp))
        return row, Case(column.name, rule, "auto", "merged", *sides, merged.value, seen.writer)

    def _life(self, meeting: Meeting, conflict: Conflict) -> Case:
        """A deletion met an edit: the values are objects column -> value, null stands for the deletion."""
        table, op, before = meeting.table, meeting.op, meeting.before
        assert before is not None, "a conflict needs something to meet"
        mine, theirs = _named(table, conflict.mine), _named(table, conflict.theirs)
        if conflict.theirs is None:
            writer = self._trace.deletion((table.name, op.key))
        else:
            writer = self._latest(table, op, before, conflict.theirs)
        image = {column.name: value for column, value in zip(table.cells, before.values, strict=False)}
        lost = conflict.rule == "deleted"
        result = None if lost else {"alive": True}
        return Case("", conflict.rule, "auto", conflict.winner, lost, image, mine, theirs, result, writer)

    def _latest(self, table: Table, op: Op, before: Row, unseen: dict[int, Any]) -> Writer:
        """Who wrote the newest of the cells that a deleter had not seen."""
        slots = [slot for slot in unseen if before.stamps[slot] is not None]
        if not slots:
            return NOBODY
        newest = max(slots, key=lambda slot: before.stamps[slot] or "")
        return self._trace.cell(table, op.key, newest, None, before.stamps[newest]).writer


def _met_document(op: Op, before: Row, after: Row, slot: int) -> bool:
    """Whether the operation's edit of a document met an edit that its writer had not seen, in one life of the row."""
    current = before.stamps[slot] if slot < len(before.stamps) else None
    seen = op.base.get(slot) if isinstance(op.base, dict) else None
    if current is None or current == seen:
        return False
    state, now = before.states.get(slot), after.states.get(slot)
    return state is not None and now is not None and bool(state[0] == now[0])


def _document(row: Row, slot: int) -> bytes:
    update = row.states[slot][1]
    return decoded(update) if update else NOTHING


def _default_update(column: Column) -> bytes:
    return _update_of(canonical_json(default_of(column, BY_NAME[column.merge].empty)))


@lru_cache(maxsize=64)
def _update_of(default: str) -> bytes:
    """The update that a declared default of a JSON column stands for."""
    column = Column("default", "json", merge="json", default=json.loads(default))
    return decoded(BY_NAME["json"].difference(column, {}, None, column.default))


def _member_case(column: Column, met: Met) -> Case:
    result = met.mine if met.winner == "mine" else met.theirs
    known = met.base is not ABSENT
    by = met.by if met.by is not None else NOBODY
    place = column.name + met.path
    return Case(place, "json", "auto", met.winner, known, met.base, met.mine, met.theirs, result, by)


def _text_seen(change: Any, seen: Seen) -> Seen:
    """What the writer of a merged text had seen, as a text: his edit says it, or the history, which keeps edits, holds
    one that began with nothing."""
    if isinstance(change, dict) and "text" in change:
        return seen._replace(known=True, base=change["text"])
    if not isinstance(seen.base, dict):
        return seen
    parts = seen.base["op"]
    whole = all(isinstance(part, str) for part in parts)
    return seen._replace(known=whole, base="".join(parts) if whole else None)


def put(row: Row, slot: int, cell: Cell) -> None:
    """Set one cell of a row of which nobody else holds the lists."""
    row.values[slot], row.stamps[slot] = cell.value, cell.stamp


def _named(table: Table, values: Any) -> Any:
    return {table.cells[slot].name: v for slot, v in values.items()} if isinstance(values, dict) else values


def follow(
    tx: Transaction,
    workspace: Workspace,
    settled: Mapping[RowName, Standing],
    drafted: Mapping[RowName, Standing],
    stamp: Callable[[], str],
) -> dict[RowName, Standing]:
    """Conflicts live where the rows live that they are about: those that were drafted, and those of rows that move."""
    found = {name: standing for name, standing in drafted.items() if name[0] == CONFLICT_TABLE}
    moved = {name for name, standing in settled.items() if workspace.space_of(name) not in ("", standing.space)}
    if moved:
        keys = tx.children(CONFLICT_TABLE, ("table_name", "row_key"), sorted(moved))
        workspace.load((CONFLICT_TABLE, key) for key in keys)
        for name in {*((CONFLICT_TABLE, key) for key in keys), *workspace.changed(CONFLICT_TABLE)} - found.keys():
            standing = workspace.standing(CONFLICTS, name)
            if standing.row is not None and standing.row.life % 2 == 1 and _subject(standing.row) in moved:
                found[name] = standing
    return {name: _placed(standing, workspace, settled, stamp) for name, standing in sorted(found.items())}


def _subject(row: Row) -> RowName:
    """The row that a conflict is about."""
    return row.values[CONFLICTS.slot["table_name"]], row.values[CONFLICTS.slot["row_key"]]


def _placed(
    standing: Standing, workspace: Workspace, settled: Mapping[RowName, Standing], stamp: Callable[[], str]
) -> Standing:
    assert standing.row is not None, "a conflict is never without a row"
    subject, slot = _subject(standing.row), CONFLICTS.slot["space"]
    space = settled[subject].space if subject in settled else standing.space or workspace.space_of(subject)
    row = standing.row
    if row.values[slot] != space:
        row = row.copy()
        row.values[slot], row.stamps[slot] = space, row.stamps[slot] if not standing.space else stamp()
    return standing._replace(row=row, space=space)
