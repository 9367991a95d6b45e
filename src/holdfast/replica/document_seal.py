"""What sealing has to know of documents: edits that were captured as such, and the text that a row had before them.

An edit made through `Replica.document` is captured in the cell of its column: a BLOB of `MARK` and the update, which no
value of a text or JSON column can be. Its update is final: it is in the library's document already. In place of the
value before it stands what an undo needs: a `Reversal`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import apsw
import msgspec

from holdfast.kernel import operational
from holdfast.kernel.column import Cell, Column, default_of
from holdfast.kernel.documents.content import decoded, encoded
from holdfast.kernel.documents.update import read_update
from holdfast.kernel.edit_script import edits
from holdfast.kernel.merges import document
from holdfast.kernel.row import Row

MARK = b"\0holdfast edit\0"


class Renamed(msgspec.Struct, array_like=True):
    """`count` clocks of a document, deleted and written again under other names."""

    client: int
    clock: int
    new_client: int
    new_clock: int
    count: int


class Reversal(msgspec.Struct, omit_defaults=True):
    """What takes back the edits that were captured in one column of one row from number `since` on, up to the one it
    stands with. Either `old` and `new`, the plain values before and after them in SQL form, as far as they differ; or
    of edits of a text the `epoch` of the document, what they deleted of it (`gone`), None when nobody knows, and what
    an undo in them wrote `again`: another name for characters that were deleted before.
    """

    since: int
    epoch: int = 0
    gone: str | None = None
    again: list[Renamed] = []
    old: str | None = None
    new: str | None = None

    def captured(self) -> bytes:
        """As it is kept in a captured cell."""
        return MARK + msgspec.json.encode(self)


def reversal_of(stored: Any) -> Reversal | None:
    """What stands in a captured cell in place of the value before an edit; None for anything else."""
    if isinstance(stored, bytes) and stored.startswith(MARK):
        return msgspec.json.decode(stored[len(MARK) :], type=Reversal)
    return None


def captured_edit(change: str) -> bytes:
    """An update in base64 as it is captured."""
    return MARK + decoded(change)


def edit_of(stored: Any) -> str | None:
    """The update in a captured cell, in base64; None for a plain value."""
    return encoded(stored[len(MARK) :]) if isinstance(stored, bytes) and stored.startswith(MARK) else None


class Undoable(NamedTuple):
    """A text that was written plainly, as an undo needs it: change and slot, and what shall stand there."""

    op: int
    slot: int
    before: bytes
    edit: bytes


def written_text(op: int, slot: int, old: str, new: str, state: Any, update: str) -> Undoable:
    """What takes back the update that turned a text document from `old` into `new`."""
    gone = "".join(old[start:end] for start, end, _, _ in edits(old, new))
    epoch = state[0] if state is not None else 1
    return Undoable(op, slot, Reversal(op, epoch, gone).captured(), captured_edit(update))


def keep_undoable(db: apsw.Connection, texts: Sequence[Undoable]) -> None:
    """Note with the steps of earlier transactions, whose changes are captured still, what their plain writes of texts
    became: an undo is exact then.
    """
    for op, slot, before, edit in texts:
        sql = f"""UPDATE holdfast_done SET old_{slot} = ?1, new_{slot} = ?2
                  WHERE op = ?3 AND kind = 'update' AND step = (
                  SELECT step FROM holdfast_step JOIN holdfast_mark USING (mark) WHERE ?3 BETWEEN first AND last)"""
        db.execute(sql, (before, edit, op))


def typed(stored: Any, *, text: bool) -> Any:
    """A captured cell as people can read it: of an edit what was typed."""
    change = edit_of(stored)
    return stored if change is None else {"typed": read_update(decoded(change), text=text).typed}


def value_in(column: Column, row: Row, slot: int) -> Any:
    """The plain value that a document cell has by its state; the value of the row for other columns."""
    found = document(column)
    stamp = row.stamps[slot] if slot < len(row.stamps) else None
    if found is None:
        return row.values[slot]
    if stamp is None:
        return default_of(column, found.empty)
    return found.read(column, found.open(column, Cell(None, stamp, row.states.get(slot))))


def meant(old: str, new: str, seen: str) -> str:
    """What the writer meant who changed the text `old` to `new`, where `seen` stands because an earlier change of his
    was refused.
    """
    return operational.rebased(old, new, seen)
