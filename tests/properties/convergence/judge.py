"""The judge: replays every delivery on the naive model and compares hub and devices with it, step by step."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NamedTuple

from holdfast.schema import sqlite_values
from holdfast.schema.key import key_values
from holdfast.schema.model import Column, Schema, Table
from tests.properties import model
from tests.properties.convergence.inbox import CONFLICTS, Inbox, follow, new_row
from tests.properties.convergence.world import Device, World, key_text

Name = tuple[str, str]
Rows = dict[Name, model.ModelRow]
FIVE_MINUTES = 5 * 60 * 1000
CONSTRAINTS = ("unique", "foreign_key", "check", "not_null")


class Note(NamedTuple):
    """One entry of the hub's history."""

    table: str
    key: str
    stamp: str
    user: str
    at: int
    origin: str
    n: int


class Seen(NamedTuple):
    """What a device has from the hub after a whole round: rows of the spaces that it may read."""

    rows: dict[Name, model.ModelRow]
    spaces: frozenset[str]


class Judge:
    """Watches a world. Rows are replaced, never changed in place, so that copies share them.

    `accepted` and `refused` count what became of each transaction by its name, `senders` whose it is.
    """

    def __init__(self, world: World) -> None:
        self.world, self.schema = world, world.schema
        self.rows: dict[Name, model.ModelRow] = {}
        self.last: dict[str, int] = {}
        self.bodies: dict[tuple[str, int], Any] = {}
        self.accepted: Counter[tuple[str, int]] = Counter()
        self.refused: Counter[tuple[str, int]] = Counter()
        self.carried: dict[str, bool] = {}
        self.senders: dict[tuple[str, int], str] = {}
        self.restored = False
        self.answered: dict[str, Seen] = {}
        self.seen: dict[str, Seen] = {}
        self.inbox = Inbox()
        self._history = 0
        self._given: list[str] = []
        self._backup: Any = None

    def back_up(self) -> None:
        """Remember the hub as it is."""
        self._backup = (dict(self.rows), dict(self.last), self._history, self.inbox.copy())

    def restore(self) -> None:
        """The hub is as it was."""
        rows, last, self._history, inbox = self._backup
        self.rows, self.last, self.inbox = dict(rows), dict(last), inbox.copy()
        self.restored = True

    def before(self) -> dict[Name, tuple[Any, ...] | None]:
        """What other programs have made of rows since the model looked: SQL rows, None when gone."""
        changed: dict[Name, tuple[Any, ...] | None] = {}
        for table in self.schema.tables:
            now = {key_text(table, row): row for row in self._hub_table(table)}
            known = {key for name, key in self.rows if name == table.name and self.rows[name, key].alive}
            for key in now.keys() | known:
                name = (table.name, key)
                if key not in known or now.get(key) != sql_row(table, key, self.rows[name]):
                    changed[name] = now.get(key)
        return changed

    def after(self, device: Device, body: bytes, answer: bytes, foreign: dict[Name, tuple[Any, ...] | None]) -> None:
        """Replay one delivery: foreign writes first, then what is new in the request; then compare."""
        notes = self._new_notes()
        # The hub names the conflicts, in their order; everything else about them is foretold.
        ids = (str(row[0]) for row in self._hub_table(self.schema.by_name[CONFLICTS]))
        self._given = sorted(key for key in ids if (CONFLICTS, key) not in self.rows)
        self._sequenced(notes, foreign)
        first = json.loads(answer.split(b"\n", 1)[0])
        if "same" in first:
            self._nothing_new(device, body)
            return
        header = first["header"]
        results = {(r["origin"], r["n"]): r for r in header.get("results", [])}
        for transaction in json.loads(body).get("transactions", []):
            if header.get("reset") and header.get("through", {}).get(transaction["origin"], 0) < transaction["n"]:
                continue  # of a device that has read what this hub has lost: they come again
            self._deliver(device, transaction, results, notes)
        assert self._given == [], "conflicts that nothing has made"
        self._compare()
        readable = frozenset(header["spaces"])
        rows = {name: row for name, row in self.rows.items() if row.space in readable}
        self.answered[device.name] = Seen(rows, readable)

    def _nothing_new(self, device: Device, body: bytes) -> None:
        """A short exchange: the device asked nothing else, and has all that it may read as it stands now."""
        assert json.loads(body).keys() <= {"same", "want"}
        assert self._given == [], "conflicts that nothing has made"
        self._compare()
        seen = self.answered.get(device.name)
        readable = seen.spaces if seen is not None else frozenset(device.identity.spaces)
        rows = {name: row for name, row in self.rows.items() if row.space in readable}
        assert seen is None or rows == seen.rows, "the hub said that nothing is new"
        self.answered[device.name] = Seen(rows, readable)

    def declined(self, status: int, answer: bytes, foreign: dict[Name, tuple[Any, ...] | None]) -> None:
        """A short exchange that the hub did not answer so: it may have heard of other programs, and did no more."""
        assert (status, json.loads(answer)["code"]) == (412, "not_same")
        self.heard(foreign)

    def heard(self, foreign: dict[Name, tuple[Any, ...] | None]) -> None:
        """The hub has heard of another program's writes: they are in the feed, and nothing else is."""
        notes = self._new_notes()
        assert all(note.user == "(database)" for note in notes)
        self._sequenced(notes, foreign)
        self._compare()

    def _sequenced(self, notes: list[Note], foreign: dict[Name, tuple[Any, ...] | None]) -> None:
        for note in notes:
            if note.user == "(database)":
                self._foreign(note, foreign.pop((note.table, note.key)))

    def _hub_table(self, table: Table) -> list[tuple[Any, ...]]:
        return self.world.rows(self.world.hub_file, table.name)

    def _new_notes(self) -> list[Note]:
        sql = """SELECT h.id, t.name, h.key, h.stamp, h.user, h.at, h.body FROM holdfast_history h
                 JOIN holdfast_table t ON t.id = h.tbl WHERE h.id > ? ORDER BY h.id"""
        notes = []
        for number, *rest, body in self.world.query(self.world.hub_file, sql, self._history):
            record = json.loads(body)
            notes.append(Note(*rest, record["origin"], record["n"]))
            self._history = number
        return notes

    def _foreign(self, note: Note, row: tuple[Any, ...] | None) -> None:
        """Another program's write: the hub's own, which has seen everything."""
        name, table = (note.table, note.key), self.schema.by_name[note.table]
        current = self.rows.get(name)
        op: dict[str, Any] = {"stamp": note.stamp, "named": note.stamp, "life": current.life if current else 0}
        if row is None:
            assert current is not None
            assert current.alive
            self.rows[name] = model.ModelRow(current.life + 1, current.cells, current.space)
            op |= {"op": "delete", "key": note.key}
            self.inbox.arrive(table, op, current, self.rows[name], (note.user, ""), [])
            return
        values = dict(zip((c.name for c in table.row_columns), row, strict=True))
        wires = {c.name: sqlite_values.from_sql(c, values[c.name]) for c in table.cells}
        if current is None or not current.alive:
            op |= {"op": "insert", "set": {c.name: fresh(c, wires[c.name]) for c in table.cells}}
        else:
            base = {name: cell.stamp for name, cell in current.cells.items() if cell.stamp}
            op |= {"op": "update", "set": {}, "base": base}
            for column in table.cells:
                cell = current.cells[column.name]
                if cell.value != wires[column.name] or type(cell.value) is not type(wires[column.name]):
                    op["set"][column.name] = difference(column, cell, wires[column.name])
        after, _ = model.apply(table, current, op, met := [])
        assert after is not None
        assert met == [], "the hub's own writes have seen everything"
        self.inbox.arrive(table, {**op, "key": note.key}, current, after, (note.user, ""), [])
        after.space = self._space(table, note.key, after, "", current)
        self._take({name: after})

    def _deliver(self, device: Device, transaction: Any, results: dict[Any, Any], notes: list[Note]) -> None:
        """One transaction of a request."""
        name = (transaction["origin"], transaction["n"])
        assert self.bodies.setdefault(name, transaction) == transaction, f"{name} was used for something else"
        self.senders[name] = device.name
        if name[1] != self.last.get(name[0], 0) + 1:
            return
        self.last[name[0]] = name[1]
        said = results.get(name, {"outcome": "plain"})
        own = [note for note in notes if (note.origin, note.n) == name]
        inbox = self.inbox.copy()
        try:
            draft, status, cases = self._transaction(device, transaction, list(own))
        except model.Refused as refusal:
            assert (said["outcome"], said.get("code")) == ("refused", str(refusal)), (transaction, said, str(refusal))
            self.inbox = inbox
            self.refused[name] += 1
            return
        if said["outcome"] == "refused":
            assert said["code"] in CONSTRAINTS, (transaction, said)
            assert violations(self.schema, {**self.rows, **draft}), (transaction, said)
            self.inbox = inbox
            self.refused[name] += 1
            return
        assert said["outcome"] == ("plain" if status == "applied" else "merged"), (transaction, said, status)
        self.accepted[name] += 1
        self._take(draft)
        for case in cases:
            assert self._given, ("a conflict is missing", case)
            key, space = self._given.pop(0), draft[case["table_name"], case["row_key"]].space
            self.rows[CONFLICTS, key] = new_row(self.schema.by_name[CONFLICTS], key, case, space)

    def _take(self, draft: Rows) -> None:
        """Rows have changed; what lay in the inbox about those that moved goes with them."""
        moved = {name: row.space for name, row in draft.items() if name in self.rows}
        self.rows.update(draft)
        self.rows.update(follow(self.rows, moved))

    def _transaction(
        self, device: Device, transaction: Any, notes: list[Note]
    ) -> tuple[Rows, str, list[dict[str, Any]]]:
        """What a transaction makes of the rows, its status, and the conflicts that it meets. Where the rows live is
        decided when all is merged (`spec/protocol.md`, section 3)."""
        draft: Rows = {}
        cases: list[dict[str, Any]] = []
        who = (device.user, device.replica.device)
        statuses = set()
        access = self.world.access[device.user]
        for wire in transaction["ops"]:
            name, table = (wire["table"], wire["key"]), self.schema.by_name[wire["table"]]
            current, lived = draft.get(name) or self.rows.get(name), self.rows.get(name)
            if lived is not None and access.get(lived.space) != "rw":
                raise model.Refused("forbidden_space")
            op = {**wire, "named": wire["stamp"]}
            if (notes and (notes[0].table, notes[0].key) == name) and not ignores(current, op):
                note = notes.pop(0)
                op["stamp"] = note.stamp
                ahead = int(wire["stamp"][:14], 16) >> 12 > note.at + FIVE_MINUTES
                assert (note.stamp != wire["stamp"]) == ahead, (wire, note)
            after, status = model.apply(table, current, op, met := [])
            statuses.add(status)
            if after is None or status == "ignored":
                continue
            cases += self.inbox.arrive(table, op, current, after, who, met)
            draft[name] = after
        for name, row in draft.items():
            lived = self.rows.get(name)
            row.space = self._space(self.schema.by_name[name[0]], name[1], row, device.user, lived)
            if (lived is None or row.space != lived.space) and access.get(row.space) != "rw":
                raise model.Refused("forbidden_space")
        return draft, "applied" if statuses == {"applied"} else "merged", cases

    def _space(self, table: Table, key: str, row: model.ModelRow, user: str, before: model.ModelRow | None) -> str:
        """A dead row stays where it died, a user's row with him; the other templates here have one column."""
        if before is not None and (not row.alive or "{@user}" in table.space.template):
            return before.space
        values = {c.name: v for c, v in zip(table.key, key_values(table, key), strict=True)}
        values |= {name: cell.value for name, cell in row.cells.items()}
        return table.space.template.replace("{@user}", user).replace("{project}", str(values.get("project")))

    def _compare(self) -> None:
        """The hub's tables and feed are the model's rows, and the constraints hold."""
        for table in self.schema.tables:
            assert sorted(map(repr, self._hub_table(table))) == expected(table, self.rows), ("hub", table.name)
        sql = """SELECT t.name, r.key, r.life, s.name FROM holdfast_row r JOIN holdfast_space s ON s.id = r.place >> 40
                 JOIN holdfast_table t ON t.id = r.tbl WHERE r.mark = 0"""
        feed = {(table, key): (life, space) for table, key, life, space in self.world.query(self.world.hub_file, sql)}
        assert feed == {name: (row.life, row.space) for name, row in self.rows.items()}
        assert not violations(self.schema, self.rows)

    def account(self) -> None:
        """Everybody has synced: each transaction had one effect or one refusal, which its device keeps once.

        A restored hub has lost both, so it may decide once more.
        """
        for name in self.senders:
            decided = self.accepted[name] + self.refused[name]
            assert decided == 1 or (self.restored and decided != 1), (name, decided)
        if self.restored:
            return
        for device in self.world.devices.values():
            sql = "SELECT origin, n FROM holdfast_transaction WHERE state = 'refused' AND origin IS NOT NULL"
            kept = sorted(self.world.query(device.path, sql))
            assert kept == sorted(name for name in self.refused if self.senders[name] == device.name), device.name

    def settled(self, device: Device) -> None:
        """The device has completed a sync."""
        self.seen[device.name] = self.answered[device.name]
        sql = """SELECT 1 FROM holdfast_capture UNION ALL
                 SELECT 1 FROM holdfast_transaction WHERE state <> 'refused'"""
        self.carried[device.name] = bool(self.world.query(device.path, sql))

    def look(self, device: Device) -> None:
        """Visible = confirmed + pending: recomputed by the model from what the hub has said and what waits."""
        seen = self.seen.get(device.name)
        loading = self.world.query(device.path, "SELECT 1 FROM holdfast_space WHERE ready = 0")
        if seen is None or loading:
            return
        rows: dict[Name, model.ModelRow | None] = dict(seen.rows)
        unclear: set[str] = set()
        for pending in device.replica.pending():
            for wire in pending.operations:
                name, table = (wire["table"], wire["key"]), self.schema.by_name[wire["table"]]
                current = rows.get(name)
                if current is not None and not current.alive and wire["op"] == "update":
                    unclear.add(table.name)  # it may come back with older cells until the hub has answered
                try:
                    rows[name], _ = model.apply(table, current, {**wire, "named": wire["stamp"]})
                except model.Refused:
                    continue
        present = {name: row for name, row in rows.items() if row is not None}
        # Two rows can want one unique value only if an edit was made before the other row arrived.
        collisions = {table for table, _ in duplicates(self.schema, present)}
        assert self.carried[device.name] or not collisions, (device.name, collisions)
        unclear |= collisions
        for table in self.schema.tables:
            if table.name not in unclear:
                assert sorted(map(repr, device.rows(table.name))) == expected(table, present), (device.name, table.name)


def ignores(row: model.ModelRow | None, op: dict[str, Any]) -> bool:
    """A deletion of what is not there leaves no note."""
    return op["op"] == "delete" and (row is None or not row.alive)


def fresh(column: Column, value: Any) -> Any:
    """The change that makes a new cell show the value."""
    return {"add": value} if column.merge in ("set", "grow_set") else value


def difference(column: Column, cell: model.ModelCell, value: Any) -> Any:
    """Section 4, `difference`."""
    if column.merge == "counter":
        return value - cell.value
    if column.merge not in ("set", "grow_set"):
        return value
    change: dict[str, Any] = {"add": [element for element in value if element not in cell.value]}
    if column.merge == "set":
        gone = [element for element in cell.value if element not in value]
        change["remove"] = [
            [element, [dot for e, dot in cell.added - cell.removed if e == element]] for element in gone
        ]
    return change


def sql_row(table: Table, key: str, row: model.ModelRow) -> tuple[Any, ...]:
    """A row of the model as SQLite has it, key columns first."""
    wires = [*key_values(table, key), *(row.cells[column.name].value for column in table.cells)]
    found = []
    for column, wire in zip(table.row_columns, wires, strict=True):
        convert = sqlite_values.to_sql(column)
        found.append(wire if convert is None else convert(wire))
    return tuple(found)


def expected(table: Table, rows: dict[Name, model.ModelRow]) -> list[str]:
    """The living rows of a table, comparable bit for bit."""
    return sorted(
        repr(sql_row(table, key, row)) for (name, key), row in rows.items() if name == table.name and row.alive
    )


def violations(schema: Schema, rows: Rows) -> list[tuple[str, Any]]:
    """(table, values) of every broken UNIQUE and foreign key among the living rows."""
    found = duplicates(schema, rows)
    living = {name: row for name, row in rows.items() if row.alive}
    for table in schema.tables:
        for foreign_key in table.foreign_keys:
            for (name, _), row in living.items():
                value = row.cells[foreign_key.columns[0]].value if name == table.name else None
                if value is not None and (foreign_key.parent, value) not in living:
                    found.append((table.name, value))
    return found


def duplicates(schema: Schema, rows: Rows) -> list[tuple[str, Any]]:
    """(table, values) of every value that a UNIQUE allows once and living rows have twice."""
    found: list[tuple[str, Any]] = []
    for table in schema.tables:
        own = [row for (name, _), row in rows.items() if name == table.name and row.alive]
        for columns in table.unique:
            values = [tuple(row.cells[column].value for column in columns) for row in own]
            counts = Counter(value for value in values if None not in value)
            found += [(table.name, value) for value, count in counts.items() if count > 1]
    return found
