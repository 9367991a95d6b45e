"""What a sync did."""

from __future__ import annotations

from typing import NamedTuple

from holdfast.protocol import messages as m
from holdfast.protocol.conflicts import Conflict


class Refusal(NamedTuple):
    """A transaction that the hub refused in this sync; `Replica.refused()` keeps it with its values."""

    code: str
    message: str
    table: str
    key: str
    column: str


class SyncReport(NamedTuple):
    """`pushed` transactions that the hub accepted, `merged` those among them that met other writes, `pulled` rows that
    came, `conflicts` that came in this sync and in which this device or its user wrote, `refused` in this sync, bytes
    on the wire, `rounds` exchanges."""

    pushed: int
    merged: int
    pulled: int
    conflicts: list[Conflict]
    refused: list[Refusal]
    bytes_sent: int
    bytes_received: int
    rounds: int


def refusals_of(results: list[m.Result]) -> list[Refusal]:
    """The refusals in the results of a round."""
    return [Refusal(r.code, r.message, r.table, r.key, r.column) for r in results if r.outcome == "refused"]
