"""Verification by itself: when a total differs from the hub's, and on a schedule that survives restarts."""

from __future__ import annotations

import hashlib
import logging

from holdfast.errors import HoldfastError
from holdfast.observe.logs import event
from holdfast.protocol.transport import Transport
from holdfast.replica.credentials import Credentials
from holdfast.replica.exchange import Exchanges
from holdfast.replica.file import applying
from holdfast.replica.round import Rounds
from holdfast.replica.spaces import LocalSpaces
from holdfast.replica.totals import doubt
from holdfast.replica.verified import Verified, note_verified, read_plan
from holdfast.replica.verify import Verifier, VerifyReport

log = logging.getLogger("holdfast.replica")

EVERY_HOURS = 24.0
HOUR_MS = 3_600_000
AGAIN_MS = HOUR_MS
"""What could not be finished is tried again after so long."""


class Proving:
    """Verifies when it is time, for somebody who holds the file's sync lock. `every`: hours between two verifications;
    None: never by itself.
    """

    def __init__(self, rounds: Rounds, exchanges: Exchanges, credentials: Credentials, every: float | None) -> None:
        self._rounds, self._exchanges, self._credentials, self._every = rounds, exchanges, credentials, every

    def is_due(self) -> bool:
        """Whether a verification should begin now; plans the first one."""
        now = self._rounds.last_synced
        if self._every is None or now is None:
            return False
        sql = """SELECT verify_due, (SELECT EXISTS (SELECT 1 FROM holdfast_space WHERE doubt = 1 AND access <> ''))
                 FROM holdfast_state"""
        due, doubted = self._rounds.connection.execute(sql).get
        span = int(self._every * HOUR_MS)
        if not doubted and (due is None or due > now + 2 * max(span, AGAIN_MS)):  # or a clock that was ahead
            self._plan(now, span)
            return False
        return bool(doubted) or now >= due

    def run(self, way: Transport) -> None:
        """Verify. What stands in the way is logged, and it is tried again in an hour: a round never fails for that."""
        db, device = self._rounds.connection, self._rounds.device
        now, plan = self._rounds.last_synced or 0, read_plan(db)
        if plan.doubted:
            log.warning("%s: the hub has another total of %s; comparing", device.path, ", ".join(plan.doubted))
        with applying(db, device.path):
            doubt(db, plan.doubted, 2)  # before the comparison: one that breaks off does not begin another at once
        try:
            verifier = Verifier(self._rounds, self._exchanges, [way], self._credentials)
            report = verifier.compare(db, sorted(LocalSpaces(db).all()))
        except HoldfastError as error:
            log.warning("%s: the verification is put off: %s", device.path, error)
            self._plan(now, AGAIN_MS)
            return
        self.note(report)

    def note(self, report: VerifyReport) -> None:
        """Keep what was found, plan the next one, and say loudly what was wrong."""
        db, path = self._rounds.connection, self._rounds.device.path
        at = self._rounds.last_synced or 0
        found = Verified(at, report.ok, report.spaces, report.rows, len(report.repaired), len(report.lost))
        with applying(db, path):
            note_verified(db, found)
        if self._every is not None:
            self._plan(at, int(self._every * HOUR_MS))
        event(log, "device.verified", file=path, **found._asdict())
        if report.repaired or report.lost:
            log.error("%s: %d rows were wrong here, %d are lost at the hub", path, found.repaired, found.lost)

    def _plan(self, now: int, span: int) -> None:
        """The next one is in about so many milliseconds: devices that began together do not stay together."""
        db, device = self._rounds.connection, self._rounds.device
        dice = hashlib.blake2s(f"{device.device} {now}".encode(), digest_size=2).digest()
        part = 0.75 + int.from_bytes(dice, "big") / 65_536 / 2
        with applying(db, device.path):
            db.execute("UPDATE holdfast_state SET verify_due = ?", (now + int(span * part),))
