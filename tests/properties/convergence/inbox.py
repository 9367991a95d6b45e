"""The conflicts that the hub must write (`spec/merge.md`, section 8), foretold from what the judge has seen arrive."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from holdfast.kernel.values import canonical_json
from holdfast.schema.model import Table
from tests.properties import model

Name = tuple[str, str]
Place = tuple[str, str, str, str]
"""Table, key, column and stamp: what names one write of a cell."""
CONFLICTS = "holdfast_conflict"


@dataclass
class Writer:
    """Who wrote. `at` is in milliseconds since 2020-01-01 UTC."""

    user: str = ""
    device: str = ""
    at: int | None = None


@dataclass
class Inbox:
    """What the history of the hub tells about cells: `values` that were written, `writers` of what came to stand, and
    who `deleted` a row last.
    """

    values: dict[Place, Any] = field(default_factory=dict)
    writers: dict[Place, Writer] = field(default_factory=dict)
    deleted: dict[Name, Writer] = field(default_factory=dict)

    def copy(self) -> Inbox:
        """As it is now."""
        return Inbox(dict(self.values), dict(self.writers), dict(self.deleted))

    def arrive(
        self,
        table: Table,
        op: dict[str, Any],
        before: model.ModelRow | None,
        after: model.ModelRow,
        who: tuple[str, str],
        met: list[model.Met],
    ) -> list[dict[str, Any]]:
        """One operation has been merged: gives the new conflicts, column -> value, but for `id` and `space`."""
        name = (table.name, op["key"])
        cases = [self._case(table, op, before, after, who, one) for one in met]
        self._remember(table, name, op, before, after, who)
        return cases

    def _remember(
        self,
        table: Table,
        name: Name,
        op: dict[str, Any],
        before: model.ModelRow | None,
        after: model.ModelRow,
        who: tuple[str, str],
    ) -> None:
        if op["op"] == "delete":
            if not after.alive:
                self.deleted[name] = Writer(*who, moment(op["stamp"]))
            return
        changes = op.get("set", {})
        for column in table.cells:
            if column.name not in changes and op["op"] == "update":
                continue
            given = changes.get(column.name, model.default(column))
            # Who inserts a row that is there already has seen his own defaults, though they change nothing in it.
            for stamp in (op["named"], op["stamp"]):
                self.values[*name, column.name, stamp] = copy.deepcopy(given)
            if column.name not in changes and before is not None and before.alive:
                continue
            cell = after.cells[column.name]
            old = before.cells[column.name].stamp if before is not None else None
            if cell.stamp is not None and cell.stamp != old:
                self.writers[*name, column.name, cell.stamp] = Writer(*who, moment(cell.stamp))
                self.values[*name, column.name, cell.stamp] = copy.deepcopy(cell.value)

    def _case(
        self,
        table: Table,
        op: dict[str, Any],
        before: model.ModelRow | None,
        after: model.ModelRow,
        who: tuple[str, str],
        met: model.Met,
    ) -> dict[str, Any]:
        assert before is not None
        name = (table.name, op["key"])
        base: str | None = None
        if met.column:
            result, base = after.cells[met.column].value, self._base(table, op, met.column)
            stamp = before.cells[met.column].stamp
            theirs = self.writers.get((*name, met.column, str(stamp)), Writer())
        else:
            gone = met.rule == "deleted"
            result = None if gone else {"alive": True}
            if gone:
                base = canonical_json({column: cell.value for column, cell in before.cells.items()})
            theirs = self.deleted[name] if op["op"] == "update" else self._latest(name, before, met.theirs)
        return {
            "state": "auto",
            "result": canonical_json(result),
            "resolved_by": None,
            "resolved_at": None,
            "table_name": name[0],
            "row_key": name[1],
            "column_name": met.column,
            "rule": met.rule,
            "winner": met.winner,
            "base": base,
            "mine": canonical_json(met.mine),
            "mine_user": who[0],
            "mine_device": who[1],
            "mine_at": moment(op["stamp"]),
            "theirs": canonical_json(met.theirs),
            "theirs_user": theirs.user,
            "theirs_device": theirs.device,
            "theirs_at": theirs.at,
            "error": "",
        }

    def _base(self, table: Table, op: dict[str, Any], column: str) -> str | None:
        """What the writer had seen: nothing is known of an insert, a cell without a stamp shows its default."""
        if op["op"] == "insert":
            return None
        stamp = op.get("base", {}).get(column)
        if stamp is None:
            return canonical_json(model.default(table.cells[table.slot[column]]))
        place = (table.name, op["key"], column, stamp)
        return canonical_json(self.values[place]) if place in self.values else None

    def _latest(self, name: Name, before: model.ModelRow, unseen: dict[str, Any]) -> Writer:
        """Who wrote the newest of the cells that a deleter had not seen."""
        stamps = [(str(before.cells[column].stamp), column) for column in unseen if before.cells[column].stamp]
        if not stamps:
            return Writer()
        stamp, column = max(stamps)
        return self.writers.get((*name, column, stamp), Writer())


def moment(stamp: str) -> int:
    """The time in a stamp: milliseconds since 2020-01-01 UTC, above the 12 bits of its counter."""
    return int(stamp[:14], 16) >> 12


def new_row(table: Table, key: str, values: dict[str, Any], space: str) -> model.ModelRow:
    """A conflict as a row: its key is the stamp of all its cells."""
    values = {**values, "space": space}
    assert values.keys() == {column.name for column in table.cells}
    return model.ModelRow(1, {column.name: model.ModelCell(values[column.name], key) for column in table.cells}, space)


def follow(rows: dict[Name, model.ModelRow], moved: dict[Name, str]) -> dict[Name, model.ModelRow]:
    """The conflicts about rows that have moved, in their new space."""
    found = {}
    for name, row in rows.items() if moved else ():
        if name[0] == CONFLICTS:
            space = moved.get((row.cells["table_name"].value, row.cells["row_key"].value), row.space)
            if space != row.space:
                cells = {**row.cells, "space": model.ModelCell(space, None)}
                found[name] = model.ModelRow(row.life, cells, space)
    return found
