"""What a sync did."""

from __future__ import annotations

from typing import Any, NamedTuple

from holdfast.protocol import messages as m


class Conflict(NamedTuple):
    """Two writes, neither of which had seen the other.

    `mine` is this device's value, `theirs` the other one, `winner` says which the row shows. `column` is empty when a
    deletion met an edit; `rule` is the merge type that decided, or "revived", "kept" or "deleted".
    """

    table: str
    key: str
    column: str
    mine: Any
    theirs: Any
    rule: str
    winner: str


class Refusal(NamedTuple):
    """A transaction that the hub refused in this sync; `Replica.refused()` keeps it with its values."""

    code: str
    message: str
    table: str
    key: str
    column: str


class SyncReport(NamedTuple):
    """`pushed` transactions that the hub accepted, `merged` those among them that met other writes, `pulled` rows that
    came, `conflicts` and `refused` in this sync, bytes on the wire, `rounds` exchanges."""

    pushed: int
    merged: int
    pulled: int
    conflicts: list[Conflict]
    refused: list[Refusal]
    bytes_sent: int
    bytes_received: int
    rounds: int


def conflict_of(note: m.ConflictNote) -> Conflict:
    """A conflict as the application sees it."""
    return Conflict(note.table, note.key, note.column, note.mine, note.theirs, note.rule, note.winner)


def conflicts_of(results: list[m.Result]) -> list[Conflict]:
    """The conflicts in the results of a round."""
    return [conflict_of(note) for result in results for note in result.conflicts]


def refusals_of(results: list[m.Result]) -> list[Refusal]:
    """The refusals in the results of a round."""
    return [Refusal(r.code, r.message, r.table, r.key, r.column) for r in results if r.outcome == "refused"]
