"""Deciding conflicts on a device: the row and the conflict are written in one transaction, online or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.protocol.conflicts import Conflict, losing_side
from holdfast.replica.conflicts import answer, answered, read_conflicts
from holdfast.replica.connections import Connections
from holdfast.replica.tables import UserTables
from holdfast.schema.model import Schema

_HAS_LEFT = "SELECT 1 FROM holdfast_row WHERE tbl = ? AND key = ? AND evicted"


class Deciding:
    """The conflicts of one device file. `now` is the device's clock, uncorrected."""

    def __init__(
        self, connections: Connections, schema: Schema, tables: UserTables, device: str, now: Callable[[], int]
    ) -> None:
        self._connections = connections
        self._schema = schema
        self._tables = tables
        self._device = device
        self._now = now

    def read(self, waiting: bool | None) -> list[Conflict]:
        """All conflicts, oldest first, those that wait for a decision, or those that do not."""
        return read_conflicts(self._connections.execute, self._device, waiting=waiting)

    def one(self, conflict: Conflict | str) -> Conflict:
        """A conflict as the file holds it now. Raises `conflict_unknown`."""
        wanted = conflict if isinstance(conflict, str) else conflict.id
        found = read_conflicts(self._connections.execute, self._device, only=wanted)
        if not found:
            raise HoldfastError("conflict_unknown", f"this device holds no conflict {wanted!r}", conflict=wanted)
        return found[0]

    def resolve(self, conflict: Conflict | str, choice: Any, label: str) -> Conflict:
        """See `Replica.resolve`."""
        execute = self._connections.execute
        with self._connections.transaction(label):
            found = self.one(conflict)
            access = execute("SELECT access FROM holdfast_space WHERE name = ?", (found.space,))
            if not access or access[0][0] != "rw":
                message = f"this device may not write in {found.space}"
                raise HoldfastError("forbidden_space", message, space=found.space)
            user = self._tables.by_name[found.table]
            shown = self._connections.inside(user.select_sql, user.sql_key(found.key))
            if not shown and self._connections.inside(_HAS_LEFT, (user.number, found.key)):
                message = f"the row {found.key!r} of {found.table} has left this device; fetch it, then decide"
                raise HoldfastError("row_evicted", message, table=found.table, key=found.key)
            result, writes = answer(self._schema, found, choice, tuple(shown[0]) if shown else None)
            state = execute("SELECT user, clock_offset FROM holdfast_state")[0]
            at = self._now() + state["clock_offset"]
            for statement in (*writes, answered(found.id, result, state["user"], at)):
                self._connections.inside(statement.sql, statement.parameters)
            return self.one(found)

    def restore(self, conflict: Conflict | str) -> Conflict:
        """See `Replica.restore`."""
        with self._connections.transaction("restore a value"):
            found = self.one(conflict)
            return self.resolve(found, losing_side(found), "restore a value")
