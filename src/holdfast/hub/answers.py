"""A person's decision about a conflict: an update of its row, and of the cell it is about, in one transaction.

Two people who answer at once have not seen each other, and still no new conflict comes of it: the answer that reaches
the hub later replaces the earlier one, in the conflict and in the row (`spec/merge.md`, section 8).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from holdfast.hub.json_meetings import Met
from holdfast.hub.operations import Refusal
from holdfast.hub.workspace import Draft, RowName
from holdfast.kernel.clock import origin_of
from holdfast.kernel.merges import written
from holdfast.kernel.row import Op, Row
from holdfast.kernel.values import InvalidValue, same
from holdfast.protocol import messages as m
from holdfast.protocol.members import ABSENT, alike, member, split, with_member
from holdfast.schema.built_in import ANSWER, CONFLICTS
from holdfast.schema.model import Column, Schema, Table
from holdfast.schema.rules import CONFLICT_TABLE

_SLOT = CONFLICTS.slot


class Answer(NamedTuple):
    """One conflict that a transaction answers: its key, its row before that, the row and column that it is about."""

    key: str
    before: Row
    name: RowName
    column: str

    @property
    def again(self) -> bool:
        """Whether somebody had answered it already."""
        return bool(self.before.values[_SLOT["state"]] == "resolved")


def answers_in(draft: Draft, ops: Sequence[m.AnyOperation]) -> list[Answer]:
    """The conflicts that the transaction answers, as they stand before it."""
    found = []
    for op in ops:
        if op.table == CONFLICT_TABLE and isinstance(op, m.Update):
            row = draft.standing(CONFLICTS, (CONFLICT_TABLE, op.key)).row
            if row is not None and row.life % 2 == 1:
                table, key, column = (row.values[_SLOT[name]] for name in ("table_name", "row_key", "column_name"))
                found.append(Answer(op.key, row, (table, key), column))
    return found


def checked_answer(op: Op, row: Row | None, user: str) -> Op:
    """The operation on a conflict as the hub takes it: over whatever stands there, in the name of the user.

    Raises `Refusal` for everything that is not an answer: devices neither make nor delete conflicts.
    """
    named = {CONFLICTS.cells[slot].name for slot in op.changes}
    # Who answers again what is answered already changes no state, and so sends none.
    again = row is not None and row.values[_SLOT["state"]] == "resolved"
    state = op.changes.get(_SLOT["state"], "resolved" if again and named else None)
    if op.kind != "update" or not named <= set(ANSWER) or state != "resolved":
        message = 'conflicts are written by the hub; a device may only set them to "resolved", with the result'
        raise Refusal("conflict_readonly", message, CONFLICT_TABLE, op.key)
    if row is None:
        return op
    base = {slot: stamp for slot, stamp in enumerate(row.stamps) if stamp is not None}
    return op._replace(changes={**op.changes, _SLOT["state"]: state, _SLOT["resolved_by"]: user}, base=base)


def over_earlier_answer(table: Table, op: Op, row: Row | None, answers: Sequence[Answer]) -> Op:
    """The operation on a row, with the cells that an earlier answer to the same conflict wrote taken for seen."""
    if op.kind != "update" or row is None:
        return op
    base = dict(op.base)  # type: ignore[arg-type]
    for answer in answers:
        slot = table.slot.get(answer.column, -1)
        if answer.name == (table.name, op.key) and slot in op.changes and wrote(answer, row, slot):
            base[slot] = row.stamps[slot] or ""
    return op._replace(base=base)


def wrote(answer: Answer, row: Row, slot: int) -> bool:
    """Whether what stands in the cell was written with the earlier answer."""
    stamp, answered = row.stamps[slot], answer.before.stamps[_SLOT["state"]]
    if not answer.again or stamp is None or answered is None or origin_of(stamp) != origin_of(answered):
        return False
    return stamp <= answered or same(row.values[slot], result_of(answer.before))


def replaces(answer: Answer, name: RowName, column: str, met: Met) -> bool:
    """Whether the member that an operation met was written with an earlier answer to the same conflict."""
    return (
        answer.again
        and (name, column + met.path) == (answer.name, answer.column)
        and alike(met.theirs, _member_result(answer.before))
    )


def result_of(row: Row) -> Any:
    """The result that a conflict has, as a wire value."""
    text = row.values[_SLOT["result"]]
    return None if text is None else json.loads(text)


def _member_result(row: Row) -> Any:
    """The result of a conflict about a member of JSON."""
    return ABSENT if row.values[_SLOT["result"]] is None else result_of(row)


def _missing_member(column: Column, slot: int, path: str, rows: tuple[Answer, Row, Row], stamp: str) -> Op | None:
    """What the member of a JSON document lacks: it shows the earlier answer, or the later one has lost to it."""
    answer, conflict, row = rows
    shown, result = member(row.values[slot], path), _member_result(conflict)
    if alike(shown, result) or not alike(shown, _member_result(answer.before)):
        return None
    value = with_member(row.values[slot], path, result)
    if value is ABSENT:
        return None
    # Under a name of its own: the device of this origin may have made other edits as that client.
    change = written(column, row.values[slot], row.states.get(slot), value, stamp)
    return Op("update", answer.name[1], stamp, row.life, {slot: change}, {slot: row.stamps[slot] or ""})


def missing_write(schema: Schema, answer: Answer, draft: Draft, stamp: str) -> Op | None:
    """What the row lacks so that it shows the answer: its writer saw the value there already, but an earlier answer
    that he had not seen had changed it. None when nothing is missing."""
    table = schema.by_name.get(answer.name[0])
    conflict = draft.standing(CONFLICTS, (CONFLICT_TABLE, answer.key)).row
    if table is None or not answer.again or conflict is None:
        return None
    row, result = draft.standing(table, answer.name).row, result_of(conflict)
    if row is None:
        return None
    if not answer.column:
        revive = result is not None and row.life % 2 == 0 and table.on_delete == "keep_edits"
        return Op("update", answer.name[1], stamp, row.life, {}, {}) if revive else None
    column, path = split(answer.column)
    slot = table.slot.get(column, -1)
    if not 0 <= slot < len(row.stamps) or row.life % 2 == 0:
        return None
    if conflict.values[_SLOT["rule"]] == "json":
        return _missing_member(table.cells[slot], slot, path, (answer, conflict, row), stamp)
    if not wrote(answer, row, slot):
        return None
    try:
        value = table.cells[slot].accept(result)
    except InvalidValue:
        return None
    if same(value, row.values[slot]):
        return None
    return Op("update", answer.name[1], stamp, row.life, {slot: value}, {slot: row.stamps[slot] or ""})
