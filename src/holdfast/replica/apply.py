"""The end of a round: results, pages, access and cursors become effective in one transaction."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import apsw
import msgspec

from holdfast.kernel.row import Row
from holdfast.protocol import messages as m
from holdfast.protocol.codec import decode_rows
from holdfast.replica.confirmed import Confirmed, RowName, fold, local_operation
from holdfast.replica.fresh import fresh_stamps, new_row
from holdfast.replica.lost import Lost
from holdfast.replica.outbox import Outbox
from holdfast.replica.pages import Held, PageWriter
from holdfast.replica.places import Places
from holdfast.replica.seal import batches
from holdfast.replica.spaces import LocalSpaces
from holdfast.replica.steps import without_effect
from holdfast.replica.tables import UserTables
from holdfast.schema.model import Schema
from holdfast.schema.queue import UPLOAD

log = logging.getLogger("holdfast.replica")

JUMP = 60 * 1000
"""A clock that has moved by more than so many milliseconds against the hub's since the last round has jumped."""


class StagedPage(NamedTuple):
    """A page that has arrived; `rows` is the JSON array of its images."""

    space: str
    cursor: str
    rows: bytes


class Answer(NamedTuple):
    """A complete answer: the header (of several answers with `more`, joined) and the footer."""

    header: m.Header
    footer: m.Footer


class Applied(NamedTuple):
    """What an answer did: transactions accepted, results worth telling, rows written, keys of new conflicts."""

    accepted: int
    results: list[m.Result]
    rows: int
    conflicts: Sequence[str] = ()


class Answered:
    """Transactions by what became of them; `let_go` are the names of cancelled and released ones."""

    def __init__(self) -> None:
        self.plain: list[int] = []
        self.merged: list[int] = []
        self.refused: list[tuple[int, m.Result]] = []
        self.cancelled: list[int] = []
        self.released: list[int] = []
        self.let_go: list[tuple[str, int]] = []


class Apply:
    """Applies one complete answer inside a transaction of the engine, after sealing."""

    def __init__(self, db: apsw.Connection, tables: UserTables, schema: Schema) -> None:
        self._db = db
        self._tables = tables
        self._schema = schema
        self._lost = Lost(db, tables)
        self._returned: set[RowName] = set()
        self._counted: dict[str, str] = {}
        self._confirmed = Confirmed(db, tables)
        self._outbox = Outbox(db)
        self._spaces = LocalSpaces(db)

    def run(self, answer: Answer, pages: Iterable[StagedPage], restored: Sequence[m.Restore] = ()) -> Applied:
        """Apply results and pages, which are read twice where a history was lost. `restored` are the copies that the
        hub has been sent. The caller's transaction makes it all or nothing.
        """
        header = answer.header
        self._hub = header.counts or header.hub
        self._returned = self._lost.answered(restored, header.unrestored)
        self._spaces.grant(header.spaces)
        self._places = Places(self._db, self._tables, self._schema, header.user)
        writer = PageWriter(self._db, self._tables)
        held: dict[RowName, Held] = {}
        lost = {space.number: space for space in self._spaces.all().values() if space.lost}
        if lost:
            images = (image for page in pages for image in decode_rows(page.rows))
            self._lost.remember({number: space.name for number, space in lost.items()}, images)
        for space in lost.values():
            held.update(self._empty(space.name))
        cursors: dict[str, str] = {}
        for page in pages:
            if page.space in header.spaces:
                for name, said in writer.write(self._spaces.number(page.space), decode_rows(page.rows)).items():
                    if said.row is not None or name not in held or held[name].space == said.space:
                        held[name] = said
                if page.cursor:
                    cursors[page.space] = page.cursor
        accepted, results = self._results(header, held)
        if lost:
            others = any(space.lost > 1 for space in lost.values())
            self._lost.show(self._lost.compare(header.spaces, other_hub=others))
        self._revoke(header)
        self._spaces.move(cursors | answer.footer.cursors)
        self._spaces.complete(header.spaces)
        self._db.execute("DELETE FROM holdfast_stage")
        return Applied(accepted, results, writer.rows, writer.conflicts)

    def _empty(self, space: str) -> dict[RowName, Held]:
        """Forget what a lost history confirmed in a space; give its rows with waiting operations, as if they had
        left.
        """
        found = self._db.execute("SELECT id FROM holdfast_space WHERE name = ?", (space,)).get
        if found is None:
            return {}
        held: dict[RowName, Held] = {}
        rows = self._db.execute("SELECT tbl, key FROM holdfast_row WHERE space = ?", (found,)).fetchall()
        for names in batches(iter(rows)):
            waiting = self._confirmed.bases(names)
            held.update((name, Held(None, found)) for name in waiting)
            by_table: dict[int, list[str]] = {}
            for tbl, key in names:
                if (tbl, key) not in waiting:
                    by_table.setdefault(tbl, []).append(key)
            for tbl, keys in by_table.items():
                self._tables.by_number[tbl].delete(self._db, keys)
            self._confirmed.drop_metadata(names)
        self._db.execute("DELETE FROM holdfast_unseen WHERE space = ?", (found,))
        return held

    def _revoke(self, header: m.Header) -> None:
        """Purge the spaces that the device may not read any more. What waits in them stays in the outbox. Where the
        device only writes, what it has written stays."""
        for name in self._spaces.all().keys() - header.spaces.keys():
            if self._tables.only_uploads(name):
                self._spaces.only_upload(name)
                continue
            held = self._empty(name)
            for names in batches(iter(sorted(held))):
                self._confirmed.save_bases((row, None) for row in names)
                self._confirmed.drop_bases(self._confirmed.show(names, dict.fromkeys(names)))
            self._spaces.forget([name])

    def _results(self, header: m.Header, held: dict[RowName, Held]) -> tuple[int, list[m.Result]]:
        """Take the answered transactions out of the outbox and settle every row that they or the pages touched; gives
        the number of accepted ones, as the application wrote them, and the results worth telling.
        """
        by_name = {(result.origin, result.n): result for result in header.results}
        answered, results = Answered(), []
        withdrawn = self._outbox.withdrawn()
        for origin, through in header.through.items():
            for txn, n in self._outbox.named(origin, through):
                result = by_name.get((origin, n))
                if result is None:
                    answered.plain.append(txn)
                    continue
                if result.code == "withdrawn" and txn in withdrawn:
                    (answered.cancelled if withdrawn[txn] == "cancel" else answered.released).append(txn)
                    answered.let_go.append((origin, n))
                    continue
                results.append(result)
                if result.outcome == "merged":
                    answered.merged.append(txn)
                else:
                    answered.refused.append((txn, result))
        accepted = self._outbox.parts([*answered.plain, *answered.merged])
        self._settle(answered, held)
        self._db.executemany(
            "INSERT OR IGNORE INTO holdfast_acknowledge (origin, n) VALUES (?, ?)",
            [*((r.origin, r.n) for r in results), *answered.let_go],
        )
        return accepted, results

    def _settle(self, answered: Answered, held: dict[RowName, Held]) -> None:
        """New confirmed rows for everything touched, and user tables that show them with what still waits."""
        promoted: dict[RowName, list[m.AnyOperation]] = {}
        named = self._outbox.counted()
        merged = frozenset(answered.merged)
        for txn, tbl, key, body in self._outbox.operations(sorted([*answered.plain, *merged])):
            # No page says what became of a row that only goes up: here it stands as it was written.
            # A table that the schema does not have any more shows nothing here.
            if tbl in self._tables.queues and (txn not in merged or self._tables.queues[tbl].direction == UPLOAD):
                op = m.decode_operation(body)
                promoted.setdefault((tbl, key), []).append(op)
                if txn in named:
                    self._counted[op.stamp] = named[txn]
        others = [*answered.merged, *answered.cancelled, *(txn for txn, _ in answered.refused)]
        shown = {(tbl, key) for _, tbl, key, _ in self._outbox.operations(others)} | held.keys() | self._returned
        without_effect(self._db, answered.cancelled)
        self._outbox.done([*answered.plain, *answered.merged, *answered.cancelled])
        for txn in answered.released:
            self._outbox.release(txn, self._tables.queue_by_name)
        for txn, result in answered.refused:
            self._outbox.refuse(txn, result)
        here = self._tables.known(promoted.keys() | shown)
        self._placed = self._places_together(promoted, held)
        for names in batches(iter(sorted(here))):
            self._settle_rows(self._settle_fresh(names, promoted, shown), promoted, held, shown)

    def _settle_fresh(
        self, names: Sequence[RowName], promoted: dict[RowName, list[m.AnyOperation]], shown: set[RowName]
    ) -> list[RowName]:
        """Settle, by the short way, the rows that one accepted insert has made and on which nothing else waits. Gives
        the others.
        """
        candidates = [name for name in names if self._is_fresh(name, promoted.get(name), shown)]
        alone = self._confirmed.alone(candidates) if candidates else set()
        rows = []
        for name in alone:
            user = self._tables.by_number[name[0]]
            op = promoted[name][0]
            space = self._placed[name] if name in self._placed else self._places.fresh(name, op)
            rows.append((name[0], name[1], space, 1, fresh_stamps(user, op), None))
        if rows:
            self._confirmed.save_texts(rows)
            self._confirmed.drop_bases(alone)
        return [name for name in names if name not in alone]

    def _is_fresh(self, name: RowName, operations: list[m.AnyOperation] | None, shown: set[RowName]) -> bool:
        user = self._tables.by_number[name[0]]
        return (
            operations is not None
            and len(operations) == 1
            and isinstance(operations[0], m.Insert)
            and operations[0].life == 0
            and user.fresh_forms is not None
            and not user.replaces
            and name not in shown
        )

    def _fold_own(self, name: RowName, before: Row | None, operations: Iterable[m.AnyOperation]) -> Row | None:
        """The confirmed row with our own accepted operations over it."""
        user, row = self._tables.by_number[name[0]], before
        for op in operations:
            row = fold(user.table, row, [local_operation(user, op)], self._counted.get(op.stamp, self._hub))
        return row

    def _places_together(
        self, promoted: dict[RowName, list[m.AnyOperation]], held: dict[RowName, Held]
    ) -> dict[RowName, int]:
        """The spaces of our own rows that are parents or children of others, whatever batch each will be in."""
        related = sorted(name for name in promoted.keys() - held.keys() if self._places.depends(name))
        rows: dict[RowName, Row] = {}
        for names in batches(iter(related)):
            known = self._confirmed.bases(names)
            for name in names:
                row = new_row(self._tables.by_number[name[0]], promoted[name]) if known.get(name) is None else None
                row = row or self._fold_own(name, known.get(name), promoted[name])
                if row is not None:
                    rows[name] = row
        return self._places.find(rows, held) if rows else {}

    def _settle_rows(
        self,
        names: Sequence[RowName],
        promoted: dict[RowName, list[m.AnyOperation]],
        held: dict[RowName, Held],
        shown: set[RowName],
    ) -> None:
        known = self._confirmed.bases(names)
        confirmed: dict[RowName, Row | None] = {}
        own: dict[RowName, Row] = {}
        metadata: list[tuple[RowName, Row, int]] = []
        for name in names:
            if name in held:
                row, space = held[name]
                confirmed[name] = row
                if row is not None:
                    metadata.append((name, row, space))
                continue
            row = self._fold_own(name, known.get(name), promoted.get(name, ()))
            confirmed[name] = row
            if name in promoted and row is not None:
                own[name] = row
        placed = self._placed | self._places.find({n: own[n] for n in own.keys() - self._placed.keys()}, held)
        self._confirmed.save_metadata([*metadata, *((name, row, placed[name]) for name, row in own.items())])
        self._confirmed.drop_metadata(name for name in names if name in held and held[name].row is None)
        waiting = self._confirmed.waiting(names)
        self._confirmed.save_bases((name, confirmed[name]) for name in names if name in waiting)
        self._confirmed.drop_bases(name for name in names if name not in waiting)
        for name in names:
            user = self._tables.by_number[name[0]]
            # A row that had stepped aside for a unique value comes back when it is confirmed.
            if name in shown or user.replaces:
                row = fold(user.table, confirmed[name], waiting.get(name, ()))
                user.show(self._db, name[1], row, waits=name in waiting)


def joined(first: m.Header | None, second: m.Header) -> m.Header:
    """The header of an answer that came in several parts: results add up, everything else is the latest."""
    if first is None:
        return second
    second.through = {**first.through, **second.through}
    known = {(result.origin, result.n) for result in second.results}
    second.results = [*(r for r in first.results if (r.origin, r.n) not in known), *second.results]
    second.restored += first.restored
    second.unrestored = [*first.unrestored, *second.unrestored]
    second.reset = sorted({*first.reset, *second.reset})
    return second


def is_known(db: apsw.Connection, header: m.Header, offset: int) -> bool:
    """Whether the file remembers this hub, user and clock (to 100 milliseconds) already."""
    hub, user, known = db.execute("SELECT hub, user, clock_offset FROM holdfast_state").get
    return (hub, user) == (header.hub, header.user) and abs(known - offset) < 100


def save_state(db: apsw.Connection, header: m.Header, offset: int, now: int, *, complete: bool) -> None:
    """What the device remembers of the hub: identity, layout, clock. `now` and `offset` in milliseconds."""
    layout = json.dumps(msgspec.to_builtins(header.layout)) if header.layout is not None else None
    hub, known = db.execute("SELECT hub, clock_offset FROM holdfast_state").get
    if hub == header.hub and abs(known - offset) > JUMP:
        log.warning("%s: the clock has jumped by %d ms against the hub's", db.filename, known - offset)
        db.execute("UPDATE holdfast_state SET clock_jump = ?", (known - offset,))
    db.execute(
        """UPDATE holdfast_state SET hub = ?, user = ?, layout = coalesce(?, layout), hlc = max(hlc, ?),
           clock_offset = ?, last_synced = CASE WHEN ? THEN ? ELSE last_synced END""",
        (header.hub, header.user, layout, header.hlc, offset, complete, now + offset),
    )
