"""Spaces of rows that this device changed itself and that the hub need not send back: found by the hub's own rule.

The hub sends back every row that it moves, and new ones that it has put elsewhere, step by step. So what it does not
send has stayed where it was, or is new and lives where the rule puts it now; and a new row's parent stands where the
pages of the same answer have put it.
"""

from __future__ import annotations

from collections.abc import Mapping

import apsw

from holdfast.kernel.row import Row
from holdfast.kernel.values import InvalidValue
from holdfast.protocol import messages as m
from holdfast.replica.confirmed import Confirmed, RowName
from holdfast.replica.pages import Held, MissingError
from holdfast.replica.spaces import LocalSpaces
from holdfast.replica.tables import UserTables
from holdfast.schema import placing
from holdfast.schema.model import Schema


class Places:
    """Finds spaces inside one transaction of the engine."""

    def __init__(self, db: apsw.Connection, tables: UserTables, schema: Schema, user: str) -> None:
        self._tables = tables
        self._schema = schema
        self._user = user
        self._confirmed = Confirmed(db, tables)
        self._spaces = LocalSpaces(db)
        self._names = self._spaces.names()
        self._numbers = {name: number for number, name in self._names.items()}

    def depends(self, name: RowName) -> bool:
        """Whether the place of such a row depends on other rows, or theirs on it."""
        table = self._tables.by_number[name[0]].table
        return table.via is not None or table.name in self._schema.offspring

    def find(self, rows: Mapping[RowName, Row], held: Mapping[RowName, Held]) -> dict[RowName, int]:
        """The numbers of the spaces of these confirmed rows. `held` is what the hub says of others.

        Raises `MissingError` when a parent is not in this file.
        """
        lived = self._confirmed.spaces(sorted(rows))
        residents = {
            self._named(name): placing.Resident(row.life, row.values, self._names.get(lived.get(name, -1), ""))
            for name, row in rows.items()
        }
        found = placing.Placing(self._schema, residents, self._parents(residents, held).get, self._user)
        return {name: self._number(name, found, residents[self._named(name)]) for name in rows}

    def fresh(self, name: RowName, op: m.AnyOperation) -> int:
        """The number of the space of a row that an insert has made, in a table that no other one depends on."""
        table = self._tables.by_number[name[0]].table
        return self._numbered(placing.fresh_space(table, name[1], op.set, self._user))  # type: ignore[union-attr]

    def _number(self, name: RowName, found: placing.Placing, resident: placing.Resident) -> int:
        try:
            space = found.space_of(self._named(name))
        except placing.Unplaced as problem:
            if not resident.space:
                raise MissingError(*problem.name) from problem
            space = resident.space
        return self._numbered(space)

    def _numbered(self, space: str) -> int:
        if space not in self._numbers:
            upload = self._tables.only_uploads(space)
            number = self._numbers[space] = self._spaces.number(space, upload=upload)
            self._names[number] = space
        return self._numbers[space]

    def _named(self, name: RowName) -> placing.RowName:
        return self._tables.by_number[name[0]].table.name, name[1]

    def _parents(
        self, residents: Mapping[placing.RowName, placing.Resident], held: Mapping[RowName, Held]
    ) -> dict[placing.RowName, str]:
        """The spaces of the parents that did not change themselves, as far as this file knows them."""
        wanted: set[RowName] = set()
        for name, resident in residents.items():
            try:
                parent = placing.parent_of(self._schema, name, resident.cells)
            except InvalidValue:
                continue  # the hub has taken it: then it lives where it lived
            if parent is not None and parent not in residents:
                wanted.add((self._tables.by_name[parent[0]].number, parent[1]))
        known = self._confirmed.spaces(sorted(wanted))
        known.update((name, held[name].space) for name in wanted & held.keys() if held[name].row is not None)
        return {self._named(name): self._names[space] for name, space in known.items()}
