"""What must hold in any simulation, numbered as in `spec/invariants.md`. None of it trusts what the engine reports.

`Watch` looks at the hub after every exchange and at a device after every sync; it reads the files with connections of
its own and recomputes what the engine keeps.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import apsw
import msgspec

from holdfast.kernel import clock, digest
from holdfast.kernel.merges.counter import PENDING
from holdfast.kernel.restore import restore
from holdfast.kernel.row import Op, Row, apply
from holdfast.kernel.stamps import decode_stamps
from holdfast.protocol import messages as m
from holdfast.protocol.images import row_from_bytes
from holdfast.replica.compare import local_rows, sums_of
from holdfast.replica.confirmed import row_of_copy
from holdfast.replica.file import table_numbers
from holdfast.replica.tables import UserTables
from holdfast.schema.directions import upload_rules
from holdfast.schema.key import key_text
from holdfast.schema.model import MISSING, Column, Table
from holdfast.schema.queue import UPLOAD
from holdfast.schema.rules import CONFLICT_TABLE
from holdfast.stores.base import Space
from holdfast.testing.device import SimulatedDevice
from holdfast.testing.hub import SimulatedHub
from holdfast.testing.hub_places import read_rows

MAX_AHEAD = 5 * 60 * 1000

Name = tuple[str, str]


@lru_cache(maxsize=4096)
def read_image(image: bytes) -> m.Image:
    """An image of a feed, read once: every check reads whole feeds. Nobody may change what it gives."""
    return m.decode_image(image)


class Violation(AssertionError):
    """An invariant does not hold. `number` is that of `spec/invariants.md`."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(f"invariant {number}: {message}")
        self.number, self.message = number, message

    def __reduce__(self) -> tuple[type[Violation], tuple[int, str]]:
        """From one process to another."""
        return Violation, (self.number, self.message)


class Fed(NamedTuple):
    """A row of a feed: where it stands and its image."""

    seq: int
    image: bytes


class Snapshot(NamedTuple):
    """A feed as it stood at one head."""

    space: Space
    rows: dict[Name, Fed]


class Local(NamedTuple):
    """What a device holds: rows shown, bases, metadata, waiting operations, spaces; tables by name."""

    shown: dict[Name, tuple[Any, ...]]
    bases: dict[Name, bytes | None]
    metadata: dict[Name, tuple[str, int, str, str | None]]
    waiting: dict[Name, list[m.AnyOperation | m.Restore]]
    spaces: dict[str, tuple[str | None, bool]]
    captured: int


class Watch:
    """Follows one hub and its devices."""

    def __init__(self, hub: SimulatedHub) -> None:
        self._hub = hub
        self._latest: dict[str, Snapshot] = {}
        self._known: dict[tuple[str, str, int, str], Snapshot] = {}
        self._checked: dict[str, int] = {}
        self._tables: dict[tuple[Any, ...], UserTables] = {}

    def _tables_of(self, device: SimulatedDevice, numbers: dict[str, int]) -> UserTables:
        """To make these texts takes longer than to run them."""
        known = self._tables.get((device.schema.hash, *numbers.items()))
        if known is None:
            known = self._tables[device.schema.hash, *numbers.items()] = UserTables(device.schema, numbers)
        return known

    def hub_restored(self) -> None:
        """The hub went back to a copy: its heads may be lower now."""
        self._latest = {}
        self.hub_moved()

    def hub_moved(self) -> None:
        """Take note of every feed whose head moved."""
        for name, space in self._hub.heads().items():
            before = self._latest.get(name)
            if before is not None and before.space == space:
                continue
            if before is not None and (before.space.head >= space.head or before.space.epoch != space.epoch):
                raise Violation(5, f"the head of {name} went from {before.space} to {space}")
            self._note(name, space, before)

    def _note(self, name: str, space: Space, before: Snapshot | None) -> None:
        after = before.space.head if before is not None else 0
        rows = dict(before.rows) if before is not None else {}
        with self._hub.reading() as tx:
            read = {self._name_of(image): Fed(seq, image) for seq, image in tx.feed(name, after, space.head)}
            stored = tx.rows(sorted(read))
        for row, fed in read.items():
            # A feed may tell of a change only; the row itself says the whole. A mark of leaving is no row here.
            whole_row = stored.get(row)
            here = whole_row is not None and (whole_row.space, whole_row.seq) == (name, fed.seq)
            rows[row] = Fed(fed.seq, whole_row.image) if here and whole_row is not None else fed
        snapshot = Snapshot(space, rows)
        self._latest[name] = self._known[(name, space.epoch, space.head, space.chain)] = snapshot

    def _name_of(self, image: bytes) -> Name:
        found = read_image(image)
        return found.table, self._hub.key_of(found)

    def check_hub(self) -> None:
        """The feeds are what was seen to grow; digests and user tables say the same; histories have no gap."""
        self._hub.sequence()
        self.hub_moved()
        alive: dict[str, list[tuple[Any, ...]]] = {table.name: [] for table in self._hub.whole_schema.tables}
        for name, snapshot in self._latest.items():
            self._check_feed(name, snapshot)
            self._check_digest(name, snapshot)
            for (table, key), (_, image) in snapshot.rows.items():
                row = read_image(image)
                if row.life % 2:
                    alive[table].append(whole(self._hub.whole_schema.by_name[table].row_columns, row.values))
                if row.life:
                    self._check_history(table, key, row)
        shown = self._hub.user_rows()
        for table_name, rows in alive.items():
            if sorted(rows, key=repr) != shown[table_name]:
                missing, extra = differences(rows, shown[table_name])
                raise Violation(7, f"hub table {table_name}: the feed has {missing}, the table has {extra}")
        self._check_foreign_keys(shown)
        self._check_places()

    def _check_feed(self, name: str, snapshot: Snapshot) -> None:
        stored = self._hub.feed(name, snapshot.space.head)
        seen = {fed.seq: fed.image for fed in snapshot.rows.values()}
        if stored != seen:
            raise Violation(5, f"the feed of {name} changed at or below a head that was given out")

    def _check_digest(self, name: str, snapshot: Snapshot) -> None:
        with self._hub.reading() as tx:
            key = tx.hub().hub.encode()
        sums: dict[int, int] = {}
        for (table, row_key), (_, image) in snapshot.rows.items():
            row = read_image(image)
            if row.life % 2:
                bucket = digest.bucket(table, row_key)
                leaf = digest.leaf(key, table, row_key, row.life, row.stamps)
                sums[bucket] = digest.add(sums.get(bucket, 0), leaf)
        if digest.root(sums) != self._hub.digest(name):
            raise Violation(6, f"the stored digest of {name} is not that of its feed")

    def _check_history(self, table: str, key: str, row: m.Image) -> None:
        # The hub makes conflicts; what made them is in the history of the rows that they are about.
        life = 1 if table == CONFLICT_TABLE else 0
        for entry in self._hub.history(table, key):
            record = msgspec.json.decode(entry.body)
            before, after = record["life"]
            if before != life:
                raise Violation(8, f"{table} {key!r}: the history goes from life {life} to one that was {before}")
            if before % 2 == 0 and after % 2 == 1 and record["op"] == "delete":
                raise Violation(8, f"{table} {key!r}: a delete brought a dead row to life")
            if after < before or (record["op"] == "update" and before == 0):
                raise Violation(8, f"{table} {key!r}: {record['op']} took the row from life {before} to {after}")
            life = after
        if life != row.life:
            raise Violation(8, f"{table} {key!r}: the history ends with life {life}, the row has {row.life}")

    def _check_foreign_keys(self, shown: Mapping[str, list[tuple[Any, ...]]]) -> None:
        for table in self._hub.whole_schema.tables:
            for reference in table.foreign_keys:
                parent = self._hub.whole_schema.by_name[reference.parent]
                there = {pick(parent, row, reference.parent_columns) for row in shown[parent.name]}
                for row in shown[table.name]:
                    wanted = pick(table, row, reference.columns)
                    if None not in wanted and wanted not in there:
                        raise Violation(13, f"{table.name} {row!r} names a row of {parent.name} that is not there")

    def _check_places(self) -> None:
        """A living row lives where its template says, or where the row lives that its foreign key names."""
        found: dict[Name, tuple[str, m.Image]] = {}
        for space, snapshot in self._latest.items():
            images = {name: read_image(fed.image) for name, fed in snapshot.rows.items()}
            found.update((name, (space, image)) for name, image in images.items() if image.life)
        for name, (space, image) in found.items():
            table = self._hub.whole_schema.by_name[name[0]]
            row = whole(table.row_columns, image.values)
            if image.life % 2 == 0 or table.via is None:
                continue
            parent = self._hub.whole_schema.by_name[table.via.parent]
            keys = dict(zip(table.via.parent_columns, pick(table, row, table.via.columns), strict=True))
            if None in keys.values():
                wanted = f"p:{pick(table, row, ['project'])[0]}"
            else:
                wanted = found[parent.name, key_text(parent, [keys[column] for column in parent.key_names])][0]
            if space != wanted:
                raise Violation(20, f"{name} lives in {space}, its parent or template says {wanted}")

    def check_stamps(self) -> None:
        """No row of a feed has a stamp more than 5 minutes ahead of the hub's clock and its own time."""
        with self._hub.reading() as tx:
            limit = max(clock.wall(self._hub.clock() + MAX_AHEAD), tx.hub().hlc)
        for name, snapshot in self._latest.items():
            for fed in snapshot.rows.values():
                stamps = decode_stamps(read_image(fed.image).stamps)
                if any(stamp is not None and clock.hlc_of(stamp) > limit for stamp in stamps):
                    raise Violation(16, f"{name} has a row from the future: {fed.image!r}")

    def device_synced(self, device: SimulatedDevice) -> None:
        """Look at a device: visible = confirmed + waiting, confirmed = the hub's rows at the cursor."""
        if self._checked.get(device.name) == device.disk.version:
            return  # what was equal to a feed at a cursor stays so
        with device.reading() as db:
            local = read_local(db, device)
        if local.captured:
            return
        self._check_visible(device, local)
        self._check_confirmed(device, local)
        self._checked[device.name] = device.disk.version

    def _check_visible(self, device: SimulatedDevice, local: Local) -> None:
        for name in local.shown.keys() | local.bases.keys() | local.metadata.keys() | local.waiting.keys():
            waiting, place = local.waiting.get(name), f"{device.name} {name}"
            if (name in local.bases) != (waiting is not None):
                raise Violation(2, f"{place}: {len(waiting or ())} operations wait, base kept: {name in local.bases}")
            shown, table = local.shown.get(name), device.schema.by_name[name[0]]
            if waiting is None:
                life = local.metadata[name][1] if name in local.metadata else 0
                if (shown is not None) != (life % 2 == 1):
                    raise Violation(2, f"{place}: confirmed life {life}, shown: {shown}")
                continue
            image = local.bases[name]
            row = fold(table, row_from_bytes(table, image) if image is not None else None, waiting)
            wanted = whole(table.cells, row.values) if row is not None and row.life % 2 else None
            steps_aside = table.unique and shown is None
            if wanted != (shown[len(table.key) :] if shown is not None else None) and not steps_aside:
                raise Violation(2, f"{place}: confirmed + waiting is {wanted}, shown is {shown}")

    def _check_confirmed(self, device: SimulatedDevice, local: Local) -> None:
        for space, (cursor, ready) in local.spaces.items():
            epoch, seq, head, chain = (cursor or "...").split(".")
            snapshot = self._known.get((space, epoch, int(head or 0), chain))
            if not ready or seq != head or snapshot is None:
                continue
            wanted = {name: read_image(fed.image) for name, fed in snapshot.rows.items()}
            wanted = {name: row for name, row in wanted.items() if row.life}
            found = {name: row for name, row in local.metadata.items() if row[0] == space}
            if wanted.keys() != found.keys():
                missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
                raise Violation(3, f"{device.name} {space} at {cursor}: without {missing}, with {extra}")
            for name, row in wanted.items():
                self._check_row(device, local, name, row)

    def _check_row(self, device: SimulatedDevice, local: Local, name: Name, row: m.Image) -> None:
        table = device.schema.by_name[name[0]]
        _, life, stamps, states = local.metadata[name]
        if (life, stamps) != (row.life, row.stamps):
            raise Violation(3, f"{device.name} {name}: {life} {stamps}, the hub had {row.life} {row.stamps}")
        if life % 2 == 0:
            return
        image = local.bases.get(name)
        if image is not None:
            base = read_image(image)
            values, held = base.values, base.states
        else:
            values, held = list(local.shown.get(name, ())), json.loads(states) if states else {}
        if repr(whole(table.row_columns, values)) != repr(whole(table.row_columns, row.values)) or held != row.states:
            raise Violation(
                3, f"{device.name} {name}: confirmed {values} {held}, the hub had {row.values} {row.states}"
            )

    def check_rest(self, device: SimulatedDevice, readable: Mapping[str, str]) -> None:
        """In sync: nothing waits, and the device shows what the hub shows in the spaces that it may read, given with
        their digests on the hub. In spaces that only go up nobody needs to agree.
        """
        rules = upload_rules(device.schema.tables).values()
        readable = {name: root for name, root in readable.items() if not any(rule.may_name(name) for rule in rules)}
        with device.reading() as db:
            spaces = {name for (name,) in db.execute("SELECT name FROM holdfast_space")}
            shown = {
                name: rows
                for name, rows in read_rows(db, device.schema).items()
                if device.schema.by_name[name].queue.direction != UPLOAD
            }
            for left in ("capture", "mark", "base", "stage", "lost WHERE state = 'waits'"):
                if db.execute(f"SELECT 1 FROM holdfast_{left}").get is not None:
                    raise Violation(17, f"{device.name}: something is left in holdfast_{left}")
            if db.execute("SELECT 1 FROM holdfast_transaction WHERE state <> 'refused' LIMIT 1").get is not None:
                raise Violation(17, f"{device.name}: transactions wait for ever: {device.replica.pending()}")
            tables = self._tables_of(device, table_numbers(db))
            sums = {name: sums_of(local_rows(db, tables, name)) for name in spaces & readable.keys()}
            digests = {name: digest.root(found) for name, found in sums.items()}
            sql = "SELECT name, total, doubt FROM holdfast_space WHERE total IS NOT NULL"
            counted: list[Any] = db.execute(sql).fetchall()
        for name, total, doubted in counted:
            if doubted or (name in sums and digest.total(sums[name]) != int(total, 16)):
                raise Violation(26, f"{device.name}: the total of {name} is not that of its rows, or of the hub's")
        wanted: dict[str, list[tuple[Any, ...]]] = {name: [] for name in shown}
        for space in readable:
            if space in self._latest:
                for (table, _), (_, image) in self._latest[space].rows.items():
                    row = read_image(image)
                    if row.life % 2:
                        wanted[table].append(whole(device.schema.by_name[table].row_columns, row.values))
        for table_name, rows in wanted.items():
            missing, extra = differences(rows, shown[table_name])
            if missing or extra:
                raise Violation(7, f"{device.name}, table {table_name}: without {missing}, with {extra}")
        for space, found in digests.items():
            if space in self._latest and found != readable[space]:
                raise Violation(6, f"{device.name} and the hub have different digests of {space}")


def read_local(db: apsw.Connection, device: SimulatedDevice) -> Local:
    """Everything that the checks need of a device's file, in one snapshot."""
    tables = dict(db.execute("SELECT id, name FROM holdfast_table"))
    spaces = {
        number: (name, cursor, bool(ready))
        for number, name, cursor, ready in db.execute("SELECT id, name, cursor, ready FROM holdfast_space")
    }
    shown = {}
    for name, rows in read_rows(db, device.schema).items():
        table = device.schema.by_name[name]
        shown.update({(name, key_text(table, row[: len(table.key)])): row for row in rows})
    bases = {(tables[tbl], key): image for tbl, key, image in db.execute("SELECT tbl, key, image FROM holdfast_base")}
    metadata = {
        (tables[tbl], key): (spaces[space][0], life, stamps, states)
        for tbl, key, space, life, stamps, states in db.execute(
            "SELECT tbl, key, space, life, stamps, states FROM holdfast_row"
        )
    }
    waiting: dict[Name, list[m.AnyOperation | m.Restore]] = {}
    for (body,) in db.execute("SELECT body FROM holdfast_lost WHERE state = 'waits'"):
        copy = m.decode_restore(body)
        waiting[copy.table, copy.key] = [copy]
    sql = """SELECT o.tbl, o.key, o.body FROM holdfast_operation o JOIN holdfast_transaction t USING (txn)
             WHERE t.state <> 'refused' ORDER BY o.txn, o.position"""
    for tbl, key, body in db.execute(sql):
        waiting.setdefault((tables[tbl], key), []).append(m.decode_operation(body))
    captured = db.execute("SELECT count(*) FROM holdfast_capture").get
    by_name = {name: (cursor, ready) for name, cursor, ready in spaces.values()}
    return Local(shown, bases, metadata, waiting, by_name, captured)


def fold(table: Table, row: Row | None, operations: Iterable[m.AnyOperation | m.Restore]) -> Row | None:
    """The row with the operations over it, by the kernel, from their wire forms."""
    for op in operations:
        if isinstance(op, m.Restore):
            row = restore(table, row, row_of_copy(table, op)).row
            continue
        if isinstance(op, m.Delete):
            mine = Op("delete", op.key, op.stamp, op.life, {}, decode_stamps(op.base))
        else:
            changes = {table.slot[name]: change for name, change in op.set.items()}
            base = {table.slot[n]: s for n, s in op.base.items()} if isinstance(op, m.Update) else {}
            mine = Op("update" if isinstance(op, m.Update) else "insert", op.key, op.stamp, op.life, changes, base)
        row = apply(table, row, mine, PENDING).row
    return row


def whole(columns: Sequence[Column], values: Iterable[Any]) -> tuple[Any, ...]:
    """The values with the defaults of the columns that are missing at their end."""
    found = tuple(values)
    return (*found, *(None if c.default is MISSING else c.default for c in columns[len(found) :]))


def pick(table: Table, row: tuple[Any, ...], columns: Iterable[str]) -> tuple[Any, ...]:
    """The values of some columns of a row in image order."""
    place = {column.name: index for index, column in enumerate(table.row_columns)}
    return tuple(row[place[name]] for name in columns)


def differences(first: list[tuple[Any, ...]], second: list[tuple[Any, ...]]) -> tuple[list[str], list[str]]:
    """What only one of two lists of rows has, as text."""
    a, b = {repr(row) for row in first}, {repr(row) for row in second}
    return sorted(a - b), sorted(b - a)
