"""Whether this copy is what the hub says, and the repair of the rows that are not."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple

import apsw

from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m
from holdfast.protocol.transport import Transport
from holdfast.replica.apply import Answer, Apply, StagedPage
from holdfast.replica.arrival import Arrival, content_of_hub
from holdfast.replica.compare import Comparison, Difference
from holdfast.replica.credentials import Credentials
from holdfast.replica.events import Trigger
from holdfast.replica.exchange import Exchanges, sync_now
from holdfast.replica.file import applying
from holdfast.replica.lost import Lost
from holdfast.replica.pages import layout_of
from holdfast.replica.round import Rounds
from holdfast.replica.spaces import LocalSpaces
from holdfast.replica.totals import doubt, save
from holdfast.replica.unseen import unseen_values
from holdfast.schema.key import key_values

TURNS = 4
"""So often is a space compared, as long as repairs are needed: each time other bytes of the hashes."""
MOST_ROUNDS = 1_000


log = logging.getLogger("holdfast.replica")


class VerifyReport(NamedTuple):
    """`ok`: at the end this copy is what the hub says. `spaces` and `rows` were compared; `repaired` rows are right
    now, `lost` ones the hub no longer has: they are left as they are here. `exchanges` with the hub, `bytes_compared`
    of tags and names both ways, without the rows that were repaired. `found_in`: the exchanges that it took at most to
    name the rows of a space that differ.
    """

    ok: bool
    spaces: int
    rows: int
    repaired: list[Difference]
    lost: list[Difference]
    exchanges: int
    bytes_compared: int
    found_in: int = 0


class Reconciling:
    """Compares the spaces of a device that was away for longer than the hub keeps the traces of what is gone: rows that
    the hub has collected go here, too, with what the hub has confirmed of them. For somebody who holds the sync lock.
    """

    def __init__(self, rounds: Rounds, exchanges: Exchanges, credentials: Credentials) -> None:
        self._rounds = rounds
        self._exchanges = exchanges
        self._credentials = credentials

    def run(self, way: Transport) -> None:
        """Compare all spaces that are behind. What arrives meanwhile only makes it longer; it is begun again by the
        next round when it is broken off. Raises what a sync raises.
        """
        verifier = Verifier(self._rounds, self._exchanges, [way], self._credentials)
        names = LocalSpaces(self._rounds.connection).behind()
        gone = verifier.catch_up(names)
        log.info("%s: compared %d spaces, %d rows were gone", self._rounds.device.path, len(names), gone)


class Verifier:
    """Brings a file to rest, compares and repairs it; for somebody who holds the file's sync lock."""

    def __init__(
        self, rounds: Rounds, exchanges: Exchanges, ways: Sequence[Transport], credentials: Credentials
    ) -> None:
        self._rounds = rounds
        self._exchanges = exchanges
        self._ways = ways
        self._credentials = credentials

    def run(self, db: apsw.Connection, spaces: Sequence[str]) -> VerifyReport:
        """Sync, compare, and compare again with other bytes of the hashes when something was repaired. No space named:
        all of them. Raises `space_unknown`, and what a sync raises.
        """
        sync_now(self._exchanges, self._ways, self._credentials)
        held = LocalSpaces(db).all()
        unknown = sorted(set(spaces) - held.keys())
        if unknown:
            raise HoldfastError("space_unknown", f"this device does not hold the space {unknown[0]}", space=unknown[0])
        return self.compare(db, sorted(spaces or held))

    def compare(self, db: apsw.Connection, names: Sequence[str]) -> VerifyReport:
        """The same for spaces that are here, after a sync."""
        device = self._rounds.device
        repaired: list[Difference] = []
        right: list[Difference] = []
        lost: list[Difference] = []
        rows = exchanges = compared = found_in = 0
        totals: dict[str, int] = {}
        for turn in range(TURNS):
            found = Comparison(db, device.tables, device.schema, self._ask, turn)
            right, lost = found.run(names, partial(self._repair, db))
            totals = found.totals
            repaired += right
            rows, found_in = rows or found.rows, max(found_in, found.found_in)
            exchanges, compared = exchanges + found.exchanges, compared + found.bytes
            if not right:
                break
        self._offer(db, lost)
        if not right:
            with applying(db, device.path):
                save(db, totals)
                doubt(db, [name for name in names if not any(row.space == name for row in lost)], 0)
        return VerifyReport(not right and not lost, len(names), rows, repaired, lost, exchanges, compared, found_in)

    def catch_up(self, names: Sequence[str]) -> int:
        """Compare spaces after a long absence: what the hub has no trace of is gone. Gives the number of such rows."""
        db, device = self._rounds.connection, self._rounds.device
        total = 0
        lost: list[Difference] = []
        for turn in range(TURNS):
            found = Comparison(db, device.tables, device.schema, self._ask, turn)
            right, lost = found.run(names, partial(self._repair, db))
            gone = [difference for difference in lost if self._is_unknown(difference, found.unknown)]
            for space in dict.fromkeys(difference.space for difference in gone):
                self._repair(db, space, [self._leave(row) for row in gone if row.space == space])
            total += len(gone)
            if not right and not gone:
                break
        with applying(db, device.path):
            LocalSpaces(db).caught_up(names)
        self._offer(db, lost if total == 0 else [])
        return total

    def _offer(self, db: apsw.Connection, lost: Sequence[Difference]) -> None:
        """Keep copies of what the hub has lost, for whoever wants them sent."""
        if not lost:
            return
        device = self._rounds.device
        copies = Lost(db, device.tables)
        with applying(db, device.path):
            for row in lost:
                copies.offer((device.tables.by_name[row.table].number, row.key), row.space)

    def _is_unknown(self, difference: Difference, unknown: set[tuple[str, str, str]]) -> bool:
        return (difference.space, difference.table, difference.key) in unknown

    def _leave(self, row: Difference) -> m.Image:
        """What makes a row go that the hub does not have."""
        user = self._rounds.device.tables.by_name.get(row.table)
        if user is None:
            return m.Image(row.table, 0, unseen_values(row.key, self._rounds.device.tables.keys[row.table]), "")
        return m.Image(row.table, 0, list(key_values(user.table, row.key)), "")

    def _ask(self, compare: dict[str, m.Compare]) -> Mapping[str, m.Compared]:
        return ask(self._rounds, self._exchanges, self._ways[0], compare)

    def _repair(self, db: apsw.Connection, space: str, images: Sequence[m.Image]) -> None:
        with applying(db, self._rounds.device.path):
            take_rows(self._rounds, db, space, images)


def ask(
    rounds: Rounds, exchanges: Exchanges, way: Transport, compare: dict[str, m.Compare], trigger: Trigger = "verify"
) -> Mapping[str, m.Compared]:
    """Rounds with the hub until it has answered in the snapshot that is applied here; for somebody who holds the file's
    sync lock.
    """
    rounds.compare, rounds.compared = compare, None
    try:
        for _ in range(MOST_ROUNDS):
            exchanges.exchange_locked(trigger, "poll", way)
            if rounds.compared is not None:
                return rounds.compared
    finally:
        rounds.compare = {}
    raise HoldfastError("verify_unfinished", "the hub has always more to send; verify again when there is less news")


def take_rows(rounds: Rounds, db: apsw.Connection, space: str, images: Sequence[m.Image]) -> None:
    """Rows as the hub has them, whole, and what waits here over them; inside a transaction of the engine."""
    device = rounds.device
    hub, user, layout = db.execute("SELECT hub, user, layout FROM holdfast_state").get
    access: dict[str, Literal["r", "rw"]] = {
        name: "rw" if held.access == "rw" else "r" for name, held in LocalSpaces(db).all().items()
    }
    header = m.Header(hub=hub, user=user, time=device.now(), hlc=0, spaces=access)
    Arrival(device.tables.take_layout(db), layout_of(layout)).check(images)
    page = StagedPage(space, "", m.encode(list(images)))
    rounds.seal(db)
    with content_of_hub():
        Apply(db, device.tables, device.schema).run(Answer(header, m.Footer(False)), [page])
