"""Pages of the hub into the user tables. Rows with waiting operations are held back: they are folded when the round
ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import apsw

from holdfast.errors import HoldfastError
from holdfast.kernel.row import Row
from holdfast.kernel.values import InvalidValue
from holdfast.protocol import messages as m
from holdfast.protocol.images import added_to, patched, row_of
from holdfast.replica.confirmed import Confirmed, RowName
from holdfast.replica.slots import SlotOrder
from holdfast.replica.tables import UserTable, UserTables, states_text
from holdfast.replica.unseen import write_unseen
from holdfast.schema.rules import CONFLICT_TABLE


class Held(NamedTuple):
    """What the hub says of a row with waiting operations; `row` is None when it left `space`, the number of a space."""

    row: Row | None
    space: int


class MissingError(Exception):
    """A row is not here that has to be: the space, by its number, has to be read anew; None: all of them."""

    def __init__(self, table: str, key: str, space: int | None = None) -> None:
        super().__init__(f"{table} {key!r} is not in this file, although the hub has sent it before")
        self.space = space


class TableGroup:
    """The rows of one table in one page."""

    def __init__(self) -> None:
        self.alive: list[m.Image] = []
        self.patches: list[m.Image] = []
        self.dead: list[m.Image] = []
        self.left: list[m.Image] = []

    def images(self) -> Iterator[m.Image]:
        """All of them."""
        return chain(self.alive, self.patches, self.dead, self.left)


class PageWriter:
    """Writes pages, inside a transaction of the engine."""

    def __init__(self, db: apsw.Connection, tables: UserTables) -> None:
        self._db = db
        self._tables = tables
        self._confirmed = Confirmed(db, tables)
        self._held: dict[RowName, Held] = {}
        self.rows = 0
        self.conflicts: list[str] = []
        """Keys of the conflicts that were not here before."""

    def write(self, space: int, images: Sequence[m.Image]) -> dict[RowName, Held]:
        """Write the rows of one page of the space with that number; give those that must wait for the fold."""
        groups: dict[str, TableGroup] = {}
        for image in images:
            group = groups.get(image.table)
            if group is None:
                group = groups[image.table] = TableGroup()
            if image.slots is not None:
                group.patches.append(image)
            else:
                (group.alive if image.life % 2 else group.dead if image.life else group.left).append(image)
        any_base = self._db.execute("SELECT 1 FROM holdfast_base LIMIT 1").get is not None
        any_evicted = self._db.execute("SELECT 1 FROM holdfast_row WHERE evicted LIMIT 1").get is not None
        held: dict[RowName, Held] = {}
        for name, group in groups.items():
            user = self._tables.by_name.get(name)
            if user is None and name in self._tables.keys:
                write_unseen(self._db, self._tables.keys[name], list(group.images()), space)
                continue
            if user is None:
                raise HoldfastError("response_malformed", f"the hub sent a row of the unknown table {name}", table=name)
            if user.order is not None:
                for image in group.images():
                    if image.life:
                        reorder(user, image, user.order)
            if any_base:
                self._hold(user, group, space, held)
            if any_evicted and group.patches:
                self._note_evicted(user, group)
            self._write_table(user, group, space)
        self.rows += len(images)
        self._held.update(held)
        return held

    def _hold(self, user: UserTable, group: TableGroup, space: int, held: dict[RowName, Held]) -> None:
        """Take the rows with waiting operations out of the group."""
        names = [(user.number, user.key_of(i.values)) for i in group.images()]
        waiting = self._confirmed.bases(names)
        if not waiting:
            return
        for kind in ("left", "dead", "alive", "patches"):
            free = []
            for image in getattr(group, kind):
                name = (user.number, user.key_of(image.values))
                if name in waiting and image.life == 0 and self._place(user, name[1]) not in (space, None):
                    continue
                if name in waiting:
                    before = self._held[name].row if name in self._held else waiting[name]
                    held[name] = Held(self._held_row(user, image, before, space), space)
                else:
                    free.append(image)
            setattr(group, kind, free)

    def _note_evicted(self, user: UserTable, group: TableGroup) -> None:
        """Take the patches of rows that have left this device out of the group: the file notes the new state, so that
        digests stay right, and the cells stay away. A whole image brings the row back, like that of any other row.
        """
        evicted = self._confirmed.evicted([(user.number, user.key_of(image.values)) for image in group.patches])
        if not evicted:
            return
        away = [image for image in group.patches if (user.number, user.key_of(image.values)) in evicted]
        group.patches = [image for image in group.patches if (user.number, user.key_of(image.values)) not in evicted]
        self._db.executemany(
            "UPDATE holdfast_row SET life = ?, stamps = ? WHERE tbl = ? AND key = ?",
            ((image.life, image.stamps, user.number, user.key_of(image.values)) for image in away),
        )

    def _held_row(self, user: UserTable, image: m.Image, before: Row | None, space: int) -> Row | None:
        if image.life == 0:
            return None
        if image.slots is not None:
            if before is None or before.life != image.life:
                raise MissingError(user.table.name, user.key_of(image.values), space)
            try:
                return patched(user.table, before, image)
            except InvalidValue:
                raise MissingError(user.table.name, user.key_of(image.values), space) from None
        row = row_of(user.table, image)
        if image.life % 2 == 0 and before is not None:
            # The wire tells of a dead row without its cells; what we had of them is what a revival brings back.
            row.values, row.states = [*before.values, *row.values[len(before.values) :]], before.states
        return row

    def _write_table(self, user: UserTable, group: TableGroup, space: int) -> None:
        left = [key for key in map(user.key_of, (i.values for i in group.left)) if self._place(user, key) == space]
        gone = [user.key_of(image.values) for image in group.dead]
        if left or gone:
            user.delete(self._db, [*left, *gone])
            self._confirmed.drop_metadata((user.number, key) for key in left)
        if group.alive:
            width = len(user.table.row_columns)
            user.write(self._db, (i.values if len(i.values) == width else user.whole(i.values) for i in group.alive))
        if user.table.name == CONFLICT_TABLE:
            keys = [user.key_of(image.values) for image in group.alive]
            self.conflicts += [key for key in keys if self._place(user, key) is None]
        self._write_patches(user, group.patches, space)
        number, key_of, order = user.number, user.key_of, user.order
        if order is not None:
            for image in (*group.dead, *group.alive, *group.patches):
                image.stamps = order.hub_text(image.stamps)
                image.states = order.hub_states(image.states)  # type: ignore[assignment]
        self._db.executemany(
            "INSERT OR REPLACE INTO holdfast_row (tbl, key, space, life, stamps, states) VALUES (?, ?, ?, ?, ?, ?)",
            (
                (number, key_of(i.values), space, i.life, i.stamps, states_text(i.states))
                for i in (*group.dead, *group.alive, *group.patches)
            ),
        )

    def _write_patches(self, user: UserTable, patches: Sequence[m.Image], space: int) -> None:
        """Write the cells that changed, one statement for all rows in which the same ones did."""
        by_slots: dict[tuple[int, ...], list[m.Image]] = {}
        if user.has_documents:
            self._add_to_documents(user, patches, space)
        for image in patches:
            by_slots.setdefault(tuple(image.slots or ()), []).append(image)
        for slots, images in by_slots.items():
            before = self._db.total_changes()
            user.patch(self._db, slots, (image.values for image in images))
            if self._db.total_changes() - before < len(images):
                missing = next(key for i in images if user.read(self._db, key := user.key_of(i.values)) is None)
                raise MissingError(user.table.name, missing, space)

    def _add_to_documents(self, user: UserTable, patches: Sequence[m.Image], space: int) -> None:
        """Make the patches say all of their documents, from what is confirmed here."""
        names = [(user.number, user.key_of(image.values)) for image in patches]
        known = self._confirmed.metadata(names)
        for name, image in zip(names, patches, strict=True):
            before = known.get(name)
            try:
                added_to(user.table, before if before is not None else Row(0, [], []), image)
            except InvalidValue:
                raise MissingError(user.table.name, name[1], space) from None

    def _place(self, user: UserTable, key: str) -> int | None:
        """The space in which the row lives as far as we know; None when it was never confirmed here.

        A mark that a row has left a space says nothing when another page has brought it in by way of another space.
        It does say something of a row of which only our own answered operation speaks.
        """
        sql = "SELECT space FROM holdfast_row WHERE tbl = ? AND key = ?"
        found: int | None = self._db.execute(sql, (user.number, key)).get
        return found


def check_layout(user: UserTable, names: list[str]) -> None:
    """Raise `schema_mismatch` unless the hub has each of our columns."""
    missing = sorted({column.name for column in user.table.cells} - set(names))
    if missing:
        message = f"the hub's table {user.table.name} has no column {', '.join(missing)}"
        raise HoldfastError("schema_mismatch", message, table=user.table.name, columns=missing)


def reorder(user: UserTable, image: m.Image, order: SlotOrder) -> None:
    """Bring an image into our order of slots; a slot that we do not have is left out, but for its stamp."""
    keys = len(user.table.key)
    if image.slots is not None:
        pairs = [(order.own_slot(s), v) for s, v in zip(image.slots, image.values[keys:], strict=True)]
        found = {slot: value for slot, value in pairs if slot is not None}
        image.slots = sorted(found)
        image.values = [*image.values[:keys], *(found[slot] for slot in image.slots)]
    elif image.life % 2:
        defaults = user.whole(image.values[:keys])[keys:]
        image.values = [*image.values[:keys], *order.values(image.values[keys:], defaults)]
    image.stamps = order.own_text(image.stamps)
    image.states = {str(slot): state for slot, state in order.own_states(image.states).items()}


def layout_of(text: str) -> dict[str, list[str]]:
    """The layout as the file keeps it."""
    return json.loads(text)["tables"] if text else {}
