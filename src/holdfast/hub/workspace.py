"""The rows of one batch, as they stand while the hub decides: loaded once, changed in memory, written once.

A transaction works on a draft. Accepting the draft makes its rows the state that the next transaction meets; dropping
it leaves no trace, which is what a refusal means.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from holdfast.kernel import digest
from holdfast.kernel.merges import document
from holdfast.kernel.row import Op, Row
from holdfast.kernel.stamps import encode_stamps
from holdfast.protocol.images import dead_image, image_of, leave_image, patch_of, row_of
from holdfast.protocol.messages import decode_image
from holdfast.schema.key import key_values
from holdfast.schema.model import Schema, Table
from holdfast.stores.base import RowWrite, StoredRow, Transaction

RowName = tuple[str, str]
DigestChanges = dict[str, dict[int, tuple[int, int]]]


class Standing(NamedTuple):
    """A row as it stands. `row` is None when it never existed, `space` empty when it lives in none yet.

    `foreign` says that the user table already shows it, because another program wrote it there; `stale` that the user
    table shows something else, whatever the feed says; `edits` are the updates that this batch brought to its
    documents, by slot.
    """

    row: Row | None
    space: str
    foreign: bool = False
    stale: bool = False
    edits: tuple[tuple[int, str], ...] = ()


class Former(NamedTuple):
    """What the store held of a row before the batch."""

    stored: StoredRow
    stamps: str
    row: Row


class Workspace:
    """All rows that a batch touches."""

    def __init__(self, tx: Transaction, schema: Schema, names: Iterable[RowName]) -> None:
        self._tx = tx
        self._schema = schema
        self._looked: set[RowName] = set()
        self._stored: dict[RowName, StoredRow] = {}
        self.load(names)
        self._former: dict[RowName, Former] = {}
        self._standing: dict[RowName, Standing] = {}
        self._touched: dict[RowName, None] = {}

    def load(self, names: Iterable[RowName]) -> None:
        """Take in more rows: all at once, those that were looked for before not again."""
        unknown = {name for name in names if name not in self._looked}
        if unknown:
            self._looked |= unknown
            self._stored.update(self._tx.rows(sorted(unknown)))

    def touched(self, name: RowName) -> bool:
        """Whether an accepted transaction of this batch has changed the row."""
        return name in self._touched

    def as_stored(self, name: RowName) -> Row | None:
        """The row as it was before this batch."""
        self.standing(self._schema.by_name[name[0]], name)
        former = self._former.get(name)
        return former.row if former is not None else None

    def stored(self, name: RowName) -> StoredRow | None:
        """The row as the store held it before this batch."""
        return self._stored.get(name)

    def changed(self, table: str) -> list[RowName]:
        """The rows of a table that the accepted transactions of this batch changed."""
        return [name for name in self._touched if name[0] == table]

    def all_changed(self) -> list[RowName]:
        """Every row that the accepted transactions of this batch changed, in the order of their first change."""
        return list(self._touched)

    def space_of(self, name: RowName) -> str:
        """Where a row lives before the transaction that is decided now; empty when it lives nowhere yet."""
        return self.standing(self._schema.by_name[name[0]], name).space

    def standing(self, table: Table, name: RowName) -> Standing:
        """The row as the accepted transactions of this batch left it."""
        found = self._standing.get(name)
        if found is None:
            self.load([name])
            stored = self._stored.get(name)
            if stored is None:
                found = Standing(None, "")
            else:
                image = decode_image(stored.kept or stored.image)
                found = Standing(row := row_of(table, image), stored.space)
                self._former[name] = Former(stored, image.stamps, row)
            self._standing[name] = found
        return found

    def accept(self, rows: dict[RowName, Standing]) -> None:
        """Make the rows of a draft the state that the next transaction meets."""
        self._standing.update(rows)
        self._touched.update(dict.fromkeys(rows))

    def writes(self) -> list[RowWrite]:
        """The rows that changed, in the order in which they were first touched."""
        result = []
        for name in self._touched:
            write = self._write(name, self._standing[name])
            if write is not None:
                result.append(write)
        return result

    def _write(self, name: RowName, standing: Standing) -> RowWrite | None:
        row, (table, key), former = standing.row, name, self._former.get(name)
        if row is None:
            return None
        keys = key_values(self._schema.by_name[table], key)
        whole = image_of(table, keys, row)
        stored = former.stored if former else None
        moved = stored is not None and stored.space != standing.space
        written = standing.foreign or standing.stale
        if stored is not None and not moved and not written and whole == (stored.kept or stored.image):
            return None
        alive = row.life % 2 == 1
        left = stored.space if stored is not None and moved else None
        return RowWrite(
            table=table,
            key=key,
            space=standing.space,
            life=row.life,
            key_values=keys,
            values=_all_values(self._schema.by_name[table], row) if alive else None,
            image=whole if alive else dead_image(table, keys, row),
            kept=None if alive else whole,
            left=left,
            left_image=leave_image(table, keys) if left is not None else None,
            fresh=stored is None,
            foreign=standing.foreign,
            patch=None if former is None or moved else self._patch(name, keys, former, standing, whole),
            before=stored.seq if stored is not None else 0,
        )

    def _patch(
        self, name: RowName, keys: Sequence[Any], former: Former, standing: Standing, whole: bytes
    ) -> bytes | None:
        """What changed, for devices that have the former row; None where only the whole row will do.

        Values of unique constraints are never patched: two rows may swap them, and a device writes one row at a time.
        """
        table, row = self._schema.by_name[name[0]], standing.row
        assert row is not None
        if row.life != former.row.life or row.life % 2 == 0:
            return None
        slots = changed_slots(former.row, row)
        if any(table.cells[slot].name in columns for columns in table.unique for slot in slots):
            return None
        patch = patch_of(name[0], table, keys, row, slots, added_to_documents(former.row, row, standing.edits))
        return patch if len(patch) < len(whole) else None

    def digest_changes(self, writes: Sequence[RowWrite], key: bytes) -> DigestChanges:
        """What the writes do to the digests, which count living rows: space -> bucket -> (change of count, of sum)."""
        changes: DigestChanges = {}
        for write in writes:
            name = (write.table, write.key)
            bucket = digest.bucket(write.table, write.key)
            former = self._former.get(name)
            if former is not None and former.stored.life % 2:
                leaf = digest.leaf(key, write.table, write.key, former.stored.life, former.stamps)
                _add(changes, former.stored.space, bucket, -1, -leaf)
            row = self._standing[name].row
            assert row is not None
            if row.life % 2 == 0:
                continue
            leaf = digest.leaf(key, write.table, write.key, row.life, encode_stamps(row.stamps))
            _add(changes, write.space, bucket, 1, leaf)
        return changes


class Draft:
    """The rows that one transaction changes, over a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.rows: dict[RowName, Standing] = {}

    def standing(self, table: Table, name: RowName) -> Standing:
        """The row as this transaction sees it."""
        return self.rows.get(name) or self._workspace.standing(table, name)


def changed_slots(old: Row, new: Row) -> list[int]:
    """The slots in which two states of one row differ, in value, stamp or merge state."""
    return [
        slot
        for slot, value in enumerate(new.values)
        if slot >= len(old.values)
        or value != old.values[slot]
        or new.stamps[slot : slot + 1] != old.stamps[slot : slot + 1]
        or new.states.get(slot) != old.states.get(slot)
    ]


def added_to_documents(old: Row, new: Row, edits: Sequence[tuple[int, str]]) -> dict[int, list[str]]:
    """Slot of a document -> the updates that lead from its old state to the new one, in order."""
    added: dict[int, list[str]] = {}
    for slot, update in edits:
        state = new.states.get(slot)
        if state is not None and state[0] == (old.states[slot][0] if slot in old.states else 1):
            added.setdefault(slot, []).append(update)
    return added


def edits_of(table: Table, op: Op) -> tuple[tuple[int, str], ...]:
    """The updates that an operation brings to documents, by slot; a copy that comes back brings whole ones."""
    if op.kind == "restore":
        return ()
    return tuple((slot, update) for slot, update in op.changes.items() if document(table.cells[slot]) is not None)


def _all_values(table: Table, row: Row) -> list[Any]:
    """The row's values by slot, with the defaults of columns that are younger than the row."""
    values = list(row.values)
    values.extend(column.default for column in table.cells[len(values) :])
    return values


def _add(changes: DigestChanges, space: str, bucket: int, count: int, leaf: int) -> None:
    buckets = changes.setdefault(space, {})
    before = buckets.get(bucket, (0, 0))
    buckets[bucket] = (before[0] + count, before[1] + leaf)
