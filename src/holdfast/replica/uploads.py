"""Uploads: what goes out, under which names, and which transaction is to blame when the hub cannot process it."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import apsw

from holdfast.errors import HoldfastError
from holdfast.kernel import clock
from holdfast.protocol import messages as m
from holdfast.replica.capture import make_readable
from holdfast.replica.changes import note_sealed
from holdfast.replica.coalesce import Coalescing
from holdfast.replica.confirmed import Confirmed
from holdfast.replica.dependencies import dependants, needs
from holdfast.replica.device import Device
from holdfast.replica.file import applying
from holdfast.replica.outbox import MAX_HOLD, Outbox, Sending
from holdfast.replica.seal import Seal
from holdfast.replica.steering import refresh
from holdfast.replica.steps import note_origin
from holdfast.replica.suspects import Suspect, may_be_about_one
from holdfast.replica.upgrade import as_shown

log = logging.getLogger("holdfast.replica")

MAX_TRANSACTION = m.MAX_REQUEST - 1024 * 1024
MOST = m.MAX_TRANSACTIONS // 2
FIRST_HOLD = 60 * 1000
"""So many milliseconds a transaction that the hub cannot process is held back; each time four times longer."""


class Uploads:
    """What one process sends, under origins that it has minted. Not thread-safe.

    `sent` is what the last request holds, `asked` what it names without holding it; `in_flight`: nobody has answered
    it; `more`: another request is needed.
    """

    def __init__(self, db: apsw.Connection, device: Device) -> None:
        self._db = db
        self._device = device
        self._outbox = Outbox(db)
        self._most = MOST
        self._suspect: Suspect | None = None
        self._found: int | None = db.execute("SELECT max(op) FROM holdfast_capture").get
        self._first_own = self._outbox.next_number() if self._found is None else None
        self.sent: list[Sending] = []
        self.asked: dict[str, int] = {}
        self.in_flight = False
        self.more = False
        self._mint()

    def _mint(self) -> None:
        """A new origin: this process numbers its transactions under a name that nobody used before (trap 1)."""
        self.origin = clock.new_origin(self._device.random_bits(48))
        self._next_n = 1

    @property
    def copied(self) -> bool:
        """Whether the last request holds what was written before this process opened the file: another copy of it, made
        before, may have sent that, too."""
        return any(sent.txn < (self._first_own or 0) for sent in self.sent)

    def seal(self, db: apsw.Connection) -> None:
        """Seal what was captured, on any connection to the file, inside a transaction of the engine there."""
        note_sealed(db)
        note_origin(db, self.origin)
        db.execute("SAVEPOINT holdfast_seal")
        try:
            seal = Seal(db, self._device.tables, self.origin)
            seal.run(self._found)
        except UnicodeDecodeError:
            db.execute("ROLLBACK TO holdfast_seal")
            seal = Seal(db, self._device.tables, self.origin, make_readable(db, self._device.tables))
            seal.run(self._found)
        else:
            if self._first_own is None:
                self._first_own = seal.first_after
        finally:
            # A full disk may have ended the whole transaction.
            if db.in_transaction:
                db.execute("RELEASE holdfast_seal")

    def begin(self, batch: int, answered: Mapping[str, int], *, allowed: bool) -> bool:
        """Choose what the next request holds: about `batch` bytes, nothing unless `allowed`. Gives whether something
        urgent is left, for which the answer should be short. Names are durable before it returns.

        `answered` maps origins to the n up to which the hub has answered in an answer that is not complete yet.
        """
        sending, self.more = self._choose(batch, answered) if allowed else ([], False)
        self._next_n += sum(1 for s in sending if s.origin == self.origin and s.n >= self._next_n)
        self.sent, self.asked, self.in_flight = sending, {}, True
        return self.more and self._outbox.urgent(self._device.tables.upload_first, [s.txn for s in sending])

    def ask(self) -> dict[str, int]:
        """The next request holds no transactions, because they may build on what the hub has lost: gives those that it
        names, to hear whether the rows of the answer have their effect."""
        self.asked = self._outbox.sent()
        self.more = self.anything_waits()
        return self.asked

    def _choose(self, batch: int, answered: Mapping[str, int]) -> tuple[list[Sending], bool]:
        """The transactions of the next request, and whether more wait. Writes only when there is something to write.

        Those that were sent before go alone: as long as nobody knows where they are, nothing new gets a name. So what
        is written while there is no network stays free to be joined, cancelled, or overtaken.
        """
        if self._suspect is not None:
            return [], True
        if not self.anything_waits():
            return [], False
        now = self._device.now()
        with applying(self._db, self._device.path):
            self.seal(self._db)
            if self._first_own is None:
                self._first_own = self._outbox.next_number()
            refused = self._outbox.refuse_oversized(MAX_TRANSACTION)
            if refused:
                names = {(tbl, key) for _, tbl, key, _ in self._outbox.operations(refused)}
                refresh(Confirmed(self._db, self._device.tables), names)
            sending, more = self._outbox.unanswered(answered, self._most, batch)
            if sending:
                return sending, more or self._outbox.may_be_sent(now)
            if self._outbox.withdrawn():
                # Answered, in an answer that is not complete yet: what was let go will stand in the queue again, and
                # nothing that needs it may go before.
                return [], True
            Coalescing(self._db, self._device.tables, self._first_own).run()
            choice = self._outbox.choose(self._device.tables.queue_by_name, now, self._most, batch)
            return self._outbox.name(choice.chosen, self.origin, self._next_n), choice.more

    def anything_waits(self) -> bool:
        """Whether something was captured, or waits to be sent."""
        return self._outbox.anything_waits(self._device.tables.queue_by_name, self._device.now())

    def speak_anew(self, error: HoldfastError) -> bool:
        """The hub does not serve the version any more under which something was written: it goes as it is shown."""
        if error.code != "schema_outdated" or error.details.get("device") == self._device.schema.version:
            return False
        with applying(self._db, self._device.path):
            return as_shown(self._db) > 0

    def narrow(self, error: HoldfastError) -> bool:
        """The hub could not process the last request; gives whether to go on at once, with less of it.

        The one transaction to blame is found by halving. Before it is blamed, an empty request shows that the hub works
        at all.
        """
        if self.speak_anew(error):
            return True
        if not may_be_about_one(error) or (not self.sent and self._suspect is None):
            return False
        if self._suspect is not None:
            self._suspect, self._most = None, MOST
            return False
        if len(self.sent) > 1:
            self._most = len(self.sent) // 2
        else:
            self._suspect = Suspect(self.sent[0].txn, str(error))
        return True

    def answered(self, through: Mapping[str, int]) -> None:
        """The hub has processed the request, up to these numbers: go on with larger ones; if it was the empty one, the
        suspect is to blame."""
        suspect, self._suspect = self._suspect, None
        self._most = min(self._most * 2, MOST)
        if suspect is not None:
            self._blame(suspect)
        self._rename_lost(through)

    def _blame(self, suspect: Suspect) -> None:
        self._most = MOST
        self.more = True
        sql = "SELECT attempts FROM holdfast_transaction WHERE txn = ? AND state = 'sending'"
        attempts: int | None = self._db.execute(sql, (suspect.txn,)).get
        if attempts is None:
            return
        log.warning("%s: the hub cannot process transaction %d: %s", self._device.path, suspect.txn, suspect.error)
        with applying(self._db, self._device.path):
            wait = min(FIRST_HOLD * 4**attempts, MAX_HOLD)
            self._outbox.fail(suspect.txn, suspect.error, self._device.now() + wait)
            needed = dependants(needs(self._db, ("sending",)), [suspect.txn])
            self._outbox.withdraw([suspect.txn, *needed], "release")

    def _rename_lost(self, through: Mapping[str, int]) -> None:
        """Transactions behind a gap that the hub cannot close get new names: it has lost what came before (trap 2)."""
        first: dict[str, int] = {}
        for sending in self.sent:
            first.setdefault(sending.origin, sending.n)
        lost = [origin for origin, n in first.items() if through.get(origin, n - 1) < n - 1]
        if lost:
            with applying(self._db, self._device.path):
                for origin in lost:
                    self._outbox.rename(origin, self._device.tables.queue_by_name)
            self._mint()
            self.more = True

    def misses_answers(self, through: Mapping[str, int], *, live: bool) -> bool:
        """Whether something is on its way to the hub that this answer says nothing about: its rows may or may not have
        the effect in them already. They wait for the answer to that, from which it is known (nothing counts twice).

        So it is with what the hub sends unasked (`live`), and with what another process that has this file open has
        sent.
        """
        known = dict(through)
        if not live:
            self.in_flight = False
            for origin, n in [*((sent.origin, sent.n) for sent in self.sent), *self.asked.items()]:
                known[origin] = max(known.get(origin, 0), n)
        missing = any(n > known.get(origin, 0) for origin, n in self._outbox.sent().items())
        if missing and not self.in_flight:
            self.more = True
        return missing
