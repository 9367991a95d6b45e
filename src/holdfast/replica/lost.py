"""Rows that the hub has confirmed and lost: this device keeps its copies and brings them back.

A hub that was restored from a backup, or failed over without its last commits, says of spaces that their history is
another one (`reset`). They arrive anew, and before this file takes over what has arrived it keeps the copies of rows
that the hub lacks or has older. A copy waits like an operation: it is folded over the confirmed row, so what was shown
stays shown, and it is sent before anything else (`spec/protocol.md`, section 16).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import apsw

from holdfast.kernel.restore import restore
from holdfast.kernel.row import Row
from holdfast.kernel.stamps import encode_stamps
from holdfast.protocol import messages as m
from holdfast.replica.confirmed import Confirmed, RowName, name_list, own_part, row_of_copy
from holdfast.replica.seal import batches
from holdfast.replica.tables import UserTables, states_text

BATCH_BYTES = 4 * 1024 * 1024


class LostRow(NamedTuple):
    """A row that the hub has lost. `state` is "waits" (it goes back with the next round) or "kept": the hub did not
    take it, for the reason in `code` and `message`. `values` are its columns in wire form; None: the row was deleted.
    """

    space: str
    table: str
    key: str
    state: str
    code: str
    message: str
    values: dict[str, Any] | None


class Lost:
    """Reads and writes of `holdfast_lost`, on a connection inside the caller's transaction."""

    def __init__(self, db: apsw.Connection, tables: UserTables) -> None:
        self._db = db
        self._tables = tables
        self._confirmed = Confirmed(db, tables)

    def waits(self) -> bool:
        """Whether a copy is to be sent."""
        return bool(self.batch(1))

    def batch(self, most: int) -> list[m.Restore]:
        """What goes back with the next request: parents first, at most so many rows and 4 MiB."""
        sql = """SELECT body FROM holdfast_lost WHERE state = 'waits' AND tbl IN (SELECT value FROM json_each(?))
                 ORDER BY tbl, key LIMIT ?"""
        chosen: list[m.Restore] = []
        size = 0
        for (body,) in self._db.execute(sql, (name_list(list(self._tables.by_number)), most)):
            if chosen and size + len(body) > BATCH_BYTES:
                break
            chosen.append(m.decode_restore(body))
            size += len(body)
        return chosen

    def answered(self, sent: Sequence[m.Restore], kept: Iterable[m.Kept]) -> set[RowName]:
        """The hub has taken what was sent, but for `kept`. Gives the rows on which these copies waited."""
        numbers = {name: user.number for name, user in self._tables.by_name.items()}
        reasons = {(row.table, row.key): row for row in kept}
        names: set[RowName] = set()
        for row in sent:
            name, reason = (numbers[row.table], row.key), reasons.get((row.table, row.key))
            body, names = m.encode(row).decode(), {*names, name}
            if reason is None:
                # Another loss may have left a newer copy meanwhile: that one still waits.
                sql = "DELETE FROM holdfast_lost WHERE tbl = ? AND key = ? AND body = ?"
                self._db.execute(sql, (*name, body))
            else:
                sql = "UPDATE holdfast_lost SET state = 'kept', code = ?, message = ? WHERE tbl = ? AND key = ?"
                self._db.execute(sql, (reason.code, reason.message, *name))
        return names

    def again(self) -> set[RowName]:
        """Let everything that is only kept wait again; gives the rows."""
        names: list[Any] = self._db.execute("SELECT tbl, key FROM holdfast_lost WHERE state = 'kept'").fetchall()
        self._db.execute("UPDATE holdfast_lost SET state = 'waits', code = '', message = ''")
        return set(names)

    def allowed(self, spaces: Mapping[str, str]) -> set[RowName]:
        """Copies that were kept because this device could not write in their space wait when it can; gives them."""
        sql = "SELECT tbl, key, body FROM holdfast_lost WHERE state = 'kept' AND code = 'forbidden_space'"
        found: list[Any] = self._db.execute(sql).fetchall()
        names = {(tbl, key) for tbl, key, body in found if spaces.get(m.decode_restore(body).space) == "rw"}
        sql = "UPDATE holdfast_lost SET state = 'waits', code = '', message = '' WHERE tbl = ? AND key = ?"
        self._db.executemany(sql, names)
        return names

    def all(self) -> list[LostRow]:
        """Every copy."""
        names = dict(self._db.execute("SELECT id, name FROM holdfast_table"))
        found = []
        sql = "SELECT tbl, key, body, state, code, message FROM holdfast_lost ORDER BY tbl, key"
        for tbl, key, body, state, code, message in self._db.execute(sql):
            copy = m.decode_restore(body)
            values = {name: cell[0] for name, cell in copy.set.items()} if copy.life % 2 else None
            found.append(LostRow(copy.space, names[tbl], key, state, code, message, values))
        return found

    def remember(self, spaces: Mapping[int, str], images: Iterable[m.Image]) -> None:
        """Put copies of the rows of these spaces aside, but for those that `images` bring as they are."""
        self._db.execute("DROP TABLE IF EXISTS temp.holdfast_before")
        self._db.execute(
            "CREATE TEMP TABLE holdfast_before (tbl, key, body, life, stamps, states, PRIMARY KEY (tbl, key))"
        )
        self._db.execute(
            """INSERT INTO temp.holdfast_before SELECT tbl, key, NULL, life, stamps, coalesce(states, '')
               FROM main.holdfast_row WHERE space IN (SELECT value FROM json_each(?)) AND NOT evicted""",
            (name_list(list(spaces)),),
        )
        self._db.executemany(
            """DELETE FROM temp.holdfast_before
               WHERE tbl = ? AND key = ? AND life = ? AND stamps = ? AND states = ?""",
            self._named(images),
        )
        names = self._db.execute("SELECT tbl, key FROM temp.holdfast_before").fetchall()
        for part in batches(iter(names)):
            rows, places = self.confirmed_rows(part), self._confirmed.spaces(part)
            self._db.executemany(
                "UPDATE temp.holdfast_before SET body = ? WHERE tbl = ? AND key = ?",
                ((m.encode(self.copy_of(name, row, spaces[places[name]])).decode(), *name) for name, row in rows),
            )

    def _named(self, images: Iterable[m.Image]) -> Iterator[tuple[int, str, int, str, str]]:
        for image in images:
            user = self._tables.by_name.get(image.table)
            if user is not None and image.slots is None:
                yield user.number, user.key_of(image.values), image.life, image.stamps, states_text(image.states) or ""

    def compare(self, access: Mapping[str, str], *, other_hub: bool) -> set[RowName]:
        """Keep of what was put aside what the rows that have arrived do not contain; gives the names of these rows.

        Copies of spaces that this device may write wait to be sent. Those of another hub's rows are only kept: it may
        be somebody else's.
        """
        kept: set[RowName] = set()
        sql = "SELECT tbl, key, body FROM temp.holdfast_before WHERE body IS NOT NULL"
        cursor = self._db.cursor().execute(sql)
        for part in batches(iter(cursor.fetchall())):
            here = dict(self.confirmed_rows([(tbl, key) for tbl, key, _ in part]))
            for tbl, key, body in part:
                copy = m.decode_restore(body)
                if self.lacks((tbl, key), here.get((tbl, key)), copy):
                    self.keep((tbl, key), copy, access, other_hub=other_hub)
                    kept.add((tbl, key))
        self._db.execute("DROP TABLE temp.holdfast_before")
        return kept

    def lacks(self, name: RowName, here: Row | None, copy: m.Restore) -> bool:
        """Whether the hub's row does not contain the copy."""
        user = self._tables.by_number[name[0]]
        row = row_of_copy(user.table, copy, user.order)
        return restore(user.table, own_part(user.table, here), row).status != "ignored"

    def offer(self, name: RowName, space: str) -> None:
        """Keep a copy of a row that a comparison has found to be lost; it is not sent before somebody says so: this
        file may be wrong."""
        if self._confirmed.evicted([name]):
            return  # its cells are at the hub, or nowhere
        found = self.confirmed_rows([name])
        if not found:
            return
        ((_, row),) = found
        body = m.encode(self.copy_of(name, row, space)).decode()
        message = "a comparison has found that the hub does not have it; this file may be wrong"
        sql = """INSERT OR REPLACE INTO holdfast_lost (tbl, key, body, state, code, message)
                 VALUES (?, ?, ?, 'kept', 'hub_lacks', ?)"""
        self._db.execute(sql, (*name, body, message))

    def keep(self, name: RowName, copy: m.Restore, access: Mapping[str, str], *, other_hub: bool) -> None:
        """Keep a copy, joined with one that is kept already."""
        sql = "SELECT body FROM holdfast_lost WHERE tbl = ? AND key = ?"
        before = self._db.execute(sql, name).get
        if before is not None:
            copy = self._joined(name, m.decode_restore(before), copy)
        state, code, message = "waits", "", ""
        if other_hub:
            state, code = "kept", "other_hub"
            message = "it comes from another hub than the one that this device talks to now"
        elif access.get(copy.space) != "rw":
            state, code, message = "kept", "forbidden_space", f"this device may not write in {copy.space}"
        self._db.execute(
            "INSERT OR REPLACE INTO holdfast_lost (tbl, key, body, state, code, message) VALUES (?, ?, ?, ?, ?, ?)",
            (*name, m.encode(copy).decode(), state, code, message),
        )

    def _joined(self, name: RowName, first: m.Restore, second: m.Restore) -> m.Restore:
        user = self._tables.by_number[name[0]]
        rows = [row_of_copy(user.table, copy, user.order) for copy in (first, second)]
        outcome = restore(user.table, *rows)
        assert outcome.row is not None, "two copies make one"
        return self.copy_of(name, outcome.row, second.space)

    def show(self, names: Iterable[RowName]) -> None:
        """Make the user tables show these rows with what waits on them now."""
        for part in batches(iter(sorted(names))):
            self._confirmed.keep_bases(part)
            self._confirmed.drop_bases(self._confirmed.show(part, self._confirmed.bases(part)))

    def confirmed_rows(self, names: Sequence[RowName]) -> list[tuple[RowName, Row]]:
        """What is confirmed of those names, but for rows of which this file has no cells any more."""
        bases = self._confirmed.bases(names)
        whole = [name for name in names if name in bases or not self._confirmed.is_missing(name)]
        rows = [(name, bases[name] if name in bases else self._confirmed.confirmed_row(name)) for name in whole]
        return [(name, row) for name, row in rows if row is not None]

    def copy_of(self, name: RowName, row: Row, space: str) -> m.Restore:
        """A confirmed row as it goes over the wire."""
        user = self._tables.by_number[name[0]]
        table = user.table
        if row.life % 2 == 0:
            seen = row.stamps if user.order is None else user.order.hub_stamps(row.stamps)
            return m.Restore(table.name, name[1], space, row.life, {}, encode_stamps(seen))
        cells: dict[str, list[Any]] = {}
        for slot, column in enumerate(table.cells):
            stamp = row.stamps[slot] if slot < len(row.stamps) else None
            if stamp is not None and slot < len(row.values):
                state = [row.states[slot]] if slot in row.states else []
                cells[column.name] = [row.values[slot], stamp, *state]
        return m.Restore(table.name, name[1], space, row.life, cells)
