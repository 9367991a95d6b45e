"""Asking the hub what happened to a row; its answer is kept, so that it can be read offline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import apsw

from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m
from holdfast.protocol.happened import Happened
from holdfast.protocol.transport import Transport
from holdfast.replica.exchange import Exchanges
from holdfast.replica.file import applying
from holdfast.replica.round import Rounds

MOST_ROUNDS = 100


def ask(rounds: Rounds, exchanges: Exchanges, ways: Sequence[Transport], table: str, key: str) -> list[dict[str, Any]]:
    """What the hub says of a row, in rounds under the file's sync lock, which the caller holds. Raises `network`."""
    rounds.asked_after, rounds.told = [(table, key)], None
    try:
        for _ in range(MOST_ROUNDS):
            exchanges.exchange_locked("history", "poll", ways[0])
            told: list[m.Told] | None = rounds.told
            if told:
                return told[0].entries
    finally:
        rounds.asked_after = []
    raise HoldfastError("history_unfinished", "the hub has always more to send; ask again when there is less news")


def keep(db: apsw.Connection, path: str, number: int, key: str, entries: list[dict[str, Any]]) -> None:
    """Keep what was told of a row."""
    with applying(db, path):
        sql = "INSERT OR REPLACE INTO holdfast_told (tbl, key, body) VALUES (?, ?, ?)"
        db.execute(sql, (number, key, m.encode(entries).decode()))


def read(rows: Sequence[Any]) -> list[Happened] | None:
    """What was kept of a row; None when the hub was never asked."""
    return [happened(entry) for entry in json.loads(rows[0][0])] if rows else None


def happened(entry: dict[str, Any]) -> Happened:
    """An entry as it came, without members that a later hub may add. Raises `response_malformed`."""
    try:
        return Happened(**{name: entry[name] for name in Happened._fields})
    except (KeyError, TypeError) as error:
        raise HoldfastError("response_malformed", f"the hub told of the history without {error}") from None
