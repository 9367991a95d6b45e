"""Bringing back rows that have left this device (`spec/storage.md`, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m
from holdfast.protocol.transport import Transport
from holdfast.replica.confirmed import Confirmed, RowName
from holdfast.replica.eviction import Eviction, note_used
from holdfast.replica.exchange import Exchanges
from holdfast.replica.file import applying
from holdfast.replica.round import Rounds
from holdfast.replica.spaces import LocalSpaces
from holdfast.replica.verify import ask, take_rows
from holdfast.schema.key import key_text

BATCH = 500
"""Rows that are asked for in one exchange."""


class Completing:
    """Brings back rows that have left and to which rows refer that came later: at the end of a round, when the engine
    has written since it was looked for last.
    """

    def __init__(self, rounds: Rounds, exchanges: Exchanges) -> None:
        self._rounds = rounds
        self._exchanges = exchanges
        self._looked_at: int | None = None

    def run(self, way: Transport) -> None:
        """Look, and fetch. Raises what a sync raises."""
        db = self._rounds.connection
        if db.execute("SELECT 1 FROM holdfast_row WHERE evicted LIMIT 1").get is None:
            return
        written: int = db.execute("SELECT sum(version) FROM holdfast_table").get
        if written == self._looked_at:
            return
        offset: int = db.execute("SELECT clock_offset FROM holdfast_state").get
        Fetching(db, self._rounds, self._exchanges, [way]).complete(self._rounds.now() + offset)
        self._looked_at = written


class Fetching:
    """Fetches on the syncing connection of a device, for somebody who holds the file's sync lock."""

    def __init__(self, db: apsw.Connection, rounds: Rounds, exchanges: Exchanges, ways: Sequence[Transport]) -> None:
        self._db = db
        self._rounds = rounds
        self._exchanges = exchanges
        self._ways = ways
        self._tables = rounds.device.tables
        self._confirmed = Confirmed(db, self._tables)

    def run(self, names: Sequence[RowName], now: int) -> None:
        """Bring back those of the rows that have left, and the rows that they refer to. Raises `space_unknown` for rows
        of spaces that this device only writes, and what a sync raises.
        """
        left = sorted(self._confirmed.evicted(names))
        read = self._read_spaces()
        for (number, key), space in self._confirmed.spaces(left).items():
            if space not in read:
                table = self._tables.by_number[number].table.name
                message = f"the row {key!r} of {table} has left this device, which only writes its space: it stays away"
                raise HoldfastError("space_unknown", message, table=table, key=key)
        for place in range(0, len(left), BATCH):
            self._bring(left[place : place + BATCH], now)
        self.complete(now)

    def complete(self, now: int) -> int:
        """Bring back rows that have left and to which rows here refer; gives how many."""
        count = 0
        while needed := Eviction(self._db, self._tables).needed():
            for place in range(0, len(needed), BATCH):
                self._bring(needed[place : place + BATCH], now)
            still = self._confirmed.evicted(needed)
            count += len(needed) - len(still)
            if still:
                break  # the hub has lost them: verify() says so
        return count

    def _bring(self, names: Sequence[RowName], now: int) -> None:
        """One exchange, and the rows in the snapshot of its answer."""
        read = self._read_spaces()
        compare: dict[str, m.Compare] = {}
        for name, number in self._confirmed.spaces(names).items():
            if number in read:
                wanted = compare.setdefault(read[number], m.Compare())
                wanted.names.append((self._tables.by_number[name[0]].table.name, name[1]))
        if not compare:
            return
        compared = ask(self._rounds, self._exchanges, self._ways[0], compare, "fetch")
        with applying(self._db, self._rounds.device.path):
            for space, said in compared.items():
                images = [image for image in said.images if self._is_wanted(image)]
                if images:
                    take_rows(self._rounds, self._db, space, images)
            note_used(self._db, names, now)

    def _read_spaces(self) -> dict[int, str]:
        """Number -> name of the spaces that this device reads."""
        return {space.number: space.name for space in LocalSpaces(self._db).all().values()}

    def _is_wanted(self, image: m.Image) -> bool:
        """Whether the row is alive and has still left: the same answer may have brought it, or said that it is gone."""
        user = self._tables.by_name.get(image.table)
        if user is None or len(image.values) < len(user.table.key):
            raise HoldfastError("response_malformed", f"the hub sent a row of the unknown table {image.table}")
        name = (user.number, key_text(user.table, image.values[: len(user.table.key)]))
        return image.life % 2 == 1 and bool(self._confirmed.evicted([name]))
